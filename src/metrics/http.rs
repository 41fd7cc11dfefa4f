//! Counters of plain requests.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByRoute {
    route: String,
    class: &'static str,
}

/// The handles.
#[derive(Default)]
pub struct Http {
    requests: Family<ByRoute, Counter>,
    /// Requests that are being forwarded, and tunnels.
    pub in_flight: Gauge,
    /// Connections to services, lent and parked.
    pub connections: Gauge,
}

impl Http {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Plain requests by route and class of status", self.requests.clone());
        registry.register(
            "requests_in_flight",
            "Plain requests and tunnels that have not ended",
            self.in_flight.clone(),
        );
        registry.register(
            "upstream_connections",
            "Connections to services that carry plain requests, or are kept for the next",
            self.connections.clone(),
        );
    }

    /// A request on this route was answered.
    pub fn answered(&self, route: &str, status: u16) {
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&ByRoute { route: route.to_owned(), class }).inc();
    }
}

/// Counts one as long as it lives.
pub struct Counted(Gauge);

impl Counted {
    /// One more.
    #[must_use]
    pub fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
