//! Limits of routes and of their sessions: each holds exactly at its bound, is told to who meets it, and is counted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "limits/admission.rs"]
mod admission;
#[path = "limits/clocks.rs"]
mod clocks;
#[path = "limits/hold.rs"]
mod hold;
#[path = "limits/messages.rs"]
mod messages;
#[path = "limits/pressure.rs"]
mod pressure;
