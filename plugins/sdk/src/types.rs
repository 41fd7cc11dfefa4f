//! Short ways to make the contract's records.

use std::time::Duration;

use crate::{
    Action, Channel, CloseFrame, Direction, Event, HostError, Identity, Payload, Rejection, Resolution, ServiceRef,
    Target,
    id::{self, InvalidId},
};

/// A control frame has 125 bytes, and the code takes two (RFC 6455 §5.5).
const MAX_REASON_BYTES: usize = 123;

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

impl Identity {
    /// Nobody in particular, on purpose: the client was asked and is let in without a name.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { subject: None, roles: Vec::new(), expires_at_ms: None, token_id: None, attributes: Vec::new() }
    }

    /// Somebody, without roles and for good.
    #[must_use]
    pub fn named(subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..Self::anonymous() }
    }

    /// Adds roles.
    #[must_use]
    pub fn with_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// The host closes the session at this time since the Unix epoch, in whole milliseconds, with 4401.
    #[must_use]
    pub fn with_expiry(mut self, at: Duration) -> Self {
        self.expires_at_ms = Some(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// What a revocation names. Never the token itself: it is logged.
    #[must_use]
    pub fn with_token_id(mut self, id: impl Into<String>) -> Self {
        self.token_id = Some(id.into());
        self
    }

    /// A fact for logs and for other plugins.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

impl CloseFrame {
    /// A code (1000 to 4999, RFC 6455 §7.4) and a reason, cut at the 123 bytes that a close frame has room for.
    #[must_use]
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        Self { code, reason }
    }
}

impl Action {
    /// Passes on this text in the message's place.
    #[must_use]
    pub fn emit_text(text: impl Into<String>) -> Self {
        Self::Emit(Payload::Text(text.into()))
    }

    /// Passes on these bytes in the message's place.
    #[must_use]
    pub fn emit_binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Emit(Payload::Binary(bytes.into()))
    }

    /// Sends this text back to the message's sender.
    #[must_use]
    pub fn reply_text(text: impl Into<String>) -> Self {
        Self::Reply(Payload::Text(text.into()))
    }

    /// Sends these bytes back to the message's sender.
    #[must_use]
    pub fn reply_binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Reply(Payload::Binary(bytes.into()))
    }

    /// Closes both legs; see [`CloseFrame::new`].
    #[must_use]
    pub fn close(code: u16, reason: impl Into<String>) -> Self {
        Self::Close(CloseFrame::new(code, reason))
    }
}

impl Direction {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::ToBackend, Self::ToClient];
}

impl Event {
    /// An event without attributes, at a time in milliseconds since the Unix epoch. For tests.
    #[must_use]
    pub fn new(name: impl Into<String>, at_ms: u64) -> Self {
        Self { name: name.into(), at_ms, attributes: Vec::new() }
    }

    /// Adds an attribute. For tests.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl HostError {
    /// A well-known code and a text. For tests that answer in the host's place.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_is_cut_between_characters_where_a_frame_ends() {
        for (reason, kept) in
            [("x".repeat(123), 123), ("x".repeat(124), 123), ("é".repeat(62), 122), (String::new(), 0)]
        {
            assert_eq!(CloseFrame::new(1008, reason).reason.len(), kept);
        }
    }
}
