//! The plugin's own metrics, shown beside the host's. Needs a grant.
//!
//! Names and label names are those of the grant, and the host bounds the number of series; what is over the bound is
//! dropped and counted. In native tests they are kept for `testing::take_metrics`, and what the host would not take stops
//! the test.
//!
//! ```
//! use cordboard_plugin_sdk::{metrics, testing::{self, Measure}};
//!
//! metrics::counter_add("refused", 1, &[("why", "full")]);
//! metrics::gauge_set("seats", 3.0, &[]);
//! metrics::histogram_record("wait_seconds", 0.25, &[]);
//! let all = testing::take_metrics();
//! assert_eq!((all.len(), all[0].name.as_str(), all[0].measure), (3, "refused", Measure::Counter(1)));
//! ```

/// Adds to a counter.
#[cfg_attr(not(target_family = "wasm"), track_caller)]
pub fn counter_add(name: &str, delta: u64, labels: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    crate::bindings::imports::cordboard::host::metrics::counter_add(name, delta, &owned(labels));
    #[cfg(not(target_family = "wasm"))]
    crate::testing::record_metric(name, crate::testing::Measure::Counter(delta), owned(labels));
}

/// Sets a gauge.
#[cfg_attr(not(target_family = "wasm"), track_caller)]
pub fn gauge_set(name: &str, value: f64, labels: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    crate::bindings::imports::cordboard::host::metrics::gauge_set(name, value, &owned(labels));
    #[cfg(not(target_family = "wasm"))]
    crate::testing::record_metric(name, crate::testing::Measure::Gauge(value), owned(labels));
}

/// Adds a value to a histogram.
#[cfg_attr(not(target_family = "wasm"), track_caller)]
pub fn histogram_record(name: &str, value: f64, labels: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    crate::bindings::imports::cordboard::host::metrics::histogram_record(name, value, &owned(labels));
    #[cfg(not(target_family = "wasm"))]
    crate::testing::record_metric(name, crate::testing::Measure::Histogram(value), owned(labels));
}

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
