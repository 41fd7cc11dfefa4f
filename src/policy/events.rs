//! What observers are told: events of connections, queued for each version of a plugin and worked off one after the other,
//! so that those of a connection stay in order. Nobody waits for it: where the queue is full, an event is dropped and counted.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Facts, Plugin, context::Scene, report, v0_1::Question};
use crate::model::Event;

/// How often a failing observer is said to fail; how often it does is counted.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Events of one version that are still to be told.
#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    events: VecDeque<(Arc<Facts>, Arc<Event>)>,
    /// Somebody works them off.
    worked: bool,
    /// Since the queue was empty some were dropped, and that was said.
    dropping: bool,
    /// When a failure was said last.
    said: Option<Instant>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin {
    /// Whether it is told of events.
    #[must_use]
    pub const fn observes(&self) -> bool {
        self.indices().observes()
    }

    /// Queues an event. Whether somebody must [work the queue off](Self::work_off), because nobody does so.
    #[must_use]
    pub fn tell(&self, facts: &Arc<Facts>, event: &Arc<Event>) -> bool {
        let most = self.spec().limits.events;
        let mut waiting = self.events.lock();
        if waiting.events.len() >= most {
            self.stats().events_dropped.fetch_add(1, Ordering::Relaxed);
            let first = !std::mem::replace(&mut waiting.dropping, true);
            drop(waiting);
            if first {
                let (plugin, version) = (self.name(), self.identity());
                tracing::warn!(%plugin, %version, "events are dropped: {most} wait to be told (limits.events)");
            }
            return false;
        }
        self.stats().events.fetch_add(1, Ordering::Relaxed);
        waiting.events.push_back((Arc::clone(facts), Arc::clone(event)));
        !std::mem::replace(&mut waiting.worked, true)
    }

    /// Tells what is queued until nothing is left. Failures are counted and end nothing.
    pub async fn work_off(&self) {
        let working = Working(self);
        loop {
            let next = {
                let mut waiting = self.events.lock();
                let next = waiting.events.pop_front();
                if next.is_none() {
                    // Under the lock: whoever queues something after this finds that nobody works.
                    (waiting.worked, waiting.dropping) = (false, false);
                }
                next
            };
            let Some((facts, event)) = next else { break };
            let mut scene = Scene { live: Some(facts.live(&self.name())), ..Scene::default() };
            match self.ask_about(Question::Event(&event), &mut scene).await {
                Ok(_) => scene.keep(&self.name()),
                Err(failure) => {
                    let now = Instant::now();
                    let mut waiting = self.events.lock();
                    let due = waiting.said.is_none_or(|said| now.duration_since(said) >= SAID_EVERY);
                    if due {
                        waiting.said = Some(now);
                    }
                    drop(waiting);
                    if due {
                        report(self, Question::Event(&event), &scene, &failure);
                    }
                }
            }
        }
        std::mem::forget(working);
    }
}

/// Somebody works; one that is dropped in the middle of it does so no more.
struct Working<'a>(&'a Plugin);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.events.lock().worked = false;
    }
}
