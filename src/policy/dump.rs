//! The input of a call that failed, written down as a test case, so that the plugin's author can run it again.
//!
//! Who asks for it names a folder (`plugins.NAME.dump`). Nobody waits for the disk: what the call was about is put aside, the
//! name of its file is known at once, and a thread of its own writes it. How many there are, how fast they come, how large
//! they are and how many wait is bounded; what is not written is counted. The state belongs to a plugin's name, not to a
//! version: the key takes effect at a reload for sessions of older versions, too.
//!
//! A call that found all instances busy is not written down: there is nothing in its input.

mod case;
mod writer;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use self::writer::{Job, Writer};
use super::{Failure, Plugin, context::Scene, v0_1::Question};
use crate::config::{self, PluginConfig};

/// Why the input of a failed call was not written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undumped {
    /// They come faster than `per_minute`.
    Rate,
    /// Its message or attachment is longer than `message`, or all of it than a file of test cases may be.
    Size,
    /// `queue` of them wait for the disk.
    Queue,
    /// It could not be written.
    Disk,
}

impl Undumped {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Size, Self::Queue, Self::Disk];

    /// The label of metrics, and the word of the log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Size => "size",
            Self::Queue => "queue",
            Self::Disk => "disk",
        }
    }
}

/// What was counted of a plugin, over all its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// Its name.
    pub plugin: Arc<str>,
    /// Files that were written.
    pub written: u64,
    /// Failed calls that were not written down, in the order of [`Undumped::ALL`].
    pub dropped: [u64; Undumped::ALL.len()],
}

/// Those of one plugin name; each version of it in memory holds it.
pub(super) struct Dump {
    plugin: Arc<str>,
    wanted: ArcSwapOption<Wanted>,
    waiting: AtomicUsize,
    written: AtomicU64,
    dropped: [AtomicU64; Undumped::ALL.len()],
    /// It was said that they cannot be written, and since then none was.
    warned: AtomicBool,
    writer: Arc<Writer>,
}

/// What is wanted of it.
struct Wanted {
    config: config::Dump,
    bucket: DefaultDirectRateLimiter,
}

impl Wanted {
    fn of(config: config::Dump) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(config.per_minute).unwrap_or(NonZeroU32::MIN));
        Self { config, bucket: RateLimiter::direct(quota) }
    }
}

impl Dump {
    /// Takes what a failed call was about, to be written to the file whose name it gives; none where that is not wanted.
    pub(super) fn take(
        self: &Arc<Self>,
        plugin: &Plugin,
        question: Question<'_>,
        scene: &Scene,
        failure: &Failure,
    ) -> Option<Result<PathBuf, Undumped>> {
        let wanted = self.wanted.load_full().filter(|_| !matches!(failure, Failure::Busy(_)))?;
        let taken = self.queue(&wanted, plugin, question, scene, failure);
        if let Err(why) = taken {
            self.drop_one(why);
        }
        Some(taken)
    }

    fn queue(
        self: &Arc<Self>,
        wanted: &Wanted,
        plugin: &Plugin,
        question: Question<'_>,
        scene: &Scene,
        failure: &Failure,
    ) -> Result<PathBuf, Undumped> {
        let config = &wanted.config;
        let message = scene.message.as_ref().map_or(0, |message| message.payload.bytes.len());
        let attachment = scene.live.as_ref().map_or(0, |live| live.attachment.len());
        let place = self.admit(wanted, message.max(attachment))?;
        let name = self.writer.name(&self.plugin, question.hook());
        let path = config.dir.join(&name);
        let (case, comment) = case::of(plugin, question, scene, failure);
        let job = Job {
            dir: config.dir.clone(),
            name,
            most: config.files,
            case,
            comment,
            settings: plugin.spec().config.clone(),
            place,
        };
        self.writer.write(job).map(|()| path)
    }

    /// Whether there is room for one about a message of so many bytes.
    fn admit(self: &Arc<Self>, wanted: &Wanted, message: usize) -> Result<Place, Undumped> {
        if message > wanted.config.message {
            return Err(Undumped::Size);
        }
        // Of what has no place nothing of the rate is taken.
        let room = |waiting: usize| (waiting < wanted.config.queue).then(|| waiting + 1);
        if self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_err() {
            return Err(Undumped::Queue);
        }
        let place = Place(Arc::clone(self));
        if wanted.bucket.check().is_err() {
            return Err(Undumped::Rate);
        }
        Ok(place)
    }

    fn drop_one(&self, why: Undumped) {
        self.dropped[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A file was written, or not.
    fn written(&self, name: &str, result: Result<(), (Undumped, String)>) {
        match result {
            Ok(()) => {
                self.written.fetch_add(1, Ordering::Relaxed);
                self.warned.store(false, Ordering::Relaxed);
            }
            Err((why, error)) => {
                self.drop_one(why);
                if !self.warned.swap(true, Ordering::Relaxed) {
                    let plugin = &self.plugin;
                    tracing::warn!(%plugin, file = name, error, "the input of a failed call could not be written down");
                }
            }
        }
    }

    fn counted(&self) -> Dumped {
        Dumped {
            plugin: Arc::clone(&self.plugin),
            written: self.written.load(Ordering::Relaxed),
            dropped: std::array::from_fn(|why| self.dropped[why].load(Ordering::Relaxed)),
        }
    }
}

/// A place in the queue, given up when the file is written or given up.
struct Place(Arc<Dump>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Those of all names.
#[derive(Default)]
pub(super) struct Dumps {
    by_name: Mutex<BTreeMap<Arc<str>, Weak<Dump>>>,
    writer: Arc<Writer>,
}

impl Dumps {
    /// That of a name, which goes on where another version of that name holds it.
    pub(super) fn of(&self, name: &Arc<str>) -> Arc<Dump> {
        let mut all = self.lock();
        all.retain(|_, dump| dump.strong_count() > 0);
        if let Some(dump) = all.get(name).and_then(Weak::upgrade) {
            return dump;
        }
        let dump = Arc::new(Dump {
            plugin: Arc::clone(name),
            wanted: ArcSwapOption::empty(),
            waiting: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            dropped: Default::default(),
            warned: AtomicBool::new(false),
            writer: Arc::clone(&self.writer),
        });
        all.insert(Arc::clone(name), Arc::downgrade(&dump));
        dump
    }

    /// What these plugins say of it counts from now on; of others nothing is written down.
    pub(super) fn serve(&self, plugins: &BTreeMap<Arc<str>, Arc<PluginConfig>>) {
        for (name, dump) in &*self.lock() {
            let Some(dump) = dump.upgrade() else { continue };
            let config = plugins.get(name).and_then(|plugin| plugin.dump.as_ref());
            let known = dump.wanted.load();
            if known.as_ref().map(|wanted| &wanted.config) == config {
                continue;
            }
            if config.is_some() {
                self.writer.start();
            }
            dump.warned.store(false, Ordering::Relaxed);
            dump.wanted.store(config.map(|config| Arc::new(Wanted::of(config.clone()))));
        }
    }

    /// What was counted of those that want it, or wanted it.
    pub(super) fn read(&self) -> Vec<Dumped> {
        let all: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        let told = |dump: &Arc<Dump>| {
            let counted = dump.counted();
            let any = counted.written > 0 || counted.dropped.iter().any(|count| *count > 0);
            (any || dump.wanted.load().is_some()).then_some(counted)
        };
        all.iter().filter_map(told).collect()
    }

    /// Waits until all that was taken so far is written, or given up.
    pub(super) async fn finish(&self) {
        self.writer.finish().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Weak<Dump>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_where_it_is_and_what_waits_gives_its_place_up() {
        let dump = Dumps::default().of(&"it".into());
        let config = config::Dump { per_minute: 3, message: 5, queue: 2, ..config::Dump::default() };
        let wanted = Wanted::of(config);
        let admit = |message| dump.admit(&wanted, message).map_err(Undumped::label);
        assert_eq!(admit(6).err(), Some("size"));
        let (one, other) = (admit(5).unwrap(), admit(0).unwrap());
        assert_eq!(admit(5).err(), Some("queue"));
        drop(one);
        drop(admit(5).unwrap());
        // What had no room took nothing of the rate.
        assert_eq!(admit(5).err(), Some("rate"));
        drop(other);
        assert_eq!(dump.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn counters_last_for_all_versions_of_a_name_and_are_shown_where_it_is_wanted() {
        let dumps = Dumps::default();
        let (name, old) = ("it".into(), dumps.of(&"it".into()));
        assert_eq!(dumps.read(), []);
        old.drop_one(Undumped::Rate);
        old.written("", Ok(()));
        let new = dumps.of(&name);
        drop(old);
        assert_eq!(dumps.read(), [Dumped { plugin: name, written: 1, dropped: [1, 0, 0, 0] }]);
        drop(new);
        assert_eq!(dumps.read(), []);
    }
}
