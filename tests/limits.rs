//! Limits of a route: each holds exactly at its bound, is told to who meets it, and is counted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "limits/admission.rs"]
mod admission;
