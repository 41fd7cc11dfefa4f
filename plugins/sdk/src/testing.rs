//! Running a policy's decisions natively, without a host and without WebAssembly.
//!
//! What a decision is about has a double for each trait: [`TestRequest`], [`TestConnection`], [`TestMessage`] and
//! [`TestInterest`]. A [`Session`] shows a filter the messages that it asked for, as the host does. Events are made with
//! [`Event::new`](crate::Event::new).
//!
//! The host's capabilities answer from memory, and refuse what the host would refuse. What a test sets up there holds in
//! its own thread; `cargo test` runs each test in one of its own.
//!
//! | of the host | in a test |
//! |---|---|
//! | [`log`](crate::log) | [`take_log`], [`set_log_level`] |
//! | [`clock`](crate::clock) | the machine's; [`set_clock`] stops it, [`advance_clock`] moves it |
//! | [`random`](crate::random) | the same bytes in every run; [`set_random`] |
//! | [`metrics`](crate::metrics) | [`take_metrics`] |
//! | [`key_value`](crate::key_value) | in memory; [`grant_bucket`], [`fail_key_value`] |
//! | [`http`](crate::http) | [`answer_http`], [`take_http`] |
//! | [`discovery`](crate::discovery) | [`set_endpoints`] |
//!
//! ```
//! use cordboard_plugin_sdk::{Authorization, Identity, Plugin, Rejection, Request, clock, config, key_value, testing};
//! use std::time::Duration;
//!
//! /// Three handshakes a minute; where that cannot be counted nobody comes in.
//! struct Slow;
//!
//! impl Plugin for Slow {
//!     const NAME: &'static str = "slow";
//!
//!     fn init(config: &str) -> Result<Self, String> {
//!         config::nothing(config).map(|()| Self)
//!     }
//! }
//!
//! impl Authorization for Slow {
//!     fn authorize(&self, request: &impl Request) -> Result<Option<Identity>, Rejection> {
//!         let minute = Some(Duration::from_secs(60));
//!         match key_value::increment("handshakes", &request.remote_address(), 1, minute) {
//!             Ok(..=3) => Ok(None),
//!             Ok(_) => Err(Rejection::new(429, "too-many")),
//!             Err(error) => Err(Rejection::new(503, "no-count").with_reason(error.message)),
//!         }
//!     }
//! }
//!
//! let request = testing::TestRequest::upgrade("/chat");
//! testing::set_clock(Duration::from_secs(1_700_000_000));
//! assert!((0..3).all(|_| Slow.authorize(&request) == Ok(None)));
//! assert_eq!(Slow.authorize(&request).unwrap_err().status, 429);
//! testing::advance_clock(Duration::from_secs(61)); // nobody waits for a minute
//! assert_eq!(Slow.authorize(&request), Ok(None));
//! testing::fail_key_value("unavailable");
//! assert_eq!(Slow.authorize(&request).unwrap_err().code, "no-count");
//! ```

mod capabilities;
mod clock;
mod connection;
mod facts;
pub(crate) mod key_value;
mod log;
mod message;
mod metrics;
mod request;
mod schema;
mod session;

pub(crate) use capabilities::{answer, endpoints, random_bytes};
pub use capabilities::{answer_http, set_endpoints, set_random, take_http};
pub use clock::{advance_clock, set_clock};
pub(crate) use clock::{monotonic, now};
pub use connection::TestConnection;
pub use key_value::{Bucket, fail_key_value, grant_bucket};
pub use log::{Line, set_log_level, take_log};
pub(crate) use log::{is_logged, record_line};
pub use message::{TestInterest, TestMessage, Wanted};
pub(crate) use metrics::record as record_metric;
pub use metrics::{Measure, Metric, take_metrics};
pub use request::TestRequest;
pub use schema::assert_schema_names_the_keys;
pub use session::{Seen, Session};
