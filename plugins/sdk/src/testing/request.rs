//! The double of a request.

use super::facts::{Facts, builders, getters};
use crate::{Identity, Request, Role, query};

/// A request that answers as the host would.
///
/// It begins as a WebSocket upgrade by an anonymous client at `127.0.0.1` over plain HTTP/1.1.
///
/// ```
/// use cordboard_plugin_sdk::{Request, testing::TestRequest};
///
/// let request = TestRequest::upgrade("/chat%20room/connect?id=a%20b").with_header("X-Group-Id", "7");
/// assert_eq!(request.path_segments(), ["chat room", "connect"]);
/// assert_eq!(request.query_param("id").as_deref(), Some("a b"));
/// assert_eq!(request.header("x-group-id").as_deref(), Some("7"));
/// ```
#[derive(Clone, Debug)]
pub struct TestRequest {
    pub(super) facts: Facts,
    is_upgrade: bool,
    method: String,
    scheme: String,
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
    peer_address: String,
    remote_address: String,
    client_certificate_subject: Option<String>,
    listener: String,
    route: String,
    role: Option<Role>,
}

impl TestRequest {
    /// A WebSocket upgrade of this path and query, as they stand in the request line.
    #[must_use]
    pub fn upgrade(path_and_query: &str) -> Self {
        Self {
            facts: Facts::new(),
            is_upgrade: true,
            method: "GET".to_owned(),
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            target: path_and_query.to_owned(),
            headers: Vec::new(),
            peer_address: "127.0.0.1".to_owned(),
            remote_address: "127.0.0.1".to_owned(),
            client_certificate_subject: None,
            listener: "main".to_owned(),
            route: "test".to_owned(),
            role: None,
        }
    }

    /// A plain HTTP request.
    #[must_use]
    pub fn plain(method: &str, path_and_query: &str) -> Self {
        Self { is_upgrade: false, method: method.to_owned(), ..Self::upgrade(path_and_query) }
    }

    builders!();

    /// Adds a header field after those that are there.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sets scheme and authority, for example `https` and `example.org`.
    #[must_use]
    pub fn with_origin(mut self, scheme: &str, authority: &str) -> Self {
        scheme.clone_into(&mut self.scheme);
        authority.clone_into(&mut self.authority);
        self
    }

    /// Sets the client's address, both of the socket and after trusted-proxy rules.
    #[must_use]
    pub fn with_address(mut self, ip: &str) -> Self {
        ip.clone_into(&mut self.peer_address);
        ip.clone_into(&mut self.remote_address);
        self
    }

    /// Sets the subject of the client's certificate.
    #[must_use]
    pub fn with_client_certificate_subject(mut self, subject: &str) -> Self {
        self.client_certificate_subject = Some(subject.to_owned());
        self
    }

    /// Sets the names of the listener and of the route.
    #[must_use]
    pub fn with_route(mut self, listener: &str, route: &str) -> Self {
        listener.clone_into(&mut self.listener);
        route.clone_into(&mut self.route);
        self
    }

    /// What role detection said.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    fn split(&self) -> (&str, Option<&str>) {
        self.target.split_once('?').map_or((self.target.as_str(), None), |(path, query)| (path, Some(query)))
    }
}

impl Request for TestRequest {
    getters!();
    fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }
    fn protocol(&self) -> Option<String> {
        self.is_upgrade.then(|| "websocket".to_owned())
    }
    fn http_version(&self) -> String {
        "1.1".to_owned()
    }
    fn method(&self) -> String {
        self.method.clone()
    }
    fn scheme(&self) -> String {
        self.scheme.clone()
    }
    fn authority(&self) -> String {
        self.authority.clone()
    }
    fn path(&self) -> String {
        self.split().0.to_owned()
    }
    fn query(&self) -> Option<String> {
        self.split().1.map(str::to_owned)
    }
    fn query_param(&self, name: &str) -> Option<String> {
        self.query_params(name).into_iter().next()
    }
    fn query_params(&self, name: &str) -> Vec<String> {
        let pairs = self.split().1.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(key, _)| query::decode_lossy(key) == name)
            .map(|(_, value)| query::decode_lossy(value).into_owned())
            .collect()
    }
    fn header(&self, name: &str) -> Option<String> {
        self.header_values(name).into_iter().next()
    }
    fn header_values(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.clone()).collect()
    }
    fn header_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
    fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.header_values("cookie");
        let mut pairs = cookies.iter().flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }
    fn subprotocols(&self) -> Vec<String> {
        let offers = self.header_values("sec-websocket-protocol");
        let tokens = offers.iter().flat_map(|line| line.split(',')).map(str::trim);
        tokens.filter(|token| !token.is_empty()).map(str::to_owned).collect()
    }
    fn peer_address(&self) -> String {
        self.peer_address.clone()
    }
    fn remote_address(&self) -> String {
        self.remote_address.clone()
    }
    fn client_certificate_subject(&self) -> Option<String> {
        self.client_certificate_subject.clone()
    }
    fn listener(&self) -> String {
        self.listener.clone()
    }
    fn route_name(&self) -> String {
        self.route.clone()
    }
    fn role(&self) -> Option<Role> {
        self.role.clone()
    }
}
