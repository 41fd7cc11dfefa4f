//! The rules of a session, over scripted streams and given time. [`rig`] is the stage; the oracle that reads what a
//! peer gets is tungstenite's.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(fuzzing, allow(dead_code))] // the fuzzer uses a part of the stage only

#[cfg(test)]
mod bulk;
#[cfg(test)]
mod bytes;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod farewell;
pub(in crate::relay) mod rig;
#[cfg(test)]
mod screening;
#[cfg(test)]
mod waiting;
