use cordboard_plugin_sdk::testing::{
    TestConnection, TestInterest, TestMessage, TestRequest, assert_schema_names_the_keys,
};

use super::*;

fn why(refused: Result<String, Refusal>) -> String {
    match refused {
        Err(Refusal::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_mapping_is_the_same_both_ways() {
    for (xml, json) in [
        ("<a/>", r#"{"a":""}"#),
        ("<a>text</a>", r#"{"a":"text"}"#),
        ("<a> \n </a>", r#"{"a":" \n "}"#),
        (r#"<a x="1" y="é"/>"#, r#"{"a":{"@x":"1","@y":"é"}}"#),
        (r#"<a x="1">text</a>"#, r##"{"a":{"@x":"1","#text":"text"}}"##),
        ("<a><b>1</b><b>2</b><c/></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
        ("<a><b><c><d/></c></b></a>", r#"{"a":{"b":{"c":{"d":""}}}}"#),
        (r#"<s:E xmlns:s="urn:x"><s:B>ü😀</s:B></s:E>"#, r#"{"s:E":{"@xmlns:s":"urn:x","s:B":"ü😀"}}"#),
        ("<a>1 &lt; 2 &amp; 3 &gt; 2</a>", r#"{"a":"1 < 2 & 3 > 2"}"#),
        ("<a x=\"&quot;&#10;&#9;&#13;\">x&#13;\ny</a>", r##"{"a":{"@x":"\"\n\t\r","#text":"x\r\ny"}}"##),
        ("<größe.1>12345678901234567890.10</größe.1>", r#"{"größe.1":"12345678901234567890.10"}"#),
    ] {
        assert_eq!(xml_to_json(xml).as_deref(), Ok(json), "{xml}");
        assert_eq!(json_to_xml(json).as_deref(), Ok(xml), "{json}");
    }
}

#[test]
fn what_json_has_no_word_for_goes() {
    for (xml, json) in [
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><?p i?><a><!-- c -->x<?p?></a>\n", r#"{"a":"x"}"#),
        ("<a>\n  <b>1</b>\n  <b/>\n</a>", r#"{"a":{"b":["1",""]}}"#),
        ("<a>one<b/>two</a>", r##"{"a":{"b":"","#text":"onetwo"}}"##),
        ("<a><b/><c/><b/></a>", r#"{"a":{"b":["",""],"c":""}}"#),
        ("<a><![CDATA[<x> & ]]]]><![CDATA[>]]></a>", r#"{"a":"<x> & ]]>"}"#),
        ("<a x='\"'>&#65;&#x1F600;&apos;&quot;</a>", r##"{"a":{"@x":"\"","#text":"A😀'\""}}"##),
        ("<a x='1\r\n2\t3'>l\r\nm\rn</a>", r##"{"a":{"@x":"1 2 3","#text":"l\nm\nn"}}"##),
        ("\u{feff}<a ></a >", r#"{"a":""}"#),
    ] {
        assert_eq!(xml_to_json(xml).as_deref(), Ok(json), "{xml}");
    }
    for (json, xml) in [
        (r#"{"a":1e400}"#, "<a>1e400</a>"),
        (r#"{"a":{"b":[1,true,null,{}],"c":[],"d":false}}"#, "<a><b>1</b><b>true</b><b/><b/><d>false</d></a>"),
        (r##"{"a":{"b":1,"@x":2,"@y":null,"#text":"t","b":3}}"##, r#"<a x="2"><b>1</b>t<b>3</b></a>"#),
        (r#"{"\u0061":"\u00e9\/"}"#, "<a>é/</a>"),
    ] {
        assert_eq!(json_to_xml(json).as_deref(), Ok(xml), "{json}");
    }
}

#[test]
fn what_is_no_xml_is_refused() {
    for (xml, told) in [
        ("", "there is no element"),
        ("text", "text stands beside the root"),
        ("{\"a\":1}", "text stands beside the root"),
        ("<a/>x", "text stands beside the root"),
        ("<a/>&lt;", "text stands beside the root"),
        ("<a/><![CDATA[x]]>", "text stands beside the root"),
        ("<a/><b/>", "there is more than one root"),
        ("<a>", "an element has no end"),
        ("<a></b>", "it is not well-formed"),
        ("</a>", "it is not well-formed"),
        ("<a", "it is not well-formed"),
        ("<a x/>", "an attribute is not well-formed"),
        ("<a x=1/>", "an attribute is not well-formed"),
        ("<a x='1' x='2'/>", "an attribute stands there twice"),
        ("<a x='<'/>", "\"<\" stands in an attribute"),
        ("<a x='&b;'/>", "an entity is not one of XML's five"),
        ("<1a/>", "a name is not one of XML's"),
        ("<a 1x='1'/>", "a name is not one of XML's"),
        ("<a>&b;</a>", "an entity is not one of XML's five"),
        ("<a>&b</a>", "it is not well-formed"),
        ("<a>&#0;</a>", "a character is not one of XML's"),
        ("<a>&#1;</a>", "a character is not one of XML's"),
        ("<a>&#xD800;</a>", "a character is not one of XML's"),
        ("<a>\u{1}</a>", "a character is not one of XML's"),
        ("<a x='&#xFFFF;'/>", "a character is not one of XML's"),
        ("<a>]]></a>", "\"]]>\" stands in a text"),
        ("<a><!-- -- --></a>", "it is not well-formed"),
        (" <?xml version='1.0'?><a/>", "the XML declaration is not at the beginning"),
        ("<!DOCTYPE a><a/>", "a document type declaration is not accepted"),
    ] {
        let told = format!("is no XML: {told} at byte ");
        let got = why(xml_to_json(xml));
        assert!(got.starts_with(&told), "{xml}: {got}");
    }
}

#[test]
fn what_would_expand_or_go_deep_is_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
    assert!(why(xml_to_json(bomb)).contains("a document type declaration is not accepted"));

    let nested = |depth| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(xml_to_json(&nested(MAX_DEPTH)).is_ok());
    assert!(why(xml_to_json(&nested(MAX_DEPTH + 1))).contains("too many elements in one another"));
    assert!(why(xml_to_json(&"<a>".repeat(20_000))).contains("too many elements in one another"));
    let in_json = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(json_to_xml(&in_json(MAX_DEPTH)).is_ok());
    assert_eq!(why(json_to_xml(&in_json(MAX_DEPTH + 1))), "has more than 64 elements in one another");

    let repeated = format!("{{\"a\":{{\"{}\":[{}1]}}}}", "n".repeat(30_000), "1,".repeat(15_000));
    assert_eq!(json_to_xml(&repeated), Err(Refusal::TooLong));
    let many = format!("<a {}/>", (0..8000).map(|n| format!("x{n}=''")).collect::<Vec<_>>().join(" "));
    assert!(xml_to_json(&many).is_ok());
}

#[test]
fn json_that_xml_has_no_word_for_is_refused() {
    for (json, told) in [
        ("", "is no JSON: a value is missing at byte 0"),
        ("[]", "is no object with one member, the root element"),
        ("\"a\"", "is no object with one member, the root element"),
        ("{}", "has 0 members; an XML document has one root element"),
        (r#"{"a":1,"b":2}"#, "has 2 members; an XML document has one root element"),
        (r#"{"a":[1]}"#, "has an array as its root; an XML document has one root element"),
        (r#"{"a":{"b":[[1]]}}"#, "has an array in an array"),
        (r#"{"a b":1}"#, "has a member whose name is not one of XML's: \"a b\""),
        (r#"{"":1}"#, "has a member whose name is not one of XML's: \"\""),
        (r#"{"a":{"@":1}}"#, "has a member whose name is not one of XML's: \"@\""),
        (r#"{"a><b":1}"#, "has a member whose name is not one of XML's: \"a><b\""),
        (r#"{"a":{"@x":1,"@x":2}}"#, "has an attribute twice: \"@x\""),
        (r#"{"a":{"@x":[]}}"#, "has more than text as an attribute or text"),
        (r##"{"a":{"#text":{}}}"##, "has more than text as an attribute or text"),
        (r#"{"a":"\u0000"}"#, "has a character that XML does not have"),
        (r#"{"a":{"@x":"\uffff"}}"#, "has a character that XML does not have"),
    ] {
        assert_eq!(why(json_to_xml(json)), told, "{json}");
    }
}

#[test]
fn the_direction_decides_and_what_is_invalid_closes_or_passes() {
    let act = |config: &str, message: &TestMessage| {
        let policy = XmlJson::init(config).unwrap();
        policy.on_message(message, &TestConnection::new(), &TestInterest::new())
    };
    let (up, down) = (
        |text: &str| TestMessage::text(Direction::ToBackend, text),
        |text: &str| TestMessage::text(Direction::ToClient, text),
    );
    let reversed = r#"{"toBackend": "xml-to-json", "toClient": "pass", "onInvalid": "pass"}"#;
    let long = format!("{{\"a\":{{\"{}\":[{}1]}}}}", "n".repeat(30_000), "1,".repeat(15_000));
    for (config, message, expected) in [
        ("{}", up(r#"{"a":1}"#), Action::emit_text("<a>1</a>")),
        ("{}", down("<a>1</a>"), Action::emit_text(r#"{"a":"1"}"#)),
        ("{}", down("1"), Action::close(1007, "the message is no XML: text stands beside the root at byte 0")),
        ("{}", up(&long), Action::close(1009, "the message grows too long")),
        ("{}", TestMessage::binary(Direction::ToBackend, *b"{}"), Action::Forward),
        (reversed, up("<a/>"), Action::emit_text(r#"{"a":""}"#)),
        (reversed, up("<a>"), Action::Forward),
        (reversed, down("{}"), Action::Forward),
    ] {
        assert_eq!(act(config, &message), [expected], "{config} {message:?}");
    }
    let interest = TestInterest::new();
    XmlJson::init(reversed).unwrap().open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
    assert_eq!(interest.wanted().len(), 1);
    assert!(interest.wants(Direction::ToBackend, MessageKind::Text));
}

#[test]
fn a_bad_configuration_is_told() {
    for (config, told) in [
        (
            r#"{"toBackend": "pass", "toClient": "pass"}"#,
            "toBackend, toClient: both are \"pass\", so nothing would be done",
        ),
        (r#"{"toClient": "xml"}"#, "toClient: \"xml\" is none of xml-to-json, json-to-xml, pass"),
        (
            r#"{"direction": 1}"#,
            "unknown key \"direction\"; the keys are toBackend, toClient, onInvalid, maxBytes, oversize",
        ),
    ] {
        assert_eq!(XmlJson::init(config).unwrap_err(), told);
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<XmlJson>(include_str!("schema.json"));
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
fn what_becomes_json_becomes_the_same_json_after_a_turn_through_xml() {
    const PIECES: &[&str] = &[
        "<a>",
        "</a>",
        "<b x='1'>",
        "</b>",
        "<c/>",
        "<d y=\"&amp;&#10;\" x=''/>",
        "text",
        " ",
        "\r\n",
        "&lt;",
        "&#x1F600;",
        "&#13;",
        "<![CDATA[<&]]>",
        "<!-- c -->",
        "<?p i?>",
        "<?xml version='1.0'?>",
        "<!DOCTYPE a>",
        "&x;",
        "&",
        "<",
        ">",
        "]]>",
        "é",
        "\"",
        "/",
        "\u{1}",
        "<a",
        "='",
        "'>",
    ];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut good = 0;
    for _ in 0..200_000 {
        let inner: String = (0..random.below(10)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let text = if random.below(2) == 0 { inner } else { format!("<a>{inner}</a>") };
        let Ok(json) = xml_to_json(&text) else { continue };
        good += 1;
        let xml = json_to_xml(&json).unwrap_or_else(|error| panic!("{text:?} {json}: {error:?}"));
        assert_eq!(xml_to_json(&xml), Ok(json), "{text:?} {xml:?}");
    }
    assert!(good > 1000, "{good}");
}
