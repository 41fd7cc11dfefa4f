//! Expressions and templates for rules, in the form that the configuration has and in one that a reference can use.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::{
    fuzzing::Input,
    head::pattern::{Pattern, Template},
};

const TEXTS: [&str; 12] = [
    "^/a/([^/]+)",
    "(?<x>[^/]+)/(?<y>.*)$",
    "b+",
    "^$",
    "",
    "(a)|(b)",
    "%[0-9A-F]{2}",
    "/",
    ".*",
    "(?i)A(b?)(?<end>$)?",
    "ü|[^a-z/]",
    "([^/]*)$",
];

/// Each expression, and the same compiled for the proxy.
pub(super) static EXPRESSIONS: LazyLock<Vec<(Regex, Pattern)>> =
    LazyLock::new(|| TEXTS.iter().map(|text| (Regex::new(text).unwrap(), Pattern::new(text).unwrap())).collect());

pub(super) fn expression(input: &mut Input<'_>) -> &'static (Regex, Pattern) {
    &EXPRESSIONS[usize::from(input.byte()) % TEXTS.len()]
}

/// A piece of a template.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Group(usize),
}

/// A template, in pieces.
#[derive(Clone, Debug)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    /// A template and the same compiled; its groups are those of `of`.
    pub(super) fn read(input: &mut Input<'_>, of: Option<&(Regex, Pattern)>) -> (Self, Template) {
        Self::of_chars(input, of, |_| true)
    }

    /// The same for a path, whose template the configuration lets hold only what a path may hold.
    pub(super) fn of_path(input: &mut Input<'_>, of: &(Regex, Pattern)) -> (Self, Template) {
        Self::of_chars(input, Some(of), |c| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c))
    }

    fn of_chars(input: &mut Input<'_>, of: Option<&(Regex, Pattern)>, allowed: fn(char) -> bool) -> (Self, Template) {
        let (mut parts, mut text) = (Vec::new(), String::new());
        for _ in 0..input.byte() % 4 {
            if let (choice @ 128.., Some((compiled, _))) = (input.byte(), of) {
                let group = usize::from(choice) % compiled.captures_len();
                parts.push(Part::Group(group));
                match compiled.capture_names().nth(group).flatten() {
                    Some(name) if choice % 2 == 0 => text += &format!("${name}"),
                    _ => text += &format!("${group}"),
                }
            } else {
                // What stands behind a name must not go on with it.
                let literal = format!("-{}", String::from_utf8_lossy(input.text()).replace(|c| !allowed(c), "."));
                text += &literal.replace('$', "$$");
                parts.push(Part::Text(literal));
            }
        }
        // A name ends where no letter or digit follows, so that two groups may stand side by side.
        let template = Template::new(&text, of.map(|(_, pattern)| pattern)).unwrap();
        assert_eq!(template.has_groups(), parts.iter().any(|part| matches!(part, Part::Group(_))));
        (Self(parts), template)
    }

    /// The text with the groups filled in, each as `change` makes it.
    pub(super) fn expand(&self, found: Option<&Captures<'_>>, change: impl Fn(&str) -> String) -> String {
        let group = |number: usize| {
            found.and_then(|found| found.get(number)).map_or_else(String::new, |group| change(group.as_str()))
        };
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Group(number) => group(*number),
            })
            .collect()
    }
}

/// `text` with the first match replaced.
pub(super) fn replaced(text: &str, found: &Captures<'_>, by: &str) -> String {
    let whole = found.get(0).unwrap();
    format!("{}{by}{}", &text[..whole.start()], &text[whole.end()..])
}
