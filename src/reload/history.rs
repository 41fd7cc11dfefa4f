//! The generations that were published: when, why, what each changed, and what it takes to go back to it.

use std::{collections::VecDeque, fmt, sync::Arc, time::SystemTime};

use crate::{candidate::Candidate, config::diff::Change, fetch::Look};

/// Why a generation was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The proxy started with it.
    Start,
    /// Its files changed.
    Files,
    /// A component that is looked at from time to time (`fetch.refresh`) is another.
    Refresh,
    /// SIGHUP.
    Signal,
    /// Asked for at the admin address.
    Asked,
    /// Back to what served under this number.
    Rollback(u64),
    /// The rollback before it was taken back.
    Resume,
}

impl Why {
    /// Whether components that are not pinned are looked at again for this. Whoever saves a file did not ask for it, and
    /// need not wait for a registry.
    pub(super) const fn look(self) -> Look {
        match self {
            Self::Files => Look::Known,
            _ => Look::Again,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Files => f.write_str("files"),
            Self::Refresh => f.write_str("refresh"),
            Self::Signal => f.write_str("signal"),
            Self::Asked => f.write_str("asked"),
            Self::Rollback(number) => write!(f, "rollback to {number}"),
            Self::Resume => f.write_str("resume"),
        }
    }
}

/// One generation that was published.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number.
    pub number: u64,
    /// When it was published.
    pub since: SystemTime,
    /// Why.
    pub why: Why,
    /// What it changed about the one before it.
    pub changes: Vec<Change>,
    /// What it was made from.
    pub candidate: Arc<Candidate>,
}

impl Record {
    /// The number under which what it is made of was first published.
    const fn origin(&self) -> u64 {
        match self.why {
            Why::Rollback(number) => number,
            _ => self.number,
        }
    }
}

/// Those that are remembered, oldest first; the last one serves.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Record>);

impl History {
    /// Adds one, and forgets the oldest beyond `most`.
    pub(super) fn push(&mut self, record: Record, most: usize) {
        self.0.push_back(record);
        while self.0.len() > most.max(1) {
            self.0.pop_front();
        }
    }

    pub(super) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.0.iter()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Record> {
        self.records().find(|record| record.number == number)
    }

    /// Where a rollback goes that names no number: to what served before what serves now. Behind a rollback it is what
    /// served before that, so that rollbacks in a row go further back, not to and fro.
    pub(super) fn before(&self) -> Option<&Record> {
        let current = self.0.back()?;
        let older = self.records().rev().filter(|record| record.number < current.origin());
        older.into_iter().find(|record| record.candidate.hash() != current.candidate.hash())
    }
}
