//! Whose fault it was and what follows from that: ONE table from cause to HTTP status, close code, metric label
//! and log level.
//!
//! A cause is stable: its label stands in metrics, in logs and in the `x-cordboard-error` header of a refusal.
//! Before the 101 a cause is an HTTP status; after it, the close code for the leg it is about.

use tracing::Level;

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The one that dialled us.
    Client,
    /// The one that we dialled.
    Upstream,
    /// A policy.
    Plugin,
    /// Our own configuration or state.
    Internal,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Stable name for metrics, logs and answers.
    pub label: &'static str,
    /// Whose fault.
    pub source: Source,
    /// Status before the 101; 0 where it cannot happen then.
    pub status: u16,
    /// Close code after the 101; 0 where no Close is written.
    pub close: u16,
    /// Level of the operator's log line.
    pub level: Level,
    /// One line for the client.
    pub reason: &'static str,
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal, $source:ident, $status:literal, $close:literal, $level:ident, $reason:literal;)+) => {
        /// Why a handshake was refused or a session ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause { $($(#[doc = $doc])+ $name,)+ }

        impl Cause {
            /// Every cause, for tests and documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its row of the table.
            #[must_use]
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row { label: $label, source: Source::$source, status: $status, close: $close, level: Level::$level, reason: $reason },)+
                }
            }
        }
    };
}

causes! {
    // ---- before the 101 ----
    /// Dot segments, `%2F`, `%5C`, NUL, non-ASCII or bad percent-encoding in the path.
    BadPath = "bad-path", Client, 400, 0, INFO, "the path holds a segment or an escape that is not allowed";
    /// A header value is not UTF-8, `Host` is missing or doubled.
    BadHeader = "bad-header", Client, 400, 0, INFO, "a header of the request is not acceptable";
    /// What came is no HTTP/1 request that every reader would read in the same way (RFC 9112).
    BadHead = "bad-head", Client, 400, 0, INFO, "this is not a request that can be read in one way only";
    /// A head over `head`, or with more fields than `head_fields`.
    HeadTooLarge = "head-too-large", Client, 431, 0, INFO, "the head of the request is too large";
    /// A version other than HTTP/1.0 and HTTP/1.1.
    HttpVersion = "http-version", Client, 505, 0, INFO, "this version of HTTP is not spoken here";
    /// A `Transfer-Encoding` that is not `chunked` alone.
    TransferCoding = "transfer-coding", Client, 501, 0, INFO, "the only transfer coding is chunked";
    /// Chunks or trailers of a request break RFC 9112 §7.1.
    BadBody = "bad-body", Client, 400, 0, INFO, "the body of the request is not what it should be";
    /// The listener has `connections` open.
    ListenerFull = "listener-full", Client, 503, 0, WARN, "this listener has as many connections as it may have";
    /// The address has `connections_per_ip` open.
    AddressFull = "address-full", Client, 429, 0, WARN, "there are as many connections from this address as there may be";
    /// The upgrade request breaks RFC 6455 §4.2.1.
    BadUpgrade = "bad-upgrade", Client, 400, 0, INFO, "this is not a valid WebSocket upgrade request";
    /// `Sec-WebSocket-Version` is not 13 (RFC 6455 §4.4).
    BadVersion = "bad-version", Client, 426, 0, INFO, "only WebSocket version 13 is spoken here";
    /// A plain request where only WebSocket is spoken.
    NotAnUpgrade = "not-an-upgrade", Client, 426, 0, INFO, "this path speaks WebSocket only";
    /// The answer was not ready within `establish`.
    EstablishTimeout = "establish-timeout", Client, 408, 0, INFO, "the handshake took too long";
    /// No route matches.
    NoRoute = "no-route", Client, 404, 0, INFO, "no route matches this request";
    /// No policy of a rendezvous route had an opinion.
    NoRole = "no-role", Client, 403, 0, INFO, "no policy gave this connection a role";
    /// A rendezvous leg without a channel id.
    NoChannel = "no-channel", Client, 400, 0, INFO, "a channel id is needed and none was given";
    /// An id breaks the rules of [`crate::model::MAX_ID_BYTES`].
    BadId = "bad-id", Client, 400, 0, INFO, "an id must have 1 to 128 bytes and no control characters";
    /// No policy named a service and the route has none.
    NoService = "no-service", Client, 404, 0, INFO, "no service was named";
    /// An identity is over: at the handshake already, or while the session lasted.
    Expired = "expired", Client, 401, 4401, INFO, "the identity has expired";
    /// A policy refused; its own status is used.
    Rejected = "rejected", Client, 403, 0, INFO, "refused by policy";
    /// A role that this mode does not know.
    RoleModeMismatch = "role-mode-mismatch", Plugin, 503, 0, ERROR, "a policy gave a role that does not fit this route";
    /// A policy trapped, broke a bound or its own contract.
    PluginFailed = "plugin-failed", Plugin, 503, 1011, ERROR, "a policy failed";
    /// A policy did not answer within `decision`.
    PluginDeadline = "plugin-deadline", Plugin, 503, 1011, ERROR, "a policy did not answer in time";
    /// `instances` are busy and `queue` is full.
    PluginBusy = "plugin-busy", Plugin, 503, 1011, WARN, "policies are overloaded";
    /// The service id is not in the configuration.
    UnknownService = "unknown-service", Client, 404, 0, INFO, "the service is not known";
    /// No endpoint with this tag and scheme, or all refused.
    NoEndpoint = "no-endpoint", Upstream, 502, 0, WARN, "no endpoint of the service could be reached";
    /// Connecting or the upstream's handshake took too long.
    UpstreamTimeout = "upstream-timeout", Upstream, 504, 0, WARN, "the service did not answer in time";
    /// The upstream's answer breaks HTTP or RFC 6455 §4.1, selects what was not offered, or broke off before it was one.
    UpstreamProtocol = "upstream-protocol", Upstream, 502, 0, WARN, "the service did not answer as it should";
    /// The upstream refused; its answer is passed on.
    UpstreamRefused = "upstream-refused", Upstream, 502, 0, INFO, "the service refused the upgrade";
    /// The route has `limits.connections`.
    TooManyConnections = "too-many-connections", Client, 503, 0, WARN, "this route has as many connections as it may have";
    /// The route has seen `limits.upgrades_per_second` within a second.
    TooManyUpgrades = "too-many-upgrades", Client, 429, 0, WARN, "too many connections a second for this route";
    /// A request's body is larger than `body` of its route.
    BodyTooBig = "body-too-big", Client, 413, 0, INFO, "the body of the request is too big";
    /// A plain request has come through here more often than [`crate::head::plain::MOST_PASSAGES`] allow.
    Loop = "loop", Internal, 508, 0, WARN, "this request goes in a circle";
    /// No byte of a body, or of a tunnel, passed for `idle` of its route; a status only where the answer had not begun.
    BodyStalled = "body-stalled", Client, 408, 0, INFO, "the body did not come in time";
    /// A live connection holds this seat.
    SeatTaken = "seat-taken", Client, 409, 0, INFO, "another connection holds this channel in the same role";
    /// A backend without a client, where that is not allowed.
    BackendFirst = "backend-first", Client, 409, 0, INFO, "no client waits on this channel";
    /// The two legs cannot agree on a subprotocol.
    SubprotocolMismatch = "subprotocol-mismatch", Client, 409, 0, INFO, "the subprotocol of this channel was not offered";
    /// We are stopping.
    Draining = "draining", Internal, 503, 1012, INFO, "the service restarts";
    /// The client left before it was answered, or before all of the answer was through.
    ClientGone = "client-gone", Client, 499, 0, INFO, "the client left during the handshake";
    /// Something of ours failed.
    Internal = "internal", Internal, 500, 1011, ERROR, "internal error";

    // ---- after the 101 ----
    /// A peer closed; its code was passed on.
    Closed = "closed", Client, 0, 1000, INFO, "closed";
    /// No partner within `pairing_timeout`.
    NoPartner = "no-partner", Client, 504, 4408, INFO, "no partner";
    /// A newcomer took this leg's seat.
    Replaced = "replaced", Client, 0, 4409, INFO, "replaced by a newer connection";
    /// The permission was taken back: by an order, or by a plugin that was asked again.
    Revoked = "revoked", Client, 0, 4401, INFO, "the permission was taken back";
    /// A holder that showed no life when probed.
    Dead = "dead", Client, 0, 0, INFO, "no sign of life";
    /// The other leg of this session is gone for a reason of its own.
    PartnerGone = "partner-gone", Client, 0, 1001, INFO, "the other side is gone";
    /// The backend or upstream broke without a Close.
    BackendBroken = "backend-broken", Upstream, 0, 1011, WARN, "the backend connection broke";
    /// The client broke without a Close.
    ClientBroken = "client-broken", Client, 0, 1001, INFO, "the client connection broke";
    /// RFC 6455 was broken.
    Protocol = "protocol-error", Client, 0, 1002, INFO, "protocol error";
    /// The reason of a Close is not UTF-8, or a text message that a filter wants to see.
    InvalidUtf8 = "invalid-utf8", Client, 0, 1007, INFO, "invalid UTF-8";
    /// A message over `limits.message`.
    MessageTooBig = "message-too-big", Client, 0, 1009, INFO, "message too big";
    /// A message of more than `limits.fragments` frames.
    TooManyFragments = "too-many-fragments", Client, 0, 1008, INFO, "too many fragments";
    /// The version of a filter that the session began with is to make way (`reload.sessions`, `reload.oldest`).
    Outdated = "outdated", Internal, 0, 1012, INFO, "its policies have changed";
    /// A message filter closed the session; its own code is used.
    Filtered = "filtered", Plugin, 0, 1008, INFO, "closed by policy";
    /// A message filter trapped, broke a bound or its own contract, or did not answer in time.
    FilterFailed = "filter-failed", Plugin, 0, 1011, ERROR, "a policy failed";
    /// No byte within `pong_within` of our Ping.
    KeepAlive = "keep-alive", Client, 0, 0, INFO, "no answer to our ping";
    /// No data frame for `idle`.
    Idle = "idle", Client, 0, 1001, INFO, "idle";
    /// The session reached `lifetime`.
    Lifetime = "lifetime", Client, 0, 1001, INFO, "the session reached its longest lifetime";
    /// The leg took no byte for `stall`.
    Stalled = "stalled", Client, 0, 0, WARN, "the peer does not read";
}

impl Cause {
    /// Stable name for metrics, logs and answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.row().label
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn labels_are_unique_and_codes_may_be_sent() {
        let mut seen = HashSet::new();
        for cause in Cause::ALL {
            let row = cause.row();
            assert!(seen.insert(row.label), "{} stands twice", row.label);
            assert!(row.status == 0 || (400..600).contains(&row.status), "{}", row.label);
            // RFC 6455 §7.4.1: 1005, 1006 and 1015 are never sent.
            assert!(matches!(row.close, 0 | 1000..=1003 | 1007..=1014 | 3000..=4999), "{}", row.label);
            assert!(
                row.status != 0 || row.close != 0 || matches!(cause, Cause::Dead | Cause::KeepAlive | Cause::Stalled)
            );
        }
    }
}
