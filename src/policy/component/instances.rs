//! The instances of a version: taken for one call each, made where none is idle, put back or thrown away.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use tokio::sync::SemaphorePermit;
use wasmtime::Store;

use super::{Instance, Plugin, SEARCHES};
use crate::{
    config::PluginLimits,
    policy::{
        deadline::{self, REASON_BYTES, Stopped, arm, bounded},
        failure::Failure,
        host::State,
        output::one_line,
        stats::nanoseconds,
    },
};

/// The slot that a call holds, and its instance.
pub(in crate::policy) type CheckedOut<'a> = (SemaphorePermit<'a>, Instance);

/// The instance that has answered the last of several questions in a row. Dropped, it is put back.
#[derive(Default)]
pub(in crate::policy) struct Held<'a>(Option<(&'a Plugin, CheckedOut<'a>)>);

impl<'a> Held<'a> {
    /// It, for the next question to this plugin; put back where that is another one.
    pub(super) fn take_of(&mut self, plugin: &'a Plugin) -> Option<CheckedOut<'a>> {
        let (held, instance) = self.0.take()?;
        if std::ptr::eq(held, plugin) && instance.1.calls < plugin.spec.limits.reuse {
            return Some(instance);
        }
        held.give_back(instance);
        None
    }

    pub(super) fn keep(&mut self, plugin: &'a Plugin, instance: CheckedOut<'a>) {
        self.0 = Some((plugin, instance));
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some((plugin, instance)) = self.0.take() {
            plugin.give_back(instance);
        }
    }
}

impl Plugin {
    /// An instance for one call, and the slot that the call holds: an idle one, or else a fresh one. Where it is not there
    /// at once, `now` is put forward.
    pub(in crate::policy) async fn check_out(&self, now: &mut Instant) -> Result<CheckedOut<'_>, Failure> {
        let slot = match self.slots.try_acquire() {
            Ok(slot) => match self.idle_one() {
                Some(instance) => return Ok((slot, instance)),
                None => Some(slot),
            },
            Err(_) => None,
        };
        // Apart: it is large, and rare.
        let found = Box::pin(async {
            let slot = match slot {
                Some(slot) => slot,
                None => self.wait().await?,
            };
            let instance = match self.idle_one() {
                Some(instance) => instance,
                None => self.fresh().await?,
            };
            Ok((slot, instance))
        });
        let found = found.await;
        *now = Instant::now();
        found
    }

    fn idle_one(&self) -> Option<Instance> {
        self.pool().pop()
    }

    /// Waits for one of `limits.instances`, behind at most `limits.queue` others.
    async fn wait(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let PluginLimits { queue, instances, .. } = self.spec.limits;
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.waiting);
        if waiting >= queue {
            return Err(Failure::Busy(format!(
                "all {instances} instances are busy and {waiting} calls wait already (limits.instances, limits.queue)"
            )));
        }
        let begun = Instant::now();
        let slot = self.slots.acquire().await;
        self.stats.queued.fetch_add(nanoseconds(begun.elapsed()), Ordering::Relaxed);
        slot.map_err(|_| Failure::Busy("the plugin was unloaded".to_owned()))
    }

    /// The slot behind the instance: who gets it finds that.
    fn give_back(&self, (_slot, instance): CheckedOut<'_>) {
        self.put_back(instance);
    }

    /// Into the pool, unless it has done its calls or its version is retired.
    pub(in crate::policy) fn put_back(&self, instance: Instance) {
        if instance.calls >= self.spec.limits.reuse {
            return;
        }
        let mut idle = self.pool();
        // Looked at under the lock: who says that none is kept empties the pool after that.
        if self.is_kept() {
            idle.push(instance);
        }
    }

    /// A fresh instance. Where the process has no room for one, idle ones make way, of whichever version: otherwise
    /// one busy hour of a plugin would lock the others out.
    pub(in crate::policy) async fn fresh(&self) -> Result<Instance, Failure> {
        let mut made = self.instantiate().await;
        for _ in 0..SEARCHES {
            if !matches!(made, Err(Failure::Busy(_))) || !self.runtime.shed() {
                break;
            }
            made = self.instantiate().await;
        }
        made
    }

    /// Makes an instance and throws it away, to see what that takes.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn try_instance(&self) -> Result<(), Failure> {
        self.fresh().await.map(drop)
    }

    /// Makes an instance, with `init` done.
    async fn instantiate(&self) -> Result<Instance, Failure> {
        let limits = &self.spec.limits;
        let limit = limits.init;
        let mut store = Store::new(&self.runtime.engine, State::new(&self.tag, limits));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.host_copy);
        store.set_max_component_handles(limits.handles);
        store.epoch_deadline_callback(|context| deadline::at_tick(context.data()));
        let armed = arm(&mut store, Instant::now(), limit);
        if let Some(meter) = &self.meter {
            meter.fill(&mut store);
        }
        let begun = Instant::now();
        let made = bounded(&self.runtime.ticker, &armed, async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let guest = self.indices.load(&mut store, &instance)?;
            let init = guest.init(&mut store, &self.spec.config).await?;
            Ok((guest, init))
        })
        .await;
        self.stats.instances.fetch_add(1, Ordering::Relaxed);
        if let Some(meter) = &self.meter {
            meter.made(begun.elapsed(), &mut store);
        }
        match made {
            Ok((guest, Ok(()))) => Ok(Instance { store, guest: Box::new(guest), calls: 0 }),
            Ok((_, Err(reason))) => Err(Failure::Configuration(one_line(&reason, REASON_BYTES).into_owned())),
            Err(Stopped::Deadline) => {
                Err(Failure::Trap(format!("`init` did not answer within {limit:?} (limits.init)")))
            }
            Err(Stopped::HostTime) => {
                Err(Failure::Trap(format!("`init` waited in the host for more than {:?} (limits.host)", limits.host)))
            }
            Err(Stopped::Full(why)) => Err(Failure::Busy(why)),
            Err(Stopped::Failed(why)) => {
                drop(store.data_mut().end());
                Err(Failure::Trap(format!("could not be instantiated: {why}{}", store.data().said())))
            }
        }
    }
}

/// A place in the queue, given up when the waiting call is dropped, too.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
