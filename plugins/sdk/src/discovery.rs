//! What the host knows of a service's endpoints. Needs a grant.
//!
//! ```
//! use cordboard_plugin_sdk::{discovery::{self, Endpoint}, testing};
//!
//! fn has_canary(service: &str) -> bool {
//!     discovery::lookup(service, Some("canary")).is_ok_and(|endpoints| !endpoints.is_empty())
//! }
//!
//! testing::set_endpoints("chat", None, vec![Endpoint::new("10.0.0.8:9001").with_env_tag("canary")]);
//! assert!(has_canary("chat") && !has_canary("chess"));
//! ```

pub use crate::bindings::imports::cordboard::host::discovery::Endpoint;

use crate::HostError;

/// The endpoints of a service, from the host's view of its registries; with a tag only those that have it.
///
/// In native tests the answers are those of `testing::set_endpoints`.
///
/// # Errors
/// Well-known codes: `denied` (no grant), `not-found` (no such service), `timeout`, `unavailable`.
pub fn lookup(service_id: &str, env_tag: Option<&str>) -> Result<Vec<Endpoint>, HostError> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::imports::cordboard::host::discovery::lookup(service_id, env_tag)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::endpoints(service_id, env_tag)
    }
}

impl Endpoint {
    /// A healthy and idle endpoint without TLS, at `host:port`. For tests.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        let address = address.into();
        Self { address, tls: false, healthy: true, active_connections: 0, weight: 1, metadata: Vec::new() }
    }

    /// Gives it a tag, as the configuration's `env_tag`. For tests.
    #[must_use]
    pub fn with_env_tag(mut self, tag: impl Into<String>) -> Self {
        self.metadata.push(("env_tag".to_owned(), tag.into()));
        self
    }

    /// Its tag in the configuration.
    #[must_use]
    pub fn env_tag(&self) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == "env_tag").map(|(_, tag)| tag.as_str())
    }
}
