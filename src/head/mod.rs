//! Pure rules over the heads of HTTP requests and answers: what a target means, what an upgrade must say, which fields
//! pass, what a route matches and how it rewrites. No I/O; everything here is a function of what was received and of
//! rules that were compiled before.

pub mod forwarded;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod headers;
pub mod matching;
pub mod parse;
pub mod pattern;
pub mod plain;
pub mod raw;
pub mod rewrite;
pub mod target;
pub mod upgrade;
