//! Connections to upstreams for plain requests: opened, lent to one request at a time, parked between two.
//!
//! Each connection has one task, which belongs to the [`Drain`] and ends with the connection. A connection whose answer
//! is over comes back by [`Pool::give_back`] and is parked as soon as nothing of its request is on its way either; one
//! that is dropped instead is reset at once, which cancels what it carried. At most `idle` are parked for each endpoint
//! of a service, each for at most `idle_timeout`; none while we are stopping.

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
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{MAX_HEAD, NotOpen};
use crate::{
    alarm::Alarm,
    drain::Drain,
    model::{PoolRules, ServiceId},
    socket::{Pulse, Socket},
    tuning,
};

/// How exact `idle_timeout` is: each look is at all that is parked.
const GRAIN: Duration = Duration::from_millis(20);

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

/// A connection; dropping it ends its task, whatever that is at.
struct Link<B> {
    sender: SendRequest<B>,
    pulse: Pulse,
    _task: DropGuard,
}

/// A connection between two requests.
struct Parked<B> {
    link: Link<B>,
    until: Instant,
}

/// A connection that carries one request.
pub struct Lent<B> {
    /// Dropped before the link is.
    cancel: Cancel,
    link: Link<B>,
    key: Key,
    /// Whether it has carried a request before.
    pub reused: bool,
}

/// Makes a connection that is not given back end with a reset: an end could be taken for that of the request alone, and
/// the kernel would go on sending what a service does not read.
struct Cancel(Option<Pulse>);

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(pulse) = &self.0 {
            pulse.reset_at_end();
        }
    }
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
        while let Some(Parked { link, until }) = parked.pop_back() {
            if link.sender.is_ready() && until > Instant::now() {
                return Some(Lent::new(link, key.clone(), true));
            }
        }
        state.parked.remove(key);
        None
    }

    /// Connections that wait for a request now.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.0.lock().parked.values().flatten().filter(|parked| !parked.link.sender.is_closed()).count()
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
        let (stream, _) = super::open(&key.address, (connect_timeout, None), &mut Alarm::default()).await?;
        tuning::settle(&stream, true, Duration::ZERO).map_err(|error| NotOpen::Refused(error.to_string()))?;
        let pulse = Pulse::new();
        let socket = TokioIo::new(Socket::dialled(stream, pulse.clone()));
        let (sender, connection) =
            builder().handshake(socket).await.map_err(|error| NotOpen::Refused(error.to_string()))?;
        let open = open();
        let token = CancellationToken::new();
        let dropped = token.clone();
        self.0.drain.spawn(async move {
            tokio::select! {
                ended = connection.with_upgrades() => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to a service ended");
                },
                // hyper would first write what it has, to a service that may not read.
                () = dropped.cancelled() => {}
            }
            drop(open);
        });
        Ok(Lent::new(Link { sender, pulse, _task: token.drop_guard() }, key, false))
    }

    /// Takes back a connection whose answer is over.
    pub fn give_back(&self, lent: Lent<B>, rules: PoolRules) {
        let Lent { mut cancel, mut link, key, .. } = lent;
        cancel.0 = None;
        if link.sender.is_ready() {
            self.park(key, link, rules);
            return;
        }
        let pool = self.clone();
        self.0.drain.spawn(async move {
            // Ends with the connection, if that never is ready again.
            if link.sender.ready().await.is_ok() {
                pool.park(key, link, rules);
            }
        });
    }

    fn park(&self, key: Key, link: Link<B>, rules: PoolRules) {
        let until = Instant::now() + rules.idle_timeout;
        let mut state = self.0.lock();
        // Asked under the lock: the watcher empties the pool under it once we are stopping.
        if rules.idle == 0 || self.0.drain.has_begun() {
            return;
        }
        let parked = state.parked.entry(key).or_default();
        parked.retain(|parked| !parked.link.sender.is_closed());
        while parked.len() >= rules.idle {
            parked.pop_front();
        }
        parked.push_back(Parked { link, until });
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
            parked.retain(|parked| parked.until > now && !parked.link.sender.is_closed());
        }
        state.parked.retain(|_, parked| !parked.is_empty());
        let next = state.parked.values().flatten().map(|parked| parked.until).min();
        state.watched = next.is_some();
        next.map(|next| next.max(now + GRAIN))
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
    fn new(link: Link<B>, key: Key, reused: bool) -> Self {
        Self { cancel: Cancel(Some(link.pulse.clone())), link, key, reused }
    }

    /// Sends the request. It comes back in the error if nothing of it was written.
    pub fn send(
        &mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<B>>>> + use<B> {
        self.link.sender.try_send_request(request)
    }

    /// Who is at its other end.
    #[must_use]
    pub fn address(&self) -> &Arc<str> {
        &self.key.address
    }

    /// When a byte passed last.
    #[must_use]
    pub const fn pulse(&self) -> &Pulse {
        &self.link.pulse
    }
}
