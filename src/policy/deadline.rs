//! How long guest code may run: interrupted at each tick of the epoch, stopped by itself at its deadline, and dropped by
//! a timer soon after if it does not get there because it waits in the host.

use std::time::{Duration, Instant};

use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use super::{host::State, output::one_line, ticker::Ticker};

/// How much later than the deadline the outer timer drops a call that did not end by itself.
const OUTER: Duration = Duration::from_millis(50);
/// Longest text of a failure that is reported, in bytes; guests have a say in it.
pub(super) const REASON_BYTES: usize = 4096;

/// Why guest code gave no answer.
pub(super) enum Stopped {
    /// It took too long.
    Deadline,
    /// The pool of the process has no room.
    Full(String),
    /// With the reason, on one line.
    Failed(String),
}

/// What a guest is stopped with.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
struct DeadlinePassed;

/// Lets guest code in this store run until then.
pub(super) fn arm(store: &mut Store<State>, deadline: Instant) {
    store.data_mut().deadline = deadline;
    store.set_epoch_deadline(1);
}

/// What becomes of a guest that runs at a tick.
///
/// # Errors
/// Stops it: its deadline has passed.
pub(super) fn at_tick(deadline: Instant) -> wasmtime::Result<UpdateDeadline> {
    if Instant::now() < deadline {
        // Behind the sockets, too: where guests have all workers, these would otherwise wait for many ticks.
        return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
    }
    Err(DeadlinePassed.into())
}

/// Runs guest code of a store that was [`arm`]ed with this deadline. The epoch goes up meanwhile, whoever else runs.
pub(super) async fn bounded<T>(
    ticker: &Ticker,
    deadline: Instant,
    guest: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Stopped> {
    let _busy = ticker.busy();
    match tokio::time::timeout_at((deadline + OUTER).into(), guest).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.is::<PoolConcurrencyLimitError>() => {
            Err(Stopped::Full(format!("the process has no room for another instance: {error}")))
        }
        Ok(Err(error)) if !error.is::<DeadlinePassed>() => Err(Stopped::Failed(explain(&error))),
        Ok(Err(_)) | Err(_) => Err(Stopped::Deadline),
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
