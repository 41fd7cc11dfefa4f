//! Who ends what has stopped to move once the answer has begun: from then on there is no status any more, only a cut.
//!
//! hyper asks a body for more when the client has taken what it had, so a timer inside of a body sleeps with a client
//! that does not read. A [`Watch`] is therefore awaited beside what can be cut: an HTTP/1 connection, or one stream of
//! HTTP/2.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::forward::Exchange;
use crate::{error::Cause, model::HttpRules, socket::Pulse};

/// Watches one exchange after the other.
pub struct Watch {
    current: Mutex<Option<Current>>,
    changed: Notify,
    /// Of the client's socket, where that carries nothing else.
    socket: Option<Pulse>,
}

struct Current {
    exchange: Weak<Exchange>,
    /// Longest silence.
    idle: Duration,
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
        let idle = exchange.rules.idle;
        self.watch((!idle.is_zero()).then(|| Current { exchange: Arc::downgrade(exchange), idle }));
    }

    /// Watches that an answer of ours is taken.
    pub(super) fn begin_own(&self) {
        if self.socket.is_some() {
            self.watch(Some(Current { exchange: Weak::new(), idle: HttpRules::default().idle }));
        }
    }

    fn watch(&self, current: Option<Current>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
        self.changed.notify_one();
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

    /// How long it may still be silent; none if there is nothing to watch.
    fn remaining(&self) -> Option<Duration> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Current { exchange, idle } = current.as_ref()?;
        let exchange = exchange.upgrade();
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
        Some(remaining)
    }
}
