//! Connections to upstreams for plain requests: opened, lent to one request at a time, parked between two.
//!
//! Each connection has one task, which belongs to the [`Drain`] and ends with the connection. A connection whose answer
//! is over comes back by [`Lent::give_back`] and is parked as soon as nothing of its request is on its way either; one
//! that is dropped instead is closed, which cancels what it carried. At most `idle` are parked for each endpoint of a
//! service, each for at most `idle_timeout`; none while we are stopping.

use std::{
    collections::{HashMap, VecDeque},
    error::Error as StdError,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};

use super::{MAX_HEAD, NotOpen};
use crate::{
    drain::Drain,
    model::{PoolRules, ServiceId},
    socket::{Pulse, Socket},
};

/// Which connections may stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The service, whose rules count.
    pub service: ServiceId,
    /// `host:port` of its endpoint.
    pub address: Arc<str>,
}

/// The parked connections, whose requests have bodies of type `B`. Cheap to clone.
pub struct Pool<B>(Arc<Shared<B>>);

struct Shared<B> {
    drain: Drain,
    state: Mutex<State<B>>,
}

struct State<B> {
    /// The one that came last is lent first, so that the others may run out.
    parked: HashMap<Key, VecDeque<Parked<B>>>,
    /// Whether a task watches that nothing is parked for too long.
    watched: bool,
}

/// A connection between two requests.
struct Parked<B> {
    sender: SendRequest<B>,
    pulse: Pulse,
    until: Instant,
}

/// A connection that carries one request.
pub struct Lent<B> {
    sender: SendRequest<B>,
    pulse: Pulse,
    key: Key,
    /// Whether it has carried a request before.
    pub reused: bool,
}

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// An empty pool, whose tasks belong to `drain`.
    #[must_use]
    pub fn new(drain: Drain) -> Self {
        let state = State { parked: HashMap::new(), watched: false };
        Self(Arc::new(Shared { drain, state: Mutex::new(state) }))
    }

    /// A parked connection, if there is one that lives.
    #[must_use]
    pub fn take(&self, key: &Key) -> Option<Lent<B>> {
        let mut state = self.0.lock();
        let parked = state.parked.get_mut(key)?;
        while let Some(Parked { sender, pulse, until }) = parked.pop_back() {
            if sender.is_ready() && until > Instant::now() {
                return Some(Lent { sender, pulse, key: key.clone(), reused: true });
            }
        }
        state.parked.remove(key);
        None
    }

    /// A new connection to an endpoint. `open` makes what lives as long as the connection.
    ///
    /// # Errors
    /// [`NotOpen`]: nobody took it, in time or at all.
    pub async fn connect<T: Send + 'static>(
        &self,
        key: Key,
        connect_timeout: Duration,
        open: impl FnOnce() -> T,
    ) -> Result<Lent<B>, NotOpen> {
        let (stream, _) = super::open(&key.address, connect_timeout, None).await?;
        let pulse = Pulse::new();
        let socket = TokioIo::new(Socket::dialled(stream, pulse.clone()));
        let (sender, connection) =
            builder().handshake(socket).await.map_err(|error| NotOpen::Refused(error.to_string()))?;
        let open = open();
        self.0.drain.spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a service ended");
            }
            drop(open);
        });
        Ok(Lent { sender, pulse, key, reused: false })
    }

    /// Takes back a connection whose answer is over.
    pub fn give_back(&self, mut lent: Lent<B>, rules: PoolRules) {
        if rules.idle == 0 || lent.sender.is_closed() {
            return;
        }
        if lent.sender.is_ready() {
            self.park(lent, rules);
            return;
        }
        let pool = self.clone();
        self.0.drain.spawn(async move {
            // Ends with the connection, if that never is ready again.
            if lent.sender.ready().await.is_ok() {
                pool.park(lent, rules);
            }
        });
    }

    fn park(&self, lent: Lent<B>, rules: PoolRules) {
        let Lent { sender, pulse, key, .. } = lent;
        let until = Instant::now() + rules.idle_timeout;
        let mut state = self.0.lock();
        // Asked under the lock: the watcher empties the pool under it once we are stopping.
        if self.0.drain.has_begun() {
            return;
        }
        let parked = state.parked.entry(key).or_default();
        parked.retain(|parked| !parked.sender.is_closed());
        while parked.len() >= rules.idle {
            parked.pop_front();
        }
        parked.push_back(Parked { sender, pulse, until });
        if !std::mem::replace(&mut state.watched, true) {
            drop(state);
            self.0.drain.spawn(watch(Arc::downgrade(&self.0), self.0.drain.clone()));
        }
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what has been parked long enough; when to look again, none if nothing is parked.
    fn expire(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        for parked in state.parked.values_mut() {
            parked.retain(|parked| parked.until > now && !parked.sender.is_closed());
        }
        state.parked.retain(|_, parked| !parked.is_empty());
        let next = state.parked.values().flatten().map(|parked| parked.until).min();
        state.watched = next.is_some();
        next
    }
}

/// Watches the pool while something is parked in it.
async fn watch<B>(pool: Weak<Shared<B>>, drain: Drain) {
    loop {
        let Some(next) = pool.upgrade().and_then(|pool| pool.expire()) else { return };
        tokio::select! {
            () = sleep_until(next) => {}
            () = drain.begun() => {
                if let Some(pool) = pool.upgrade() {
                    let mut state = pool.lock();
                    state.parked.clear();
                    state.watched = false;
                }
                return;
            }
        }
    }
}

/// hyper's client, bounded as every head from an upstream is.
pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    builder
}

impl<B: Body + 'static> Lent<B> {
    /// Sends the request. It comes back in the error if nothing of it was written.
    pub fn send(
        &mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<B>>>> + use<B> {
        self.sender.try_send_request(request)
    }

    /// Who is at its other end.
    #[must_use]
    pub fn address(&self) -> &Arc<str> {
        &self.key.address
    }

    /// When a byte passed last.
    #[must_use]
    pub const fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}
