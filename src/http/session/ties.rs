//! What ties a leg to others: its guest, its end, what plugins are told of it. Few legs have much of that at a time, and there
//! are many legs, so it is behind one lock, which is never held where something else is locked or could panic half-way.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::fate::Written;
use crate::{http::pair::Seated, model::ConnId, policy::Facts};

/// Those of one leg.
#[derive(Default)]
pub(super) struct Ties(Mutex<Tied>);

#[derive(Default)]
pub(super) struct Tied {
    /// What is written down of its end and of who has it; nothing of most.
    pub(super) end: Option<Box<Written>>,
    /// In its session, on a rendezvous route.
    guest: Option<Box<Seated>>,
    /// What plugins are told of it, where they were or will be.
    pub(super) facts: Option<Arc<Facts>>,
}

/// The leg that joins another's session.
pub(in crate::http) struct Guest<'a>(MutexGuard<'a, Tied>);

impl Ties {
    pub(super) fn of(facts: Option<Arc<Facts>>) -> Self {
        Self(Mutex::new(Tied { facts, ..Tied::default() }))
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
            None => self.end.as_ref()?.partner,
        }
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
