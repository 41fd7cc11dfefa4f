//! Metrics of plugins' own: `cordboard_plugin_custom_NAME`, with the label `plugin` before the guest's.
//!
//! They belong to the plugin's name and live as long as a version of it that was granted them, through swaps. A name has
//! one kind over all plugins, whichever was first. What breaks a rule or is over the bound is dropped and counted: a
//! metric is never worth a failed call.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::super::{host::State, output::cut, v0_1::metrics};

/// Longest name of a metric or a label, in bytes.
const NAME_BYTES: usize = 64;
/// Most labels of a series.
const LABELS: usize = 8;
/// Longest value of a label, in bytes; the rest is cut.
const VALUE_BYTES: usize = 128;
/// Endings that the exposition format gives a meaning.
const RESERVED: [&str; 6] = ["_total", "_sum", "_count", "_bucket", "_created", "_info"];
/// Upper bounds of a histogram's buckets: of seconds as of bytes.
const BUCKETS: [f64; 19] = [
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    100.0,
    1000.0,
    10_000.0,
    100_000.0,
    1_000_000.0,
    f64::INFINITY,
];

type Labels = Vec<(String, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram { sum: f64, counts: Box<[u64; BUCKETS.len()]> },
}

enum Change {
    Add(u64),
    Set(f64),
    Observe(f64),
}

impl Change {
    const fn kind(&self) -> Kind {
        match self {
            Self::Add(_) => Kind::Counter,
            Self::Set(_) => Kind::Gauge,
            Self::Observe(_) => Kind::Histogram,
        }
    }
}

/// The series of all plugins.
#[derive(Default)]
pub(super) struct Customs {
    plugins: Mutex<BTreeMap<Arc<str>, Weak<Series>>>,
    /// The kind of each name, and how many plugins use it.
    kinds: Mutex<HashMap<String, (Kind, usize)>>,
}

/// The series of one plugin.
pub(super) struct Series {
    customs: Weak<Customs>,
    most: AtomicUsize,
    dropped: AtomicU64,
    families: Mutex<BTreeMap<String, Family>>,
}

struct Family {
    kind: Kind,
    values: HashMap<Labels, Value>,
}

impl Customs {
    /// Those of a plugin, with this bound if they are new.
    pub(super) fn of(self: &Arc<Self>, plugin: &Arc<str>, most: usize) -> Arc<Series> {
        let mut plugins = lock(&self.plugins);
        plugins.retain(|_, series| series.strong_count() > 0);
        if let Some(series) = plugins.get(plugin).and_then(Weak::upgrade) {
            return series;
        }
        let series = Arc::new(Series {
            customs: Arc::downgrade(self),
            most: AtomicUsize::new(most),
            dropped: AtomicU64::new(0),
            families: Mutex::default(),
        });
        plugins.insert(Arc::clone(plugin), Arc::downgrade(&series));
        series
    }

    fn claim(&self, name: &str, kind: Kind) -> bool {
        let mut kinds = lock(&self.kinds);
        let (known, users) = kinds.entry(name.to_owned()).or_insert((kind, 0));
        *users += usize::from(*known == kind);
        *known == kind
    }

    fn release<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let mut kinds = lock(&self.kinds);
        for name in names {
            if let Some((_, users)) = kinds.get_mut(name) {
                *users -= 1;
                if *users == 0 {
                    kinds.remove(name);
                }
            }
        }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins: Vec<_> = lock(&self.plugins)
            .iter()
            .filter_map(|(plugin, series)| Some((Arc::clone(plugin), series.upgrade()?)))
            .collect();
        let help = "Values that a plugin's own metrics did not take: over its bound, or against the rules";
        let mut family = encoder.encode_descriptor("plugin_metrics_dropped", help, None, MetricType::Counter)?;
        for (plugin, series) in &plugins {
            let dropped = ConstCounter::new(series.dropped.load(Ordering::Relaxed));
            dropped.encode(family.encode_family(&[("plugin", &**plugin)])?)?;
        }
        let mut kinds: Vec<_> = lock(&self.kinds).iter().map(|(name, (kind, _))| (name.clone(), *kind)).collect();
        kinds.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kind) in kinds {
            let kind = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let full = format!("plugin_custom_{name}");
            let mut family = encoder.encode_descriptor(&full, "A plugin's own", None, kind)?;
            for (plugin, series) in &plugins {
                let families = lock(&series.families);
                let Some(Family { values, .. }) = families.get(&name) else { continue };
                let mut values: Vec<_> = values.iter().collect();
                values.sort_by_key(|(labels, _)| *labels);
                for (labels, value) in values {
                    let mut all = vec![("plugin", &**plugin)];
                    all.extend(labels.iter().map(|(name, value)| (&**name, &**value)));
                    let mut metric = family.encode_family(&all)?;
                    match value {
                        Value::Counter(value) => ConstCounter::new(*value).encode(metric)?,
                        Value::Gauge(value) => ConstGauge::new(*value).encode(metric)?,
                        Value::Histogram { sum, counts } => {
                            let buckets: Vec<_> = BUCKETS.into_iter().zip(**counts).collect();
                            metric.encode_histogram::<NoLabelSet>(*sum, counts.iter().sum(), &buckets, None)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Series {
    pub(super) fn bound(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn change(&self, name: &str, change: &Change, labels: &[(String, String)]) {
        if self.try_change(name, change, labels).is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn try_change(&self, name: &str, change: &Change, labels: &[(String, String)]) -> Option<()> {
        let name = match change {
            // The format adds it.
            Change::Add(_) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let counts = !matches!(change, Change::Observe(value) if !value.is_finite());
        let fits = counts && is_name(name) && !RESERVED.iter().any(|ending| name.ends_with(ending));
        let labels = fits.then(|| checked(labels)).flatten()?;
        let mut families = lock(&self.families);
        let count: usize = families.values().map(|family| family.values.len()).sum();
        let full = count >= self.most.load(Ordering::Relaxed);
        if !families.contains_key(name) {
            // An empty family is not to be left behind.
            if full || !self.customs.upgrade()?.claim(name, change.kind()) {
                return None;
            }
            families.insert(name.to_owned(), Family { kind: change.kind(), values: HashMap::new() });
        }
        let Family { values, .. } = families.get_mut(name).filter(|family| family.kind == change.kind())?;
        if full && !values.contains_key(&labels) {
            return None;
        }
        let value = values.entry(labels).or_insert_with(|| match change {
            Change::Add(_) => Value::Counter(0),
            Change::Set(_) => Value::Gauge(0.0),
            Change::Observe(_) => Value::Histogram { sum: 0.0, counts: Box::default() },
        });
        match (value, change) {
            (Value::Counter(value), Change::Add(delta)) => *value = value.saturating_add(*delta),
            (Value::Gauge(value), Change::Set(new)) => *value = *new,
            (Value::Histogram { sum, counts }, Change::Observe(new)) => {
                *sum += new;
                let place = BUCKETS.iter().position(|bound| new <= bound)?;
                counts[place] += 1;
            }
            _ => return None,
        }
        Some(())
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        if let Some(customs) = self.customs.upgrade() {
            customs.release(lock(&self.families).keys());
        }
    }
}

/// Labels in order of their names, if they are good.
fn checked(labels: &[(String, String)]) -> Option<Labels> {
    if labels.len() > LABELS {
        return None;
    }
    let mut checked: Labels =
        labels.iter().map(|(name, value)| (name.clone(), cut(value, VALUE_BYTES).to_owned())).collect();
    checked.sort();
    let taken = |name: &str| matches!(name, "plugin" | "le" | "quantile") || name.starts_with("__");
    let good = checked.iter().all(|(name, _)| is_name(name) && !taken(name));
    let unique = checked.windows(2).all(|pair| pair[0].0 != pair[1].0);
    (good && unique).then_some(checked)
}

fn is_name(name: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c == b'_';
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|c| letter(c) || c.is_ascii_digit())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn metric(&mut self, name: &str, change: &Change, labels: &[(String, String)]) -> wasmtime::Result<()> {
        self.granted()?;
        if let Some((_, series)) = &self.plugin().powers.series {
            series.change(name, change, labels);
        }
        Ok(())
    }
}

impl metrics::Host for State {
    fn counter_add(&mut self, name: String, delta: u64, labels: Labels) -> wasmtime::Result<()> {
        self.metric(&name, &Change::Add(delta), &labels)
    }

    fn gauge_set(&mut self, name: String, value: f64, labels: Labels) -> wasmtime::Result<()> {
        self.metric(&name, &Change::Set(value), &labels)
    }

    fn histogram_record(&mut self, name: String, value: f64, labels: Labels) -> wasmtime::Result<()> {
        self.metric(&name, &Change::Observe(value), &labels)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prometheus_client::{collector::Collector, encoding::text::encode, registry::Registry};

    use super::*;

    struct Look(Arc<Customs>);

    impl fmt::Debug for Look {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Look")
        }
    }

    impl Collector for Look {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            self.0.encode(&mut encoder)
        }
    }

    fn text(customs: &Arc<Customs>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Look(Arc::clone(customs))));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    fn labels(labels: &[(&str, &str)]) -> Labels {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_kind_is_shown_with_its_labels_and_survives_a_swap() {
        let customs = Arc::new(Customs::default());
        let old = customs.of(&"p".into(), 10);
        old.change("logins_total", &Change::Add(2), &labels(&[("kind", "a\"\n\\b")]));
        old.change("depth", &Change::Set(1.5), &[]);
        old.change("seconds", &Change::Observe(0.3), &[]);
        let new = customs.of(&"p".into(), 10);
        drop(old);
        new.change("logins", &Change::Add(1), &labels(&[("kind", "a\"\n\\b")]));
        customs.of(&"q".into(), 10).change("depth", &Change::Set(2.0), &[]);
        let shown = text(&customs);
        for line in [
            "# TYPE plugin_custom_logins counter",
            "plugin_custom_logins_total{plugin=\"p\",kind=\"a\\\"\\n\\\\b\"} 3",
            "plugin_custom_depth{plugin=\"p\"} 1.5",
            "plugin_custom_seconds_count{plugin=\"p\"} 1",
            "plugin_custom_seconds_bucket{le=\"0.5\",plugin=\"p\"} 1",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        // Nobody holds those of `q`.
        assert!(!shown.contains("plugin=\"q\""), "{shown}");
        drop(new);
        assert!(!text(&customs).contains("custom"));
        assert!(lock(&customs.kinds).is_empty());
    }

    #[test]
    fn what_is_over_the_bound_or_against_the_rules_is_dropped_and_counted() {
        let customs = Arc::new(Customs::default());
        let (series, other) = (customs.of(&"p".into(), 2), customs.of(&"q".into(), 2));
        let long = "x".repeat(NAME_BYTES + 1);
        let many: Labels = (0..=LABELS).map(|n| (format!("l{n}"), String::new())).collect();
        for (name, labels) in [
            ("", labels(&[])),
            ("9a", labels(&[])),
            ("a-b", labels(&[])),
            ("A", labels(&[])),
            ("a\n", labels(&[])),
            (&*long, labels(&[])),
            ("a_sum", labels(&[])),
            ("a", labels(&[("plugin", "other")])),
            ("a", labels(&[("__name__", "x")])),
            ("a", labels(&[("x", "1"), ("x", "2")])),
            ("a", many),
        ] {
            series.change(name, &Change::Set(1.0), &labels);
        }
        series.change("a", &Change::Observe(f64::NAN), &[]);
        assert_eq!((series.dropped.load(Ordering::Relaxed), lock(&series.families).len()), (12, 0));
        series.change("a", &Change::Set(1.0), &[]);
        series.change("a", &Change::Add(1), &labels(&[("x", "1")]));
        series.change("b", &Change::Add(1), &[]);
        for (name, change) in [("a", Change::Add(1)), ("c", Change::Set(1.0))] {
            series.change(name, &change, &[]);
        }
        series.change("a", &Change::Set(1.0), &labels(&[("x", "1")]));
        other.change("a", &Change::Observe(1.0), &[]);
        assert_eq!((series.dropped.load(Ordering::Relaxed), other.dropped.load(Ordering::Relaxed)), (16, 1));
        series.bound(3);
        series.change("a", &Change::Set(1.0), &labels(&[("x", &"é".repeat(VALUE_BYTES))]));
        assert_eq!(series.dropped.load(Ordering::Relaxed), 16);
        let longest = lock(&series.families)["a"].values.keys().flatten().map(|(_, value)| value.len()).max();
        assert_eq!(longest, Some(VALUE_BYTES));
    }
}
