//! Noticing that a file of the configuration changed.
//!
//! The directories are watched, not the files: a save by rename and a swapped symbolic link replace the file, and a watch
//! on it would see that once and never again. What an event means is not interpreted; whoever is told reads the files
//! and compares their hash.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Longest that events which never rest may put a candidate off.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches a set of directories.
pub struct Watcher {
    watcher: Mutex<(RecommendedWatcher, BTreeSet<PathBuf>)>,
    changed: Arc<Notify>,
}

impl Watcher {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system has no watches left (`fs.inotify.max_user_instances`).
    pub fn new() -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading the files is itself an event. An error (a queue that overflowed) may hide a change.
            if !matches!(event, Ok(Event { kind: EventKind::Access(_), .. })) {
                told.notify_one();
            }
        })?;
        Ok(Self { watcher: Mutex::new((watcher, BTreeSet::new())), changed })
    }

    /// Watches the directories of these files, and of what they link to, and no others.
    pub fn watch(&self, files: &[PathBuf]) {
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|file| directories(file)).collect();
        let mut guard = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        let (watcher, known) = &mut *guard;
        for gone in known.difference(&wanted) {
            // A directory that was removed has ended its watch already.
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.difference(known) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(directory = %new.display(), %error, "changes here will not be noticed");
            }
        }
        *known = wanted;
    }

    /// Waits for a change, and then until nothing has changed for `quiet`. A change that was noticed by a wait that was
    /// given up is told to the next one.
    pub async fn changed(&self, quiet: Duration) {
        self.changed.notified().await;
        let untold = Untold(&self.changed);
        let end = Instant::now() + PATIENCE;
        while timeout_at(end.min(Instant::now() + quiet), self.changed.notified()).await.is_ok() && Instant::now() < end
        {
        }
        std::mem::forget(untold);
    }
}

/// A change that nobody was told.
struct Untold<'a>(&'a Notify);

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn directories(file: &Path) -> Vec<PathBuf> {
    let parent = |file: &Path| match file.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Some(PathBuf::from(".")),
        dir => dir.map(Path::to_owned),
    };
    let mut found = vec![parent(file), file.canonicalize().ok().as_deref().and_then(parent)];
    // A link anywhere on the way may be swapped; that happens in the folder that holds the link.
    let mut way = PathBuf::new();
    for step in file.components() {
        way.push(step);
        if way.is_symlink() {
            found.push(parent(&way));
        }
    }
    found.into_iter().flatten().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    async fn noticed(watcher: &Watcher) {
        tokio::time::timeout(LONG, watcher.changed(Duration::from_millis(20))).await.unwrap();
    }

    #[tokio::test]
    async fn a_change_is_not_lost_with_the_wait_that_noticed_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        let watcher = Watcher::new().unwrap();
        watcher.watch(std::slice::from_ref(&file));
        fs::write(&file, "1").unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(200), watcher.changed(LONG));
        assert!(given_up.await.is_err(), "it waits for rest");
        noticed(&watcher).await;
    }

    #[tokio::test]
    async fn saves_by_rename_and_swapped_links_are_noticed_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::create_dir_all(&one).unwrap();
        fs::create_dir_all(&two).unwrap();
        fs::write(one.join("c.yaml"), "1").unwrap();
        fs::write(two.join("c.yaml"), "2").unwrap();
        let (saved, links) = (dir.path().join("saved"), dir.path().join("links"));
        fs::create_dir_all(&saved).unwrap();
        fs::create_dir_all(&links).unwrap();
        let (file, link) = (saved.join("c.yaml"), links.join("current"));
        fs::write(&file, "0").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let watcher = Watcher::new().unwrap();
        watcher.watch(&[file.clone(), link.join("c.yaml")]);
        for round in 0..3 {
            let temporary = saved.join("c.tmp");
            fs::write(&temporary, round.to_string()).unwrap();
            fs::rename(&temporary, &file).unwrap();
            noticed(&watcher).await;
        }
        let other = links.join("other");
        std::os::unix::fs::symlink(&two, &other).unwrap();
        fs::rename(&other, &link).unwrap();
        noticed(&watcher).await;
        // Truncate and write in place, behind the link.
        watcher.watch(&[file, link.join("c.yaml")]);
        fs::write(two.join("c.yaml"), "3").unwrap();
        noticed(&watcher).await;
    }
}
