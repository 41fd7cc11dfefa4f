//! What a test's policy counted.

use std::cell::RefCell;

/// What the host takes: the length of names, the number of labels, and endings that are its own.
const NAME_BYTES: usize = 64;
const LABELS: usize = 8;
const RESERVED: [&str; 6] = ["_total", "_sum", "_count", "_bucket", "_created", "_info"];

/// A value given to the host's metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Added to a counter.
    Counter(u64),
    /// What a gauge was set to.
    Gauge(f64),
    /// Added to a histogram.
    Histogram(f64),
}

/// One call of [`crate::metrics`].
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The metric's name.
    pub name: String,
    /// What was given.
    pub measure: Measure,
    /// Its labels.
    pub labels: Vec<(String, String)>,
}

thread_local! {
    static METRICS: RefCell<Vec<Metric>> = const { RefCell::new(Vec::new()) };
}

/// What this thread gave to [`crate::metrics`] since it was last asked, in order.
///
/// What the host would drop stops the test: a name or a label that it does not take, a name of two kinds.
#[must_use]
pub fn take_metrics() -> Vec<Metric> {
    METRICS.take()
}

/// # Panics
/// The host would drop it: its call goes on, but nobody would see why the metric is missing.
#[track_caller]
pub(crate) fn record(name: &str, measure: Measure, labels: Vec<(String, String)>) {
    let bare = match measure {
        Measure::Counter(_) => name.strip_suffix("_total").unwrap_or(name),
        Measure::Gauge(_) | Measure::Histogram(_) => name,
    };
    assert!(is_name(bare), "{name:?} is no metric's name: [a-z_][a-z0-9_]*, at most {NAME_BYTES} bytes");
    if let Some(ending) = RESERVED.iter().find(|ending| bare.ends_with(**ending)) {
        panic!("{name:?} ends in {ending:?}, which has a meaning of its own");
    }
    assert!(!matches!(measure, Measure::Histogram(value) if !value.is_finite()), "{name:?} was given no number");
    assert!(labels.len() <= LABELS, "{name:?} has {} labels; {LABELS} are the most", labels.len());
    for (index, (label, _)) in labels.iter().enumerate() {
        let taken = matches!(label.as_str(), "plugin" | "le" | "quantile") || label.starts_with("__");
        assert!(is_name(label) && !taken, "{label:?} is no label's name: [a-z_][a-z0-9_]*, none of the host's");
        assert!(labels[..index].iter().all(|(other, _)| other != label), "the label {label:?} stands there twice");
    }
    METRICS.with_borrow_mut(|all| {
        let kind = std::mem::discriminant(&measure);
        let same = |other: &Metric| other.name != name || std::mem::discriminant(&other.measure) == kind;
        assert!(all.iter().all(same), "{name:?} is of another kind already");
        all.push(Metric { name: name.to_owned(), measure, labels });
    });
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::metrics::{counter_add, gauge_set, histogram_record};

    #[test]
    fn what_the_host_would_drop_stops_the_test() {
        counter_add("seen_total", 1, &[("why", "x")]);
        for name in ["", "Seen", "1st", "seen-twice", "seen_count", &"n".repeat(65)] {
            assert!(catch_unwind(|| counter_add(name, 1, &[])).is_err(), "{name}");
        }
        assert!(catch_unwind(|| gauge_set("seen_total", 1.0, &[])).is_err(), "only a counter's name ends so");
        assert!(catch_unwind(|| histogram_record("wait", f64::NAN, &[])).is_err());
        for labels in
            [&[("plugin", "x")][..], &[("le", "1")], &[("a", "1"), ("a", "2")], &[("Why", "x")], &[("a", ""); 9]]
        {
            assert!(catch_unwind(|| counter_add("seen", 1, labels)).is_err(), "{labels:?}");
        }
        assert!(catch_unwind(|| gauge_set("wait", 1.0, &[])).is_ok());
        assert!(catch_unwind(|| histogram_record("wait", 1.0, &[])).is_err(), "a name has one kind");
        assert_eq!(take_metrics().len(), 2);
    }
}
