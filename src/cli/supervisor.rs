//! What a service manager is told (`sd_notify(3)`): that we serve, reload, stop, are alive, and how we are.
//!
//! Without `NOTIFY_SOCKET` nothing happens here. A manager that does not read what it is told holds up nothing but what
//! it is to be told next, which waits for [`WITHIN`] and is dropped then.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::reload::{Control, Overview};

/// How long it may take to tell something.
const WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the status is another one.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// What stopping may take beyond its own times before the manager may lose patience.
const SLACK: Duration = Duration::from_secs(10);

/// What it is told.
pub(super) enum Told {
    Ready(String),
    Reloading,
    Stopping { within: Duration, status: String },
    Status(String),
    Alive,
}

/// The manager, if there is one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Supervisor {
    listens: bool,
    /// One at a time and in order; held by what the manager has not taken yet.
    lane: Arc<Mutex<()>>,
    /// Whether it was said that it does not listen.
    deaf: Arc<AtomicBool>,
}

impl Supervisor {
    /// The one of this process.
    pub(super) fn find() -> Self {
        let listens = env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty());
        Self { listens, lane: Arc::default(), deaf: Arc::default() }
    }

    /// Tells it something, in the order of the calls.
    pub(super) async fn tell(&self, told: Told) {
        if !self.listens {
            return;
        }
        let said = timeout(WITHIN, async {
            let lane = Arc::clone(&self.lane).lock_owned().await;
            // A full queue holds up the thread, and there is never more than one such.
            tokio::task::spawn_blocking(move || {
                let _lane = lane;
                send(told)
            })
            .await
        });
        let why = match said.await {
            Ok(Ok(Ok(()))) => return self.deaf.store(false, Ordering::Relaxed),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it has not listened for {WITHIN:?}"),
        };
        if !self.deaf.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "the service manager cannot be told how we are");
        }
    }

    /// Tells it that we serve.
    pub(super) async fn ready(&self, control: &Control) {
        self.tell(Told::Ready(status(control))).await;
    }

    /// Tells it for ever that we are alive, where it wants to know, and the status when that is another one.
    pub(super) async fn accompany(self, control: Arc<Control>) {
        if !self.listens {
            return;
        }
        let watchdog = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()).map(|period| period / 2);
        let mut ticks = interval(watchdog.map_or(STATUS_EVERY, |half| half.min(STATUS_EVERY)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = status(&control);
        loop {
            ticks.tick().await;
            if watchdog.is_some() {
                self.tell(Told::Alive).await;
            }
            let now = status(&control);
            // What is said of stopping stands.
            if now != last && !control.board.drain.is_announced() {
                self.tell(Told::Status(now.clone())).await;
                last = now;
            }
        }
    }
}

/// One line on how we are.
fn status(control: &Control) -> String {
    let Overview { refused, pinned, .. } = control.overview();
    let board = &control.board;
    format!(
        "serving generation {}{}{}; {} legs",
        board.current.load().number,
        if pinned { ", pinned" } else { "" },
        if refused.is_some() { "; what the files say was refused" } else { "" },
        board.sessions.len()
    )
}

fn send(told: Told) -> std::io::Result<()> {
    match told {
        Told::Ready(status) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]),
        Told::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        Told::Stopping { within, status } => {
            let within = u32::try_from((within + SLACK).as_micros()).unwrap_or(u32::MAX);
            let states = [NotifyState::Stopping, NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(within)];
            sd_notify::notify(&states)
        }
        Told::Status(status) => sd_notify::notify(&[NotifyState::Status(&status)]),
        Told::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    }
}
