//! Who ends an answer that has begun: because it has stopped to move, or because the identity of its client is over or
//! revoked. From then on there is no status any more, only a cut.
//!
//! hyper asks a body for more when the client has taken what it had, so a timer inside of a body sleeps with a client
//! that does not read. A [`Watch`] is therefore awaited beside what can be cut: an HTTP/1 connection, or one stream of
//! HTTP/2.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::forward::Exchange;
use crate::{error::Cause, model::HttpRules, policy::now_ms, socket::Pulse};

/// Longest time without a look at the clock of the wall, which may be set.
const LOOK: Duration = Duration::from_mins(1);

/// Watches one exchange after the other.
pub struct Watch {
    current: Mutex<Option<Current>>,
    changed: Notify,
    /// Of the client's socket, where that carries nothing else.
    socket: Option<Pulse>,
}

struct Current {
    exchange: Weak<Exchange>,
    /// Longest silence; zero is any.
    idle: Duration,
    /// When its identity ends, in milliseconds since 1970.
    end: Option<u64>,
    revoked: bool,
}

impl Watch {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(socket: Option<Pulse>) -> Self {
        Self { current: Mutex::default(), changed: Notify::new(), socket }
    }

    /// The socket's, where that carries nothing else.
    #[must_use]
    pub const fn socket(&self) -> Option<&Pulse> {
        self.socket.as_ref()
    }

    /// Watches an exchange whose answer begins.
    pub(super) fn begin(&self, exchange: &Arc<Exchange>) {
        let (idle, end) = (exchange.rules.idle, exchange.end());
        // An identity may be revoked, also one without an end.
        let watched = !idle.is_zero() || exchange.info().identity.is_some();
        self.watch(watched.then(|| Current { exchange: Arc::downgrade(exchange), idle, end, revoked: false }));
    }

    /// Cuts this exchange off, if it is being answered here.
    pub(super) fn revoke(&self, revoked: &Arc<Exchange>) {
        if let Some(current) = self.current().as_mut().filter(|it| it.exchange.as_ptr() == Arc::as_ptr(revoked)) {
            current.revoked = true;
        }
        self.changed.notify_one();
    }

    /// Watches that an answer of ours is taken.
    pub(super) fn begin_own(&self) {
        if self.socket.is_some() {
            let idle = HttpRules::default().idle;
            self.watch(Some(Current { exchange: Weak::new(), idle, end: None, revoked: false }));
        }
    }

    fn watch(&self, current: Option<Current>) {
        *self.current() = current;
        self.changed.notify_one();
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has to be cut.
    pub async fn overdue(&self) {
        loop {
            match self.remaining() {
                None => self.changed.notified().await,
                Some(Duration::ZERO) => {
                    if let Some(socket) = &self.socket {
                        socket.reset_at_end();
                    }
                    return;
                }
                Some(remaining) => {
                    tokio::select! {
                        () = sleep_until(Instant::now() + remaining) => {}
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }

    /// How long nothing has to be cut, as far as that is known; none if there is nothing to watch.
    fn remaining(&self) -> Option<Duration> {
        let mut current = self.current();
        let Current { exchange, idle, end, revoked } = current.as_ref()?;
        let exchange = exchange.upgrade();
        let mut left = LOOK;
        if let Some(exchange) = &exchange {
            if *revoked {
                exchange.fail(Cause::Revoked, "");
                return Some(Duration::ZERO);
            }
            if let Some(end) = end {
                left = left.min(Duration::from_millis(end.saturating_sub(now_ms())));
            }
            if left.is_zero() {
                exchange.fail(Cause::Expired, "");
                return Some(Duration::ZERO);
            }
        }
        if idle.is_zero() {
            return exchange.map(|_| left);
        }
        let mut silence = self.socket.as_ref().map_or(Duration::MAX, Pulse::silence);
        if let Some(exchange) = &exchange {
            silence = silence.min(exchange.silence());
        }
        let remaining = idle.saturating_sub(silence);
        if remaining.is_zero() {
            match exchange {
                Some(exchange) => exchange.fail(Cause::BodyStalled, "no byte passed"),
                // All of it was handed over, and the client does not take the end.
                None if self.socket.as_ref().is_some_and(Pulse::is_blocked) => {}
                None => {
                    *current = None;
                    return None;
                }
            }
        }
        Some(remaining.min(left))
    }
}
