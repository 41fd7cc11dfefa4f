//! What became of candidates and orders.

use std::{sync::Arc, time::SystemTime};

use super::history::Record;
use crate::config::diff::Change;

/// A candidate that was refused while the generation before it serves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it was refused first.
    pub since: SystemTime,
    /// What it would have been.
    pub hash: Option<String>,
    /// Why.
    pub problems: Vec<String>,
}

/// A candidate that could serve, were it not for the pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What it is.
    pub hash: String,
    /// What it would change.
    pub changes: Vec<Change>,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It serves, under this number.
    Applied(u64),
    /// It is what serves already.
    Unchanged,
    /// It could serve, but what serves is pinned.
    Pinned(Arc<Pending>),
    /// Nothing changed but the record of why.
    Refused(Arc<Refused>),
    /// There is none yet: these parts do not fit together, and somebody else waits for them.
    Waits(Vec<String>),
    /// What was announced did not come in time; this was there instead.
    Unfulfilled(Vec<String>),
}

impl Reloaded {
    /// For metrics, logs and answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Unchanged => "unchanged",
            Self::Pinned(_) => "pinned",
            Self::Refused(_) => "refused",
            Self::Waits(_) => "waits",
            Self::Unfulfilled(_) => "not fulfilled",
        }
    }
}

/// Why there is no rollback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRollback {
    /// It is not remembered.
    #[error("generation {0} is not remembered; there are {1}")]
    Unknown(u64, String),
    /// Nothing else served before.
    #[error("nothing else has served before generation {0} that is remembered")]
    Nothing(u64),
    /// It is what serves.
    #[error("generation {0} is what serves already")]
    Serves(u64),
}

/// Everything there is to know, at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Oldest first; the last one serves.
    pub records: Vec<Record>,
    /// The last refused candidate, if nothing was applied since.
    pub refused: Option<Arc<Refused>>,
    /// Whether what serves is pinned.
    pub pinned: bool,
    /// What would serve without the pin.
    pub pending: Option<Arc<Pending>>,
    /// What a reload waits for, if one does.
    pub waits: Option<&'static str>,
}
