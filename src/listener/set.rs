//! The listeners that there are, and how a change of the configuration changes them.
//!
//! New sockets are bound in [`Listeners::prepare`], before anything else of a candidate counts; an address that cannot be
//! had refuses it, and nothing has happened. [`Listeners::commit`] cannot fail: it starts the new ones, gives the others
//! their new settings and lets go of those that are gone, which answer what the kernel has taken for them. Connections
//! belong to nobody here and live on.

use std::{
    collections::BTreeMap,
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
    relay::Relay,
};

/// What a listener keeps whatever becomes of its socket.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) places: Arc<Places>,
    pub(super) turned_away: TurnedAway,
}

/// One that accepts: what its task and the set know of it.
pub(super) struct Open {
    /// As they are now.
    pub(super) settings: ArcSwap<config::Listener>,
    pub(super) shared: Arc<Shared>,
    /// Where it really listens.
    pub(super) address: SocketAddr,
    /// Cancelled when the configuration has it no more.
    pub(super) gone: CancellationToken,
}

/// All of them, in the order of the file.
#[derive(Default)]
pub struct Listeners {
    open: Mutex<Vec<Arc<Open>>>,
}

/// Sockets that are bound and do not accept yet, and what becomes of the others.
pub struct Prepared {
    sockets: Sockets,
    /// In the order of `sockets.opened`.
    bound: Vec<Bound>,
    after: Vec<config::Listener>,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, Vec<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds what `after` has and we have not, but for what was handed over. One at a time: what is prepared is for what was there.
    ///
    /// # Errors
    /// Each address that cannot be had, with its place in `after`; nothing is bound then.
    pub fn prepare(
        &self,
        after: &[config::Listener],
        handed_over: &mut handover::Sockets,
        relay: &Relay,
    ) -> Result<Prepared, Vec<(usize, BindError)>> {
        let open = self.open();
        let before: Vec<_> = open.iter().map(|open| config::Listener::clone(&open.settings.load())).collect();
        let sockets = pair_listeners(&before, after);
        let (mut bound, mut errors) = (Vec::new(), Vec::new());
        for (place, settings) in sockets.opened.iter().filter_map(|place| Some((*place, after.get(*place)?))) {
            // One that moves to another address keeps its count of connections.
            let known = open.iter().find(|open| open.settings.load().name == settings.name);
            match Bound::bind(
                settings,
                known.map(|open| Arc::clone(&open.shared)).unwrap_or_default(),
                handed_over.take(&settings.name),
                relay,
            ) {
                Ok(one) => bound.push(one),
                Err(error) => errors.push((place, error)),
            }
        }
        if errors.is_empty() { Ok(Prepared { sockets, bound, after: after.to_vec() }) } else { Err(errors) }
    }

    /// Makes it so.
    pub fn commit(&self, prepared: Prepared, board: &Arc<Switchboard>) {
        let Prepared { sockets, bound, after } = prepared;
        let mut open = self.open();
        let mut now = BTreeMap::new();
        for (before, place) in sockets.kept {
            if let (Some(one), Some(settings)) = (open.get(before), after.get(place)) {
                one.settings.store(Arc::new(settings.clone()));
                now.insert(place, Arc::clone(one));
            }
        }
        for (place, one) in sockets.opened.into_iter().zip(bound) {
            now.insert(place, Arc::clone(&one.open));
            one.serve(board);
        }
        for one in sockets.closed.into_iter().filter_map(|place| open.get(place)) {
            one.gone.cancel();
        }
        *open = now.into_values().collect();
    }

    /// Their names, and where they really listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.open().iter().map(|open| (Arc::clone(&open.settings.load().name), open.address)).collect()
    }
}
