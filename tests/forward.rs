//! Plain HTTP: a request on a route of `mode: http` is passed to a service as it comes, and its answer back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "forward/bodies.rs"]
mod bodies;

use std::net::SocketAddr;

use support::{Proxy, upstream::Upstream, wire::Wire};

/// A proxy that forwards every request to one service with these endpoints; `route` and `service` are further keys.
fn to(endpoints: &[SocketAddr], route: &str, service: &str) -> Proxy {
    let endpoints: Vec<_> = endpoints.iter().map(|address| format!("'http://{address}'")).collect();
    Proxy::with(&format!(
        "routes: [{{name: rest, match: {{path: /}}, mode: http, service: web{route}}}]\n\
         services: {{web: {{endpoints: [{}]{service}}}}}\n",
        endpoints.join(", ")
    ))
}

/// A client that has sent `request`, and the upstream that it came to, its head read.
async fn exchange(proxy: &Proxy, upstream: &Upstream, request: &str) -> (Wire, Wire) {
    tokio::join!(Wire::knock(proxy.address, request, b""), upstream.accept())
}
