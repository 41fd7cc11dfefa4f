//! A request as one types it: a method and a URL, or a command line of curl.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Options of curl that change the request, with a value.
const WITH_MEANING: [(&str, Option<char>); 10] = [
    ("header", Some('H')),
    ("request", Some('X')),
    ("cookie", Some('b')),
    ("user-agent", Some('A')),
    ("referer", Some('e')),
    ("user", Some('u')),
    ("data", Some('d')),
    ("data-raw", None),
    ("data-binary", None),
    ("url", None),
];
/// Options that do not, with a value.
const IGNORED_WITH_VALUE: [(&str, Option<char>); 9] = [
    ("output", Some('o')),
    ("max-time", Some('m')),
    ("write-out", Some('w')),
    ("dump-header", Some('D')),
    ("connect-timeout", None),
    ("resolve", None),
    ("retry", None),
    ("cacert", None),
    ("noproxy", None),
];
/// Options that do not, without one.
const IGNORED: [(&str, Option<char>); 14] = [
    ("include", Some('i')),
    ("silent", Some('s')),
    ("show-error", Some('S')),
    ("verbose", Some('v')),
    ("no-buffer", Some('N')),
    ("insecure", Some('k')),
    ("location", Some('L')),
    ("fail", Some('f')),
    ("globoff", Some('g')),
    ("http1.0", Some('0')),
    ("http1.1", None),
    ("compressed", None),
    ("no-progress-meter", None),
    ("path-as-is", None),
];

/// What is known of the request so far.
#[derive(Default)]
struct Typed {
    method: Option<String>,
    url: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    head: bool,
}

/// The request as `explain` takes it: `method`, `url`, `headers`.
///
/// # Errors
/// A word that is neither an option that is known here nor the one URL.
pub(super) fn request(words: &[String]) -> Result<Value, String> {
    let is_method = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    if let [line] = words
        && line.split_once(char::is_whitespace).is_some_and(|(first, _)| first == "curl" || is_method(&first))
    {
        return Err(format!("`{line}` came as one word: leave off the quotes around the whole of it"));
    }
    let mut words = words.iter().map(String::as_str).peekable();
    words.next_if(|word| *word == "curl");
    let method = words.next_if(is_method).map(ToOwned::to_owned);
    let mut typed = Typed { method, ..Typed::default() };
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, given) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let known = |table: &[(&'static str, Option<char>)]| {
                table.iter().find(|(long, _)| *long == name).map(|(long, _)| *long)
            };
            if let Some(name) = known(&WITH_MEANING) {
                typed.option(name, value(given, &mut words, word)?)?;
            } else if known(&IGNORED_WITH_VALUE).is_some() {
                value(given, &mut words, word)?;
            } else if name == "head" {
                typed.head = true;
            } else if known(&IGNORED).is_none() {
                return Err(unknown(word));
            }
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short(letters, word, &mut words, &mut typed)?;
        } else if let Some(url) = typed.url.replace(word.to_owned()) {
            return Err(format!("there are two URLs, `{url}` and `{word}`; quote what belongs together"));
        }
    }
    typed.describe_body();
    let url = typed.url.ok_or("a URL or a path is missing, such as `/chat?channelId=1`")?;
    let by_options = if typed.head {
        "HEAD"
    } else if typed.body.is_some() {
        "POST"
    } else {
        "GET"
    };
    Ok(json!({"method": typed.method.as_deref().unwrap_or(by_options), "url": url, "headers": typed.headers}))
}

/// Options of one letter, which may stand together; the last one may have its value behind it.
fn short<'a>(
    letters: &'a str,
    word: &str,
    words: &mut impl Iterator<Item = &'a str>,
    typed: &mut Typed,
) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let of = |table: &[(&'static str, Option<char>)]| {
            table.iter().find(|(_, short)| *short == Some(letter)).map(|(long, _)| *long)
        };
        let rest = letters.get(at + letter.len_utf8()..).filter(|rest| !rest.is_empty());
        if let Some(name) = of(&WITH_MEANING) {
            return typed.option(name, value(rest, words, word)?);
        }
        if of(&IGNORED_WITH_VALUE).is_some() {
            return value(rest, words, word).map(drop);
        }
        match letter {
            'I' => typed.head = true,
            _ if of(&IGNORED).is_some() => {}
            _ => return Err(unknown(&format!("-{letter}"))),
        }
    }
    Ok(())
}

fn value<'a>(
    given: Option<&'a str>,
    words: &mut impl Iterator<Item = &'a str>,
    option: &str,
) -> Result<&'a str, String> {
    given.or_else(|| words.next()).ok_or_else(|| format!("`{option}` needs a value"))
}

fn unknown(option: &str) -> String {
    format!(
        "`{option}` is not an option of curl that is known here; leave it out if it does not change the request; options \
         of `explain` stand before the request"
    )
}

impl Typed {
    fn option(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mut field = |name: &str, value: String| self.headers.push((name.to_owned(), value));
        match name {
            "header" => {
                let (name, value) =
                    value.split_once(':').ok_or_else(|| format!("`{value}` is not a header field: `Name: value`"))?;
                field(name.trim(), value.trim().to_owned());
            }
            "cookie" => field("Cookie", value.to_owned()),
            "user-agent" => field("User-Agent", value.to_owned()),
            "referer" => field("Referer", value.to_owned()),
            "user" => field("Authorization", format!("Basic {}", STANDARD.encode(value))),
            "request" => self.method = Some(value.to_owned()),
            "url" => self.url = Some(value.to_owned()),
            _ => self.data(name, value)?,
        }
        Ok(())
    }

    /// What is given piece by piece is sent in one, with `&` between the pieces.
    fn data(&mut self, name: &str, value: &str) -> Result<(), String> {
        let piece = match value.strip_prefix('@').filter(|_| name != "data-raw") {
            None => value.as_bytes().to_owned(),
            Some("-") => return Err("standard input is not read: give the data, or a file".to_owned()),
            Some(file) => {
                let mut read = std::fs::read(file).map_err(|error| format!("`{file}` cannot be read: {error}"))?;
                if name == "data" {
                    read.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
                }
                read
            }
        };
        match &mut self.body {
            None => self.body = Some(piece),
            Some(body) => {
                body.push(b'&');
                body.extend(piece);
            }
        }
        Ok(())
    }

    /// What curl says of a body, unless it is told what to say.
    fn describe_body(&mut self) {
        let Some(length) = self.body.as_ref().map(Vec::len) else { return };
        for (name, value) in
            [("Content-Length", length.to_string()), ("Content-Type", "application/x-www-form-urlencoded".to_owned())]
        {
            if !self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                self.headers.push((name.to_owned(), value));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Value, String> {
        // Words between single quotes stay together, as a shell would have it.
        let words = line.split('\'').enumerate().flat_map(|(nth, part)| match nth % 2 {
            0 => part.split_whitespace().map(ToOwned::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        request(&words.collect::<Vec<_>>())
    }

    #[test]
    fn requests_are_read_as_curl_would_make_them() {
        let body = |length: &str, kind: &str| json!([["Content-Length", length], ["Content-Type", kind]]);
        let table = [
            ("/chat", "GET", "/chat", json!([])),
            ("POST /chat?a=1", "POST", "/chat?a=1", json!([])),
            ("GET /chat -H 'X-A: b: c' --header 'X-D:e'", "GET", "/chat", json!([["X-A", "b: c"], ["X-D", "e"]])),
            ("curl -isN --http1.1 'http://h:1/x'", "GET", "http://h:1/x", json!([])),
            ("curl -sS -o /dev/null -m 3 http://h/", "GET", "http://h/", json!([])),
            ("curl -XPUT http://h/", "PUT", "http://h/", json!([])),
            ("curl -d a=b http://h/", "POST", "http://h/", body("3", "application/x-www-form-urlencoded")),
            ("curl -X PATCH --data-raw @b -d c /", "PATCH", "/", body("4", "application/x-www-form-urlencoded")),
            (
                "curl -H Content-Type:text/plain -d a=b /",
                "POST",
                "/",
                json!([["Content-Type", "text/plain"], ["Content-Length", "3"]]),
            ),
            ("curl -I http://h/", "HEAD", "http://h/", json!([])),
            ("curl --head --url http://h/", "HEAD", "http://h/", json!([])),
            (
                "curl -b a=b -A me -e http://r/ ws://h/",
                "GET",
                "ws://h/",
                json!([["Cookie", "a=b"], ["User-Agent", "me"], ["Referer", "http://r/"]]),
            ),
            ("curl -sHX-A:b /", "GET", "/", json!([["X-A", "b"]])),
        ];
        for (line, method, url, headers) in table {
            assert_eq!(read(line), Ok(json!({"method": method, "url": url, "headers": headers})), "{line}");
        }
        // RFC 7617 §2.
        let basic = request(&["-u".into(), "Aladdin:open sesame".into(), "/".into()]).unwrap();
        assert_eq!(basic["headers"], json!([["Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]]));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, why) in [
            ("", "a URL or a path is missing"),
            ("GET", "a URL or a path is missing"),
            ("/a /b", "there are two URLs, `/a` and `/b`"),
            ("/a -H", "`-H` needs a value"),
            ("/a -H nothing", "`nothing` is not a header field"),
            ("/a --proxy x", "`--proxy` is not an option of curl that is known here"),
            ("/a -sZ", "`-Z` is not an option of curl that is known here"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
