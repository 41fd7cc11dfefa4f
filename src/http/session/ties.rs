//! What ties a leg to others: the session that has it, its guest or its host, its end, what plugins are told of it. Few legs
//! have much of that at a time, and there are many legs, so it is behind one lock, which is never held where something else is
//! locked or could panic half-way.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::fate::Extra;
use crate::{http::pair::Seated, model::ConnId, policy::Facts, relay};

/// Those of one leg.
pub(super) struct Ties(Mutex<Tied>);

pub(super) struct Tied {
    /// Its own or, from when it is another's guest, that one's.
    pub(super) session: relay::Handle,
    /// In its session, on a rendezvous route.
    guest: Option<Box<Seated>>,
    /// Whose guest it is.
    pub(super) host: Option<ConnId>,
    pub(super) extra: Option<Box<Extra>>,
}

/// The leg that joins another's session.
pub(in crate::http) struct Guest<'a>(MutexGuard<'a, Tied>);

impl Ties {
    /// Of a leg that has a session of its own, and of which plugins are told this.
    pub(super) fn of(session: relay::Handle, facts: Option<Arc<Facts>>) -> Self {
        let extra = facts.map(|facts| Box::new(Extra::from(facts)));
        Self(Mutex::new(Tied { session, guest: None, host: None, extra }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn guest(&self) -> Guest<'_> {
        Guest(self.lock())
    }
}

impl Tied {
    /// The leg that it is joined with on a rendezvous route.
    pub(super) fn partner(&self) -> Option<ConnId> {
        match &self.guest {
            Some(guest) => guest.met(),
            None => self.host,
        }
    }

    /// What plugins are told of it, if that is kept.
    pub(super) fn facts(&self) -> Option<&Arc<Facts>> {
        self.extra.as_ref()?.facts.as_ref()
    }

    /// It is the guest of this leg from now on, in whose session it is.
    pub(super) fn arrive(&mut self, host: ConnId, session: relay::Handle) {
        (self.host, self.session) = (Some(host), session);
        if let Some(extra) = &mut self.extra {
            extra.next = None;
        }
        self.tidy();
    }

    /// What plugins are told of it, where that can be made anew and nobody else has it.
    pub(super) fn take_unused_facts(&mut self) -> Option<Arc<Facts>> {
        let is_unused = |facts: &mut Arc<Facts>| facts.is_plain() && Arc::strong_count(facts) == 1;
        let facts = self.extra.as_mut()?.facts.take_if(is_unused);
        self.tidy();
        facts
    }

    /// Keeps no room for what it has not.
    fn tidy(&mut self) {
        self.extra.take_if(|extra| extra.is_nothing());
    }
}

impl Deref for Guest<'_> {
    type Target = Option<Box<Seated>>;

    fn deref(&self) -> &Self::Target {
        &self.0.guest
    }
}

impl DerefMut for Guest<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0.guest
    }
}
