//! Bodies of the fuzz targets `target`, `headers`, `forwarded`, `matching_rewriting` and `raw` (see `tests/fuzz/README.md`). Each
//! takes any bytes and panics where a rule of this module does not hold, or where a plain restatement of it comes to
//! something else.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]
// Texts of a few bytes, and numbers that are small.
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    clippy::needless_pass_by_value,
    clippy::large_stack_arrays
)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod forwarded;
mod headers;
mod matching;
mod raw;
mod rewriting;
mod rules;
mod target;

pub use self::{forwarded::forwarded, headers::headers, raw::raw, target::target};
use crate::fuzzing::Input;

/// Routes that match or do not, and rules that rewrite.
pub fn matching_rewriting(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte().is_multiple_of(2) { matching::matching(&mut input) } else { rewriting::rewriting(&mut input) }
}

#[cfg(test)]
mod tests {
    use crate::fuzzing::replay;

    #[test]
    fn targets_that_were_fuzzed_are_still_read_in_one_way_only() {
        replay("target", super::target);
    }

    #[test]
    fn fields_that_were_fuzzed_still_end_or_pass_as_the_rules_say() {
        replay("headers", super::headers);
    }

    #[test]
    fn chains_of_proxies_that_were_fuzzed_still_lead_to_the_client() {
        replay("forwarded", super::forwarded);
    }

    #[test]
    fn raw_requests_that_were_fuzzed_still_end_where_their_reader_sees_them_end() {
        replay("raw", super::raw);
    }

    #[test]
    fn routes_and_rules_that_were_fuzzed_still_match_and_rewrite_as_restated() {
        replay("matching_rewriting", super::matching_rewriting);
    }
}
