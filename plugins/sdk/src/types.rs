//! Short ways to make the contract's records.

use crate::{
    Channel, Rejection, Resolution, ServiceRef, Target,
    id::{self, InvalidId},
};

impl Channel {
    /// A channel without attributes.
    ///
    /// # Errors
    /// The rule that the id breaks; the host would refuse it too.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidId> {
        let id = id.into();
        id::check(&id)?;
        Ok(Self { id, attributes: Vec::new() })
    }
}

impl Rejection {
    /// A refusal: an HTTP status from 300 to 599 and a short, stable code for metrics and logs.
    #[must_use]
    pub fn new(status: u16, code: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            log_reason: String::new(),
            body: None,
            headers: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// A reason for the operator's log. The client never sees it.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.log_reason = reason.into();
        self
    }

    /// A text for the client.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A header field of the answer, such as `www-authenticate` or `location`.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A fact for logs and for other plugins.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

impl Resolution {
    /// Dials a service of the configuration, with the route's scheme and untagged endpoints.
    #[must_use]
    pub fn service(id: impl Into<String>) -> Self {
        Self::target(Target::Service(ServiceRef { service_id: id.into(), scheme: None, env_tag: None }))
    }

    /// Dials the target with the request's own path and query.
    #[must_use]
    pub fn target(target: Target) -> Self {
        Self { target, path_and_query: None, affinity_key: None, connect_timeout_ms: None, attributes: Vec::new() }
    }
}
