//! Short ways to make the contract's records.

use std::time::Duration;

use crate::{
    Action, Channel, CloseFrame, Direction, Edit, Event, HostError, Identity, Payload, Rejection, Resolution,
    ServiceRef, Target,
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

    /// A fact for logs and for other plugins.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

impl Rejection {
    /// A refusal: an HTTP status from 300 to 599 and a short, stable code for metrics and logs.
    ///
    /// ```
    /// use cordboard_plugin_sdk::Rejection;
    ///
    /// let rejection = Rejection::new(401, "key-missing")
    ///     .with_reason("no header x-key") // for the log
    ///     .with_body("A key is needed.\n") // for the client
    ///     .with_header("www-authenticate", "ApiKey");
    /// assert_eq!((rejection.status, rejection.body.as_deref()), (401, Some("A key is needed.\n")));
    /// ```
    ///
    /// # Panics
    /// In debug builds, thus in tests, with another status: the host would answer 500.
    #[must_use]
    #[track_caller]
    pub fn new(status: u16, code: &str) -> Self {
        debug_assert!((300..=599).contains(&status), "a rejection has a status from 300 to 599, not {status}");
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

impl Edit {
    /// Puts this value in the place of all values of the header field.
    #[must_use]
    pub fn set(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Set((name.into(), value.into()))
    }

    /// Adds a value to the header field.
    #[must_use]
    pub fn append(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Append((name.into(), value.into()))
    }

    /// Takes the header field out.
    #[must_use]
    pub fn remove(name: impl Into<String>) -> Self {
        Self::Remove(name.into())
    }
}

impl ServiceRef {
    /// A service of the configuration, with the route's scheme and untagged endpoints.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { service_id: id.into(), scheme: None, env_tag: None }
    }

    /// `ws`, `wss`, `http` or `https`.
    #[must_use]
    pub fn with_scheme(mut self, scheme: &str) -> Self {
        self.scheme = Some(scheme.to_owned());
        self
    }

    /// Only the endpoints that have this tag.
    #[must_use]
    pub fn with_env_tag(mut self, tag: impl Into<String>) -> Self {
        self.env_tag = Some(tag.into());
        self
    }
}

impl From<ServiceRef> for Resolution {
    fn from(service: ServiceRef) -> Self {
        Self::target(Target::Service(service))
    }
}

impl Resolution {
    /// Dials a service of the configuration, with the route's scheme and untagged endpoints.
    #[must_use]
    pub fn service(id: impl Into<String>) -> Self {
        ServiceRef::new(id).into()
    }

    /// Dials `ws://host:port`, which must be granted.
    #[must_use]
    pub fn endpoint(url: impl Into<String>) -> Self {
        Self::target(Target::Endpoint(url.into()))
    }

    /// Dials the target with the request's own path and query.
    #[must_use]
    pub fn target(target: Target) -> Self {
        Self { target, path_and_query: None, affinity_key: None, connect_timeout_ms: None, attributes: Vec::new() }
    }

    /// Asks for this instead of the request's own path and query. It begins with `/`.
    #[must_use]
    pub fn with_path_and_query(mut self, path_and_query: impl Into<String>) -> Self {
        self.path_and_query = Some(path_and_query.into());
        self
    }

    /// Waits so long for the connection instead of the service's `connect_timeout`, in whole milliseconds and at least
    /// one.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1));
        self
    }

    /// A fact for logs and for other plugins.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
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

    /// Whether this is one of its roles.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
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
    /// A code that may be sent (RFC 6455 §7.4; 4000 to 4999 are free for applications) and a reason, cut at the 123
    /// bytes that a close frame has room for.
    ///
    /// # Panics
    /// In debug builds, thus in tests, with a code that may not be sent: the host would count it as a failure.
    #[must_use]
    #[track_caller]
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        debug_assert!(
            matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999),
            "{code} may not be sent in a Close (RFC 6455 §7.4)"
        );
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
    ///
    /// # Panics
    /// As that.
    #[must_use]
    #[track_caller]
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
    fn an_answer_that_the_host_would_not_send_stops_a_test() {
        for status in [200, 299, 600] {
            assert!(std::panic::catch_unwind(|| Rejection::new(status, "x")).is_err(), "{status}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert!(std::panic::catch_unwind(|| Action::close(code, "x")).is_err(), "{code}");
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters_where_a_frame_ends() {
        for (reason, kept) in
            [("x".repeat(123), 123), ("x".repeat(124), 123), ("é".repeat(62), 122), (String::new(), 0)]
        {
            assert_eq!(CloseFrame::new(1008, reason).reason.len(), kept);
        }
    }
}
