use super::*;

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).expect("the pointer is good")
}

#[test]
fn what_is_not_edited_comes_out_as_it_was_written() {
    for text in [
        "null",
        "-0",
        "1e400",
        "123456789012345678901234567890.10",
        r#""""#,
        r#""\u00e9\/\ud83d\ude00\ud800 grüße""#,
        "[]",
        "{}",
        r#"[1,[true,false,null],{"":{}}]"#,
        r#"{"b":1,"a":2,"b":3,"\u0061":4}"#,
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    assert_eq!(parse(" [ 1 ,\t{ \"a\" :\r\n2 } ] ").unwrap().to_string(), r#"[1,{"a":2}]"#);
}

#[test]
fn a_text_that_is_no_json_is_refused_where_it_goes_wrong() {
    for (text, at) in [
        ("", 0),
        (" ", 1),
        ("nul", 0),
        ("truefalse", 4),
        ("01", 1),
        ("-", 1),
        ("1.", 2),
        ("1e+", 3),
        (".5", 0),
        ("+1", 0),
        ("NaN", 0),
        ("'a'", 0),
        ("\"a", 2),
        ("\"a\nb\"", 2),
        ("\"\\x\"", 1),
        ("\"\\u12g4\"", 1),
        ("\"\\u12é\"", 1),
        ("\"\\", 1),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("[", 1),
        ("{\"a\"}", 4),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("{\"a\":1", 6),
        ("{} {}", 3),
        ("\u{feff}{}", 0),
        ("\u{a0}1", 0),
    ] {
        assert_eq!(parse(text).map(|value| value.to_string()).unwrap_err().at, at, "{text:?}");
    }
}

#[test]
fn depth_ends_where_the_stack_is_safe() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&nested(MAX_DEPTH + 1)).unwrap_err().at, MAX_DEPTH);
    assert!(parse(&"{\"a\":".repeat(100_000)).is_err());
    assert!(parse(&format!("[{}]", vec![nested(MAX_DEPTH - 1); 3].join(","))).is_ok());
}

#[test]
fn quoting_and_unquoting_are_each_other_s_inverse() {
    for text in ["", "a", "\"\\/", "\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}", "é😀\u{2028}"] {
        let quoted = quote(text);
        assert_eq!(unquote(&quoted), text, "{quoted}");
        assert_eq!(parse(&quoted).unwrap().as_string().as_deref(), Some(text));
    }
    assert_eq!(unquote(r#""\ud83d\ude00\b\f\/""#), "😀\u{8}\u{c}/");
    assert_eq!(unquote(r#""\ud83dx\ude00\ud83d""#), "\u{fffd}x\u{fffd}\u{fffd}");
    // What no reader of JSON lets through must not make it panic.
    for raw in ["\"\\u12\"", "\"\\ué\"", "\\", "\""] {
        let _ = unquote(raw);
    }
}

#[test]
fn a_pointer_finds_members_elements_and_all_of_them() {
    let text = r#"{"a":{"b":[10,11,{"c":12}]},"x/y":1,"m~n":2,"":3,"\u006b":4,"d":5,"d":6}"#;
    for (pointer, found) in [
        ("", &[text][..]),
        ("/a/b/0", &["10"]),
        ("/a/b/2/c", &["12"]),
        ("/a/b/*", &["10", "11", "{\"c\":12}"]),
        ("/a/*/*/*", &["12"]),
        ("/x~1y", &["1"]),
        ("/m~0n", &["2"]),
        ("/", &["3"]),
        ("/k", &["4"]),
        ("/d", &["5", "6"]),
        ("/a/b/3", &[]),
        ("/a/b/00", &[]),
        ("/a/b/-", &[]),
        ("/a/b/0/c", &[]),
        ("/nothing/*", &[]),
    ] {
        let mut got = Vec::new();
        at(pointer).each(&mut parse(text).unwrap(), |value| got.push(value.to_string()));
        assert_eq!(got, found, "{pointer:?}");
    }
}

#[test]
fn removal_takes_all_that_the_pointer_means() {
    for (text, pointer, left) in [
        (r#"{"a":1,"b":2,"a":3}"#, "/a", Some(r#"{"b":2}"#)),
        ("[1,2,3]", "/1", Some("[1,3]")),
        ("[1,2,3]", "/*", Some("[]")),
        (r#"[{"k":1},{"k":2,"l":3},4]"#, "/*/k", Some(r#"[{},{"l":3},4]"#)),
        (r#"{"a":1}"#, "/b", None),
        (r#"{"a":1}"#, "/a/b", None),
        (r#"{"a":1}"#, "", None),
    ] {
        let mut value = parse(text).unwrap();
        assert_eq!(at(pointer).remove(&mut value), left.is_some(), "{text} {pointer}");
        assert_eq!(value.to_string(), left.unwrap_or(text), "{text} {pointer}");
    }
}

#[test]
fn setting_makes_what_is_missing_and_nothing_under_a_scalar() {
    for (text, pointer, after) in [
        (r#"{"a":1}"#, "/a", Some(r#"{"a":9}"#)),
        (r#"{"a":1,"a":2}"#, "/a", Some(r#"{"a":9,"a":9}"#)),
        ("{}", "/a/b~1c", Some(r#"{"a":{"b/c":9}}"#)),
        (r#"{"a":{"x":1}}"#, "/a/y", Some(r#"{"a":{"x":1,"y":9}}"#)),
        ("[1,2]", "/1", Some("[1,9]")),
        ("[1]", "/-", Some("[1,9]")),
        ("[]", "/-/k", Some(r#"[{"k":9}]"#)),
        ("[{},1,{}]", "/*/k", Some(r#"[{"k":9},1,{"k":9}]"#)),
        (r#"{"a":1}"#, "", Some("9")),
        ("[1]", "/1", None),
        (r#"{"a":1}"#, "/a/b", None),
        ("{}", "/*", None),
        ("{}", "/a/*", None),
        ("null", "/a", None),
    ] {
        let mut value = parse(text).unwrap();
        assert_eq!(at(pointer).set(&mut value, &parse("9").unwrap()), after.is_some(), "{text} {pointer}");
        assert_eq!(value.to_string(), after.unwrap_or(text), "{text} {pointer}");
    }
}

#[test]
fn a_bad_pointer_is_told() {
    assert_eq!(Pointer::parse("a/b").unwrap_err(), "\"a/b\" is no JSON Pointer: it does not begin with \"/\"");
    for bad in ["/a~b", "/~", "/a/~2"] {
        assert!(Pointer::parse(bad).unwrap_err().contains("\"~\" is written \"~0\""), "{bad}");
    }
}

/// A small generator (xorshift64*): the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }
}

#[test]
fn a_text_is_json_here_where_it_is_elsewhere_and_edits_leave_it_json() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"é\\n\"",
        "0",
        "-1",
        "1.5e3",
        "01",
        "1e400",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\"",
        "\\",
        "é",
        "{\"a\":[{\"b\":",
        "}]}",
    ];
    let pointers = ["", "/a", "/*", "/a/0/b", "/*/*", "/-", "/a/-/c", "/0"].map(at);
    let new = Value::string("new");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut good = 0;
    for _ in 0..200_000 {
        let text: String = (0..=random.below(9)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        // Takes half a surrogate pair and numbers of any size, as this reader does.
        let elsewhere = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let here = parse(&text);
        assert_eq!(here.is_ok(), elsewhere, "{text:?} {here:?}");
        let Ok(value) = here else { continue };
        good += 1;
        assert_eq!(parse(&value.to_string()), Ok(value.clone()), "{text:?}");
        for pointer in &pointers {
            let (mut set, mut removed, mut edited) = (value.clone(), value.clone(), value.clone());
            let changed = [pointer.set(&mut set, &new), pointer.remove(&mut removed)];
            pointer.each(&mut edited, |found| *found = new.clone());
            assert_eq!(
                changed,
                [set != value || set.to_string().contains("new"), removed != value],
                "{text:?} {pointer:?}"
            );
            for after in [set, removed, edited] {
                assert_eq!(parse(&after.to_string()), Ok(after), "{text:?} {pointer:?}");
            }
        }
    }
    assert!(good > 1000, "{good}");
}
