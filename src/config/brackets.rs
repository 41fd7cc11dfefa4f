//! Where a bracket was opened that nobody closed: the reader of YAML goes on in it, and stumbles lines below.

use super::tree::Position;

/// The last `[` or `{` up to `until` that is not closed in all of the text. What is quoted or a comment does not count, nor
/// does what stands within a plain value.
pub(super) fn unclosed(text: &str, until: Position) -> Option<(char, Position)> {
    let mut open: Vec<(char, Position)> = Vec::new();
    // Before the first character of a value.
    let mut begins = true;
    let mut quote = None;
    for (line, content) in text.lines().enumerate() {
        begins |= open.is_empty() && quote.is_none();
        let mut before = ' ';
        let mut characters = content.chars().enumerate().peekable();
        while let Some((column, c)) = characters.next() {
            match (quote, c) {
                (Some('"'), '\\') => _ = characters.next(),
                (Some('\''), '\'') if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                    _ = characters.next();
                }
                (Some(mark), c) if c == mark => quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() => break,
                (None, '"' | '\'') if begins => (quote, begins) = (Some(c), false),
                (None, '[' | '{') if begins || !open.is_empty() => {
                    open.push((c, Position { line: line + 1, column: column + 1 }));
                    begins = true;
                }
                (None, ']' | '}') if open.last().is_some_and(|(opened, _)| closes(*opened, c)) => drop(open.pop()),
                (None, ',') if !open.is_empty() => begins = true,
                // What comes after a key, or in a list, is a value.
                (None, ' ') if matches!(before, ':' | '-') => begins = true,
                (None, c) if c.is_whitespace() || matches!(c, ':' | '-') => {}
                (None, _) => begins = false,
            }
            before = c;
        }
    }
    open.into_iter().rev().find(|(_, at)| *at <= until)
}

const fn closes(opened: char, c: char) -> bool {
    matches!((opened, c), ('[', ']') | ('{', '}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bracket_that_nobody_closed_is_found_and_others_are_not() {
        let end = Position { line: 99, column: 1 };
        let at = |text: &str| unclosed(text, end).map(|(c, at)| (c, at.line, at.column));
        for (text, found) in [
            ("a: [b, c\nd: [e]\nf: {g: 1}\n", Some(('[', 1, 4))),
            ("a:\n  - {b: [1, 2]\nc: d\n", Some(('{', 2, 5))),
            ("a: [b]\nc: {d: [e]}\n", None),
            ("a: ^/t/[a-z\nb: x{\n", None),
            ("a: '['\nb: \"\\\"{\"\nc: 'it''s {'\n", None),
            ("a: 1 # [\n# {\n", None),
            ("a: it's\nb: [c\n", Some(('[', 2, 4))),
            ("a: [b # ]\n", Some(('[', 1, 4))),
        ] {
            assert_eq!(at(text), found, "{text}");
        }
        assert_eq!(unclosed("a: b: c\nd: [", Position { line: 1, column: 5 }), None, "it stands behind the mistake");
    }
}
