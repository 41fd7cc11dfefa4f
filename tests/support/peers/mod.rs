//! Peers that misbehave, each in a way of its own. They take over a leg that is joined; what the proxy makes of them, and
//! what their partner hears of it, is for the test to say.

pub mod announcer;
pub mod babbler;
pub mod bad_closer;
pub mod deaf;
pub mod dribbler;
pub mod flooder;
pub mod half_closer;
pub mod interrupter;
pub mod mismasker;
pub mod oversizer;
pub mod pongless;
pub mod reserver;
pub mod resetter;
pub mod silent;
pub mod sipper;
pub mod slow_closer;

/// Bytes that break a rule, by name, with the reason that their sender is told.
pub type Offence = (&'static str, Vec<u8>, &'static str);
