//! The table of times.

use crate::{clock::Clock, things::Thing};

/// Laps that are looked at together, so that one quiet window among many shows.
const WINDOW: usize = 1_000;
/// The first one warms up.
const WINDOWS: usize = 21;

pub(crate) fn print(things: &[&Thing]) {
    if cfg!(debug_assertions) {
        eprintln!("micro: built in the dev profile; times are those of a release with `make micro`");
    }
    println!("| what | a round | ns, median | p99 | quietest: median | p99 | GB/s |");
    println!("|---|---|---|---|---|---|---|");
    for thing in things {
        let mut clock = Clock::new((WINDOW * WINDOWS) as u64, thing.batch);
        (thing.run)(&mut clock);
        let rounds = clock.nanos.iter().skip(WINDOW).map(|nanos| nanos / thing.batch as f64).collect::<Vec<_>>();
        let all = Spread::of(&rounds);
        let windows = rounds.chunks(WINDOW).map(Spread::of);
        let quietest = windows.min_by(|a, b| a.p99.total_cmp(&b.p99)).expect("there are windows");
        let speed = if thing.bytes == 0 { "–".to_owned() } else { shown(thing.bytes as f64 / all.median) };
        let figures = [all.median, all.p99, quietest.median, quietest.p99].map(shown).join(" | ");
        println!("| `{}` | {} | {figures} | {speed} |", thing.name, thing.what);
    }
}

struct Spread {
    median: f64,
    p99: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { median: sorted[sorted.len() / 2], p99: sorted[sorted.len() * 99 / 100] }
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
