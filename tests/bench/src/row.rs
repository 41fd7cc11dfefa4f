//! The rows of the comparison: what is done to each peer.

use crate::load::{pace::Pace, shake::Shake, talk::Talk};

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// How it is named on the command line and in results.
    pub id: &'static str,
    /// How it is named in tables: `connections × size × in flight` for messages.
    pub title: &'static str,
    /// What is done.
    pub work: Work,
}

/// What is done in a row.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Messages to a service that the proxy dials.
    Routed(Talk),
    /// Messages between two that dial in; ours only.
    Paired(Talk),
    /// Handshakes with a service that the proxy dials.
    Handshakes(Shake),
    /// Sessions that say nothing.
    Idle {
        /// Of two that dial in; ours only.
        paired: bool,
    },
    /// Handshakes and messages while policies are swapped; ours only.
    Swaps {
        /// Each swap brings a component that was never seen, which must be compiled.
        new: bool,
    },
    /// From start to the first connection.
    Start,
    /// Instructions by callgrind.
    Callgrind(Counted),
}

/// What callgrind counts the instructions of.
#[derive(Clone, Copy, Debug)]
pub enum Counted {
    /// Messages to a service that the proxy dials.
    Messages(Talk),
    /// Handshakes with it.
    Handshakes(Shake),
}

const fn talk(connections: usize, size: usize, in_flight: usize) -> Talk {
    Talk { connections, size, in_flight, pace: Pace::Closed }
}

const SMALL: Talk = talk(64, 64, 1);
const MIDDLE: Talk = talk(64, 1 << 10, 16);
const LARGE: Talk = talk(16, 64 << 10, 4);
const HUGE: Talk = talk(4, 1 << 20, 2);
/// What every peer can do with ease.
const OPEN: Talk = Talk { pace: Pace::Open(5000.0), ..SMALL };

/// Connections of the rows that valgrind counts; the same in all, so that their handshakes are too.
pub const CALLGRIND_CONNECTIONS: usize = 4;

const fn counted(size: usize, in_flight: usize) -> Work {
    Work::Callgrind(Counted::Messages(talk(CALLGRIND_CONNECTIONS, size, in_flight)))
}

/// The sizes of the routed rows, which the paired ones share.
pub const SIZES: [&str; 4] = ["64B", "1KiB", "64KiB", "1MiB"];

/// All rows, in the order in which they run.
pub const ROWS: [Row; 21] = [
    Row { id: "routed-64B", title: "64 × 64 B × 1", work: Work::Routed(SMALL) },
    Row { id: "routed-1KiB", title: "64 × 1 KiB × 16", work: Work::Routed(MIDDLE) },
    Row { id: "routed-64KiB", title: "16 × 64 KiB × 4", work: Work::Routed(LARGE) },
    Row { id: "routed-1MiB", title: "4 × 1 MiB × 2", work: Work::Routed(HUGE) },
    Row { id: "open-64B", title: "64 × 64 B, 5,000 a second", work: Work::Routed(OPEN) },
    Row {
        id: "handshakes",
        title: "upgrade, echo, close",
        work: Work::Handshakes(Shake { at_once: 16, pace: Pace::Closed }),
    },
    Row { id: "paired-64B", title: "64 × 64 B × 1", work: Work::Paired(SMALL) },
    Row { id: "paired-1KiB", title: "64 × 1 KiB × 16", work: Work::Paired(MIDDLE) },
    Row { id: "paired-64KiB", title: "16 × 64 KiB × 4", work: Work::Paired(LARGE) },
    Row { id: "paired-1MiB", title: "4 × 1 MiB × 2", work: Work::Paired(HUGE) },
    Row { id: "paired-open-64B", title: "64 × 64 B, 5,000 a second", work: Work::Paired(OPEN) },
    Row { id: "swaps-known", title: "two components in turn", work: Work::Swaps { new: false } },
    Row { id: "swaps-new", title: "a new component each time", work: Work::Swaps { new: true } },
    Row { id: "start", title: "start", work: Work::Start },
    Row { id: "idle", title: "routed", work: Work::Idle { paired: false } },
    Row { id: "idle-paired", title: "paired", work: Work::Idle { paired: true } },
    Row { id: "callgrind-64B", title: "4 × 64 B × 1", work: counted(64, 1) },
    Row { id: "callgrind-1KiB", title: "4 × 1 KiB × 16", work: counted(1 << 10, 16) },
    Row { id: "callgrind-64KiB", title: "4 × 64 KiB × 4", work: counted(64 << 10, 4) },
    Row { id: "callgrind-1MiB", title: "4 × 1 MiB × 2", work: counted(1 << 20, 2) },
    Row {
        id: "callgrind-handshakes",
        title: "upgrade, echo, close",
        work: Work::Callgrind(Counted::Handshakes(Shake { at_once: CALLGRIND_CONNECTIONS, pace: Pace::Closed })),
    },
];

/// Those whose id is in the list, or begins with one of it; none where a name is unknown, with that name.
pub fn chosen(names: &[String]) -> Result<Vec<Row>, String> {
    let is =
        |row: &Row, name: &str| row.id == name || row.id.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| is(row, name))) {
        return Err(format!("there is no row `{unknown}`; there are {}", ROWS.map(|row| row.id).join(", ")));
    }
    Ok(ROWS.into_iter().filter(|row| names.is_empty() || names.iter().any(|name| is(row, name))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name_or_by_group() {
        let ids = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names).map(|rows| rows.iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&[]).unwrap().len(), ROWS.len());
        assert_eq!(ids(&["routed"]).unwrap(), ["routed-64B", "routed-1KiB", "routed-64KiB", "routed-1MiB"]);
        assert_eq!(ids(&["idle", "routed-64B"]).unwrap(), ["routed-64B", "idle", "idle-paired"]);
        assert!(ids(&["routed-64"]).unwrap_err().contains("routed-64B"));
    }
}
