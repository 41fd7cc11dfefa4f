//! What reloads wait for: said once a wait in the log, and for as long as it lasts at `/generation`.
//!
//! Whoever waits holds up nobody: it is not its turn meanwhile.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::in_one_field;

/// How long a candidate is waited for whose parts do not fit together yet.
pub(super) const COMPLETE_WITHIN: Duration = Duration::from_secs(10);

/// What a reload can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Components that come after their pins.
    Pins,
    /// Files that were announced.
    Announced,
    /// Generations that are let go.
    Room,
}

impl For {
    const ALL: [Self; 3] = [Self::Pins, Self::Announced, Self::Room];

    const fn text(self) -> &'static str {
        match self {
            Self::Pins => "components that are not yet what `sha256` pins or their signatures say",
            Self::Announced => "files that do not have the hash yet that was announced",
            Self::Room => "one of as many generations as `reload.generations` allows to be let go",
        }
    }
}

/// How many wait for each.
#[derive(Debug, Default)]
pub(super) struct Waits([AtomicUsize; For::ALL.len()]);

impl Waits {
    /// Of somebody who may have to wait.
    pub(super) const fn begin(&self) -> Wait<'_> {
        Wait { waits: self, said: None }
    }

    /// Whether somebody waits for this.
    pub(super) fn there_is(&self, what: For) -> bool {
        self.0[what as usize].load(Ordering::SeqCst) > 0
    }

    /// What somebody waits for.
    pub(super) fn what(&self) -> Option<&'static str> {
        For::ALL.into_iter().find(|what| self.there_is(*what)).map(For::text)
    }
}

/// A wait, which ends when it is dropped.
pub(super) struct Wait<'a> {
    waits: &'a Waits,
    said: Option<(For, Vec<String>)>,
}

impl Wait<'_> {
    /// It waits for this, because of that.
    pub(super) fn says(&mut self, what: For, problems: &[String]) {
        if self.said.as_ref().is_some_and(|(said, why)| (*said, why.as_slice()) == (what, problems)) {
            return;
        }
        self.ends();
        self.waits.0[what as usize].fetch_add(1, Ordering::SeqCst);
        self.said = Some((what, problems.to_vec()));
        tracing::warn!(problems = in_one_field(problems), "a reload waits for {}", what.text());
    }

    /// It waits no more.
    pub(super) fn ends(&mut self) {
        if let Some((what, _)) = self.said.take() {
            self.waits.0[what as usize].fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.ends();
    }
}
