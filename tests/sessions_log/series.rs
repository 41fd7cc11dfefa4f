//! All series of the metrics at one moment, and what they must be after a script.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    PATIENCE, Proxy,
    wire::{BINARY, TEXT, Wire},
};

/// The metrics page: kinds by family, values by series.
pub struct Page {
    kinds: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

impl Page {
    pub fn of(proxy: &Proxy) -> Self {
        let text = proxy.get("/metrics");
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Self {
            kinds: kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect(),
            series: series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect(),
        }
    }

    /// The series that have all of these in their names and labels.
    pub fn with(&self, parts: &[&str]) -> Vec<(&str, f64)> {
        let fits = |name: &str| parts.iter().all(|part| name.contains(part));
        self.series.iter().filter(|(name, _)| fits(name)).map(|(name, value)| (name.as_str(), *value)).collect()
    }

    fn value(&self, series: &str) -> f64 {
        self.series.get(series).copied().unwrap_or_default()
    }

    /// `gauge`, `counter` or `histogram`.
    fn kind(&self, series: &str) -> &str {
        let name = series.split('{').next().unwrap();
        let family = ["", "_total", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| self.kinds.get(name.strip_suffix(suffix)?));
        family.unwrap_or_else(|| panic!("no TYPE of {series}"))
    }
}

/// What depends on the machine or on which instance a policy is asked in.
const FREE: [&str; 11] = [
    "cordboard_resident_memory_bytes",
    "cordboard_plugin_calls_total",
    "cordboard_plugin_opinions_total",
    "cordboard_plugin_instances_",
    "cordboard_plugin_instance_memory_bytes",
    "cordboard_plugin_call_nanoseconds_total",
    "cordboard_plugin_call_seconds_",
    "cordboard_plugin_queued_nanoseconds_total",
    "cordboard_plugin_host_nanoseconds_total",
    "cordboard_handshake_seconds_",
    "cordboard_handshakes_moved_total",
];

/// What has happened, as the counters must tell it.
#[derive(Default)]
pub struct Script {
    counts: BTreeMap<String, f64>,
    answered: f64,
}

impl Script {
    fn count(&mut self, series: String, by: usize) {
        *self.counts.entry(series).or_default() += by as f64;
    }

    fn ended(&mut self, route: &str, mode: &str, outcome: &str, cause: &str) {
        let labels = format!("mode=\"{mode}\",outcome=\"{outcome}\"");
        self.count(format!("cordboard_sessions_ended_total{{route=\"{route}\",{labels}}}"), 1);
        self.count(format!("cordboard_outcomes_total{{{labels}}}"), 1);
        self.count(format!("cordboard_causes_total{{cause=\"{cause}\"}}"), 1);
    }

    /// A session of so many that dialled in has ended.
    pub fn session(&mut self, route: &str, mode: &str, outcome: &str, cause: &str, legs: u32) {
        self.ended(route, mode, outcome, cause);
        self.count("cordboard_accepted_total".to_owned(), legs as usize);
        self.answered += f64::from(legs);
    }

    /// One that dialled in was turned away.
    pub fn refused(&mut self, route: &str, mode: &str, cause: &str) {
        self.ended(route, mode, "refused", cause);
        self.count("cordboard_accepted_total".to_owned(), 1);
    }

    /// A plain request was forwarded and answered.
    pub fn request(&mut self, route: &str, class: &str) {
        self.ended(route, "http", "forwarded", "closed");
        self.count("cordboard_accepted_total".to_owned(), 1);
        self.count(format!("cordboard_requests_total{{route=\"{route}\",class=\"{class}\"}}"), 1);
    }

    /// A leg sends a frame, which is counted.
    pub async fn say(&mut self, wire: &mut Wire, frame: Vec<u8>) {
        wire.write(&frame).await;
        self.received(frame.len());
        if matches!(frame[0], TEXT | BINARY) {
            self.count("cordboard_received_messages_total".to_owned(), 1);
        }
    }

    /// A leg has sent bytes that are no frame.
    pub fn received(&mut self, bytes: usize) {
        self.count("cordboard_received_bytes_total".to_owned(), bytes);
    }

    /// Waits until every gauge is where it was and every counter has moved by what happened, and by nothing else.
    pub fn accounts_for_all_since(&self, before: &Page, proxy: &Proxy) {
        let end = Instant::now() + PATIENCE;
        loop {
            let wrong = self.differences(before, &Page::of(proxy));
            if wrong.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{wrong:#?}\n{}", proxy.log().join("\n"));
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn differences(&self, before: &Page, after: &Page) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut differs = |series: &str, is: f64, should: f64| {
            if (is - should).abs() > 0.5 {
                wrong.push(format!("{series} is {is} and should be {should}"));
            }
        };
        let answered = "cordboard_handshake_seconds_count";
        differs(answered, after.value(answered), before.value(answered) + self.answered);
        let all = before.series.keys().chain(after.series.keys()).chain(self.counts.keys());
        for series in all.filter(|series| !FREE.iter().any(|free| series.starts_with(free))) {
            let moved = self.counts.get(series).copied().unwrap_or_default();
            assert!(after.kind(series) == "counter" || moved == 0.0, "{series}");
            differs(series, after.value(series), before.value(series) + moved);
        }
        wrong.sort();
        wrong.dedup();
        wrong
    }
}
