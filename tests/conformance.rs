//! The cases of the Autobahn suite, which `kosoku` runs against an echo: directly, and through us in both modes and both
//! roles. Worse than what `conformance/expected.txt` says is a failure.
//!
//! Every run has a part of the cases. `CORDBOARD_CONFORMANCE=full` (`make conformance`) has all of them, and ids or globs
//! in its place have those; see `conformance/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

#[path = "conformance/expected.rs"]
mod expected;
#[path = "conformance/link.rs"]
mod link;
#[path = "conformance/runner.rs"]
mod runner;
mod support;
#[path = "conformance/verdict.rs"]
mod verdict;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use expected::{AS_DIRECT, Expected, Line, NO_REASON, Section};
use link::Link;
use runner::{Batch, Outcome, Outcomes, run};
use verdict::{CaseId, Verdict};

/// Some of each group, none of which needs long.
const SHORT: Batch<'_> = Batch {
    cases: "[1-5].*,6.[1-3].*,6.[5-9].1,6.1?.1,6.2?.1,7.*,9.1.1,9.2.1,9.3.4,9.5.2,10.*,12.1.1",
    parallel: 16,
    limit: Duration::from_mins(2),
};

/// Kept apart: those that mostly wait, with clocks of a second, and those that need the processor. The longest give
/// themselves eight minutes.
const FULL: [Batch<'_>; 3] = [
    Batch { cases: "[1-7].*,10.*", parallel: 16, limit: Duration::from_mins(2) },
    Batch { cases: "9.*", parallel: 2, limit: Duration::from_mins(10) },
    Batch { cases: "12.*,13.*", parallel: 4, limit: Duration::from_mins(10) },
];

/// So many cases at most are run again; more are not worse for the machine's sake.
const UNSTEADY: usize = 20;

/// One link at a time, where there is much to do: the cases have clocks.
static ALONE: Mutex<()> = Mutex::new(());

/// What is asked for.
enum Selection {
    Short,
    Full,
    /// Ids and globs, each for one link or for all.
    Chosen(String),
}

impl Selection {
    fn asked() -> Self {
        match std::env::var("CORDBOARD_CONFORMANCE") {
            Ok(asked) if asked == "full" => Self::Full,
            Ok(asked) if !asked.is_empty() => Self::Chosen(asked),
            _ => Self::Short,
        }
    }

    fn run(&self, link: Link) -> Outcomes {
        match self {
            Self::Short => run(link, SHORT),
            Self::Full => FULL.into_iter().flat_map(|batch| run(link, batch)).collect(),
            Self::Chosen(asked) => {
                let of_link = |case| {
                    let Some((name, case)) = str::split_once(case, '/') else { return Some(case) };
                    assert!(Link::named(name).is_some(), "{name} is none of {}", Link::ALL.map(Link::name).join(", "));
                    (name == link.name()).then_some(case)
                };
                let cases = asked.split(',').filter_map(of_link).collect::<Vec<_>>().join(",");
                if cases.is_empty() { Outcomes::new() } else { run(link, Batch { cases: &cases, ..FULL[2] }) }
            }
        }
    }
}

/// Cases by themselves, one at a time.
fn run_alone(link: Link, cases: &[CaseId]) -> Outcomes {
    run(link, Batch { cases: &list(cases, ","), parallel: 1, limit: FULL[2].limit })
}

fn worse(section: &Section, outcomes: &Outcomes) -> Vec<CaseId> {
    let worse = outcomes.iter().filter(|(case, outcome)| outcome.verdict.is_worse_than(section.of(case)));
    worse.map(|(case, _)| case.clone()).collect()
}

/// Runs what is to be run on a link, and fails with what is worse than expected.
fn no_worse_than_expected(link: Link) {
    let selection = Selection::asked();
    let _alone = (!matches!(selection, Selection::Short)).then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    let (expected, begun) = (Expected::read(), Instant::now());
    let section = expected.of(link);
    let mut outcomes = selection.run(link);
    if matches!(selection, Selection::Full) {
        assert_eq!(outcomes.len(), section.cases, "[{link}] in expected.txt counts other cases than there are");
    }
    let suspects = worse(section, &outcomes);
    if !suspects.is_empty() && suspects.len() <= UNSTEADY {
        // Most cases give their peer a second or half of one. A machine too busy for that says nothing about us, so
        // what was worse is run by itself, twice, and must be as expected both times.
        let mut alone = [run_alone(link, &suspects), run_alone(link, &suspects)];
        for case in &suspects {
            let at = alone.iter().position(|again| worse(section, again).contains(case));
            outcomes.extend(alone[at.unwrap_or(0)].remove_entry(case));
        }
        println!("{link}: worse at first, and run again by themselves: {}", list(&suspects, " "));
    }
    if outcomes.is_empty() {
        return;
    }
    println!("{link}: {} in {:.1} s", figures(&outcomes), begun.elapsed().as_secs_f64());
    let better = outcomes.iter().filter(|(case, outcome)| section.of(case).is_worse_than(outcome.verdict));
    let better = better.map(|(case, _)| case.clone()).collect::<Vec<_>>();
    if !better.is_empty() {
        println!("{link}: better than expected, so expected.txt may be out of date: {}", list(&better, " "));
    }
    let worse = worse(section, &outcomes);
    let lines = worse.iter().map(|case| complaint(link, case, section.of(case), &outcomes[case]));
    assert!(
        worse.is_empty(),
        "{} of {} cases are worse on {link} ({}) than tests/conformance/expected.txt says:\n{}",
        worse.len(),
        outcomes.len(),
        link.means(),
        lines.collect::<Vec<_>>().join("\n")
    );
}

fn complaint(link: Link, case: &CaseId, expected: Verdict, got: &Outcome) -> String {
    let words = |verdict: Verdict| format!("{}, closed {}", verdict.behavior(), verdict.closing());
    format!(
        "{case}: expected {}; got {}: {}\n    only this one: make conformance CASES={link}/{case}",
        words(expected),
        words(got.verdict),
        got.said
    )
}

fn list(cases: &[CaseId], between: &str) -> String {
    cases.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn figures(outcomes: &Outcomes) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for outcome in outcomes.values() {
        *counts.entry(outcome.verdict).or_default() += 1;
    }
    let counts = counts.iter().map(|(verdict, count)| match verdict.closing() {
        "OK" => format!("{count} {}", verdict.behavior()),
        closing => format!("{count} {} closed {closing}", verdict.behavior()),
    });
    format!("{} cases, {}", outcomes.len(), counts.collect::<Vec<_>>().join(", "))
}

#[test]
fn an_echo_that_the_fuzzer_dials_without_us_is_as_good_as_expected() {
    no_worse_than_expected(Link::Direct);
}

#[test]
fn an_echo_that_dials_the_fuzzer_without_us_is_as_good_as_expected() {
    no_worse_than_expected(Link::DirectDialled);
}

#[test]
fn whoever_dials_the_router_finds_it_no_worse_than_expected() {
    no_worse_than_expected(Link::Router);
}

#[test]
fn whomever_the_router_dials_finds_it_no_worse_than_expected() {
    no_worse_than_expected(Link::RouterDialled);
}

#[test]
fn a_client_finds_the_rendezvous_no_worse_than_expected() {
    no_worse_than_expected(Link::RendezvousClient);
}

#[test]
fn a_backend_finds_the_rendezvous_no_worse_than_expected() {
    no_worse_than_expected(Link::RendezvousBackend);
}

#[test]
fn whatever_is_expected_not_to_be_ok_has_a_reason() {
    let expected = Expected::read();
    for (link, section) in &expected.0 {
        for Line { pattern, verdict, reason } in &section.lines {
            assert!(!reason.is_empty() && reason != NO_REASON, "[{link}] {pattern} has no reason in expected.txt");
            let without_us = expected.of(link.measure());
            let is_said = || without_us.lines.iter().any(|line| line.verdict == *verdict && line.covers(pattern));
            assert!(
                reason != AS_DIRECT || link.through_us() && is_said(),
                "[{link}] {pattern} says `{AS_DIRECT}`, and [{}] does not say the same",
                link.measure()
            );
        }
    }
}

#[test]
#[ignore = "writes tests/conformance/expected.txt: make conformance UPDATE=1"]
fn write_what_to_expect() {
    let old = Expected::read();
    let mut new = Expected::default();
    let mut verdicts: BTreeMap<Link, BTreeMap<CaseId, Verdict>> = BTreeMap::new();
    for link in Link::ALL {
        let mut outcomes = Selection::Full.run(link);
        // By itself a case shows what it is; above it may have been late.
        let suspects = worse(&Section::default(), &outcomes);
        if !suspects.is_empty() {
            outcomes.append(&mut run_alone(link, &suspects));
        }
        println!("{link}: {}", figures(&outcomes));
        let results: BTreeMap<_, _> = outcomes.into_iter().map(|(case, outcome)| (case, outcome.verdict)).collect();
        let measure = link.through_us().then(|| &verdicts[&link.measure()]);
        let lines = expected::lines(&results, measure, old.0.get(&link).unwrap_or(&Section::default()));
        new.0.insert(link, Section { cases: results.len(), lines });
        verdicts.insert(link, results);
    }
    new.write();
}
