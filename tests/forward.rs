//! Plain HTTP: a request on a route of `mode: http` is passed to a service as it comes, and its answer back.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(
    clippy::large_stack_arrays,
    clippy::type_complexity,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::disallowed_methods
)] // bodies of some length; a test's runtime owns its tasks

mod support;

#[path = "forward/bodies.rs"]
mod bodies;
#[path = "forward/bounds.rs"]
mod bounds;
#[path = "forward/broken.rs"]
mod broken;
#[path = "forward/endpoints.rs"]
mod endpoints;
#[path = "forward/expect.rs"]
mod expect;
#[path = "forward/heads.rs"]
mod heads;
#[path = "forward/http2.rs"]
mod http2;
#[path = "forward/kept.rs"]
mod kept;
#[path = "forward/large.rs"]
mod large;
#[path = "forward/routes.rs"]
mod routes;
#[path = "forward/stopping.rs"]
mod stopping;
#[path = "forward/trigger.rs"]
mod trigger;
#[path = "forward/tunnel.rs"]
mod tunnel;

use std::net::SocketAddr;

use support::{Proxy, upstream::Upstream, wire::Wire};

const IN_FLIGHT: &str = "cordboard_requests_in_flight";
/// Connections that wait for the next request.
const KEPT: &str = "cordboard_upstream_connections_kept";
const UPSTREAM_CONNECTIONS: &str = "cordboard_upstream_connections";

/// A proxy that forwards every request to one service with these endpoints; `route` and `service` are further keys of
/// theirs.
fn to(endpoints: &[SocketAddr], route: &str, service: &str) -> Proxy {
    let endpoints: Vec<_> = endpoints.iter().map(|address| format!("'http://{address}'")).collect();
    Proxy::with(&format!(
        "routes: [{{name: rest, match: {{path: /}}, mode: http, service: web{route}}}]\n\
         services: {{web: {{endpoints: [{}]{service}}}}}\n",
        endpoints.join(", ")
    ))
}

/// A request with further header lines, each with its line end.
fn request(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: example.com\r\n{more}\r\n")
}

/// A client that has sent this, and the upstream that it came to, its head read.
async fn exchange(proxy: &Proxy, upstream: &Upstream, sent: &str) -> (Wire, Wire) {
    tokio::join!(Wire::knock(proxy.address, sent, b""), upstream.accept())
}

/// The client's next answer must have this status; its head is read.
async fn answered(client: &mut Wire, status: u16) {
    client.read_head().await;
    assert_eq!(client.status(), status, "{}", client.head);
}

/// The same, by us.
async fn refused(client: &mut Wire, status: u16, cause: &str) {
    answered(client, status).await;
    assert_eq!(client.field("x-cordboard-error"), Some(cause), "{}", client.head);
}

/// Nothing is on its way any more, and nothing is left of it.
fn at_rest(proxy: &Proxy) {
    proxy.metric_becomes(IN_FLIGHT, 0.0);
}

/// No connection to a service is left either.
fn at_rest_without_connections(proxy: &Proxy) {
    at_rest(proxy);
    proxy.metric_becomes(UPSTREAM_CONNECTIONS, 0.0);
}
