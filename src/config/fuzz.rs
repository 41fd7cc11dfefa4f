//! Bodies of the fuzz targets `config`, `diff` and `placeholders` (see `tests/fuzz/README.md`). Each takes any bytes and
//! panics where a rule of this module does not hold, or where a plain restatement of it comes to something else.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod config;
mod diff;
mod placeholders;

pub use self::{config::config, diff::diff, placeholders::placeholders};
use super::{Problem, check::UNEXPLAINED};

/// What holds of all problems, whatever the file.
fn are_fit_to_be_shown(problems: &[Problem]) {
    assert!(!problems.is_empty() && problems.len() <= 100, "at least one, and not without end");
    for problem in problems {
        assert_ne!(problem.message, UNEXPLAINED, "every refusal has its reason");
        assert!(problem.line >= 1 && problem.column >= 1, "{problem}");
        // Only what we put between the lines may move the cursor of a terminal.
        assert!(!problem.to_string().contains(|c: char| c.is_control() && c != '\n'), "{problem:?}");
    }
}

#[cfg(test)]
mod tests {
    use crate::fuzzing::replay;

    #[test]
    fn files_that_were_fuzzed_are_still_accepted_or_refused_with_reasons() {
        replay("config", super::config);
    }

    #[test]
    fn differences_that_were_fuzzed_are_still_those_of_equality() {
        replay("diff", super::diff);
    }

    #[test]
    fn placeholders_that_were_fuzzed_still_stand_for_what_is_restated() {
        replay("placeholders", super::placeholders);
    }
}
