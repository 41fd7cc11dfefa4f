//! How the text is read as YAML: strictly, and within bounds that a hostile file cannot stretch.
//!
//! Duplicate keys and tags that mean nothing are errors; only `true` and `false` are booleans, and a number is what YAML
//! 1.2 says it is, so that a plugin's configuration means the same as in JSON. Merge keys and aliases work; what they
//! may add up to is bounded, and so are depth and size of the document.

use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options};

use super::{
    brackets::unclosed,
    diagnose::Problem,
    tree::{Node, Position},
};

/// Largest file, in bytes.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// Most values in one file; 20 000 routes with a few keys each fit.
const MAX_NODES: usize = 500_000;
/// Most events that aliases may repeat: some 2 000 routes that share one set of limits.
const MAX_REPEATED: usize = 50_000;
/// Deepest nesting; the sections need 6, the rest is for the configuration of plugins.
const MAX_DEPTH: usize = 32;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_BYTES,
            max_total_scalar_bytes: MAX_BYTES,
            // One anchor that many routes use is good style, and the repetition itself is bounded below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED,
            max_replay_stack_depth: MAX_DEPTH,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Reads a document.
///
/// # Errors
/// What stops the reader hides what comes after it.
pub(crate) fn read(text: &str) -> Result<Node, Box<Problem>> {
    parse(text).map_err(|error| Box::new(hinted(Problem::from_yaml(&error), text)))
}

/// Reads a document whose values are not to be repeated.
///
/// # Errors
/// As [`read`], and no message holds a value.
pub(super) fn read_quietly(text: &str) -> Result<Node, Box<Problem>> {
    parse(text).map_err(|error| Box::new(hinted(Problem::from_yaml_quietly(&error), text)))
}

/// What stops the reader is often a bracket of some line above. Where it points at the bracket itself it has said so.
fn hinted(problem: Problem, text: &str) -> Problem {
    let here = Position { line: problem.line, column: problem.column };
    match unclosed(text, here) {
        Some((bracket, at)) if at != here => {
            problem.with_hint(format!("the `{bracket}` at {}:{} is not closed", at.line, at.column))
        }
        _ => problem,
    }
}

fn parse(text: &str) -> Result<Node, serde_saphyr::Error> {
    let mut node: Node = serde_saphyr::from_str_with_options(text, options())?;
    node.spell(text);
    Ok(node)
}
