//! What is counted by looking, at the scrape: generations, the rendezvous, plugins by version, tasks, descriptors,
//! memory.

use std::{
    borrow::Borrow,
    fmt,
    sync::{Weak, atomic::Ordering},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{
    log,
    policy::{Dumped, Filled, Plugin, Stats, Undumped},
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
        gauge(
            &mut encoder,
            "component_copies",
            "Components whose original could not be looked at: cached copies serve",
            control.fetcher.copies() as u64,
        )?;
        for (name, help, value) in [
            (
                "handshakes_moved",
                "Connections that began on the threads of the runtime, because policies had taken long on those of the relay",
                board.relay.errands_elsewhere(),
            ),
            ("log_lines_lost", "Lines of the log that were not read fast enough, or could not be written", log::lost()),
        ] {
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        looks(&control, &mut encoder)?;
        plugins(&control, &mut encoder)?;
        buckets(&control, &mut encoder)?;
        control.host.encode_custom(&mut encoder)
    }
}

/// What became of looks at components that come over the network.
fn looks(control: &Control, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let row: Row<(&'static str, u64)> =
        ("component_looks", "Looks at components over the network, by what became of them", |(_, count)| *count);
    let labels = |(result, _): &(&'static str, u64)| [("result", (*result).to_owned())];
    families(encoder, MetricType::Counter, &[row], &control.fetcher.counts(), labels)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// Name, help and value of a series.
type Row<T> = (&'static str, &'static str, fn(&T) -> u64);

/// The series of each row: one an item.
fn families<T, const L: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    kind: MetricType,
    rows: &[Row<T>],
    items: &[impl Borrow<T>],
    labels: impl Fn(&T) -> [(&'static str, String); L],
) -> fmt::Result {
    for (name, help, read) in rows {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for item in items.iter().map(Borrow::borrow) {
            let (value, labels) = (read(item), labels(item));
            let encoder = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(encoder)?,
                _ => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)?,
            }
        }
    }
    Ok(())
}

/// One series a version in memory, so that a canary's failures are told from its predecessor's.
fn plugins(control: &Control, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let plugins = control.host.loaded();
    let labels = |plugin: &Plugin| [("plugin", plugin.name().to_string()), ("version", plugin.identity().to_string())];
    let counters: [Row<Plugin>; 10] = [
        ("plugin_calls", "Policy calls", |plugin| plugin.stats().calls.load(Ordering::Relaxed)),
        ("plugin_opinions", "Policy calls that had something to say and refused nothing", |plugin| {
            plugin.stats().opinions.load(Ordering::Relaxed)
        }),
        ("plugin_queued_nanoseconds", "Time that policy calls waited for an instance", |plugin| {
            plugin.stats().queued.load(Ordering::Relaxed)
        }),
        ("plugin_rejections", "Policy calls that refused a handshake", |plugin| {
            plugin.stats().rejections.load(Ordering::Relaxed)
        }),
        ("plugin_instances", "Instances made", |plugin| plugin.stats().instances.load(Ordering::Relaxed)),
        ("plugin_events", "Events that were queued for a plugin", |plugin| {
            plugin.stats().events.load(Ordering::Relaxed)
        }),
        ("plugin_events_dropped", "Events for which the queue of a plugin had no room", |plugin| {
            plugin.stats().events_dropped.load(Ordering::Relaxed)
        }),
        ("plugin_call_nanoseconds", "Time spent in policy calls", |plugin| {
            plugin.stats().nanoseconds.load(Ordering::Relaxed)
        }),
        ("plugin_host_calls", "Calls of granted functions", |plugin| plugin.host_calls().0),
        ("plugin_host_nanoseconds", "Time that policy calls waited in granted functions", |plugin| {
            plugin.host_calls().1
        }),
    ];
    families(encoder, MetricType::Counter, &counters, &plugins, labels)?;
    let gauges: [Row<Plugin>; 3] = [
        ("plugin_connections", "Connections whose message filters are of this version", |plugin| plugin.users() as u64),
        ("plugin_instances_alive", "Instances that are there, idle or not", |plugin| plugin.instances().0 as u64),
        ("plugin_instance_memory_bytes", "Most memory that one instance of the version had", |plugin| {
            plugin.instances().1 as u64
        }),
    ];
    families(encoder, MetricType::Gauge, &gauges, &plugins, labels)?;
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
    dumps(control, encoder)?;
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

/// What became of the inputs of failed calls, where they are to be written down.
fn dumps(control: &Control, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let dumped = control.host.dumped();
    let written: [Row<Dumped>; 1] =
        [("plugin_dumps", "Inputs of failed policy calls that were written down", |dumped| dumped.written)];
    let labels = |dumped: &Dumped| [("plugin", dumped.plugin.to_string())];
    families(encoder, MetricType::Counter, &written, &dumped, labels)?;
    let help = "Inputs of failed policy calls that were not written down";
    let mut family = encoder.encode_descriptor("plugin_dumps_dropped", help, None, MetricType::Counter)?;
    for Dumped { plugin, dropped, .. } in &dumped {
        for (why, count) in Undumped::ALL.iter().zip(dropped) {
            let labels = [("plugin", &**plugin), ("reason", why.label())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
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
    let gauges: [Row<Filled>; 2] = [
        ("plugin_bucket_keys", "Entries of a bucket", |bucket| bucket.keys as u64),
        ("plugin_bucket_bytes", "Bytes of a bucket's keys and values", |bucket| bucket.bytes as u64),
    ];
    families(encoder, MetricType::Gauge, &gauges, &buckets, labels)?;
    let refused: [Row<Filled>; 1] =
        [("plugin_bucket_refused", "Writes to a bucket that a bound refused", |bucket| bucket.refused)];
    families(encoder, MetricType::Counter, &refused, &buckets, labels)
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
