//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::testing::TestRequest;

use super::*;

fn policy(config: &str) -> Policy {
    Policy::init(config).unwrap()
}

#[test]
fn the_longest_path_wins_and_ends_where_a_segment_ends() {
    let policy = policy(r#"{"services": {"/ws": "all", "/ws/echo": "echo"}}"#);
    let service = |target| policy.resolve(&TestRequest::upgrade(target));
    assert_eq!(service("/ws/echo/1"), Ok(Some(Resolution::service("echo"))));
    assert_eq!(service("/ws/echoes"), Ok(Some(Resolution::service("all"))));
    assert_eq!(service("/wss"), Ok(None));
    assert_eq!(policy.detect_role(&TestRequest::upgrade("/wss")), Ok(None));
}

#[test]
fn the_header_names_the_channel() {
    let request = TestRequest::upgrade("/ws/echo").with_header("X-Group-Id", "g1");
    assert_eq!(
        policy("{}").extract_channel(&request).unwrap().unwrap().id,
        "g1"
    );
    assert_eq!(
        policy("{}").extract_channel(&TestRequest::upgrade("/ws/echo")),
        Ok(None)
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    assert_eq!(
        Policy::init(r#"{"services": ["echo"]}"#).err().unwrap(),
        "services must map paths to services"
    );
}
