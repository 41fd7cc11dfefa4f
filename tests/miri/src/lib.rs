//! The modules of the relay with `unsafe` code, whose own tests Miri runs: `make miri`.
#![allow(dead_code)] // only their tests use them here

#[path = "../../../src/relay/mask.rs"]
mod mask;
