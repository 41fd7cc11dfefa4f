use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn template(text: &str, pattern: Option<&Pattern>) -> Template {
    Template::new(text, pattern).unwrap()
}

fn path(from: &str, to: &str) -> Rule {
    let from = pattern(from);
    Rule { to: Some(template(to, Some(&from))), path: Some(from), ..Rule::default() }
}

fn query(change: Change<String>) -> Rule {
    Rule { query: vec![change], ..Rule::default() }
}

fn set(name: &str, value: &str) -> Change<String> {
    Change::Set(name.to_owned(), template(value, None))
}

fn rewritten(rules: &[Rule], target: &str) -> Result<String, String> {
    let mut target = PathAndQuery::try_from(target).unwrap();
    Rewrite(rules.to_vec()).apply(&mut target, &mut HeaderMap::new(), None)?;
    Ok(target.to_string())
}

fn field(rule: Rule, target: &str, headers: &mut HeaderMap, route: Option<&Captured>) -> Result<(), String> {
    Rewrite(vec![rule]).apply(&mut PathAndQuery::try_from(target).unwrap(), headers, route)
}

#[test]
fn a_path_is_rewritten_with_what_was_captured() {
    for (from, to, target, expected) in [
        ("^/ws(/.*)?$", "$1", "/ws/chat?a=1", "/chat?a=1"),
        ("^/ws(/.*)?$", "$1", "/ws", "/"),
        ("^/ws(/.*)?$", "$1", "/ws?a=/ws/x", "/?a=/ws/x"),
        ("^/ws(/.*)?$", "$1", "/other/ws/chat", "/other/ws/chat"),
        ("^/users/(?<id>[0-9]+)/(.*)$", "/$2/of/$id", "/users/7/mail", "/mail/of/7"),
        ("b", "c", "/abab", "/acab"),
        ("^/(.*)$", "$1", "/x", "/x"),
        ("^/a", "/%2e%2e", "/b", "/b"),
    ] {
        assert_eq!(rewritten(&[path(from, to)], target).as_deref(), Ok(expected), "{from} on {target}");
    }
}

#[test]
fn rules_work_on_what_the_ones_before_them_left() {
    let rules = [path("^/a/", "/b/"), path("^/b/(.*)", "/c/$1"), query(set("seen", "yes"))];
    assert_eq!(rewritten(&rules, "/a/x").as_deref(), Ok("/c/x?seen=yes"));
}

#[test]
fn escapes_of_unreserved_characters_hide_nothing_from_a_rule_and_others_stay() {
    let rule = path("^/ws(/.*)?$", "$1");
    assert_eq!(rewritten(std::slice::from_ref(&rule), "/%77s/gr%c3%bcn%2D%20x").as_deref(), Ok("/gr%C3%BCn-%20x"));
    assert_eq!(rewritten(&[rule], "/%6Fther%2d").as_deref(), Ok("/%6Fther%2d"), "what no rule finds goes as it came");
}

#[test]
fn a_rule_cannot_make_a_path_that_would_have_been_refused() {
    for (from, to, target) in [
        ("^/x(.*)$", "/a/$1", "/x.."),
        ("^/x(.*)$", "/a/$1/b", "/x."),
        ("^/x(.)(.*)$", "/$2", "/x%2e"),
        ("^/x/(..)(.*)$", "/%$2", "/x/zz2F"),
        ("^/x/(.*)$", "/$1%", "/x/y"),
    ] {
        let refused = rewritten(&[path(from, to)], target);
        match refused {
            Err(why) => assert!(why.contains("once it is rewritten"), "{why}"),
            Ok(path) => assert_eq!(path, "/", "{from} on {target}"),
        }
    }
}

#[test]
fn query_parameters_are_removed_replaced_set_and_appended_and_the_rest_stays_as_it_is() {
    let name = |text: &str| text.to_owned();
    let mail = pattern("^(.*)@(.*)$");
    for (change, target, expected) in [
        (Change::Remove(name("t")), "/?a=%41&t=1&&b&t&%74=2", "/?a=%41&&b"),
        (Change::Remove(name("t")), "/?t=1", "/"),
        (Change::Remove(name("t")), "/?tt=1", "/?tt=1"),
        (Change::Remove(name("t")), "/", "/"),
        (set("v", "a b&c"), "/", "/?v=a%20b%26c"),
        (set("v", "2"), "/?a&v=1&b=+&v=3", "/?a&v=2&b=+"),
        (Change::Append(name("v"), template("2", None)), "/?v=1", "/?v=1&v=2"),
        (
            Change::Replace(name("u"), mail.clone(), template("$2/$1", Some(&mail))),
            "/?u=x%40y&u=plain&w=x@y",
            "/?u=y%2Fx&u=plain&w=x@y",
        ),
    ] {
        assert_eq!(rewritten(&[query(change.clone())], target).as_deref(), Ok(expected), "{change:?} on {target}");
    }
}

#[test]
fn groups_of_a_path_go_decoded_into_queries_and_headers() {
    let from = pattern("^/t/([^/]+)");
    let value = template("$1", Some(&from));
    let tenant = HeaderName::from_static("x-tenant");
    let rule = Rule {
        query: vec![Change::Set("t".to_owned(), value.clone())],
        headers: vec![Change::Set(tenant.clone(), value)],
        path: Some(from),
        to: None,
    };
    let mut target = PathAndQuery::from_static("/t/gr%C3%BCn%20x/y");
    let mut headers = HeaderMap::new();
    Rewrite(vec![rule]).apply(&mut target, &mut headers, None).unwrap();
    assert_eq!(target, "/t/gr%C3%BCn%20x/y?t=gr%C3%BCn%20x");
    assert_eq!(headers[tenant].as_bytes(), "grün x".as_bytes());
}

#[test]
fn without_a_path_of_its_own_a_rule_has_the_groups_of_the_route() {
    let route = pattern("^/t/(?<tenant>[^/]+)");
    let name = HeaderName::from_static("x-tenant");
    let rule =
        Rule { headers: vec![Change::Set(name.clone(), template("<$tenant>", Some(&route)))], ..Rule::default() };
    let mut headers = HeaderMap::new();
    field(rule, "/t/a/b", &mut headers, route.captures("/t/a/b").as_ref()).unwrap();
    assert_eq!(headers[name], "<a>");
}

#[test]
fn header_fields_are_removed_replaced_set_and_appended_in_order() {
    let of = |name: &str| name.parse::<HeaderName>().unwrap();
    let bearer = pattern("^Bearer (.*)$");
    let rule = Rule {
        headers: vec![
            Change::Remove(of("x-debug")),
            Change::Replace(of("authorization"), bearer.clone(), template("Token $1", Some(&bearer))),
            Change::Set(of("x-via"), template("cordboard", None)),
            Change::Append(of("x-list"), template("2", None)),
        ],
        ..Rule::default()
    };
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("x-debug", "1"), ("a", "1"), ("authorization", "Bearer t"), ("x-list", "1"), ("x-via", "x"), ("x-via", "y")]
    {
        headers.append(of(name), HeaderValue::from_str(value).unwrap());
    }
    field(rule, "/", &mut headers, None).unwrap();
    let list: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(
        list,
        [("a", "1"), ("authorization", "Token t"), ("x-list", "1"), ("x-list", "2"), ("x-via", "cordboard")]
    );
}

#[test]
fn a_value_that_cannot_stand_in_a_header_is_refused() {
    let route = pattern("(?s)^/(.*)$");
    for (name, captured, why) in [("x-a", "/a\r\nb", "header x-a"), ("host", "/a b", "Host"), ("host", "/", "Host")] {
        let name: HeaderName = name.parse().unwrap();
        let rule = Rule { headers: vec![Change::Set(name, template("$1", Some(&route)))], ..Rule::default() };
        let refused = field(rule, "/", &mut HeaderMap::new(), route.captures(captured).as_ref());
        assert!(refused.as_ref().is_err_and(|text| text.contains(why)), "{refused:?}");
    }
}
