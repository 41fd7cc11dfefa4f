//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::testing::{Session, TestConnection, TestMessage, TestRequest, take_log};

use super::*;

fn policy(config: &str) -> Policy {
    Policy::init(config).unwrap()
}

#[test]
fn a_word_is_masked_wherever_it_stands() {
    let policy = policy("{}");
    let mut session = Session::open(&policy, &TestRequest::upgrade("/chat"));
    assert_eq!(session.to_client("good morning"), [Action::Forward]);
    assert_eq!(
        session.to_backend("a secret, secretly"),
        [Action::emit_text("a ***, ***ly")]
    );
}

#[test]
fn one_masked_message_more_than_most_ends_the_session() {
    let policy = policy(r#"{"most": 1}"#);
    let mut session = Session::open(&policy, &TestRequest::upgrade("/chat"));
    assert_eq!(session.to_client("secret"), [Action::emit_text("***")]);
    assert_eq!(
        session.to_client("secret"),
        [Action::close(1008, "too many masked messages")]
    );
    assert!(session.is_closed());
}

#[test]
fn binary_messages_and_long_ones_are_not_looked_at() {
    let policy = policy("{}");
    let mut session = Session::open(&policy, &TestRequest::upgrade("/chat"));
    assert!(
        session
            .say(&TestMessage::binary(Direction::ToClient, *b"secret"))
            .is_unseen()
    );
    assert!(session.to_client(&"secret ".repeat(10_000)).is_unseen());
}

#[test]
fn a_count_that_cannot_be_kept_is_told() {
    let (policy, connection) = (policy("{}"), TestConnection::new().with_attachment_limit(0));
    let mut session = Session::open_with(&policy, &TestRequest::upgrade("/chat"), connection);
    assert_eq!(session.to_client("secret"), [Action::emit_text("***")]);
    assert!(
        take_log()[0]
            .message
            .starts_with("the count was not kept: ")
    );
}

#[test]
fn a_session_is_taken_over_with_its_count_and_with_nothing_else() {
    let (policy, connection) = (policy("{}"), TestConnection::new());
    assert_eq!(policy.migrate(&connection, "filter@1"), Ok(()));
    connection.set_attachment(b"12").unwrap();
    assert_eq!(policy.migrate(&connection, "filter@1"), Ok(()));
    connection.set_attachment(b"{}").unwrap();
    assert_eq!(
        policy.migrate(&connection, "filter@1").unwrap_err(),
        "filter@1 kept something else than a count"
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    assert_eq!(
        Policy::init(r#"{"words": "secret"}"#).err().unwrap(),
        "words must be a list of texts"
    );
    assert_eq!(
        Policy::init(r#"{"most": -1}"#).err().unwrap(),
        "most must be a whole number from 0 to 1000000"
    );
}
