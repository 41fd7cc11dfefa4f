//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::testing::TestRequest;

use super::*;

fn policy(config: &str) -> Policy {
    Policy::init(config).unwrap()
}

#[test]
fn a_path_that_ends_in_connect_is_a_backends() {
    let role = |target| policy("{}").detect_role(&TestRequest::upgrade(target));
    assert_eq!(role("/chat/connect?channelId=7"), Ok(Some(Role::Backend)));
    assert_eq!(role("/chat?channelId=7"), Ok(Some(Role::Client)));
    assert_eq!(role("/connect/chat"), Ok(Some(Role::Client)));
}

#[test]
fn without_a_channel_the_client_is_told_what_is_missing() {
    let policy = policy(r#"{"parameter": "room"}"#);
    let request = TestRequest::upgrade("/chat?room=blue%20one");
    assert_eq!(
        policy.extract_channel(&request).unwrap().unwrap().id,
        "blue one"
    );

    let rejection = policy
        .extract_channel(&TestRequest::upgrade("/chat?channelId=7"))
        .unwrap_err();
    assert_eq!(
        (rejection.status, rejection.code.as_str()),
        (400, "channel-missing")
    );
    assert_eq!(
        rejection.body.as_deref(),
        Some("Name a channel: ?room=...\n")
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    assert_eq!(
        Policy::init(r#"{"backend": 7}"#).err().unwrap(),
        "backend must be a text"
    );
}
