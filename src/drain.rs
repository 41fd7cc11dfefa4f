//! Stopping without breaking: who is told, what is waited for, and the owner of every task.
//!
//! Every task of the proxy is spawned here, so that the end can be awaited; [`Drain::begin`] tells all of them once.
//! What each does then is its own affair: listeners stop to accept, waiting legs are closed at once, joined ones over
//! `drain.spread`.

use std::{future::Future, time::Duration};

use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

/// The token and the tasks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Drain {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Drain {
    /// Spawns a task that the end waits for.
    #[allow(clippy::disallowed_methods)] // the one place that spawns
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Spawns a task that the end does not wait for: it lives as long as the answer.
    #[allow(clippy::disallowed_methods)] // as above
    pub fn spawn_beside(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(task))
    }

    /// Tasks alive.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Tells everybody to stop.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether we are stopping.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until we are to stop.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Waits for every task, at most `grace`; false if some were still running then.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_tasks_no_longer_than_the_grace() {
        let drain = Drain::default();
        let seen = drain.clone();
        drain.spawn(async move { seen.begun().await });
        assert!(!drain.finish(Duration::from_millis(1)).await);
        drain.begin();
        assert!(drain.finish(Duration::from_mins(1)).await);
        assert_eq!(drain.tasks(), 0);
    }
}
