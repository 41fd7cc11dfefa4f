//! Running a policy's decisions natively, without a host and without WebAssembly.
//!
//! What a decision is about has a double for each trait. The host's capabilities answer from memory; what a test sets
//! up there holds in its own thread.

mod capabilities;
mod connection;
pub(crate) mod key_value;
mod message;
mod request;
#[cfg(feature = "config")]
mod schema;

pub use capabilities::{Measure, Metric, answer_http, set_endpoints, take_metrics};
pub(crate) use capabilities::{answer, endpoints, random_bytes, record_metric};
pub use connection::TestConnection;
pub use message::{TestInterest, TestMessage, Wanted};
pub use request::TestRequest;
#[cfg(feature = "config")]
pub use schema::assert_schema_names_the_keys;
