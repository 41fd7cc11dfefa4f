//! The listeners that there are, and how a change of the configuration changes them.
//!
//! New sockets are bound in [`Listeners::prepare`], before anything else of a candidate counts; an address that cannot be
//! had refuses it, and nothing has happened. [`Listeners::commit`] cannot fail: it starts the new ones, gives the others
//! their new settings and lets go of those that are gone, which answer what the kernel has taken for them. Connections
//! belong to nobody here and live on.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::{BindError, Bound, full::TurnedAway};
use crate::{
    config::{
        self,
        diff::{Sockets, pair_listeners},
    },
    handover,
    http::Switchboard,
    places::Places,
};

/// What a listener keeps whatever becomes of its socket.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) places: Arc<Places>,
    pub(super) turned_away: TurnedAway,
}

/// One that accepts.
struct Open {
    settings: Arc<ArcSwap<config::Listener>>,
    shared: Arc<Shared>,
    address: SocketAddr,
    gone: CancellationToken,
}

/// All of them, in the order of the file.
#[derive(Default)]
pub struct Listeners {
    open: Mutex<Vec<Open>>,
}

/// Sockets that are bound and do not accept yet, and what becomes of the others.
pub struct Prepared {
    sockets: Sockets,
    /// In the order of `sockets.opened`.
    bound: Vec<Bound>,
    after: Vec<config::Listener>,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds what `after` has and we have not, but for what was handed over. One at a time: what is prepared is for what was there.
    ///
    /// # Errors
    /// Each address that cannot be had; nothing is bound then.
    pub fn prepare(
        &self,
        after: &[config::Listener],
        handed_over: &mut handover::Sockets,
    ) -> Result<Prepared, Vec<BindError>> {
        let open = self.open();
        let before: Vec<_> = open.iter().map(|open| config::Listener::clone(&open.settings.load())).collect();
        let sockets = pair_listeners(&before, after);
        let (mut bound, mut errors) = (Vec::new(), Vec::new());
        for settings in sockets.opened.iter().filter_map(|place| after.get(*place)) {
            // One that moves to another address keeps its count of connections.
            let known = open.iter().find(|open| open.settings.load().name == settings.name);
            match Bound::bind(
                settings,
                known.map(|open| Arc::clone(&open.shared)).unwrap_or_default(),
                handed_over.take(&settings.name),
            ) {
                Ok(one) => bound.push(one),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Prepared { sockets, bound, after: after.to_vec() }) } else { Err(errors) }
    }

    /// Makes it so.
    pub fn commit(&self, prepared: Prepared, board: &Arc<Switchboard>) {
        let Prepared { sockets, bound, after } = prepared;
        let mut open = self.open();
        let mut old: Vec<_> = open.drain(..).map(Some).collect();
        let mut new: Vec<Option<Open>> = after.iter().map(|_| None).collect();
        for (before, now) in sockets.kept {
            if let (Some(one), Some(settings)) = (old.get_mut(before).and_then(Option::take), after.get(now)) {
                one.settings.store(Arc::new(settings.clone()));
                new[now] = Some(one);
            }
        }
        for (now, one) in sockets.opened.into_iter().zip(bound) {
            new[now] = Some(Open {
                settings: Arc::clone(&one.settings),
                shared: Arc::clone(&one.shared),
                address: one.address,
                gone: one.gone.clone(),
            });
            board.drain.spawn(one.serve(Arc::clone(board)));
        }
        for one in old.into_iter().flatten() {
            one.gone.cancel();
        }
        *open = new.into_iter().flatten().collect();
    }

    /// Their names, and where they really listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.open().iter().map(|open| (Arc::clone(&open.settings.load().name), open.address)).collect()
    }
}
