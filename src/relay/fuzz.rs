//! Bodies of the fuzz targets `frame`, `pump`, `session` and `screen` (see `tests/fuzz/README.md`). Each takes any bytes and panics
//! where the relay does not do what a reference says; the reference reads and writes headers with tungstenite's codec.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]
// Texts of a few bytes, and numbers that are small.
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    clippy::needless_pass_by_value,
    clippy::large_stack_arrays
)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod endpoint;
mod frame;
mod heard;
mod pump;
mod reference;
mod screen;
mod script;
mod session;

pub use self::{frame::frame, pump::pump, screen::screen, session::session};

#[cfg(test)]
mod tests {
    use crate::fuzzing::replay;

    #[test]
    fn headers_that_were_fuzzed_are_still_read_as_the_oracle_reads_them() {
        replay("frame", super::frame);
    }

    #[test]
    fn streams_that_were_fuzzed_still_come_out_as_the_reference_says() {
        replay("pump", super::pump);
    }

    #[test]
    fn sessions_that_were_fuzzed_still_come_to_a_good_end() {
        replay("session", super::session);
    }

    #[test]
    fn messages_that_were_fuzzed_still_become_what_is_said_of_them() {
        replay("screen", super::screen);
    }
}
