//! Legs on their way: to a seat and to their 101, and later into the session of their partner.

use std::sync::Arc;

use super::{ByConn, OneLeg, SessionHandle};
use crate::{model::ConnId, policy::Facts};

/// A leg that is on its way to a seat or before its 101.
pub(in crate::http) struct Arriving {
    pub(super) all: Arc<ByConn<Arc<Facts>>>,
    pub(super) conn: ConnId,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.all.remove(&self.conn);
    }
}

/// A leg on its way into its partner's session.
pub(in crate::http) struct Ticket {
    pub(super) conn: ConnId,
    pub(super) leg: Arc<OneLeg>,
}

impl Ticket {
    /// It is about to be handed over to this one.
    pub(in crate::http) fn goes_to(&self, host: &SessionHandle) {
        self.leg.ties.goes_to(&host.relay());
    }

    /// It was taken by the session.
    pub(in crate::http) fn arrived(self) {
        self.leg.ties.arrived(self.conn);
    }
}
