//! Routing: one that dialled in is joined with a service that we dial, before its 101.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "router/bulk.rs"]
mod bulk;
#[path = "router/choice.rs"]
mod choice;
#[path = "router/dial.rs"]
mod dialling;
#[path = "router/frames.rs"]
mod frames;
#[path = "router/headers.rs"]
mod headers;
#[path = "router/matching.rs"]
mod matching;
#[path = "router/negotiation.rs"]
mod negotiation;

use std::net::SocketAddr;

use support::{Proxy, upstream::Upstream, wire::Wire};

/// A proxy whose route `/ws` goes to one service with these endpoints; `settings` are further lines of the service.
fn to(endpoints: &[SocketAddr], settings: &str) -> Proxy {
    limited(endpoints, settings, "")
}

/// The same, with limits of the route.
fn limited(endpoints: &[SocketAddr], settings: &str, limits: &str) -> Proxy {
    let endpoints: Vec<_> = endpoints.iter().map(|address| format!("'ws://{address}'")).collect();
    Proxy::with(&format!(
        "routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: chat, limits: {{{limits}}}}}]\n\
         services: {{chat: {{endpoints: [{}]{settings}}}}}\n",
        endpoints.join(", ")
    ))
}

/// A client and the upstream it was joined with, each with nothing but its 101; `more` are header lines of the client's
/// request, `chosen` of the upstream's answer.
async fn joined(proxy: &Proxy, upstream: &Upstream, more: &str, chosen: &str) -> (Wire, Wire) {
    let (client, dialled) = tokio::join!(Wire::open_with(proxy.address, "/ws", more, b""), async {
        let mut dialled = upstream.accept().await;
        dialled.switch(chosen, b"").await;
        dialled
    });
    assert_eq!(client.status(), 101, "{}", client.head);
    (client, dialled)
}
