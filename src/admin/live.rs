//! What is counted by looking, at the scrape: generations, the rendezvous, plugins by version, tasks, descriptors,
//! memory.

use std::{
    fmt,
    sync::{Weak, atomic::Ordering},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{policy::Stats, reload::Control};

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
        plugins(&control, &mut encoder)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

type Read = fn(&Stats) -> u64;

/// One series a version in memory, so that a canary's failures are told from its predecessor's.
fn plugins(control: &Control, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let plugins = control.host.loaded();
    let labels = |plugin: &crate::policy::Plugin| {
        [("plugin", plugin.name().to_string()), ("version", plugin.identity().to_string())]
    };
    let counters: [(&str, &str, Read); 6] = [
        ("plugin_calls", "Policy calls", |stats| stats.calls.load(Ordering::Relaxed)),
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
    let help = "Connections whose message filters are of this version";
    let mut family = encoder.encode_descriptor("plugin_connections", help, None, MetricType::Gauge)?;
    for plugin in &plugins {
        let labels = labels(plugin);
        let users = i64::try_from(plugin.users()).unwrap_or(i64::MAX);
        ConstGauge::new(users).encode(family.encode_family(&labels)?)?;
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
