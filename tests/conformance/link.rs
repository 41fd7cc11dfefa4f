//! The six ways in which a fuzzer and an echo are joined, and the proxy's configuration for them.

use std::fmt;

use serde_json::{Value, json};

use crate::support::Proxy;

/// How the fuzzer and the echo meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// The fuzzer dials the echo.
    Direct,
    /// The echo dials the fuzzer.
    DirectDialled,
    /// The fuzzer dials the proxy, which dials the echo.
    Router,
    /// The echo dials the proxy, which dials the fuzzer.
    RouterDialled,
    /// Both dial the proxy; the fuzzer is the client.
    RendezvousClient,
    /// Both dial the proxy; the fuzzer is the backend.
    RendezvousBackend,
}

/// Name, what the runner calls its shape, and what a contributor reads.
struct Facts(&'static str, &'static str, &'static str);

impl Link {
    pub const ALL: [Self; 6] = [
        Self::Direct,
        Self::DirectDialled,
        Self::Router,
        Self::RouterDialled,
        Self::RendezvousClient,
        Self::RendezvousBackend,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::Direct => Facts("direct", "dials", "the fuzzer dials the echo"),
            Self::DirectDialled => Facts("direct-dialled", "serves", "the echo dials the fuzzer"),
            Self::Router => Facts("router", "dials", "the fuzzer dials the proxy, which dials the echo"),
            Self::RouterDialled => {
                Facts("router-dialled", "serves", "the echo dials the proxy, which dials the fuzzer")
            }
            Self::RendezvousClient => {
                Facts("rendezvous-client", "meets", "the fuzzer is the client, the echo the backend")
            }
            Self::RendezvousBackend => {
                Facts("rendezvous-backend", "meets", "the fuzzer is the backend, the echo the client")
            }
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.name() == name)
    }

    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// First argument of `run.py`.
    pub const fn shape(self) -> &'static str {
        self.facts().1
    }

    pub const fn means(self) -> &'static str {
        self.facts().2
    }

    /// The same without the proxy.
    pub const fn measure(self) -> Self {
        match self {
            Self::DirectDialled | Self::RouterDialled => Self::DirectDialled,
            _ => Self::Direct,
        }
    }

    pub fn through_us(self) -> bool {
        self != self.measure()
    }

    /// The proxy in between, if there is one. `port` is where one of the two listens.
    pub fn proxy(self, port: Option<u16>) -> Option<Proxy> {
        // Group 9 goes beyond the default of 1 MiB.
        let limits = "limits: {message: 0}";
        self.through_us().then(|| match port {
            Some(port) => Proxy::with(&format!(
                "routes: [{{name: cases, match: {{path: /cases}}, mode: router, service: peer, {limits}}}]\n\
                 services: {{peer: {{endpoints: ['ws://127.0.0.1:{port}']}}}}\n"
            )),
            None => Proxy::with(&format!(
                "plugins: {{rendezvous: {{component: 'builtin:rendezvous'}}}}\n\
                 routes: [{{name: cases, match: {{path: /cases}}, mode: rendezvous, plugins: [rendezvous], {limits}}}]\n"
            )),
        })
    }

    /// What the runner reads: whom to dial.
    pub fn to_dial(self, port: Option<u16>, proxy: Option<&Proxy>) -> Value {
        let at = |path: &str| match (proxy, port) {
            (Some(proxy), _) => proxy.ws(path),
            (None, Some(port)) => format!("ws://127.0.0.1:{port}{path}"),
            (None, None) => unreachable!("without a proxy one of the two listens"),
        };
        let (client, backend) = (at("/cases?channelId={case}"), at("/cases/connect?channelId={case}"));
        match self {
            Self::Direct | Self::Router => json!({"fuzzer": at("/cases")}),
            Self::DirectDialled | Self::RouterDialled => json!({"echo": at("/cases")}),
            Self::RendezvousClient => json!({"fuzzer": client, "echo": backend}),
            Self::RendezvousBackend => json!({"fuzzer": backend, "echo": client}),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
