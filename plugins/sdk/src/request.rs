//! The request of the running call, as a trait so that a policy runs against the host and against a test double alike.

use std::borrow::Cow;

use crate::{Identity, Role, bindings::imports::cordboard::plugin::request as host, path};

/// The HTTP request that asks to be upgraded.
///
/// Inside the proxy every method is one call of the host (about 0.1 µs and a copy), so ask once and keep the answer.
/// Decisions take `&impl Request`, not `&dyn Request`: only what a policy calls becomes an import of its component.
/// In tests, `testing::TestRequest` implements this trait.
pub trait Request {
    /// The connection's id, as in logs.
    fn id(&self) -> String;
    /// Whether the request asks for an upgrade.
    fn is_upgrade(&self) -> bool;
    /// The protocol asked for: `websocket`.
    fn protocol(&self) -> Option<String>;
    /// `1.1` or `2`.
    fn http_version(&self) -> String;
    /// `GET`, or `CONNECT` over HTTP/2 (RFC 8441).
    fn method(&self) -> String;
    /// `http` or `https`, as the client used it.
    fn scheme(&self) -> String;
    /// The `Host` header or the authority of the request target.
    fn authority(&self) -> String;
    /// As received, without the query.
    fn path(&self) -> String;
    /// The path's segments, percent-decoded; `/a//b/` gives `a`, nothing, `b`, nothing.
    /// [`path::segments`] of [`path`](Self::path) does without a copy of each.
    fn path_segments(&self) -> Vec<String> {
        path::segments(&self.path()).map(Cow::into_owned).collect()
    }
    /// As received, without the `?`. [`crate::query`] reads it.
    fn query(&self) -> Option<String>;
    /// The first value of a query parameter, percent-decoded; `+` stays `+`.
    fn query_param(&self, name: &str) -> Option<String>;
    /// All values of a query parameter, percent-decoded, in order.
    fn query_params(&self, name: &str) -> Vec<String>;
    /// The first value of a header field; the name's case does not matter.
    fn header(&self, name: &str) -> Option<String>;
    /// What follows `Bearer` in the field `authorization` (RFC 6750 §2.1); none where it says something else.
    fn bearer_token(&self) -> Option<String> {
        let value = self.header("authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).map(str::to_owned)
    }
    /// All values of a header field, in order.
    fn header_values(&self, name: &str) -> Vec<String>;
    /// The names of all header fields, in lower case.
    fn header_names(&self) -> Vec<String>;
    /// The value of a cookie, as received.
    fn cookie(&self, name: &str) -> Option<String>;
    /// The subprotocols offered, in the client's order.
    fn subprotocols(&self) -> Vec<String>;
    /// The socket's IP address.
    fn peer_address(&self) -> String;
    /// The client's IP address after trusted-proxy rules.
    fn remote_address(&self) -> String;
    /// The subject of a verified client certificate.
    fn client_certificate_subject(&self) -> Option<String>;
    /// The name of the listener that accepted the connection.
    fn listener(&self) -> String;
    /// The name of the matched route.
    fn route_name(&self) -> String;
    /// What role detection said; none before it.
    fn role(&self) -> Option<Role>;
    /// Who the client is; none before authorization.
    fn identity(&self) -> Option<Identity>;
    /// What channel extraction said; none before it.
    fn channel_id(&self) -> Option<String>;
    /// An attribute that an earlier step set, by its full name (`plugin-name/name`, or `cordboard.…` of the host).
    fn attribute(&self, name: &str) -> Option<String>;
}

/// The running call's request in the host. Off wasm its methods panic.
#[derive(Debug)]
pub(crate) struct HostRequest;

impl Request for HostRequest {
    fn id(&self) -> String {
        host::id()
    }
    fn is_upgrade(&self) -> bool {
        host::is_upgrade()
    }
    fn protocol(&self) -> Option<String> {
        host::protocol()
    }
    fn http_version(&self) -> String {
        host::http_version()
    }
    fn method(&self) -> String {
        host::method()
    }
    fn scheme(&self) -> String {
        host::scheme()
    }
    fn authority(&self) -> String {
        host::authority()
    }
    fn path(&self) -> String {
        host::path()
    }
    fn query(&self) -> Option<String> {
        host::query()
    }
    fn query_param(&self, name: &str) -> Option<String> {
        host::query_param(name)
    }
    fn query_params(&self, name: &str) -> Vec<String> {
        host::query_params(name)
    }
    fn header(&self, name: &str) -> Option<String> {
        host::header(name)
    }
    fn header_values(&self, name: &str) -> Vec<String> {
        host::header_values(name)
    }
    fn header_names(&self) -> Vec<String> {
        host::header_names()
    }
    fn cookie(&self, name: &str) -> Option<String> {
        host::cookie(name)
    }
    fn subprotocols(&self) -> Vec<String> {
        host::subprotocols()
    }
    fn peer_address(&self) -> String {
        host::peer_address()
    }
    fn remote_address(&self) -> String {
        host::remote_address()
    }
    fn client_certificate_subject(&self) -> Option<String> {
        host::client_certificate_subject()
    }
    fn listener(&self) -> String {
        host::listener()
    }
    fn route_name(&self) -> String {
        host::route_name()
    }
    fn role(&self) -> Option<Role> {
        host::role()
    }
    fn identity(&self) -> Option<Identity> {
        host::identity()
    }
    fn channel_id(&self) -> Option<String> {
        host::channel_id()
    }
    fn attribute(&self, name: &str) -> Option<String> {
        host::attribute(name)
    }
}
