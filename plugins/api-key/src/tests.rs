use cordboard_plugin_sdk::testing::{TestConnection, TestRequest, assert_schema_names_the_keys};

use super::*;

/// `test`
const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// `password`, upper case on purpose
const PASSWORD: &str = "5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8";

/// `old`
const OLD: &str = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4";

fn policy(more: &str) -> ApiKey {
    let keys = format!(
        r#""keys": [
            {{"id": "ada-laptop", "sha256": "{TEST}", "subject": "ada", "roles": ["a", "b"]}},
            {{"id": "bob", "sha256": "{PASSWORD}", "expires": "2999-01-01T00:00:00Z"}},
            {{"id": "old", "sha256": "{OLD}", "expires": "1999-01-01T00:00:00Z"}}]"#
    );
    ApiKey::init(&format!("{{{keys}{more}}}")).unwrap()
}

/// Subject and token id, or the refusal's code.
fn answer(policy: &ApiKey, request: &TestRequest) -> String {
    match policy.authorize(request) {
        Ok(None) => "no opinion".to_owned(),
        Ok(Some(identity)) => format!("{} {}", identity.subject.unwrap(), identity.token_id.unwrap()),
        Err(rejection) => {
            assert_eq!(rejection.status, 401);
            assert_eq!(rejection.headers, [("www-authenticate".to_owned(), "ApiKey realm=\"api-key\"".to_owned())]);
            rejection.code
        }
    }
}

#[test]
fn a_listed_key_names_its_client_and_all_others_are_refused() {
    let policy = policy(r#", "query": "key""#);
    for (target, header, expected) in [
        ("/", Some("test"), "ada api-key/ada-laptop"),
        ("/", Some(" test "), "ada api-key/ada-laptop"),
        ("/?key=password", None, "bob api-key/bob"),
        ("/?x=1&k%65y=%70assword", None, "bob api-key/bob"),
        ("/?key=password", Some(""), "bob api-key/bob"),
        ("/?key=password", Some("test"), "ada api-key/ada-laptop"),
        ("/?key=password", Some("other"), "unknown-key"),
        ("/?key=&key=password", None, "bob api-key/bob"),
        ("/?key=%ff", None, "unknown-key"),
        ("/", Some("Test"), "unknown-key"),
        ("/", Some(TEST), "unknown-key"),
        ("/", Some("old"), "expired-key"),
        ("/", Some("  "), "no-key"),
        ("/?key", None, "no-key"),
        ("/", None, "no-key"),
    ] {
        let mut request = TestRequest::upgrade(target);
        if let Some(header) = header {
            request = request.with_header("X-Api-Key", header);
        }
        assert_eq!(answer(&policy, &request), expected, "{target} {header:?}");
    }
}

#[test]
fn roles_and_the_end_of_a_key_go_into_the_identity() {
    let policy = policy("");
    let of = |key: &str| policy.authorize(&TestRequest::upgrade("/").with_header("x-api-key", key)).unwrap().unwrap();
    assert_eq!((of("test").roles, of("test").expires_at_ms), (vec!["a".to_owned(), "b".to_owned()], None));
    assert_eq!((of("password").roles, of("password").expires_at_ms), (vec![], Some(32_472_144_000_000)));
}

#[test]
fn where_the_key_comes_from_is_configured() {
    let by_default = policy("");
    assert_eq!(answer(&by_default, &TestRequest::upgrade("/?key=test&x-api-key=test")), "no-key");
    let only_query = policy(r#", "header": "", "query": "key""#);
    assert_eq!(answer(&only_query, &TestRequest::upgrade("/").with_header("x-api-key", "test")), "no-key");
    let other = policy(r#", "header": "Authorization", "missing": "no-opinion""#);
    assert_eq!(
        answer(&other, &TestRequest::upgrade("/").with_header("authorization", "test")),
        "ada api-key/ada-laptop"
    );
    assert_eq!(answer(&other, &TestRequest::upgrade("/")), "no opinion");
    assert_eq!(answer(&other, &TestRequest::upgrade("/").with_header("authorization", "x")), "unknown-key");
}

#[test]
fn a_session_ends_when_its_key_is_gone_or_over() {
    let policy = policy("");
    let recheck = |token_id: Option<&str>| {
        let identity = token_id.map_or_else(Identity::anonymous, |id| Identity::named("x").with_token_id(id));
        policy.recheck(&TestConnection::new().with_identity(identity))
    };
    for (token_id, reason) in [
        (Some("api-key/bob"), None),
        (Some("api-key/old"), Some("the key has expired")),
        (Some("api-key/gone"), Some("the key is no longer valid")),
        (Some("api-key/"), Some("the key is no longer valid")),
        (Some("api-keys/gone"), None),
        (Some("jwt/gone"), None),
        (None, None),
    ] {
        let expected = reason.map_or(Ok(()), |reason| Err(CloseFrame::new(4401, reason)));
        assert_eq!(recheck(token_id), expected, "{token_id:?}");
    }
    assert_eq!(policy.recheck(&TestConnection::new()), Ok(()));
}

#[test]
fn a_bad_configuration_is_told() {
    let listed = |key: &str| format!(r#"{{"keys": [{{"id": "a", "sha256": "{TEST}"}}, {key}]}}"#);
    for (config, told) in [
        (r#"{"header": ""}"#.to_owned(), "header, query: both are empty; the key must come from one of them"),
        (r#"{"header": "x api"}"#.to_owned(), "header: \"x api\" is no header field's name: it holds ' '"),
        (r#"{"realm": "a\"b"}"#.to_owned(), "realm: \"a\\\"b\" is not made of letters, digits, \"-\" and \"_\""),
        (r#"{"missing": "allow"}"#.to_owned(), "missing: \"allow\" is none of refuse, no-opinion"),
        (r#"{"key": []}"#.to_owned(), "unknown key \"key\"; the keys are header, query, missing, realm, keys"),
        (listed("{}"), "keys[1]: id is empty"),
        (listed(r#"{"id": "b"}"#), "keys[1]: sha256: it is not 64 hexadecimal digits"),
        (listed(r#"{"id": "b", "sha256": "secret"}"#), "keys[1]: sha256: it is not 64 hexadecimal digits"),
        (listed(&format!(r#"{{"id": "b", "sha256": "{}"}}"#, "é".repeat(32))), "keys[1]: sha256: it is not 64"),
        (listed(&format!(r#"{{"id": "b", "sha256": "{TEST}"}}"#)), "keys[1]: keys[0] has the same id or sha256"),
        (listed(&format!(r#"{{"id": "a", "sha256": "{PASSWORD}"}}"#)), "keys[1]: keys[0] has the same id or sha256"),
        (
            listed(&format!(r#"{{"id": "b", "sha256": "{PASSWORD}", "expires": "tomorrow"}}"#)),
            "keys[1]: expires: \"tomorrow\" is no time such as 2027-06-30T12:00:00Z",
        ),
        (
            listed(r#"{"id": "b", "secret": "x"}"#),
            "keys[1]: unknown key \"secret\"; the keys are id, sha256, subject, roles, expires",
        ),
    ] {
        let error = ApiKey::init(&config).unwrap_err();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<ApiKey>(include_str!("schema.json"));
}
