//! Write Cordboard policies in Rust: a trait for each decision and one macro.
//!
//! A policy is a type that implements [`Plugin`] and the traits of the decisions it takes. [`export!`] turns its crate
//! into a component with exactly those interfaces. Decisions take `&impl` [`Request`], so the same code answers the
//! host and, in `cargo test`, a `testing::TestRequest`.
//!
//! # A complete policy
//!
//! ```
//! use cordboard_plugin_sdk::{
//!     Channel, ChannelExtraction, Plugin, Rejection, Request, Role, RoleDetection, config::Object, export, log,
//! };
//!
//! /// Rooms: `/room/NAME` is a client's, `/room/NAME/agent` its backend's.
//! struct Rooms {
//!     prefix: String,
//! }
//!
//! impl Plugin for Rooms {
//!     const NAME: &'static str = "rooms";
//!
//!     fn init(config: &str) -> Result<Self, String> {
//!         let mut keys = Object::parse(config)?;
//!         let prefix = keys.take("prefix", "room".to_owned())?;
//!         keys.finish()?;
//!         Ok(Self { prefix })
//!     }
//! }
//!
//! impl RoleDetection for Rooms {
//!     fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection> {
//!         Ok(match request.path_segments().as_slice() {
//!             [room, _] if *room == self.prefix => Some(Role::Client),
//!             [room, _, agent] if *room == self.prefix && agent == "agent" => Some(Role::Backend),
//!             _ => None, // no opinion: the next plugin of the route is asked
//!         })
//!     }
//! }
//!
//! impl ChannelExtraction for Rooms {
//!     fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
//!         let Some(name) = request.path_segments().into_iter().nth(1) else { return Ok(None) };
//!         log::debug!("room {name:?}");
//!         let channel = Channel::new(name)
//!             .map_err(|error| Rejection::new(400, "bad-room").with_body(format!("The room's name {error}.")))?;
//!         Ok(Some(channel))
//!     }
//! }
//!
//! export!(Rooms: RoleDetection, ChannelExtraction);
//!
//! # fn main() {
//! // In a test:
//! use cordboard_plugin_sdk::testing::TestRequest;
//!
//! let rooms = Rooms::init("{}").unwrap();
//! let request = TestRequest::upgrade("/room/blue%20one/agent");
//! assert_eq!(rooms.detect_role(&request), Ok(Some(Role::Backend)));
//! assert_eq!(rooms.extract_channel(&request).unwrap().unwrap().id, "blue one");
//! # }
//! ```
//!
//! # Building
//!
//! The crate's type is `cdylib` (add `rlib` for integration tests). For `wasm32-unknown-unknown`, linked by the
//! `wasm-component-ld` that ships with the Rust toolchain, `cargo build` writes a component that imports nothing but
//! what the policy calls.
//!
//! # What holds in a component
//!
//! - `init` runs once in every fresh instance, before anything else. Instances are reused and thrown away at the
//!   host's will: what must last belongs to the host, not in a `static`.
//! - `Ok(None)` means "no opinion"; a [`Rejection`] is the client's HTTP answer and ends the search.
//! - A panic ends the call and the instance; its text and place go to the host's log.
//! - There is no file, socket, environment or `std::time`; use [`log`] and [`clock`].

// A rejection holds all of an HTTP answer. It is made once in a refused call, so its size on the stack costs nothing.
#![allow(clippy::result_large_err)]

#[doc(hidden)]
pub mod bindings;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
mod export;
pub mod id;
pub mod log;
pub mod path;
pub mod query;
mod request;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod types;

pub use bindings::{
    imports::cordboard::plugin::types::{Channel, Edit, Identity, Rejection, Role},
    service_resolution::exports::cordboard::plugin::service_resolution::{Resolution, ServiceRef, Target},
};
pub use request::Request;

/// What every policy has.
pub trait Plugin: Sized + 'static {
    /// The policy's own name. The operator may load it under another.
    const NAME: &'static str;

    /// Makes the policy from its configuration, a JSON text (`{}` where there is none).
    ///
    /// # Errors
    /// The text is shown to the operator and refuses the new version; the running one stays.
    fn init(config: &str) -> Result<Self, String>;
}

/// Decides what a connection is on its route.
pub trait RoleDetection: Plugin {
    /// The role, or none for "no opinion".
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection>;
}

/// Decides which channel a connection belongs to.
pub trait ChannelExtraction: Plugin {
    /// The channel, or none for "no opinion".
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection>;
}

/// Decides what a routed connection is joined to.
pub trait ServiceResolution: Plugin {
    /// The target, or none for "no opinion".
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn resolve(&self, request: &impl Request) -> Result<Option<Resolution>, Rejection>;
}

/// Changes the header fields that go upstream.
pub trait RequestRewriting: Plugin {
    /// The changes, in order. Those of later plugins win.
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn rewrite_request(&self, request: &impl Request) -> Result<Vec<Edit>, Rejection>;
}

#[doc(hidden)]
pub mod __private {
    pub use crate::{
        bindings,
        export::{Adapter, Exported},
    };
}
