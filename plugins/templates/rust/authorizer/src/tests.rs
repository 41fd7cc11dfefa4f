//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::testing::TestRequest;

use super::*;

fn ask(request: &TestRequest) -> Result<Option<Identity>, Rejection> {
    Policy::init(r#"{"keys": {"k-1": "ada"}}"#)
        .unwrap()
        .authorize(request)
}

#[test]
fn a_known_key_is_whose_it_is() {
    let request = TestRequest::upgrade("/chat").with_header("X-Api-Key", "k-1");
    assert_eq!(ask(&request), Ok(Some(Identity::named("ada"))));
}

#[test]
fn an_unknown_key_is_refused_and_a_missing_one_is_asked_for() {
    let unknown = ask(&TestRequest::upgrade("/chat").with_header("x-api-key", "k-2")).unwrap_err();
    assert_eq!(
        (unknown.status, unknown.code.as_str()),
        (403, "key-unknown")
    );
    let missing = ask(&TestRequest::upgrade("/chat")).unwrap_err();
    assert_eq!(
        (missing.status, missing.code.as_str()),
        (401, "key-missing")
    );
    assert_eq!(
        missing.headers,
        [("www-authenticate".to_owned(), "ApiKey".to_owned())]
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    assert_eq!(
        Policy::init(r#"{"keys": ["k-1"]}"#).err().unwrap(),
        "keys must map keys to subjects"
    );
}
