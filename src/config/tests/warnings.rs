//! What is legal and probably not meant, and what is not called so.

use super::*;

const SERVICE: &str = "services: { s: { endpoints: [\"ws://127.0.0.1:9001\"] } }\n";

fn warnings(text: &str) -> Vec<String> {
    let reading = super::super::read(&source("test.yaml", &format!("{LISTENER}{text}")), &Values::NONE);
    let reading = reading.unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(reading.warnings.iter().all(|warning| warning.severity == Severity::Warning && warning.hint.is_some()));
    reading.warnings.iter().map(|warning| warning.to_string().lines().next().unwrap().to_owned()).collect()
}

fn routes(routes: &[&str]) -> Vec<String> {
    let lines: String =
        routes.iter().enumerate().map(|(n, route)| format!("  - {{ name: r{n}, {route} }}\n")).collect();
    warnings(&format!("{SERVICE}plugins: {{ p: {{ component: \"builtin:p\" }} }}\nroutes:\n{lines}"))
        .into_iter()
        .filter(|warning| warning.contains("routes["))
        .collect()
}

#[test]
fn a_route_that_an_earlier_one_takes_everything_from_is_named() {
    let first = |matching: &str| format!("match: {{ {matching} }}, mode: router, service: s");
    let covered = [
        ("path: /", "path: /a"),
        ("path: /", "path_regex: ^/a"),
        ("path: /a", "exact_path: /a/b"),
        ("exact_path: /a", "exact_path: /a"),
        ("path_regex: ^/a", "exact_path: /a/b"),
        ("path_regex: ^/a", "path_regex: ^/a"),
        ("path: /", "path: /, host: a.org"),
        ("path: /, host: \"*.a.org\"", "path: /, host: [b.a.org, \"*.b.a.org\"]"),
        ("path: /, method: [GET, POST]", "path: /, method: GET"),
        ("path: /, headers: { a: { present: true } }", "path: /, headers: { a: x, b: y }"),
        ("path: /, query: { a: { prefix: x } }", "path: /, query: { a: xy }"),
        ("path: /, cookie: { a: x }", "path: /, cookie: { a: x }"),
    ];
    for (wide, narrow) in covered {
        let said = routes(&[&first(wide), &first(narrow)]);
        let expected = "routes[1].match: never used: the route `r0` before it takes all of its requests";
        assert!(said.len() == 1 && said[0].ends_with(expected), "{wide} before {narrow}: {said:?}");
        // The other way round only the same conditions are covered.
        assert_eq!(
            routes(&[&first(narrow), &first(wide)]).len(),
            usize::from(wide == narrow),
            "{narrow} before {wide}"
        );
    }
    for (one, other) in [
        ("path: /a", "path: /ab"),
        ("path: /a", "path_regex: ^/a/"),
        ("path: /, host: a.org", "path: /"),
        ("path: /, host: a.org", "path: /, host: [a.org, b.org]"),
        ("path: /, host: a.org", "path: /, host: \"*.a.org\""),
        ("path: /, headers: { a: x }", "path: /, headers: { a: y }"),
        ("path: /, headers: { a: { present: true } }", "path: /, headers: { a: { present: false } }"),
        ("path: /, method: GET", "path: /"),
    ] {
        assert_eq!(routes(&[&first(one), &first(other)]), [""; 0], "{one} before {other}");
    }
}

#[test]
fn a_route_that_may_have_no_opinion_hides_nothing_but_plain_requests() {
    let asked = "match: { path: / }, mode: router, plugins: [p]";
    let pair = "match: { path: / }, mode: rendezvous, plugins: [p]";
    let router = "match: { path: /a }, mode: router, service: s";
    let http = "match: { path: /a }, mode: http, service: s";
    assert_eq!(routes(&[asked, router]), [""; 0]);
    assert_eq!(routes(&[pair, asked]), [""; 0]);
    for first in [asked, pair] {
        let said = routes(&[first, http]);
        let expected =
            "routes[1].match: plain requests never come here: the route `r0` before it answers them with 426";
        assert!(said.len() == 1 && said[0].ends_with(expected), "{said:?}");
        assert_eq!(routes(&[http, first]), [""; 0]);
    }
}

#[test]
fn a_plugin_and_a_service_that_nobody_names_are_named() {
    let two = "services: { s: { endpoints: [\"ws://a\"] }, t: { endpoints: [\"ws://b\"] } }\n\
        plugins: { p: { component: \"builtin:p\" }, q: { component: \"builtin:p\" } }\n";
    let route = "routes: [ { name: a, match: { path: / }, mode: router, service: s } ]\n";
    let said = warnings(&format!("{two}{route}"));
    assert_eq!(
        said,
        [
            "test.yaml:2:43: warning: services.t: nobody names this service",
            "test.yaml:3:12: warning: plugins.p: no route uses this plugin",
            "test.yaml:3:43: warning: plugins.q: no route uses this plugin",
        ]
    );
    // A resolver may name any service.
    let route = "routes: [ { name: a, match: { path: / }, mode: router, plugins: [p, q] } ]\n";
    assert_eq!(warnings(&format!("{two}{route}")), [""; 0]);
}

#[test]
fn a_service_whose_endpoints_a_route_cannot_choose_is_named() {
    let tagged = "services: { s: { endpoints: [ { url: \"ws://a\", env_tag: dev } ] } }\n";
    let said =
        warnings(&format!("{tagged}routes: [ {{ name: a, match: {{ path: / }}, mode: router, service: s }} ]\n"));
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("test.yaml:2:18: warning: services.s.endpoints: a route names this service"), "{said:?}");
}

#[test]
fn replacing_without_an_identity_trusting_everybody_and_having_no_routes_are_named() {
    let rules = "rendezvous: { second_client: replace, second_backend: replace }";
    let said = routes(&[&format!("match: {{ path: / }}, mode: rendezvous, plugins: [p], {rules}")]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("routes[0].rendezvous.second_client: whoever knows the channel's id"), "{said:?}");
    assert!(said[1].contains("routes[0].rendezvous.second_backend: "), "{said:?}");
    let text = "listeners: [ { name: a, address: \"127.0.0.1:0\", trusted_proxies: [10.0.0.0/8, \"::/0\"] } ]\n";
    let reading = super::super::read(&source("t", text), &Values::NONE).unwrap();
    let said = shown(&reading.warnings);
    assert!(said.contains("t:1:49: warning: listeners[0].trusted_proxies: everybody is trusted"), "{said}");
    assert!(said.contains("t:1:1: warning: routes: there are no routes"), "{said}");
    assert_eq!(reading.warnings.len(), 2);
}
