//! The thread that writes the files, and keeps their number within its bound.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::oneshot;

use super::{Place, Undumped};
use crate::{
    config::{MAX_BYTES, author::Case},
    files,
    model::Hook,
};

/// Who owns the process reads and writes them, for they hold what passed through it, and nobody else.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// Digits of the time that a name begins with: microseconds since 1970, so that names sort by time until 2286.
const DIGITS: usize = 16;
/// Microseconds after which nobody writes a file any more, not even another process.
const WRITTEN_WITHIN: u64 = 600 * 1_000_000;

/// A file that is to be written.
pub(super) struct Job {
    pub(super) dir: PathBuf,
    pub(super) name: String,
    /// Most files of this plugin.
    pub(super) most: usize,
    pub(super) case: Case,
    pub(super) comment: String,
    /// What the plugin is configured with, as JSON.
    pub(super) settings: String,
    pub(super) place: Place,
}

enum Order {
    Write(Box<Job>),
    /// Who is told when all orders before this one are done.
    Tell(oneshot::Sender<()>),
}

/// The way to the thread, which runs once somebody wants files. It ends with this.
#[derive(Default)]
pub(super) struct Writer {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    latest: AtomicU64,
}

impl Writer {
    /// Starts the thread, unless it runs.
    pub(super) fn start(&self) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.is_some() {
            return;
        }
        let (sender, receiver) = mpsc::channel();
        let started = thread::Builder::new().name("policy-dumps".into()).spawn(move || {
            for order in receiver {
                match order {
                    Order::Write(job) => {
                        let result = write(&job);
                        job.place.0.written(&job.name, result);
                    }
                    Order::Tell(who) => drop(who.send(())),
                }
            }
        });
        match started {
            Ok(_) => *orders = Some(sender),
            Err(error) => {
                tracing::warn!(%error, "the inputs of failed calls cannot be written down: there is no thread");
            }
        }
    }

    /// The name of a file: no two of this process are equal, and later ones are greater.
    pub(super) fn name(&self, plugin: &str, hook: Hook) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let later = |latest: u64| Some(now.max(latest + 1));
        let latest = self.latest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).unwrap_or_default();
        name(now.max(latest + 1), plugin, hook)
    }

    pub(super) fn write(&self, job: Job) -> Result<(), Undumped> {
        self.send(Order::Write(Box::new(job))).then_some(()).ok_or(Undumped::Disk)
    }

    fn send(&self, order: Order) -> bool {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }

    /// Waits until all orders so far are done.
    pub(super) async fn finish(&self) {
        let (who, told) = oneshot::channel();
        if self.send(Order::Tell(who)) {
            let _ = told.await;
        }
    }
}

fn name(time: u64, plugin: &str, hook: Hook) -> String {
    format!("{time:0DIGITS$}-{plugin}-{}.yaml", hook.name())
}

/// Whether a file is one of this plugin's. Names of plugins may have dashes, those of hooks have none.
fn is_of(file: &str, plugin: &str) -> bool {
    let Some((time, rest)) = file.split_at_checked(DIGITS) else { return false };
    let named = rest.strip_prefix('-').and_then(|rest| rest.strip_suffix(".yaml")?.rsplit_once('-'));
    time.bytes().all(|digit| digit.is_ascii_digit())
        && named.is_some_and(|(name, hook)| name == plugin && Hook::ALL.iter().any(|known| known.name() == hook))
}

fn write(job: &Job) -> Result<(), (Undumped, String)> {
    let Job { dir, name, most, case, comment, settings, place } = job;
    let size = |error: String| (Undumped::Size, error);
    let case = Case { config: Some(serde_json::from_str(settings).unwrap_or_default()), ..case.clone() };
    let text = case.write(comment).map_err(size)?;
    if text.len() > MAX_BYTES {
        return Err(size(format!("it would be longer than {} MiB, which is what can be read of it", MAX_BYTES >> 20)));
    }
    let written = make_folder(dir)
        .and_then(|()| files::replace(&dir.join(name), text.as_bytes(), FILE_MODE))
        .and_then(|()| make_room(dir, &place.0.plugin, *most, time_of(name)));
    written.map_err(|error| (Undumped::Disk, format!("{}: {error}", dir.display())))
}

fn make_folder(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}

/// The piece of a file that a process was writing when it was ended.
fn is_piece_of(file: &str, plugin: &str) -> bool {
    let whole = file.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.'));
    whole.is_some_and(|(whole, _)| is_of(whole, plugin))
}

/// When a file was named, in microseconds since 1970.
fn time_of(file: &str) -> u64 {
    file.get(..DIGITS).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// Leaves the latest so many files of a plugin, for what fails now is what is to be mended, and no piece of one that nobody
/// writes any more.
fn make_room(dir: &Path, plugin: &str, most: usize, now: u64) -> io::Result<()> {
    let (mut own, mut pieces) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if is_of(&name, plugin) {
            own.push(name);
        } else if is_piece_of(&name, plugin) && time_of(&name) + WRITTEN_WITHIN < now {
            pieces.push(name);
        }
    }
    own.sort();
    own.truncate(own.len().saturating_sub(most));
    for old in own.iter().chain(&pieces) {
        match fs::remove_file(dir.join(old)) {
            // Somebody was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::Dumps, *};
    use crate::{
        config::author::Message,
        model::{Direction, MessageKind, Payload},
    };

    fn job(dumps: &Dumps, dir: &Path, name: String, case: Case) -> Job {
        let dump = dumps.of(&"a".into());
        dump.waiting.fetch_add(1, Ordering::Relaxed);
        let (comment, settings) = (String::new(), "{}".to_owned());
        Job { dir: dir.to_owned(), name, most: 60, case, comment, settings, place: Place(dump) }
    }

    #[test]
    fn what_would_be_longer_than_can_be_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        // In a text each of these takes more than one byte.
        let bytes = vec![1; MAX_BYTES / 2];
        let payload = Payload { kind: MessageKind::Text, bytes };
        let message = Message { direction: Direction::ToClient, payload, expect: None };
        let case = Case { messages: vec![message], ..Case::default() };
        let (why, told) = write(&job(&Dumps::default(), dir.path(), name(1, "a", Hook::Message), case)).unwrap_err();
        assert_eq!(why, Undumped::Size);
        assert!(told.contains("longer than 8 MiB"), "{told}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_sort_by_time_and_tell_whose_they_are() {
        let writer = Writer::default();
        let names: Vec<_> = (0..100).map(|_| writer.name("a", Hook::Message)).collect();
        assert!(names.is_sorted_by(|one, other| one < other));
        assert!(is_of(&names[0], "a"));
        for other in ["b", "a-message", ""] {
            assert!(!is_of(&names[0], other));
        }
        assert!(
            is_of(&name(7, "a-message", Hook::Role), "a-message") && !is_of(&name(7, "a-message", Hook::Role), "a")
        );
        for other in ["7-a-message.yaml", "notes.yaml", "0000000000000007-a-other.yaml", "000000000000000é-a-role.yaml"]
        {
            assert!(!is_of(other, "a"), "{other}");
        }
    }

    #[tokio::test]
    async fn who_waits_is_told_when_all_that_was_taken_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let dumps = Dumps::default();
        let (dump, writer) = (dumps.of(&"a".into()), Writer::default());
        writer.start();
        for _ in 0..100 {
            let name = writer.name("a", Hook::Role);
            writer.write(job(&dumps, &dir.path().join("new"), name, Case::default())).unwrap();
        }
        writer.finish().await;
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 60);
        assert_eq!(dump.counted().written, 100);
        // Whoever waits where nothing is wanted is not held up.
        Writer::default().finish().await;
    }

    #[test]
    fn room_is_made_of_the_oldest_of_the_same_plugin_alone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = ["notes.yaml".to_owned(), name(1, "b", Hook::Role), name(4, "a", Hook::Role)];
        for file in kept.iter().cloned().chain([name(2, "a", Hook::Role), name(3, "a", Hook::Message)]) {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let piece = |time| name(time, "a", Hook::Role) + ".0000.tmp";
        let written_now = piece(5 + WRITTEN_WITHIN);
        for file in [&written_now, &piece(5), &piece(4)] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        make_room(dir.path(), "a", 1, 6 + WRITTEN_WITHIN).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut kept = kept.to_vec();
        kept.push(written_now);
        kept.sort();
        assert_eq!(left, kept);
    }
}
