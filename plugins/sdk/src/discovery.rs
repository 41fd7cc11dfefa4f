//! What the host knows of a service's endpoints. Needs a grant.

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
