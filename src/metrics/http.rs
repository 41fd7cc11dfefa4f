//! Gauges of plain requests; what is counted for each route is in [`super::routes`].

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// The handles.
#[derive(Default)]
pub struct Http {
    /// Requests that are being forwarded, and tunnels.
    pub in_flight: Gauge,
    /// Connections to services, lent and parked.
    pub connections: Gauge,
}

impl Http {
    pub(super) fn register(&self, registry: &mut Registry) {
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
