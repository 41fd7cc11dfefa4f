//! `cordboard plugin test`: runs the cases of a project against its component, with the proxy's own host code.

mod compare;
mod report;
mod request;
pub(super) mod run;
mod shown;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tracing::Level;

use self::report::Result as Row;
use super::{
    heard::Heard,
    project::{Stop, Target, case_files, source},
    trial::{Trial, block_on},
};
use crate::{
    cli::{exit, print},
    config::author::{Case, Cases},
    policy::measure::Measure,
};

/// What is tested, with what.
#[derive(clap::Args)]
pub(in crate::cli) struct Test {
    /// The project's folder, or a component
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Test cases: a file, or a folder of them; may be repeated [default: those of the project]
    #[arg(long, value_name = "PATH")]
    cases: Vec<PathBuf>,
    /// Another component than the project's
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Only cases whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    #[allow(clippy::doc_markdown)] // it is shown as it stands
    /// Where to write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs them.
pub(in crate::cli) fn test(asked: &Test) -> u8 {
    match run_all(asked) {
        Ok(code) => code,
        Err(stop) => stop.say(),
    }
}

fn run_all(asked: &Test) -> Result<u8, Stop> {
    let mut target = Target::of(&asked.path)?;
    target.warn_if_old();
    if let Some(component) = &asked.component {
        target.component.clone_from(component);
        target.origin = component.display().to_string();
    }
    let files = files(&target, &asked.cases)?;
    let results = block_on(results(&target, &files, asked.only.as_deref(), |row| {
        print(&report::text(row));
    }))?;
    let took = results.iter().map(|row| row.took).sum();
    print(&report::summary(&results, took));
    if let Some(path) = &asked.junit {
        let xml = report::junit(&target.component.display().to_string(), &results, took);
        fs::write(path, xml)
            .map_err(|error| Stop::new(exit::CANNOT_CREATE, format!("cordboard: {}: {error}", path.display())))?;
    }
    if results.is_empty() {
        return Err(Stop::failed("cordboard: there is no such case"));
    }
    Ok(if results.iter().all(|result| result.failures.is_empty()) { exit::OK } else { exit::FAILURE })
}

/// The files that hold the cases.
pub(super) fn files(target: &Target, asked: &[PathBuf]) -> Result<Vec<PathBuf>, Stop> {
    if !asked.is_empty() {
        let files: Result<Vec<_>, _> = asked.iter().map(|path| case_files(path)).collect();
        return Ok(files?.concat());
    }
    match &target.project {
        Some(project) => project.cases(),
        None => Err(Stop::new(exit::USAGE, "cordboard: with a component alone, say `--cases FILE`")),
    }
}

/// Whether all cases of a project pass; what is wrong with those that do not is printed.
pub(super) fn passes(target: &Target) -> Result<(bool, String), Stop> {
    let files = files(target, &[])?;
    let results = block_on(results(target, &files, None, |row| {
        if !row.failures.is_empty() {
            print(&report::text(row));
        }
    }))?;
    let passed = results.iter().all(|result| result.failures.is_empty());
    Ok((passed, report::summary(&results, results.iter().map(|row| row.took).sum())))
}

async fn results(
    target: &Target,
    files: &[PathBuf],
    only: Option<&str>,
    told: impl Fn(&Row),
) -> Result<Vec<Row>, Stop> {
    // All mistakes in all files before anything is run.
    let cases: Result<Vec<_>, Stop> = files.iter().map(|file| read(file)).collect();
    let heard = Heard::listen(Level::DEBUG);
    let wasm = target.wasm()?;
    let mut trial = Trial::start(target, &wasm, Measure::Nothing)?;
    trial.compile().await?;
    let (cases, mut rows) = (cases?, Vec::new());
    let by_default = |case: &Case| case.config.is_none() && case.limits.is_none() && case.expect.refused.is_none();
    if cases.iter().flat_map(|file| &file.cases).any(by_default)
        && let Err(error) = trial.load(None, None).await
        && error.key == "config"
    {
        // Said once: each case would say the same.
        let whose = target.project.as_ref().map_or("the configuration {}", |_| "`config` of plugin.yaml");
        return Err(Stop::new(exit::CONFIG, format!("cordboard: {whose}: {}", error.reason)));
    }
    for (file, Cases { cases }) in files.iter().zip(cases) {
        for case in cases.iter().filter(|case| only.is_none_or(|only| case.name.contains(only))) {
            let ran = run::run(&mut trial, &heard, case).await?;
            let row = Row {
                file: file.display().to_string(),
                line: case.line,
                name: case.name.clone(),
                took: ran.took,
                failures: ran.failures,
                logged: ran.logged.iter().filter(|line| line.own).map(ToString::to_string).collect(),
            };
            told(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// A file of cases.
pub(super) fn read(file: &Path) -> Result<Cases, Stop> {
    Cases::read(&source(file)?).map_err(|problems| Stop::problems(&problems))
}
