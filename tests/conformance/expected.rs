//! `expected.txt`: what each case is to come out as on each link.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use crate::{
    link::Link,
    verdict::{CaseId, Verdict},
};

/// The reason that a line gets which says the same as the line of the link without us.
pub const AS_DIRECT: &str = "as without the proxy";
/// The reason of a new line, until somebody has written one.
pub const NO_REASON: &str = "?";

const HEAD: &str = "\
# What the Autobahn cases are to come out as; a case that no line names is OK and is closed OK.
# Written by `make conformance UPDATE=1`, which keeps the reasons; README.md says how to read and review it.
";

/// Cases with the same verdict, and why it is not OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// An id, or the beginning of some with `*` behind it.
    pub pattern: String,
    pub verdict: Verdict,
    pub reason: String,
}

impl Line {
    /// Whether it names all that `pattern` names.
    pub fn covers(&self, pattern: &str) -> bool {
        self.pattern == pattern || self.pattern.strip_suffix('*').is_some_and(|group| pattern.starts_with(group))
    }

    fn names(&self, case: &CaseId) -> bool {
        case.patterns().contains(&self.pattern)
    }
}

/// What is expected on one link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// How many cases there are.
    pub cases: usize,
    pub lines: Vec<Line>,
}

impl Section {
    pub fn of(&self, case: &CaseId) -> Verdict {
        self.lines.iter().find(|line| line.names(case)).map_or(Verdict::OK, |line| line.verdict)
    }
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(pub BTreeMap<Link, Section>);

impl Expected {
    fn path() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests/conformance/expected.txt"].iter().collect()
    }

    pub fn read() -> Self {
        let text = fs::read_to_string(Self::path()).unwrap();
        Self::parse(&text).unwrap_or_else(|error| panic!("tests/conformance/expected.txt:{error}"))
    }

    pub fn write(&self) {
        fs::write(Self::path(), self.text()).unwrap();
    }

    pub fn of(&self, link: Link) -> &Section {
        self.0.get(&link).unwrap_or_else(|| panic!("expected.txt has no section [{link}]"))
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// The number of the first bad line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut file = Self::default();
        let mut current = None;
        for (number, line) in text.lines().enumerate() {
            let at = |error: String| format!("{}: {error}", number + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                let (new, section) = header_of(header).map_err(at)?;
                if file.0.insert(new, section).is_some() {
                    return Err(at(format!("[{new}] stands here a second time")));
                }
                current = Some(new);
                continue;
            }
            let section = current.and_then(|link| file.0.get_mut(&link));
            let section = section.ok_or_else(|| at("this stands in front of the first [link]".into()))?;
            section.lines.push(line_of(line).map_err(at)?);
        }
        Ok(file)
    }

    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (link, section) in &self.0 {
            let _ = writeln!(text, "\n[{link}] {} cases: {}", section.cases, link.means());
            for Line { pattern, verdict, reason } in &section.lines {
                let _ = writeln!(text, "{pattern:<9}{verdict}  {reason}");
            }
        }
        text
    }
}

fn header_of(header: &str) -> Result<(Link, Section), String> {
    let form = || "the head of a section is `[LINK] NUMBER cases: …`".to_owned();
    let (name, rest) = header.split_once(']').ok_or_else(form)?;
    let link =
        Link::named(name).ok_or_else(|| format!("{name} is none of {}", Link::ALL.map(Link::name).join(", ")))?;
    let cases = rest.trim().split_once(" cases").and_then(|(number, _)| number.parse().ok()).ok_or_else(form)?;
    Ok((link, Section { cases, lines: Vec::new() }))
}

fn line_of(line: &str) -> Result<Line, String> {
    let mut words = line.split_whitespace();
    let (Some(pattern), Some(behavior), Some(closing)) = (words.next(), words.next(), words.next()) else {
        return Err("a line is `CASES BEHAVIOUR CLOSING REASON`".to_owned());
    };
    pattern.strip_suffix(".*").unwrap_or(pattern).parse::<CaseId>()?;
    let reason = words.collect::<Vec<_>>().join(" ");
    Ok(Line { pattern: pattern.to_owned(), verdict: Verdict::new(behavior, closing)?, reason })
}

/// The lines that say what came of all cases of a link. Reasons are taken from `old`; a line that says the same as
/// `measure`, the link without us, has that for a reason.
pub fn lines(
    results: &BTreeMap<CaseId, Verdict>,
    measure: Option<&BTreeMap<CaseId, Verdict>>,
    old: &Section,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (case, verdict) in results.iter().filter(|(_, verdict)| **verdict != Verdict::OK) {
        if lines.last().is_some_and(|last| last.names(case)) {
            continue;
        }
        // The widest pattern whose cases all came out the same and, of two links, the same.
        let members =
            |pattern: &String| results.iter().filter(|(case, _)| case.patterns().contains(pattern)).collect::<Vec<_>>();
        let as_direct = |case: &CaseId, verdict| measure.is_some_and(|measure| measure.get(case) == Some(verdict));
        let same = as_direct(case, verdict);
        let patterns = case.patterns();
        let pattern = patterns.iter().find(|pattern| {
            let members = members(pattern);
            let alike = members.iter().all(|(case, other)| *other == verdict && as_direct(case, other) == same);
            alike && (members.len() > 1 || **pattern == case.to_string())
        });
        let Some(pattern) = pattern else { unreachable!("a case is like itself") };
        let kept = old.lines.iter().find(|line| line.names(case) && line.verdict == *verdict);
        let reason = match kept.map(|line| line.reason.as_str()) {
            _ if same => AS_DIRECT,
            Some(reason) if reason != AS_DIRECT => reason,
            _ => NO_REASON,
        };
        lines.push(Line { pattern: pattern.clone(), verdict: *verdict, reason: reason.to_owned() });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(of: &[(&str, Verdict)]) -> BTreeMap<CaseId, Verdict> {
        of.iter().map(|(case, verdict)| (case.parse().unwrap(), *verdict)).collect()
    }

    fn verdict(behavior: &str, closing: &str) -> Verdict {
        Verdict::new(behavior, closing).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = Expected::read();
        assert_eq!(Expected::parse(&file.text()).as_ref(), Ok(&file));
        assert_eq!(file.0.len(), Link::ALL.len());
    }

    #[test]
    fn a_bad_line_is_named_with_what_would_be_right() {
        for (text, error) in [
            ("1.* OK OK because", "1: this stands in front of the first [link]"),
            ("[routr] 5 cases", "1: routr is none of direct, direct-dialled, router,"),
            ("[router] many cases", "1: the head of a section is `[LINK] NUMBER cases: …`"),
            ("[router] 5 cases\n[router] 5 cases", "2: [router] stands here a second time"),
            ("[router] 5 cases\n1.1", "2: a line is `CASES BEHAVIOUR CLOSING REASON`"),
            ("[router] 5 cases\n1.x OK OK", "2: 1.x is no id of a case"),
            ("[router] 5 cases\n1.1 FINE OK", "2: FINE is none of OK, INFORMATIONAL,"),
        ] {
            let said = Expected::parse(text).unwrap_err();
            assert!(said.starts_with(error), "{said}");
        }
    }

    #[test]
    fn a_group_that_came_out_the_same_is_one_line_and_reasons_stay() {
        let (odd, bad) = (verdict("NON-STRICT", "OK"), verdict("FAILED", "WRONG CODE"));
        let all = results(&[
            ("6.4.1", odd),
            ("6.4.2", odd),
            ("7.1.1", Verdict::OK),
            ("7.1.2", bad),
            ("7.3.1", odd),
            ("12.1.1", bad),
            ("12.2.1", bad),
        ]);
        let old = Expected::parse("[router] 7 cases\n7.1.2 FAILED WRONG-CODE by design\n7.3.1 FAILED OK was").unwrap();
        let direct = results(&[("6.4.1", odd), ("6.4.2", odd), ("12.1.1", bad)]);
        let new = lines(&all, Some(&direct), old.of(Link::Router));
        let new = new.iter().map(|line| format!("{} {}", line.pattern, line.reason)).collect::<Vec<_>>();
        let as_direct = |pattern: &str| format!("{pattern} {AS_DIRECT}");
        assert_eq!(
            new,
            [as_direct("6.*"), "7.1.2 by design".into(), "7.3.1 ?".into(), as_direct("12.1.1"), "12.2.1 ?".into()]
        );
    }
}
