//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::testing::TestRequest;

use super::*;

#[test]
fn fields_are_taken_out_of_a_request_and_others_put_in() {
    let policy = Policy::init(r#"{"set": {"x-user": "ada"}, "remove": ["x-user"]}"#).unwrap();
    let request = TestRequest::upgrade("/chat").with_header("x-user", "root");
    assert_eq!(
        policy.rewrite_request(&request),
        Ok(vec![Edit::remove("x-user"), Edit::set("x-user", "ada")])
    );
}

#[test]
fn fields_are_taken_out_of_an_answer() {
    let policy = Policy::init(r#"{"hide": ["server"]}"#).unwrap();
    let request = TestRequest::plain("GET", "/api");
    assert_eq!(
        policy.rewrite_response(&request, 200, &[]),
        Ok(vec![Edit::remove("server")])
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    assert_eq!(
        Policy::init(r#"{"set": ["x-user"]}"#).err().unwrap(),
        "set must map names to values"
    );
}
