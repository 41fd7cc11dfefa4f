//! Pure rules over the heads of HTTP requests and answers: what a target means, what an upgrade must say, which fields
//! pass. No I/O, no configuration; everything here is a function of what was received.

pub mod headers;
pub mod target;
pub mod upgrade;
