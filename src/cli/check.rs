//! `cordboard check FILE`: would it start? Reads the configuration, loads every policy with `init`, listens nowhere.
//!
//! Problems and warnings go to standard error, each with its place, and a summary to standard output; with `--json` all
//! of it is one object on standard output, whose shape [`report`] gives and the README describes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::exit;
use crate::{
    candidate::{Candidate, Paths},
    config::Problem,
    generation::{Generation, Population},
    policy::PolicyHost,
};

/// Why there is no generation.
enum Failed {
    /// The configuration or a policy is refused.
    Refused(Vec<Problem>),
    /// It could not be tried.
    Host(String),
}

impl Failed {
    const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => exit::CONFIG,
            Self::Host(_) => exit::FAILURE,
        }
    }
}

pub(super) fn check(paths: &Paths, json: bool) -> u8 {
    let result = load(paths);
    if json {
        println!("{:#}", report(paths, &result));
    } else {
        say(paths, &result);
    }
    result.err().map_or(exit::OK, |failed| failed.code())
}

fn load(paths: &Paths) -> Result<Generation, Failed> {
    let candidate = Candidate::read(paths).map_err(Failed::Refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failed::Host(format!("the runtime could not be started: {error}")))?;
    runtime.block_on(async {
        let host = PolicyHost::start(super::code_cache_dir().as_deref()).map_err(Failed::Host)?;
        Generation::build(Arc::new(candidate), &host, None, &Population::default()).await.map_err(Failed::Refused)
    })
}

fn say(paths: &Paths, result: &Result<Generation, Failed>) {
    match result {
        Ok(generation) => {
            for warning in &generation.warnings {
                eprintln!("{warning}");
            }
            let warnings = match generation.warnings.len() {
                0 => String::new(),
                count => format!(", {count} warnings"),
            };
            println!(
                "{}: ok: {} listeners, {} routes, {} plugins, {} services{warnings}; sha256 {}",
                paths.config.display(),
                generation.config.listeners.len(),
                generation.routes.len(),
                generation.plugins.len(),
                generation.services.len(),
                generation.hash
            );
        }
        Err(Failed::Refused(problems)) => eprintln!("{}", Problem::shown(problems)),
        Err(Failed::Host(error)) => eprintln!("{error}"),
    }
}

/// `{ok, file, hash, error, problems, warnings, counts}`: `error` is what kept the check from being made, null otherwise;
/// `hash` is what `/generation` would show, and null where
/// `counts` of listeners, routes, plugins and services is, unless all is well; problems and warnings are objects with
/// `file`, `line`, `column` (null where they are about the file as a whole), `key` (empty there), `message`, `hint` (or
/// null) and `severity` (`error` or `warning`).
fn report(paths: &Paths, result: &Result<Generation, Failed>) -> Value {
    let listed = |problems: &[Problem]| problems.iter().map(object).collect::<Vec<_>>();
    let (mut problems, mut warnings, mut error, mut counts) = (Vec::new(), Vec::new(), Value::Null, Value::Null);
    match result {
        Ok(generation) => {
            warnings = listed(&generation.warnings);
            counts = json!({
                "listeners": generation.config.listeners.len(),
                "routes": generation.routes.len(),
                "plugins": generation.plugins.len(),
                "services": generation.services.len(),
            });
        }
        Err(Failed::Refused(refused)) => problems = listed(refused),
        Err(Failed::Host(why)) => error = Value::from(why.as_str()),
    }
    json!({
        "ok": result.is_ok(),
        "file": paths.config.display().to_string(),
        "hash": result.as_ref().ok().map(|generation| generation.hash.as_str()),
        "error": error,
        "problems": problems,
        "warnings": warnings,
        "counts": counts,
    })
}

fn object(problem: &Problem) -> Value {
    let Problem { file, line, column, key, message, hint, severity, .. } = problem;
    let place = |number: usize| (number > 0).then_some(number);
    json!({
        "file": file,
        "line": place(*line),
        "column": place(*column),
        "key": key,
        "message": message,
        "hint": hint,
        "severity": severity.name(),
    })
}
