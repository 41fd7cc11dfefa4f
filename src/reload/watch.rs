//! When to look at the files again.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{sleep, sleep_until};

use super::{Control, Why};
use crate::{
    config::{Watch, watch::Watcher},
    fetch::Fetcher,
};

/// How often files are looked at that nobody tells us about.
const POLL: Duration = Duration::from_secs(1);

/// Reloads whenever a file of the configuration changes, in the way that the configuration which serves says, until we
/// stop.
pub async fn watch(control: Arc<Control>) {
    let (mut watcher, mut files) = (None, control.files());
    // Between reading and watching something may have changed.
    let mut look = true;
    let mut seen = look_at(&files);
    loop {
        let reload = control.board.current.load().config.reload;
        if reload.watch != Watch::Auto {
            watcher = None;
        } else if watcher.is_none() {
            watcher = Watcher::new()
                .inspect_err(|error| {
                    tracing::error!(%error, "the system tells nothing of changes; files are looked at every second");
                })
                .ok();
            look |= watcher.is_some();
        }
        if let Some(watcher) = &watcher {
            watcher.watch(&files);
        }
        if !std::mem::take(&mut look) {
            let changed = async {
                match (&watcher, reload.watch) {
                    (_, Watch::Off) => std::future::pending().await,
                    (Some(watcher), _) => watcher.changed(reload.quiet).await,
                    (None, _) => changed(&files, &seen, reload.quiet).await,
                }
            };
            tokio::select! {
                () = changed => {}
                // Given up for a change of the files, and begun again after it.
                differs = refreshed(&control) => {
                    if differs {
                        control.reload(Why::Refresh, None).await;
                    }
                    continue;
                }
                // It may want to be watched in another way, and other files.
                () = control.published.notified() => {
                    files = control.files();
                    look = reload.watch == Watch::Off;
                    continue;
                }
                () = control.board.drain.begun() => return,
            }
        }
        seen = look_at(&files);
        if control.board.current.load().config.reload.watch != Watch::Off {
            control.reload(Why::Files, None).await;
        }
        // A refused candidate may name new files; they are watched too, so that completing one of them is noticed.
        files = control.files();
    }
}

/// Waits until components are to be looked at again, for ever if they are not, and looks: whether one is another.
async fn refreshed(control: &Control) -> bool {
    let config = Arc::clone(&control.board.current.load().config);
    let every = config.fetch.refresh;
    if every.is_zero() || !Fetcher::changes(&config) {
        return std::future::pending().await;
    }
    // From the last look on, whatever else happened meanwhile.
    sleep_until(control.refreshed() + every).await;
    control.refresh().await
}

/// Looks at the files until they are others than those that were `seen`, and then until they rest.
async fn changed(files: &[PathBuf], seen: &[Option<Seen>], quiet: Duration) {
    let mut last = look_at(files);
    loop {
        sleep(if last == seen { POLL } else { quiet }).await;
        let now = look_at(files);
        if now != seen && now == last {
            return;
        }
        last = now;
    }
}

/// What tells a file that was written from what it was before, and one file of a name from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn look_at(files: &[PathBuf]) -> Vec<Option<Seen>> {
    let seen = |file: &Path| {
        let about = fs::metadata(file).ok()?;
        Some(Seen {
            file: (about.dev(), about.ino()),
            length: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    };
    files.iter().map(|file| seen(file)).collect()
}
