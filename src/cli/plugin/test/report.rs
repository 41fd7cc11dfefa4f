//! The results of a run for people, and as `JUnit` XML for machines.

use std::{fmt::Write as _, time::Duration};

/// A case that was run.
pub(super) struct Result {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) took: Duration,
    /// Nothing if it passed.
    pub(super) failures: Vec<String>,
    pub(super) logged: Vec<String>,
}

/// A line a case, and what is wrong with those that failed.
pub(super) fn text(result: &Result) -> String {
    let Result { file, line, name, failures, logged, .. } = result;
    if failures.is_empty() {
        return format!("ok      {name}\n");
    }
    let mut text = format!("FAILED  {name}\n        {file}:{line}\n");
    for failure in failures {
        let _ = writeln!(text, "        {failure}");
    }
    for line in logged {
        let _ = writeln!(text, "        logged {line}");
    }
    text
}

/// How many passed and failed.
pub(super) fn summary(results: &[Result], took: Duration) -> String {
    let failed = results.iter().filter(|result| !result.failures.is_empty()).count();
    let passed = results.len() - failed;
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    format!("{passed} passed{failed}, in {} ms\n", took.as_millis())
}

/// All of it as `JUnit` XML.
pub(super) fn junit(suite: &str, results: &[Result], took: Duration) -> String {
    let failed = results.iter().filter(|result| !result.failures.is_empty()).count();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" time=\"{:.3}\"", results.len(), took.as_secs_f64());
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{}\" errors=\"0\" skipped=\"0\" {counts}>\n",
        escaped(suite)
    );
    for result in results {
        let _ = write!(
            xml,
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.6}\"",
            escaped(&result.file),
            escaped(&result.name),
            escaped(&result.file),
            result.line,
            result.took.as_secs_f64()
        );
        if result.failures.is_empty() {
            xml.push_str("/>\n");
            continue;
        }
        let first = result.failures.first().map(String::as_str).unwrap_or_default();
        let _ = write!(
            xml,
            ">\n      <failure message=\"{}\">{}</failure>\n",
            escaped(first),
            escaped(&result.failures.join("\n"))
        );
        if !result.logged.is_empty() {
            let _ = writeln!(xml, "      <system-out>{}</system-out>", escaped(&result.logged.join("\n")));
        }
        xml.push_str("    </testcase>\n");
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text in XML 1.0, in which most control characters cannot stand at all.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' => xml.push_str("&#10;"),
            '\t' => xml.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}
