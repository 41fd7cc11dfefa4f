//! Cordboard, a WebSocket switchboard whose operator is a WebAssembly component.
//!
//! Two sockets that dialled in are paired by channel id (rendezvous); one that dialled in is joined to a service that we
//! dial (router); a plain request is forwarded. Who is joined to whom is decided by policies, components that are swapped
//! while connections live.
//!
//! Who may know whom: [`model`], [`error`], [`files`], [`local`], [`places`], [`signature`], [`tuning`] import nothing of ours; [`log`] types of `config`; [`stream`] and [`relay`] know each other, and [`socket`] the former; [`metrics`] and [`drain`] only
//! the first two; [`head`] (pure) → `model`; [`config`] → `head`, `model`, `signature`; [`fetch`] → types of `config`, `files`, `signature`; [`admission`], [`handover`] → types of `config`;
//! [`policy`] → `head`, `model`, `files`, the types of `config` and its test cases; [`candidate`] and [`generation`] → config, fetch, admission, policy; [`route`] is
//! pure; [`rendezvous`], [`upstream`] and [`relay`] know neither wasmtime nor the file nor the admin address; [`http`]
//! composes policy → route → (rendezvous | upstream) → relay; [`listener`] and [`reload`] → http; [`admin`] → reload; [`app`]
//! imports everything and only [`cli`] imports it. `wasmtime` appears only under `policy`.

// That a connection may change threads is shown through all that its policies are made of.
#![recursion_limit = "256"]

pub mod admin;
pub mod admission;
mod alarm;
pub mod app;
pub mod balance;
pub mod candidate;
pub mod cli;
pub mod config;
pub mod drain;
pub mod error;
pub mod fetch;
pub mod files;
#[cfg(any(test, fuzzing))]
mod fuzzing;
pub mod generation;
pub mod handover;
pub mod head;
pub mod http;
pub mod listener;
pub mod local;
pub mod log;
pub mod metrics;
pub mod model;
mod moment;
pub mod places;
pub mod policy;
pub mod relay;
pub mod reload;
pub mod rendezvous;
pub mod route;
pub mod signature;
pub mod socket;
pub mod stream;
pub mod tuning;
pub mod upstream;
