//! Settings of a route that more than one module works by, with the defaults of `config/reference.yaml`.

use std::{sync::Arc, time::Duration};

use super::Role;

/// Ping and Pong between two joined peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PingMode {
    /// They pass end to end.
    #[default]
    Relay,
    /// We answer Pings ourselves; neither passes.
    Terminate,
}

/// The `Host` field of a request to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HostHeader {
    /// As the caller's request has it.
    #[default]
    Preserve,
    /// The endpoint's `host:port`, whatever the caller's request has.
    Endpoint,
}

/// How plain requests of a route are forwarded. Defaults are those of `config/reference.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpRules {
    /// From the end of a request to the head of its answer.
    pub answer: Duration,
    /// Longest time without a byte of a body that is on its way, and of a tunnel.
    pub idle: Duration,
    /// How long a body that was announced with `Expect: 100-continue` waits for the service to ask for it.
    pub expect: Duration,
    /// Largest request body in bytes, inclusive; 0 is none.
    pub body: u64,
}

impl Default for HttpRules {
    fn default() -> Self {
        Self { answer: Duration::from_mins(1), idle: Duration::from_mins(1), expect: Duration::from_secs(1), body: 0 }
    }
}

/// Which connections to a service are kept between two requests. Defaults are those of `config/reference.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRules {
    /// Most connections kept for each endpoint; 0 keeps none.
    pub idle: usize,
    /// How long one is kept.
    pub idle_timeout: Duration,
}

impl Default for PoolRules {
    fn default() -> Self {
        Self { idle: 32, idle_timeout: Duration::from_mins(1) }
    }
}

/// Limits of a session's legs; zero durations and sizes mean none. Defaults are those of `config/reference.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes, inclusive, fragments added up.
    pub message: u64,
    /// Most frames in one message.
    pub fragments: u32,
    /// Payload in bytes from which on a frame that passes as it is stays in the kernel: it is spliced, not copied.
    pub splice: u64,
    /// Longest time without a data frame in either direction.
    pub idle: Duration,
    /// Longest session.
    pub lifetime: Duration,
    /// What happens to the peers' own pings.
    pub ping: PingMode,
    /// Our keep-alive: a Ping after this long without a byte from the leg.
    pub ping_every: Duration,
    /// No byte for this long after our Ping means dead.
    pub pong_within: Duration,
    /// A leg that takes no byte for this long is cut.
    pub stall: Duration,
    /// From our Close to the socket's end.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 1 << 20,
            fragments: 0,
            // At 32 KiB pages change hands as cheaply as bytes are copied; below, that is up to four times as dear.
            splice: 32 << 10,
            idle: Duration::from_hours(1),
            lifetime: Duration::ZERO,
            ping: PingMode::Relay,
            ping_every: Duration::from_secs(25),
            pong_within: Duration::from_secs(10),
            stall: Duration::from_mins(1),
            close: Duration::from_secs(5),
        }
    }
}

/// When a rendezvous answers its first leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Accept {
    /// The 101 goes out at once.
    #[default]
    AtOnce,
    /// The 101 waits for the partner; 504 in its absence.
    WhenPaired,
}

/// What happens to a second connection in the same role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Second {
    /// Refused with 409.
    #[default]
    Reject,
    /// Takes the seat; the holder is closed with 4409.
    Replace,
}

/// What happens to a backend that comes before its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BackendFirst {
    /// Waits like a client.
    #[default]
    Wait,
    /// Refused with 409.
    Reject,
}

/// How exactly two legs must agree on a subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SubprotocolRule {
    /// The second leg must have offered the same, or none.
    #[default]
    Lenient,
    /// The second leg must have offered the same.
    Strict,
}

/// The rendezvous settings of a route. Defaults are those of `config/reference.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RendezvousRules {
    /// Equal channel ids meet only within one namespace.
    pub namespace: Arc<str>,
    /// When the first leg gets its 101.
    pub accept: Accept,
    /// Longest wait for a partner.
    pub pairing_timeout: Duration,
    /// A backend without a client.
    pub backend_first: BackendFirst,
    /// A second client.
    pub second_client: Second,
    /// A second backend.
    pub second_backend: Second,
    /// How long a probed holder may take to show life.
    pub probe: Duration,
    /// Bytes taken from a waiting leg before it is no longer read.
    pub hold: usize,
    /// Allowed subprotocols; empty means the first leg's first offer.
    pub subprotocols: Vec<Arc<str>>,
    /// How exactly the legs must agree.
    pub subprotocol: SubprotocolRule,
}

impl RendezvousRules {
    /// The defaults, in the given namespace.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.into(),
            accept: Accept::AtOnce,
            pairing_timeout: Duration::from_secs(30),
            backend_first: BackendFirst::Wait,
            second_client: Second::Reject,
            second_backend: Second::Reject,
            probe: Duration::from_secs(2),
            hold: 64 << 10,
            subprotocols: Vec::new(),
            subprotocol: SubprotocolRule::Lenient,
        }
    }

    /// The rule for a second connection in `role`.
    #[must_use]
    pub const fn second(&self, role: &Role) -> Second {
        match role {
            Role::Backend => self.second_backend,
            _ => self.second_client,
        }
    }
}
