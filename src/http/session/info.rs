//! What is known of a request that is let in, for the log and for whoever lists the legs. One is kept for each leg, so it is
//! small: what many share is pointed at.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

use crate::{
    config,
    generation::{Route, Terms},
    model::{ChannelId, ConnId, Handshake, Identity, Mode},
    policy::{Facts, Known},
    rendezvous::{Key, Side},
    route::Plan,
};

/// What is known of a leg before its 101.
#[derive(Clone)]
pub struct LegInfo {
    /// Its seat, on a rendezvous route.
    side: Option<Side>,
    /// None for a plain request.
    pub channel: Option<ChannelId>,
    /// `name@identity` of the policy that decided; empty if none did.
    pub policy: Arc<str>,
    /// Who it is, if an authorizer said so.
    pub identity: Option<Arc<Identity>>,
    /// Number of the generation it was decided under. There will not be more in one process.
    generation: u32,
    peer: Peer,
    /// Of its route.
    pub terms: Arc<Terms>,
    /// Where it was dialled to, on a routed leg.
    pub upstream: Option<Arc<Upstream>>,
}

/// Whom a routed leg is joined with.
pub struct Upstream {
    /// The service.
    pub service: Arc<config::Service>,
    /// Its endpoint's `host:port`.
    pub endpoint: Arc<str>,
}

/// Who sits behind the socket, in little room where that is the client itself and by IPv4.
#[derive(Clone)]
enum Peer {
    Itself(SocketAddrV4),
    /// The peer and, where that is a trusted proxy, the client.
    Other(Box<(SocketAddr, Option<IpAddr>)>),
}

impl Peer {
    fn of(handshake: &Handshake) -> Self {
        let client = handshake.client.trusted.then_some(handshake.client.remote);
        match (handshake.peer, client) {
            (SocketAddr::V4(peer), None) => Self::Itself(peer),
            (peer, client) => Self::Other(Box::new((peer, client))),
        }
    }
}

impl LegInfo {
    pub(in crate::http) fn new(
        handshake: &Handshake,
        known: &Known,
        route: &Route,
        plan: &Plan,
        policy: Option<Arc<str>>,
        generation: u64,
    ) -> Self {
        let (side, channel) = match plan {
            Plan::Pair { key, side, .. } => (Some(*side), Some(&key.channel)),
            Plan::Dial { channel, .. } => (None, Some(channel)),
            Plan::Forward { .. } => (None, None),
        };
        Self {
            side,
            channel: channel.cloned(),
            policy: policy.unwrap_or_default(),
            identity: known.identity().cloned(),
            generation: u32::try_from(generation).unwrap_or(u32::MAX),
            peer: Peer::of(handshake),
            terms: Arc::clone(&route.terms),
            upstream: None,
        }
    }

    /// Where it sits, on a rendezvous route.
    pub(super) fn seat(&self) -> Option<(Key, Side)> {
        let (namespace, channel) = (self.terms.namespace.clone()?, self.channel.clone()?);
        Some((Key { namespace, channel }, self.side?))
    }

    /// What plugins are told of it if they are later asked about it, as much as is known of it here.
    pub(super) fn facts(&self, conn: ConnId, opened_at_ms: u64) -> Option<Facts> {
        let (role, channel) = (self.side?.role(), self.channel.clone()?);
        Some(Facts::later(conn, role, Arc::clone(&self.terms.route), channel, self.identity.clone(), opened_at_ms))
    }

    /// The socket's peer.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        match &self.peer {
            Peer::Itself(peer) => (*peer).into(),
            Peer::Other(both) => both.0,
        }
    }

    /// The client, where a trusted proxy stands before it.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        match &self.peer {
            Peer::Itself(_) => None,
            Peer::Other(both) => both.1,
        }
    }

    /// Number of the generation it was decided under.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.into()
    }

    /// Role by name; none for a plain request.
    #[must_use]
    pub fn role(&self) -> Option<&'static str> {
        match self.terms.mode {
            Mode::Rendezvous => self.side.map(Side::name),
            Mode::Router => Some("routed"),
            Mode::Http => None,
        }
    }

    /// The channel for the log: escaped, because a caller chose it.
    pub(in crate::http) fn shown_channel(&self) -> Option<String> {
        self.channel.as_ref().map(|channel| channel.as_str().escape_default().to_string())
    }

    /// When its identity ends, in milliseconds since 1970.
    pub(in crate::http) fn end(&self) -> Option<u64> {
        self.identity.as_ref().and_then(|identity| identity.expires_at_ms)
    }

    /// Whom an authorizer named.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.identity.as_ref().and_then(|identity| identity.subject.as_deref())
    }

    /// The same for the log: escaped, because a caller has a say in it.
    pub(in crate::http) fn shown_subject(&self) -> Option<String> {
        self.subject().map(|subject| subject.escape_default().to_string())
    }
}
