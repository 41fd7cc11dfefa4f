//! The modules of the proxy that are fuzzed, and those that they know, without the WebAssembly engine, which would take
//! most of an hour to build with the fuzzer's instrumentation. `crate::relay` means the same here as it does there.

#[path = "../../../src/config/mod.rs"]
pub mod config;
#[path = "../../../src/fuzzing.rs"]
mod fuzzing;
#[path = "../../../src/head/mod.rs"]
pub mod head;
#[path = "../../../src/relay/mod.rs"]
pub mod relay;
#[path = "../../../src/signature.rs"]
pub mod signature;

// In a block of its own: modules with files in a folder of their name are looked for there, but not behind a `path`.
#[path = "../../../src"]
mod proxy {
    pub mod error;
    pub mod model;
    #[allow(dead_code)] // not all of it is used by what is fuzzed
    pub mod moment;
    pub mod socket;
    pub mod stream;
    pub mod tuning;
}
use proxy::moment;
pub use proxy::{error, model, socket, stream, tuning};
