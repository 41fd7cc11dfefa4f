//! The contract in `wit` as Rust: one world for all imports, one for each exported interface.
//!
//! `wit-bindgen` made the modules in `generated`; they are kept, so that a plugin compiles them and neither the
//! generator nor what that needs. `wit` is a link to the repository's contract, so that the crate holds all that
//! `cordboard plugin new` copies.
//!
//! A component is the union of the worlds whose export macro its crate invokes, so it exports exactly those interfaces
//! and nothing else; imports that nobody calls are dropped when the component is made. `types` is generated once, in
//! [`imports`], and shared by all.

#![allow(unsafe_code, reason = "the component model's calls are those of C")]

#[rustfmt::skip]
#[allow(missing_docs, unreachable_pub, rustdoc::broken_intra_doc_links, clippy::pedantic, clippy::unwrap_used)]
mod generated {
    /// The host's side: types, what the running call is about, log, clock, and the capabilities that a grant opens.
    pub mod imports;
    /// Every plugin's own description and start.
    pub mod meta;
    /// Client, backend, routed or session?
    pub mod role_detection;
    /// Which channel?
    pub mod channel_extraction;
    /// Which service is dialled?
    pub mod service_resolution;
    /// Which header fields change on the way?
    pub mod request_rewriting;
    /// Which header fields of the answer change?
    pub mod response_rewriting;
    /// Who is it, and may they in?
    pub mod authorization;
    /// May an open session go on?
    pub mod session_authorization;
    /// What if the seat is taken?
    pub mod pairing;
    /// What becomes of a message?
    pub mod message_filtering;
    /// May a connection move to this version?
    pub mod filter_migration;
    /// What happened to a connection?
    pub mod lifecycle;
}
pub mod runtime;

pub use generated::*;
