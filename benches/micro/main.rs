//! What the smallest parts of the proxy cost, each by itself: headers, unmasking, decisions of policies, the registry.
//!
//! - `micro times` prints a table, to be run in the release profile on an idle machine (`make micro`).
//! - `micro guard` counts instructions under callgrind, in the dev profile, and compares them with `counts.txt`; `--accept`
//!   writes that file (`make micro-guard`, `make micro-accept`). It runs `micro count NAME ROUNDS` for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clock;
mod guard;
mod table;
mod things;
mod times;

use std::{env, path::Path, process::ExitCode};

use clock::Clock;
use things::Thing;

const USAGE: &str = "usage: micro times [NAME]... | micro guard [--accept] | micro count NAME ROUNDS";

/// Where compiled policies are kept, so that they are compiled under callgrind once.
fn cache() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/micro"))
}

fn main() -> ExitCode {
    // Cargo says so of itself.
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("micro: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode, String> {
    match arguments {
        [] | ["times"] => times::print(&things::ALL.iter().collect::<Vec<_>>()),
        ["times", names @ ..] => times::print(&names.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?),
        ["guard"] => return guard::compare(),
        ["guard", "--accept"] => guard::accept()?,
        ["count", name, rounds] => {
            let rounds = rounds.parse().map_err(|_| format!("ROUNDS is a number, not {rounds}; {USAGE}"))?;
            (named(name)?.run)(&mut Clock::new(1, rounds));
        }
        _ => return Err(USAGE.to_owned()),
    }
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Result<&'static Thing, String> {
    things::ALL.iter().find(|thing| thing.name == name).ok_or_else(|| {
        let names: Vec<_> = things::ALL.iter().map(|thing| thing.name).collect();
        format!("there is no {name}; there are {}", names.join(", "))
    })
}
