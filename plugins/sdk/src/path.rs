//! Reading a raw path by its segments, as the host reads it.

use std::{borrow::Cow, iter};

use crate::query;

/// The segments, percent-decoded and in order; `/a//b/` has `a`, nothing, `b`, nothing. Those without an escape are
/// borrowed from the path.
///
/// A request's path decodes, because the host refuses others with 400. In any other text, what is not UTF-8 when it is
/// decoded becomes U+FFFD.
pub fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = Some(path.strip_prefix('/').unwrap_or(path));
    // Byte by byte: the standard library's search for a character is made for long texts.
    iter::from_fn(move || {
        let text = rest?;
        let end = text.bytes().position(|byte| byte == b'/');
        rest = end.map(|end| &text[end + 1..]);
        Some(query::decode_lossy(&text[..end.unwrap_or(text.len())]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_segment_more_than_slashes_between() {
        for (path, expected) in [
            ("/", &[""][..]),
            ("/a", &["a"]),
            ("/a//b/", &["a", "", "b", ""]),
            ("/a%20b/%C3%A9+/100%", &["a b", "é+", "100%"]),
            ("/%ff", &["\u{fffd}"]),
        ] {
            assert_eq!(segments(path).collect::<Vec<_>>(), expected, "{path}");
        }
        assert!(segments("/plain/%65").take(1).all(|segment| matches!(segment, Cow::Borrowed(_))));
    }
}
