//! Write Cordboard policies in Rust: a trait for each decision and one macro.
//!
//! A policy is a type that implements [`Plugin`] and the traits of the decisions it takes. [`export!`] turns its crate
//! into a component with exactly those interfaces. Decisions take `&impl` [`Request`], [`Connection`] or [`Message`], so
//! the same code answers the host and, in `cargo test`, the doubles of `testing`.
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
//!         let prefix = keys.text("prefix", "room")?;
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
//! # A message filter
//!
//! ```
//! use cordboard_plugin_sdk::{
//!     Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind, OversizePolicy, Plugin, Request,
//!     config, export,
//! };
//!
//! /// Answers `ping` itself; the backend sees everything else.
//! struct Pong;
//!
//! impl Plugin for Pong {
//!     const NAME: &'static str = "pong";
//!
//!     fn init(config: &str) -> Result<Self, String> {
//!         config::nothing(config).map(|()| Self)
//!     }
//! }
//!
//! impl MessageFiltering for Pong {
//!     fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
//!         // What is not asked for passes untouched: longer messages, binary ones, and all of the other direction.
//!         interest.messages(Direction::ToBackend, MessageKind::Text, 4, OversizePolicy::Pass);
//!     }
//!
//!     fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
//!         match message.text().as_deref() {
//!             Some("ping") => vec![Action::reply_text("pong")],
//!             _ => vec![Action::Forward],
//!         }
//!     }
//! }
//!
//! export!(Pong: MessageFiltering);
//!
//! # fn main() {
//! // In a test:
//! use cordboard_plugin_sdk::testing::{Session, TestRequest};
//!
//! let mut session = Session::open(&Pong, &TestRequest::upgrade("/chat"));
//! assert_eq!(session.to_backend("ping"), [Action::reply_text("pong")]);
//! assert_eq!(session.to_backend("pong"), [Action::Forward]);
//! assert!(session.to_backend("ping?").is_unseen());
//! # }
//! ```
//!
//! # Building
//!
//! `cordboard plugin new NAME --lang rust` begins a project with all of this in it.
//!
//! By hand: the crate's type is `cdylib` (add `rlib` for integration tests). For `wasm32-unknown-unknown`, linked by the
//! `wasm-component-ld` that ships with the Rust toolchain, `cargo build` writes a component that imports nothing but
//! what the policy calls. With the usual linker it writes a core module, of which `cordboard plugin component` makes one.
//!
//! # What holds in a component
//!
//! - `init` runs once in every fresh instance, before anything else. Instances are reused and thrown away at the
//!   host's will: what must last belongs to the host, not in a `static`.
//! - `Ok(None)` means "no opinion"; a [`Rejection`] is the client's HTTP answer and ends the search.
//! - A panic ends the call and the instance; its text and place go to the host's log.
//! - What a connection needs from one message to the next is its [attachment](Connection::attachment).
//! - There is no file, socket, environment or `std::time`; use [`log`] and [`clock`], and what the operator grants:
//!   [`random`], [`key_value`], [`http`], [`discovery`], [`metrics`].

// A rejection holds all of an HTTP answer. It is made once in a refused call, so its size on the stack costs nothing.
#![allow(clippy::result_large_err)]

#[doc(hidden)]
pub mod bindings;
pub mod clock;
pub mod config;
mod connection;
pub mod discovery;
mod export;
pub mod filter;
pub mod http;
pub mod id;
pub mod json;
pub mod key_value;
pub mod log;
mod macros;
mod message;
pub mod metrics;
pub mod path;
pub mod query;
pub mod random;
mod request;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod traits;
mod types;

pub use bindings::{
    imports::cordboard::{
        host::errors::HostError,
        plugin::types::{
            Channel, CloseFrame, Direction, Edit, Identity, MessageKind, OversizePolicy, Payload, Rejection, Role,
        },
    },
    lifecycle::exports::cordboard::plugin::lifecycle::Event,
    message_filtering::exports::cordboard::plugin::message_filtering::Action,
    pairing::exports::cordboard::plugin::pairing::PairingDecision,
    service_resolution::exports::cordboard::plugin::service_resolution::{Resolution, ServiceRef, Target},
};
pub use connection::{ATTACHMENT_BYTES, Connection};
pub use message::{Interest, Message};
pub use request::Request;
pub use traits::{
    Authorization, ChannelExtraction, FilterMigration, Lifecycle, MessageFiltering, Pairing, Plugin, RequestRewriting,
    ResponseRewriting, RoleDetection, ServiceResolution, SessionAuthorization,
};

/// The examples of the page of hooks, as tests.
#[cfg(doctest)]
#[doc = include_str!("../hooks.md")]
struct Hooks;

#[doc(hidden)]
pub mod __private {
    pub use crate::{
        bindings,
        export::{Adapter, Exported},
    };
}
