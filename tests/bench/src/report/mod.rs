//! The document: tables, charts, and how the run stands to the bars. All is made of [`Results`], so it can be made anew
//! without a run; what stands by hand below [`BY_HAND`] is kept.

mod bars;
mod plot;
mod text;

use std::{fmt::Write as _, fs, io, path::Path};

use self::plot::{Panel, chart};
use crate::{
    peer::Peer,
    results::{Metric, Results},
    row::{ROWS, SIZES, Work},
    run::swaps::{of_messages, without},
    stats::Summary,
};

/// What follows this line of the document is kept.
const BY_HAND: &str = "<!-- what follows is written by hand and kept -->";
/// What the charts' folder is called, beside the document.
const CHARTS: &str = "benchmarks";

/// Writes `benchmarks.md` and its charts into a folder.
pub fn write(results: &Results, dir: &Path) -> io::Result<()> {
    let charts = dir.join(CHARTS);
    fs::create_dir_all(&charts)?;
    let path = dir.join("benchmarks.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let kept = before.split_once(BY_HAND).map_or("\n", |(_, kept)| kept);
    let mut document = Document { results, charts: Vec::new(), text: String::new() };
    document.all();
    for (name, svg) in document.charts {
        fs::write(charts.join(format!("{name}.svg")), svg)?;
    }
    fs::write(path, format!("{}\n{BY_HAND}{kept}", document.text))
}

/// A number with three digits that mean something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut grouped = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}

/// Median, least and most.
fn range(summary: Option<Summary>, scale: f64) -> String {
    summary.map_or("–".to_owned(), |Summary { median, least, most }| {
        let [median, least, most] = [median, least, most].map(|value| number(value * scale));
        if least == most { median } else { format!("{median} ({least}–{most})") }
    })
}

/// A column of a table: its head, what of the results it shows, and by what that is multiplied.
type Column = (&'static str, Metric, f64);

const COUNTED: [Column; 3] = [
    ("k instructions, user", Metric::UserInstructions, 1.0),
    ("kernel", Metric::KernelInstructions, 1.0),
    ("k cycles", Metric::Cycles, 1.0),
];
const CPU: [Column; 2] = [("CPU µs", Metric::Cpu, 1.0), ("of it user", Metric::UserCpu, 1.0)];
const LATENCY: [Column; 4] = [
    ("p50 µs", Metric::P50, 1.0),
    ("p99 µs", Metric::P99, 1.0),
    ("of a usual tenth", Metric::P99Tenth, 1.0),
    ("p99.9 µs", Metric::P999, 1.0),
];

struct Document<'a> {
    results: &'a Results,
    charts: Vec<(&'static str, String)>,
    text: String,
}

impl Document<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.line(&format!("\n## {title}\n"));
    }

    fn all(&mut self) {
        self.line("# What it costs, beside its peers\n");
        self.line("<!-- Written by `make bench`. -->");
        self.machine();
        self.in_short();
        self.bars();
        self.section("Routed messages: a client dials in, a service is dialled");
        self.line("`connections × size × in flight`; costs are those of one echoed message.");
        self.chart(
            "routed-cpu",
            "CPU time of a message",
            "CPU µs a message, user space darker",
            Metric::Cpu,
            |work| matches!(work, Work::Routed(talk) if talk.pace == crate::load::pace::Pace::Closed),
        );
        self.rows(
            |work| matches!(work, Work::Routed(_)),
            &[("messages/s", Metric::Rate, 1.0), ("MB/s", Metric::Throughput, 1.0)],
        );
        self.chart(
            "latency",
            "Latency of a message of 64 bytes",
            "p99 in µs",
            Metric::P99,
            |work| matches!(work, Work::Routed(talk) if talk.size == 64),
        );
        self.section("Paired messages: both sides dial in");
        self.line("Only ours does this. Each frame is unmasked or masked anew on its way.");
        self.rows(
            |work| matches!(work, Work::Paired(_)),
            &[("messages/s", Metric::Rate, 1.0), ("MB/s", Metric::Throughput, 1.0)],
        );
        self.section("Handshakes");
        self.chart(
            "handshakes",
            "CPU time of a handshake",
            "CPU µs a handshake, user space darker",
            Metric::Cpu,
            |work| matches!(work, Work::Handshakes(_)),
        );
        self.rows(|work| matches!(work, Work::Handshakes(_)), &[("handshakes/s", Metric::Rate, 1.0)]);
        self.section("Memory of an idle session");
        self.line("A session has two sockets in the proxy.");
        self.chart("idle", "Memory of an idle session", "bytes a session", Metric::IdleBytes, |work| {
            matches!(work, Work::Idle { .. })
        });
        self.plain(
            |work| matches!(work, Work::Idle { .. }),
            &[("bytes a session", Metric::IdleBytes, 1.0), ("sessions", Metric::Sessions, 1.0)],
        );
        self.swaps();
        self.section("Start");
        self.line("From the start of the process, what it needs compiled before.");
        self.plain(
            |work| matches!(work, Work::Start),
            &[("ms to the first connection", Metric::Ready, 1.0), ("ms to the first echo", Metric::FirstEcho, 1.0)],
        );
        self.callgrind();
        self.section("How it is measured");
        self.line(text::METHOD);
        self.section("The peers");
        self.line(text::PEERS);
    }

    fn machine(&mut self) {
        let Results { machine, repetitions, seconds, .. } = self.results.clone();
        let memory = number(machine.memory as f64 / f64::from(1 << 30));
        self.line(&format!(
            "\n{} × {}, {memory} GiB, Linux {}, TCP with {}; medians of {repetitions} × {} s.",
            machine.cpus,
            machine.cpu,
            machine.kernel,
            machine.congestion.to_uppercase(),
            number(seconds)
        ));
        let shown = [
            Peer::Cordboard,
            Peer::Nginx { large: false },
            Peer::Haproxy { splicing: false },
            Peer::Envoy { filter: false },
        ];
        let versions =
            shown.iter().filter_map(|peer| Some(format!("{} {}", peer.title(), self.results.versions.get(peer.id())?)));
        let versions = versions.collect::<Vec<_>>().join(", ");
        self.line(&format!("{versions}."));
        if let Some(why) = machine.no_counters {
            self.line(&format!("Instructions are missing: {why}. CPU time stands in their place."));
        }
        if !self.results.problems.is_empty() {
            self.line("\nNot all went well:\n");
            for problem in &self.results.problems {
                let first = problem.lines().next().unwrap_or_default();
                let _ = writeln!(self.text, "- {first}");
            }
        }
    }

    /// Ratios, for those who read no further.
    fn in_short(&mut self) {
        self.section("In short");
        self.line(
            "Ours to the best of nginx, HAProxy and Envoy in the same run; below 1 is better. The least is that of the \
             quietest repetition of each, which is what others on the machine disturb the least.\n",
        );
        self.line("| | medians | | the least | |\n|---|---|---|---|---|");
        let rows = [
            ("routed-64B", "CPU time, 64 B messages", Metric::Cpu),
            ("routed-1KiB", "CPU time, 1 KiB messages", Metric::Cpu),
            ("routed-64KiB", "CPU time, 64 KiB messages", Metric::Cpu),
            ("routed-1MiB", "CPU time, 1 MiB messages", Metric::Cpu),
            ("routed-64B", "p99, 64 B, closed loop", Metric::P99),
            ("open-64B", "p99, 64 B, open loop", Metric::P99),
            ("open-64B", "p99 of a usual tenth of a second, 64 B, open loop", Metric::P99Tenth),
            ("handshakes", "CPU time, handshake", Metric::Cpu),
            ("idle", "memory, idle session", Metric::IdleBytes),
            ("start", "time to the first connection", Metric::Ready),
        ];
        for (row, title, metric) in rows {
            let ratio = |of: fn(Summary) -> f64| {
                let ours = self.results.summary(row, Peer::Cordboard, metric).map(of)?;
                let (best, least) = self.results.best_rival(row, metric, of)?;
                Some(format!("{} | to {}", number(ours / least), best.title()))
            };
            if let Some((median, least)) = ratio(|of| of.median).zip(ratio(|of| of.least)) {
                self.line(&format!("| {title} | {median} | {least} |"));
            }
        }
    }

    fn bars(&mut self) {
        self.section("The bars");
        self.line("| measure | must reach | reached | | |\n|---|---|---|---|---|");
        for bar in bars::all(self.results) {
            self.line(&bar.to_string());
        }
    }

    /// A table for each row: costs, the given columns, latencies.
    fn rows(&mut self, is: impl Fn(&Work) -> bool, middle: &[Column]) {
        let counted = if self.results.machine.no_counters.is_none() { &COUNTED[..] } else { &[] };
        let columns = [counted, &CPU, middle, &LATENCY].concat();
        for row in ROWS.iter().filter(|row| is(&row.work)) {
            self.table(row.id, Some(row.title), &columns);
        }
    }

    fn plain(&mut self, is: impl Fn(&Work) -> bool, columns: &[Column]) {
        let rows: Vec<_> = ROWS.iter().filter(|row| is(&row.work)).collect();
        for row in &rows {
            self.table(row.id, (rows.len() > 1).then_some(row.title), columns);
        }
    }

    fn table(&mut self, row: &str, title: Option<&str>, columns: &[Column]) {
        if !self.results.values.contains_key(row) {
            return;
        }
        let has = |metric| Peer::ALL.iter().any(|peer| self.results.summary(row, *peer, metric).is_some());
        let columns: Vec<_> = columns.iter().filter(|(_, metric, _)| has(*metric)).collect();
        let heads: Vec<_> = columns.iter().map(|(head, _, _)| *head).collect();
        self.line(&format!("\n| {} | {} |", title.unwrap_or_default(), heads.join(" | ")));
        self.line(&format!("|---|{}", "---|".repeat(columns.len())));
        for peer in Peer::ALL {
            let summary = |metric| self.results.summary(row, peer, metric);
            if columns.iter().all(|(_, metric, _)| summary(*metric).is_none()) {
                continue;
            }
            let cells: Vec<_> = columns.iter().map(|(_, metric, scale)| range(summary(*metric), *scale)).collect();
            let name = if peer == Peer::Cordboard { "**Cordboard**" } else { peer.title() };
            self.line(&format!("| {name} | {} |", cells.join(" | ")));
        }
    }

    fn chart(&mut self, name: &'static str, title: &str, unit: &str, metric: Metric, is: impl Fn(&Work) -> bool) {
        let panel = |row: &crate::row::Row| {
            let bar = |peer: Peer| {
                let value = self.results.summary(row.id, peer, metric)?;
                let user = self.results.median(row.id, peer, Metric::UserCpu).filter(|_| metric == Metric::Cpu);
                Some(plot::Bar { peer, value, part: user.map_or(1.0, |user| user / value.median) })
            };
            Panel { title: format!("{}: {unit}", row.title), bars: Peer::ALL.into_iter().filter_map(bar).collect() }
        };
        let panels: Vec<_> = ROWS.iter().filter(|row| is(&row.work)).map(panel).collect();
        if panels.iter().any(|panel| !panel.bars.is_empty()) {
            self.charts.push((name, chart(title, panels)));
            self.line(&format!("\n![{title}]({CHARTS}/{name}.svg)"));
        }
    }

    fn swaps(&mut self) {
        self.section("Swaps of policies under load");
        self.line("Ours only: handshakes and messages at a fixed rate, with and without two swaps a second.\n");
        self.line("| | swaps/s | p50 µs | p99 µs | p99.9 µs | slowest session |\n|---|---|---|---|---|---|");
        for row in ROWS.iter().filter(|row| matches!(row.work, Work::Swaps { .. })) {
            for (id, which) in [(without(row.id), "without"), (row.id.to_owned(), "with")] {
                for (id, what) in [(id.clone(), "handshakes"), (of_messages(&id), "messages")] {
                    let of = |metric| range(self.results.summary(&id, Peer::Cordboard, metric), 1.0);
                    let cells = [Metric::Swaps, Metric::P50, Metric::P99, Metric::P999, Metric::Slowest].map(of);
                    self.line(&format!("| {what}, {which}: {} | {} |", row.title, cells.join(" | ")));
                }
            }
        }
    }

    fn callgrind(&mut self) {
        let [small, middle, large, huge] = SIZES;
        let rows = [small, middle, large, huge, "handshakes"].map(|what| format!("callgrind-{what}"));
        if !rows.iter().any(|row| self.results.values.contains_key(row)) {
            return;
        }
        self.section("Instructions in user space, by callgrind");
        self.line("Of one echoed message, on four connections, and of a handshake, four at once; the kernel's are not counted.\n");
        self.line(
            "| | 64 B × 1 | 1 KiB × 16 | 64 KiB × 4 | 1 MiB × 2 | upgrade, echo, close |\n|---|---|---|---|---|---|",
        );
        for peer in Peer::ALL {
            let counts = rows.each_ref().map(|row| self.results.summary(row, peer, Metric::Callgrind));
            if counts.iter().any(Option::is_some) {
                let cells = counts.map(|count| range(count, 1.0));
                self.line(&format!("| {} | {} |", peer.title(), cells.join(" | ")));
            }
        }
    }
}

#[cfg(test)]
mod tests;
