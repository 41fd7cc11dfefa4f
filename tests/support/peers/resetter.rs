//! Cuts its connection: the kernel sends RST, and what was on its way to it is lost.

use crate::support::board::Leg;

/// Resets.
pub fn reset(leg: Leg) {
    leg.wire.stream.set_zero_linger().unwrap();
    drop(leg);
}
