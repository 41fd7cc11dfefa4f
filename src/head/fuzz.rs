//! Bodies of the fuzz targets `target` and `headers` (see `tests/fuzz/README.md`). Each takes any bytes and panics where a
//! rule of this module does not hold, or where a plain restatement of it comes to something else.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod headers;
mod target;

pub use self::{headers::headers, target::target};

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
}
