//! How long guest code may run: interrupted at each tick of the epoch, stopped by itself at its deadline, and dropped by
//! a timer soon after if it does not get there because it waits in the host.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use super::{host::State, output::one_line, ticker::Ticker};
use crate::alarm::Alarm;

/// How much later than the deadline the outer timer drops a call that did not end by itself.
const OUTER: Duration = Duration::from_millis(50);
/// Longest text of a failure that is reported, in bytes; guests have a say in it.
pub(super) const REASON_BYTES: usize = 4096;

/// Why guest code gave no answer.
pub(super) enum Stopped {
    /// It took too long.
    Deadline,
    /// It waited in the host for too long.
    HostTime,
    /// The pool of the process has no room.
    Full(String),
    /// With the reason, on one line.
    Failed(String),
}

/// What a guest is stopped with.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
struct DeadlinePassed;

/// What a guest is stopped with whose waiting in the host has taken all of `limits.host`.
#[derive(Debug, thiserror::Error)]
#[error("the time for waiting in the host has passed")]
pub(super) struct HostTimePassed;

/// When a running call is to be over, known inside its store and outside of it. Later while it waits in the host.
#[derive(Clone)]
pub(super) struct Armed(Arc<Mutex<Instant>>);

impl Armed {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn set(&self, deadline: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a call that meets a tick has been running at least when it makes way for others: one that has just begun, as
/// nearly all have, is through before they would be awake.
const SPARED: Duration = Duration::from_millis(1);

/// Lets guest code in this store run for `limit` from `now` on, and wait in the host for as long as it may.
pub(super) fn arm(store: &mut Store<State>, now: Instant, limit: Duration) -> Armed {
    let armed = store.data_mut().arm(now + limit);
    store.data_mut().spared_until = now + SPARED;
    store.set_epoch_deadline(1);
    armed
}

/// What becomes of a guest that runs at a tick.
///
/// # Errors
/// Stops it: its deadline has passed.
pub(super) fn at_tick(state: &State) -> wasmtime::Result<UpdateDeadline> {
    let now = Instant::now();
    if now < state.deadline && now < state.spared_until {
        return Ok(UpdateDeadline::Continue(1));
    }
    if now < state.deadline {
        // Behind the sockets, too: where guests have all workers, these would otherwise wait for many ticks.
        return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
    }
    Err(DeadlinePassed.into())
}

/// Runs guest code of a store that was [`arm`]ed. The epoch goes up meanwhile, whoever else runs.
pub(super) async fn bounded<T>(
    ticker: &Ticker,
    armed: &Armed,
    guest: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Stopped> {
    let _busy = ticker.busy();
    let mut guest = pin!(guest);
    let mut alarm = Alarm::default();
    let answer = loop {
        let answer = alarm.within((armed.get() + OUTER).into(), guest.as_mut()).await;
        // It may have been given more time meanwhile.
        if answer.is_some() || armed.get() + OUTER <= Instant::now() {
            break answer;
        }
    };
    match answer {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) if error.is::<PoolConcurrencyLimitError>() => {
            Err(Stopped::Full(format!("the process has no room for another instance: {error}")))
        }
        Some(Err(error)) if error.is::<HostTimePassed>() => Err(Stopped::HostTime),
        Some(Err(error)) if !error.is::<DeadlinePassed>() => Err(Stopped::Failed(explain(&error))),
        Some(Err(_)) | None => Err(Stopped::Deadline),
    }
}

/// The error and its causes in one line, then the guest's frames.
fn explain(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    // The backtrace is the outermost context and spans lines; the reason is said first.
    let backtrace = if causes.len() > 1 && causes[0].contains("wasm backtrace") {
        format!(" [{}]", causes.remove(0).split_whitespace().collect::<Vec<_>>().join(" "))
    } else {
        String::new()
    };
    one_line(&format!("{}{backtrace}", causes.join(": ")), REASON_BYTES).into_owned()
}
