//! Two legs that have met.

use super::Side;
use crate::model::ConnId;

/// Two legs in one session, whose seats are freed together: whoever owns the session does so, by
/// [`Registry::part`](super::Registry::part). There are many, so nothing is kept of one that its owner knows anyway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The seat of the first.
    pub side: Side,
    /// The legs' connections.
    pub conns: [ConnId; 2],
}

impl Pair {
    pub(super) const fn legs(self) -> [(Side, ConnId); 2] {
        let [one, other] = self.conns;
        [(self.side, one), (self.side.opposite(), other)]
    }
}
