//! The bars that are set for the proxy, and how a run stands to them.

use std::fmt;

use crate::{
    peer::Peer,
    results::{Metric, Results},
    row::SIZES,
    run::swaps::{of_messages, without},
};

const OURS: Peer = Peer::Cordboard;
/// What is open or missed in a table.
const UNKNOWN: &str = "–";

/// How a run stands to a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stand {
    /// A figure, and whether it is within its limit.
    Reached {
        /// The figure.
        figure: f64,
        /// What it must not be above.
        limit: f64,
    },
    /// It was not measured, and why.
    Unknown(&'static str),
}

/// A bar, and how the run stands to it.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) measure: String,
    pub(super) limit: String,
    pub(super) stand: Stand,
    /// With what it was compared, or by what.
    pub(super) note: String,
}

impl Bar {
    pub(super) fn figure(&self) -> String {
        match self.stand {
            Stand::Reached { figure, .. } => super::number(figure),
            Stand::Unknown(_) => UNKNOWN.to_owned(),
        }
    }

    pub(super) fn verdict(&self) -> String {
        match &self.stand {
            Stand::Reached { figure, limit } if figure <= limit => "met".to_owned(),
            Stand::Reached { figure, limit } => format!("**missed**, {} times the bar", super::number(figure / limit)),
            Stand::Unknown(why) => (*why).to_owned(),
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, limit, note, .. } = self;
        write!(f, "| {measure} | {limit} | {} | {note} | {} |", self.figure(), self.verdict())
    }
}

/// All of them, in the order in which they were set.
pub(super) fn all(results: &Results) -> Vec<Bar> {
    let bars = Bars { results };
    let mut all = bars.routed();
    all.extend(bars.paired());
    all.extend(bars.latency());
    all.extend(bars.handshakes());
    all.extend(bars.filters());
    all.extend(bars.rest());
    for (measure, limit) in [
        ("the three decisions together, pooled", "≤ 3 µs median, ≤ 20 µs p99"),
        ("unmasking, in cache", "≥ 0.5 × memcpy"),
    ] {
        all.push(bar(measure.to_owned(), limit, Stand::Unknown("a micro-benchmark's, not of this run"), String::new()));
    }
    all
}

struct Bars<'a> {
    results: &'a Results,
}

const NO_COUNTERS: &str = "not counted on this machine";
const NOT_RUN: &str = "not measured in this run";

impl Bars<'_> {
    fn instructions(&self, row: &str, peer: Peer) -> Option<f64> {
        let of = |metric| self.results.median(row, peer, metric);
        Some(of(Metric::UserInstructions)? + of(Metric::KernelInstructions)?)
    }

    fn cpu(&self, row: &str, peer: Peer) -> Option<f64> {
        self.results.median(row, peer, Metric::Cpu)
    }

    /// Ours to the least of the others.
    fn ratio(ours: Option<f64>, others: &[(Peer, Option<f64>)], limit: f64, missing: &'static str) -> (Stand, String) {
        let there = others.iter().filter_map(|(peer, value)| value.map(|value| (peer, value)));
        match (ours, there.min_by(|one, other| one.1.total_cmp(&other.1))) {
            (Some(ours), Some((best, least))) => {
                (Stand::Reached { figure: ours / least, limit }, format!("to {}", best.title()))
            }
            _ => (Stand::Unknown(missing), String::new()),
        }
    }

    fn rivals(of: impl Fn(Peer) -> Option<f64>) -> Vec<(Peer, Option<f64>)> {
        Peer::ALL.into_iter().filter(|peer| peer.is_rival()).map(|peer| (peer, of(peer))).collect()
    }

    fn routed(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        let rows = SIZES.map(|size| (size, format!("routed-{size}")));
        for (size, row) in &rows {
            let of = |peer| self.instructions(row, peer);
            let (stand, note) = Self::ratio(of(OURS), &Self::rivals(of), 1.05, NO_COUNTERS);
            bars.push(bar(format!("routed, {size}: instructions a message"), "≤ 1.05 × the best peer", stand, note));
        }
        let counted = self.results.median("routed-64B", OURS, Metric::UserInstructions);
        let by_callgrind = self.results.median("callgrind-64B", OURS, Metric::Callgrind).map(|count| count / 1000.0);
        let note = if counted.is_some() { "thousands" } else { "thousands, by callgrind" };
        let figure = counted.or(by_callgrind);
        let stand = figure.map_or(Stand::Unknown(NO_COUNTERS), |figure| Stand::Reached { figure, limit: 1.5 });
        bars.push(bar("routed, 64B: instructions in user space".to_owned(), "≤ 1.5 thousand", stand, note.to_owned()));
        for (size, row) in &rows[2..] {
            let of = |peer| self.results.median(row, peer, Metric::Cycles);
            let nginx = [false, true].map(|large| Peer::Nginx { large }).map(|peer| (peer, of(peer)));
            let (stand, note) = Self::ratio(of(OURS), &nginx, 0.75, NO_COUNTERS);
            bars.push(bar(format!("routed, {size}: cycles a message"), "≤ 0.75 × nginx", stand, note));
        }
        for (size, row) in &rows {
            let of = |peer| self.cpu(row, peer);
            let (stand, note) = Self::ratio(of(OURS), &Self::rivals(of), 1.1, NOT_RUN);
            bars.push(bar(format!("routed, {size}: CPU time a message"), "≤ 1.10 × the best peer", stand, note));
        }
        bars
    }

    /// To our own routed relay, which copies every byte then, as a pair must. CPU time stands in for what is not counted.
    fn paired(&self) -> Vec<Bar> {
        let of = |size: &str| {
            let [paired, routed] = ["paired", "routed"].map(|mode| format!("{mode}-{size}"));
            let small = matches!(size, "64B" | "1KiB");
            let measure = format!("paired, {size}: instructions a message");
            let bound = |large| if small { ("≤ 1.10 × routed, splicing off", 1.1) } else { large };
            let counted = self.instructions(&paired, OURS).zip(self.instructions(&routed, Peer::Copying));
            if let Some((paired, routed)) = counted {
                let (text, limit) = bound(("≤ 1.35 × routed, splicing off", 1.35));
                return bar(measure, text, Stand::Reached { figure: paired / routed, limit }, String::new());
            }
            // At 64 KiB and above there is a bar for cycles, which time is nearer to.
            let (text, limit) = bound(("≤ 1.15 × routed, splicing off", 1.15));
            let stand = match self.cpu(&paired, OURS).zip(self.cpu(&routed, Peer::Copying)) {
                Some((paired, routed)) => Stand::Reached { figure: paired / routed, limit },
                None => Stand::Unknown(NOT_RUN),
            };
            bar(format!("paired, {size}: CPU time a message"), text, stand, "for want of counters".to_owned())
        };
        SIZES.map(of).into()
    }

    fn latency(&self) -> Vec<Bar> {
        let of = |(row, title, metric): (&str, &str, Metric)| {
            let p99 = |peer| self.results.median(row, peer, metric);
            let (stand, note) = Self::ratio(p99(OURS), &Self::rivals(p99), 1.1, NOT_RUN);
            bar(format!("64 B, {title}"), "≤ 1.1 × the best peer", stand, note)
        };
        let open = "open loop: p99 of a usual tenth of a second";
        let closed = ("routed-64B", "closed loop: p99", Metric::P99);
        [closed, ("open-64B", "open loop: p99", Metric::P99), ("open-64B", open, Metric::P99Tenth)].map(of).into()
    }

    fn handshakes(&self) -> Vec<Bar> {
        let row = "handshakes";
        let instructions = |peer| self.instructions(row, peer);
        let cpu = |peer| self.cpu(row, peer);
        let nginx = [false, true].map(|large| Peer::Nginx { large });
        let envoy = [Peer::Envoy { filter: true }];
        let mut bars = Vec::new();
        for (rivals, text, limit) in
            [(&nginx[..], "≤ 1.2 × nginx", 1.2), (&envoy[..], "≤ 0.5 × Envoy with its filter", 0.5)]
        {
            let with =
                |of: &dyn Fn(Peer) -> Option<f64>| rivals.iter().map(|peer| (*peer, of(*peer))).collect::<Vec<_>>();
            let (stand, note) = Self::ratio(instructions(OURS), &with(&instructions), limit, NO_COUNTERS);
            bars.push(bar("a handshake: instructions".to_owned(), text, stand, note));
            let (stand, note) = Self::ratio(cpu(OURS), &with(&cpu), limit, NOT_RUN);
            bars.push(bar("a handshake: CPU time".to_owned(), text, stand, note));
        }
        bars
    }

    /// Of message filters, to ours without one. Each message comes back, so a filter sees it twice.
    fn filters(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        let nothing = Peer::Filtered { reads: false };
        for size in ["64B", "1KiB"] {
            let row = format!("routed-{size}");
            let counted = self.instructions(&row, nothing).zip(self.instructions(&row, OURS));
            let by_callgrind = |peer| self.results.median(&format!("callgrind-{size}"), peer, Metric::Callgrind);
            let (measure, pair) = match (counted, by_callgrind(nothing).zip(by_callgrind(OURS))) {
                (Some(pair), _) => ("instructions", Some(pair)),
                (None, Some(pair)) => ("instructions in user space, by callgrind,", Some(pair)),
                (None, None) => ("CPU time", self.cpu(&row, nothing).zip(self.cpu(&row, OURS))),
            };
            let stand = match pair {
                Some((with, without)) => Stand::Reached { figure: with / without, limit: 1.01 },
                None => Stand::Unknown(NOT_RUN),
            };
            let measure = format!("routed, {size}, a filter that wants nothing: {measure} a message");
            bars.push(bar(measure, "≤ 1.01 × without", stand, String::new()));
        }
        for (size, limit, text) in [("64B", 1.5, "≤ 1.5 µs"), ("1KiB", 4.0, "≤ 4 µs")] {
            let row = format!("routed-{size}");
            let stand = match self.cpu(&row, Peer::Filtered { reads: true }).zip(self.cpu(&row, OURS)) {
                Some((with, without)) => Stand::Reached { figure: (with - without) / 2.0, limit },
                None => Stand::Unknown(NOT_RUN),
            };
            let measure = format!("routed, {size}, a filter that reads all: CPU time it adds to a message, each way");
            bars.push(bar(measure, text, stand, "µs".to_owned()));
        }
        bars
    }

    fn rest(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for (row, title) in [("idle", "routed"), ("idle-paired", "paired")] {
            let each = self.results.median(row, OURS, Metric::IdleBytes).map(|bytes| bytes / 1024.0);
            let stand = each.map_or(Stand::Unknown(NOT_RUN), |figure| Stand::Reached { figure, limit: 1.5 });
            let sessions = self.results.median(row, OURS, Metric::Sessions);
            let note = sessions.map_or(String::new(), |sessions| format!("KiB, of {sessions} sessions"));
            bars.push(bar(format!("an idle session, {title}: memory"), "≤ 1.5 KiB", stand, note));
        }
        for (row, title) in [("swaps-known", "components in turn"), ("swaps-new", "a new component each time")] {
            let p99 = |row: &str| self.results.median(row, OURS, Metric::P99);
            let stand = match p99(row).zip(p99(&without(row))) {
                Some((with, without)) => Stand::Reached { figure: with / without, limit: 1.5 },
                None => Stand::Unknown(NOT_RUN),
            };
            let measure = format!("two swaps a second, {title}: p99 of handshakes");
            bars.push(bar(measure, "≤ 1.5 × without", stand, String::new()));
            let slowest = |row: &str| self.results.median(&of_messages(row), OURS, Metric::Slowest);
            let stand = match slowest(row).zip(slowest(&without(row))) {
                // What counts as noise of a session that is sent a hundred messages a second.
                Some((with, without)) => Stand::Reached { figure: without / with, limit: 1.02 },
                None => Stand::Unknown(NOT_RUN),
            };
            let measure = "the same: messages of the slowest session, without to with".to_string();
            bars.push(bar(measure, "≤ 1.02 (noise)", stand, String::new()));
        }
        let ready = self.results.median("start", OURS, Metric::Ready);
        let stand = ready.map_or(Stand::Unknown(NOT_RUN), |figure| Stand::Reached { figure, limit: 100.0 });
        bars.push(bar("start to the first connection, code cached".to_owned(), "≤ 100 ms", stand, "ms".to_owned()));
        bars
    }
}

fn bar(measure: String, limit: &str, stand: Stand, note: String) -> Bar {
    Bar { measure, limit: limit.to_owned(), stand, note }
}
