//! Sessions whose plugins are asked again whether they may go on: on an interval, by [order](super::revoke), and after a swap.
//!
//! One task knows when whose turn is next; the interval of each session begins at another time, so that they are not asked
//! all at once. At most [`AT_ONCE`] are asked at a time, whoever wants it. An answer that is no ends the leg with the
//! plugin's Close.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use super::{Crier, Doom, Legs, OneLeg, Sessions};
use crate::{
    error::Cause,
    generation::{Check, Generation},
    metrics::Rechecks,
    model::{CloseFrame, ConnId},
    policy::{self, Plugin, Rechecked},
    relay,
};

/// Sessions asked about at a time.
pub(super) const AT_ONCE: usize = 16;
/// Longest sleep where nobody is waited for.
const LONG: Duration = Duration::from_hours(1);

/// A plugin that is asked about a leg.
pub(super) struct Slot {
    plugin: Arc<Plugin>,
    /// Zero is never.
    every: Duration,
    /// When it is asked next.
    due: Option<Instant>,
}

/// The plugins that are asked about one leg.
#[derive(Default)]
pub(in crate::http) struct Slots(Mutex<Vec<Slot>>);

impl Slots {
    pub(in crate::http) fn of(checks: &[Check]) -> Self {
        let slot = |check: &Check| Slot { plugin: Arc::clone(&check.plugin), every: check.every, due: None };
        Self(Mutex::new(checks.iter().map(slot).collect()))
    }

    /// Whether those that are asked are the versions that `current` names.
    pub(in crate::http) fn are_on(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) -> bool {
        let is_on = |slot: &Slot| current(&slot.plugin.name()).is_some_and(|plugin| Arc::ptr_eq(&plugin, &slot.plugin));
        self.lock().iter().all(is_on)
    }

    /// From now on the versions that `current` names are asked, where they can be.
    pub(in crate::http) fn follow(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) {
        for slot in self.lock().iter_mut() {
            if let Some(plugin) = current(&slot.plugin.name()).filter(|plugin| plugin.rechecks()) {
                slot.plugin = plugin;
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose turn is when, and who may be asked now.
pub(super) struct Rounds {
    turns: Mutex<BTreeSet<(Instant, ConnId, usize)>>,
    /// There is an earlier one than before.
    sooner: Notify,
    permits: Semaphore,
    pub(super) counts: Rechecks,
    crier: Crier,
}

/// Why a plugin is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// It is time, or another version serves.
    Turn,
    /// An order.
    Order,
}

impl Why {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Turn => "its turn, or another version of the plugin",
            Self::Order => "an order",
        }
    }
}

impl Rounds {
    pub(super) fn new(counts: Rechecks, crier: Crier) -> Self {
        Self { turns: Mutex::default(), sooner: Notify::new(), permits: Semaphore::new(AT_ONCE), counts, crier }
    }

    fn turns(&self) -> MutexGuard<'_, BTreeSet<(Instant, ConnId, usize)>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the next turn of a slot, instead of another that was set.
    fn set(&self, conn: ConnId, at: usize, slot: &mut Slot, due: Option<Instant>) {
        let mut turns = self.turns();
        if let Some(before) = std::mem::replace(&mut slot.due, due) {
            turns.remove(&(before, conn, at));
        }
        let Some(due) = due else { return };
        turns.insert((due, conn, at));
        let first = turns.first() == Some(&(due, conn, at));
        drop(turns);
        if first {
            self.sooner.notify_one();
        }
    }

    /// A leg is on the line: its first turns are set, each somewhere in the second half of the interval.
    pub(super) fn begin(&self, conn: ConnId, leg: &OneLeg) {
        for (at, slot) in leg.slots().iter_mut().flat_map(|slots| slots.iter_mut()).enumerate() {
            if !slot.every.is_zero() {
                let due = Instant::now() + slot.every.mul_f64(0.5 + conn.fraction() / 2.0);
                self.set(conn, at, slot, Some(due));
            }
        }
    }

    /// A leg is not on the line any more.
    pub(super) fn end(&self, conn: ConnId, leg: &OneLeg) {
        for (at, slot) in leg.slots().iter_mut().flat_map(|slots| slots.iter_mut()).enumerate() {
            self.set(conn, at, slot, None);
        }
    }

    /// Those whose turn it is, and how long it is to the next one.
    fn due(&self, now: Instant) -> (Vec<(ConnId, usize)>, Duration) {
        let mut turns = self.turns();
        let mut due = Vec::new();
        while let Some((when, conn, at)) = turns.first().copied() {
            if when > now {
                return (due, when - now);
            }
            turns.pop_first();
            due.push((conn, at));
        }
        (due, LONG)
    }

    /// Asks whose turn it is; never returns.
    pub(super) async fn go(&self, legs: &Legs) {
        let turns = stream::unfold(Vec::new().into_iter(), |mut due: std::vec::IntoIter<(ConnId, usize)>| async {
            loop {
                if let Some(next) = due.next() {
                    return Some((next, due));
                }
                let mut sooner = pin!(self.sooner.notified());
                sooner.as_mut().enable();
                let (next, pause) = self.due(Instant::now());
                due = next.into_iter();
                if due.len() == 0 {
                    let _ = timeout(pause, sooner).await;
                }
            }
        });
        turns
            .for_each_concurrent(AT_ONCE, |(conn, at)| async move {
                let leg = legs.get(&conn).map(|leg| Arc::clone(&leg));
                let Some(leg) = leg else { return };
                if let Some(slot) = leg.slots().as_mut().and_then(|slots| slots.get_mut(at)) {
                    slot.due = None;
                }
                if self.ask(legs, conn, &leg, at, Why::Turn).await.is_some_and(|closed| !closed)
                    && let Some(slot) = leg.slots().as_mut().and_then(|slots| slots.get_mut(at))
                    && slot.due.is_none()
                    && !slot.every.is_zero()
                    && legs.contains_key(&conn)
                {
                    let due = Instant::now() + slot.every;
                    self.set(conn, at, slot, Some(due));
                }
            })
            .await;
    }

    /// Asks one plugin about one leg: whether that was closed; nothing if there is nobody to ask about.
    pub(super) async fn ask(&self, legs: &Legs, conn: ConnId, leg: &OneLeg, at: usize, why: Why) -> Option<bool> {
        let plugin = leg.slots()?.get(at).map(|slot| Arc::clone(&slot.plugin))?;
        let facts = leg.kept_facts()?;
        let said = {
            let _permit = self.permits.acquire().await.ok()?;
            policy::recheck(&plugin, &facts).await
        };
        let doom = match said {
            Rechecked::Goes => {
                tracing::debug!(conn = %conn, plugin = %plugin.name(), why = why.name(), "a session goes on");
                self.counts.kept.inc();
                return Some(false);
            }
            Rechecked::Failed(cause) => {
                self.counts.failed.inc();
                match cause {
                    Some(cause) => Doom::from(cause),
                    None => return Some(false),
                }
            }
            Rechecked::Ends(frame) => {
                let code = if relay::is_allowed(frame.code) { frame.code } else { Cause::Revoked.row().close };
                Doom { cause: Cause::Revoked, frame: Some(CloseFrame { code, ..frame }) }
            }
        };
        if doom.cause == Cause::Revoked {
            self.counts.closed.inc();
        }
        let (cause, code) =
            (doom.cause.label(), doom.frame.as_ref().map_or(doom.cause.row().close, |frame| frame.code));
        let reason = doom.frame.as_ref().map(|frame| frame.reason.clone());
        if super::close(legs, &self.crier, conn, &doom) {
            tracing::info!(
                conn = %conn,
                route = %leg.info.terms.route,
                plugin = %plugin.name(),
                version = %plugin.identity(),
                why = why.name(),
                cause,
                code,
                reason,
                "a session was revoked"
            );
        }
        Some(true)
    }
}

impl Sessions {
    /// Another generation serves: where it has another version of a plugin that is to be asked about older sessions, too,
    /// these are asked about by that one, at once and from then on.
    pub(crate) fn swapped(&self, generation: &Generation) {
        let checks = swapping(generation);
        if checks.is_empty() {
            return;
        }
        for leg in self.legs.iter() {
            self.renew(*leg.key(), &leg, &checks);
        }
    }

    /// A leg that came by an older generation is on the line only now.
    pub(super) fn catch_up(&self, conn: ConnId, leg: &OneLeg, current: &Generation) {
        if current.number > leg.info.generation() && leg.slots().is_some_and(|slots| !slots.is_empty()) {
            self.renew(conn, leg, &swapping(current));
        }
    }

    fn renew(&self, conn: ConnId, leg: &OneLeg, checks: &[Check]) {
        for (at, slot) in leg.slots().iter_mut().flat_map(|slots| slots.iter_mut()).enumerate() {
            let name = slot.plugin.name();
            let Some(check) = checks.iter().find(|check| check.plugin.name() == name) else { continue };
            slot.every = check.every;
            if !Arc::ptr_eq(&slot.plugin, &check.plugin) {
                let from = std::mem::replace(&mut slot.plugin, Arc::clone(&check.plugin));
                self.crier.tell(leg, "policy-swapped", || {
                    let versions = [("plugin", &*name), ("from", from.identity()), ("to", check.plugin.identity())];
                    versions.map(|(name, value)| (name.to_owned(), value.to_string())).into()
                });
                self.rounds.set(conn, at, slot, Some(Instant::now()));
            }
        }
    }
}

/// The plugins of a generation that are to be asked about older sessions.
fn swapping(generation: &Generation) -> Vec<Check> {
    let configured = |name: &Arc<str>| generation.config.plugins.get(name).filter(|config| config.recheck_on_swap);
    let plugins = generation.plugins.iter().filter(|(_, plugin)| plugin.rechecks());
    plugins
        .filter_map(|(name, plugin)| {
            let config = configured(name)?;
            Some(Check { plugin: Arc::clone(plugin), every: config.recheck })
        })
        .collect()
}
