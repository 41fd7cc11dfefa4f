//! What is counted by looking, at the scrape: generations, the rendezvous, plugins by version, tasks, descriptors,
//! memory.

use std::{
    fmt,
    sync::{Weak, atomic::Ordering},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{
    policy::{Filled, Plugin, Stats},
    reload::Control,
};

/// The collector. It looks at the running proxy and keeps nothing of it alive.
#[derive(Debug)]
pub struct Live(Weak<Control>);

impl Live {
    /// Looks at this proxy.
    #[must_use]
    pub const fn new(control: Weak<Control>) -> Self {
        Self(control)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(control) = self.0.upgrade() else { return Ok(()) };
        let board = &control.board;
        let pairing = board.registry.gauges();
        let runtime = tokio::runtime::Handle::current().metrics();
        for (name, help, value) in [
            ("generation", "Number of the generation that serves", board.current.load().number),
            ("generations_alive", "Generations in memory", control.population.alive() as u64),
            ("channels", "Rendezvous channels with a seat held", pairing.channels as u64),
            ("seats_reserved", "Rendezvous legs before their 101", pairing.reserved as u64),
            ("legs_waiting", "Rendezvous legs that wait for a partner", pairing.waiting as u64),
            ("pairs", "Rendezvous pairs", pairing.pairs as u64),
            (
                "upstream_connections_kept",
                "Connections to services that wait for the next plain request",
                board.pool.kept() as u64,
            ),
            ("tasks", "Tasks of connections, sessions and listeners", board.drain.tasks() as u64),
            ("runtime_tasks", "All tasks of the runtime", runtime.num_alive_tasks() as u64),
            ("draining", "1 from the signal to stop on", u64::from(board.drain.is_announced())),
            ("open_descriptors", "File descriptors open", descriptors()),
            ("resident_memory_bytes", "Resident memory", resident_bytes()),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        plugins(&control, &mut encoder)?;
        buckets(&control, &mut encoder)?;
        control.host.encode_custom(&mut encoder)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// How one value of something is read.
type Read<T, N> = fn(&T) -> N;
/// Name, help and value of a series.
type Row<T, N> = (&'static str, &'static str, Read<T, N>);

/// One series a version in memory, so that a canary's failures are told from its predecessor's.
fn plugins(control: &Control, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let plugins = control.host.loaded();
    let labels = |plugin: &Plugin| [("plugin", plugin.name().to_string()), ("version", plugin.identity().to_string())];
    let counters: [Row<Stats, u64>; 8] = [
        ("plugin_calls", "Policy calls", |stats| stats.calls.load(Ordering::Relaxed)),
        ("plugin_opinions", "Policy calls that had something to say and refused nothing", |stats| {
            stats.opinions.load(Ordering::Relaxed)
        }),
        ("plugin_queued_nanoseconds", "Time that policy calls waited for an instance", |stats| {
            stats.queued.load(Ordering::Relaxed)
        }),
        ("plugin_rejections", "Policy calls that refused a handshake", |stats| {
            stats.rejections.load(Ordering::Relaxed)
        }),
        ("plugin_instances", "Instances made", |stats| stats.instances.load(Ordering::Relaxed)),
        ("plugin_events", "Events that were queued for a plugin", |stats| stats.events.load(Ordering::Relaxed)),
        ("plugin_events_dropped", "Events for which the queue of a plugin had no room", |stats| {
            stats.events_dropped.load(Ordering::Relaxed)
        }),
        ("plugin_call_nanoseconds", "Time spent in policy calls", |stats| stats.nanoseconds.load(Ordering::Relaxed)),
    ];
    for (name, help, read) in counters {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for plugin in &plugins {
            let labels = labels(plugin);
            ConstCounter::new(read(plugin.stats())).encode(family.encode_family(&labels)?)?;
        }
    }
    let counters: [Row<Plugin, u64>; 2] = [
        ("plugin_host_calls", "Calls of granted functions", |plugin| plugin.host_calls().0),
        ("plugin_host_nanoseconds", "Time that policy calls waited in granted functions", |plugin| {
            plugin.host_calls().1
        }),
    ];
    for (name, help, read) in counters {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for plugin in &plugins {
            ConstCounter::new(read(plugin)).encode(family.encode_family(&labels(plugin))?)?;
        }
    }
    let gauges: [Row<Plugin, usize>; 3] = [
        ("plugin_connections", "Connections whose message filters are of this version", |plugin| plugin.users()),
        ("plugin_instances_alive", "Instances that are there, idle or not", |plugin| plugin.instances().0),
        ("plugin_instance_memory_bytes", "Most memory that one instance of the version had", |plugin| {
            plugin.instances().1
        }),
    ];
    for (name, help, read) in gauges {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for plugin in &plugins {
            let value = i64::try_from(read(plugin)).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels(plugin))?)?;
        }
    }
    let help = "How long policy calls took, the wait for an instance included";
    let mut family = encoder.encode_descriptor("plugin_call_seconds", help, None, MetricType::Histogram)?;
    for plugin in &plugins {
        let stats = plugin.stats();
        let bounds = Stats::LATENCIES.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let counts = stats.latency.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = stats.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        family.encode_family(&labels(plugin))?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    let help = "Failed policy calls by kind, over all versions of a plugin";
    let mut family = encoder.encode_descriptor("plugin_failures", help, None, MetricType::Counter)?;
    for (name, counts) in control.host.failures() {
        for (kind, count) in Stats::FAILURES.iter().zip(counts) {
            let labels = [("plugin", &*name), ("failure", *kind)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Failed policy calls by kind, of each version in memory";
    let mut family = encoder.encode_descriptor("plugin_version_failures", help, None, MetricType::Counter)?;
    for plugin in &plugins {
        let [name, version] = labels(plugin);
        for (kind, count) in Stats::FAILURES.iter().zip(&plugin.stats().failures) {
            let labels = [name.clone(), version.clone(), ("failure", (*kind).to_owned())];
            ConstCounter::new(count.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// One series a bucket; of one that plugins share none is its plugin.
fn buckets(control: &Control, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let buckets = control.host.buckets();
    let labels = |bucket: &Filled| {
        [("plugin", bucket.plugin.as_deref().unwrap_or_default().to_owned()), ("bucket", bucket.bucket.to_string())]
    };
    let gauges: [Row<Filled, usize>; 2] = [
        ("plugin_bucket_keys", "Entries of a bucket", |bucket| bucket.keys),
        ("plugin_bucket_bytes", "Bytes of a bucket's keys and values", |bucket| bucket.bytes),
    ];
    for (name, help, read) in gauges {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for bucket in &buckets {
            let value = i64::try_from(read(bucket)).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels(bucket))?)?;
        }
    }
    let help = "Writes to a bucket that a bound refused";
    let mut family = encoder.encode_descriptor("plugin_bucket_refused", help, None, MetricType::Counter)?;
    for bucket in &buckets {
        ConstCounter::new(bucket.refused).encode(family.encode_family(&labels(bucket))?)?;
    }
    Ok(())
}

/// Descriptors of this process; 0 where `/proc` is not to be read.
fn descriptors() -> u64 {
    // The listing itself has one open.
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64)
}

/// Resident memory of this process; 0 where `/proc` is not to be read.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
