//! `cordboard check FILE`: would it start? Reads the configuration, loads every policy with `init`, listens nowhere.
//! Policies are loaded once nothing is wrong with the configuration.
//!
//! Problems and warnings go to standard error, each with its place, and a summary to standard output; with `--json` all
//! of it is one object on standard output, whose shape [`report`] gives and the README describes.

use serde_json::{Value, json};

use super::{
    load::{self, Failed},
    print,
};
use crate::{candidate::Paths, config::Problem, generation::Generation};

pub(super) fn check(paths: &Paths, json: bool) -> u8 {
    let result = load::with(paths, async |generation| generation);
    let printed = if json { print(&format!("{:#}\n", report(paths, &result))) } else { say(paths, &result) };
    result.err().map_or(printed, |failed| failed.code())
}

fn say(paths: &Paths, result: &Result<Generation, Failed>) -> u8 {
    match result {
        Ok(generation) => {
            for warning in &generation.warnings {
                eprintln!("{warning}");
            }
            let warnings = match generation.warnings.len() {
                0 => String::new(),
                count => format!(", {}", counted(count, "warning")),
            };
            print(&format!(
                "{}: ok: {}, {}, {}, {}{warnings}; sha256 {}\n",
                paths.config.display(),
                counted(generation.config.listeners.len(), "listener"),
                counted(generation.routes.len(), "route"),
                counted(generation.plugins.len(), "plugin"),
                counted(generation.services.len(), "service"),
                generation.hash()
            ))
        }
        Err(failed) => {
            failed.say();
            if matches!(failed, Failed::Unread(problems) if problems.iter().any(|problem| problem.line > 0)) {
                eprintln!("No policy was loaded: that is for when the configuration is right.");
            }
            failed.code()
        }
    }
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// `{ok, file, hash, error, loaded, problems, warnings, counts}`: `error` is why policies could not be tried, null
/// otherwise; `loaded` says whether they were, so that there are problems of theirs if there are any; `hash` is what
/// `/generation` would show, and null where `counts` of listeners, routes, plugins and services is, unless all is well;
/// problems and warnings are objects with `file`, `line`, `column` (null where they are about the file as a whole),
/// `key` (empty there), `message`, `hint` (or null) and `severity` (`error` or `warning`).
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
        Err(Failed::Unread(refused) | Failed::Refused(refused)) => problems = listed(refused),
        Err(Failed::Host(why)) => error = Value::from(why.as_str()),
    }
    json!({
        "ok": result.is_ok(),
        "file": paths.config.display().to_string(),
        "hash": result.as_ref().ok().map(Generation::hash),
        "error": error,
        "loaded": matches!(result, Ok(_) | Err(Failed::Refused(_))),
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
