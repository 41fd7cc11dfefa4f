//! How the guard of the micro-benchmarks judges instruction counts: more than 5 % over what was accepted fails.

#[path = "../benches/micro/table.rs"]
mod table;

use std::collections::BTreeMap;

use table::{Finding, Table, compare};

fn counts(counts: &[(&str, f64)]) -> BTreeMap<String, f64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn found(was: f64, is: f64) -> Finding {
    compare(&counts(&[("it", was)]), &counts(&[("it", is)]))[0].finding
}

#[test]
fn more_than_five_in_a_hundred_over_the_table_fails_and_less_does_not() {
    assert_eq!((found(1000.0, 1050.0), found(1000.0, 1050.1)), (Finding::Same, Finding::More));
    assert_eq!((found(1000.0, 950.0), found(1000.0, 949.9)), (Finding::Same, Finding::Less));
    assert!(Finding::More.fails() && !Finding::Less.fails() && !Finding::Same.fails());
}

#[test]
fn what_is_in_one_of_both_alone_fails() {
    let lines = compare(&counts(&[("gone", 1.0), ("same", 2.0)]), &counts(&[("new", 3.0), ("same", 2.0)]));
    let found: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.finding)).collect();
    assert_eq!(found, [("gone", Finding::Gone), ("new", Finding::New), ("same", Finding::Same)]);
    assert!(Finding::Gone.fails() && Finding::New.fails());
}

#[test]
fn a_line_says_what_was_what_is_and_by_how_much() {
    let line = compare(&counts(&[("header-parse", 100.0)]), &counts(&[("header-parse", 107.5)])).remove(0).to_string();
    for part in ["header-parse ", " 100.0 ", " 107.5 ", " +7.5 %", "more than 5 % over it"] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

#[test]
fn the_table_is_read_as_it_was_written_and_a_bad_line_is_named() {
    let table = Table { made_with: "rustc 1; glibc 2".to_owned(), counts: counts(&[("one", 1.5), ("two", 20_000.0)]) };
    assert_eq!(Table::read(&table.write()), Ok(table));
    let error = Table::read("# a comment\n\none 1\ntwo\n").unwrap_err();
    assert!(error.starts_with("line 4: a name and a number are expected: two"), "{error}");
}

#[test]
fn the_table_that_is_kept_can_be_read() {
    let table = Table::read(include_str!("../benches/micro/counts.txt")).unwrap();
    assert!(table.made_with.contains("valgrind") && table.counts.len() >= 10, "{table:?}");
}
