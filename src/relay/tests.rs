//! The rules of a session, over scripted streams and given time. [`rig`] is the stage; the oracle that reads what a
//! peer gets is tungstenite's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bytes;
mod chaos;
mod clocks;
mod closing;
pub(in crate::relay) mod rig;
mod waiting;
