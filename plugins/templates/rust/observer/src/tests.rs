//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::{
    Identity,
    testing::{Line, TestConnection, take_log},
};

use super::*;

fn told(config: &str, event: &Event) -> Vec<Line> {
    let connection = TestConnection::new()
        .with_identity(Identity::named("ada"))
        .with_opened_at_ms(1_000);
    Policy::init(config).unwrap().on_event(&connection, event);
    take_log()
}

fn closed(code: &str) -> Event {
    Event::new("closed", 4_500)
        .with_attribute("by", "peer")
        .with_attribute("code", code)
}

#[test]
fn a_session_that_ends_is_told_of() {
    let line = r#"info a session ended seconds="3" subject="ada" by="peer" code="1000""#;
    assert_eq!(told("{}", &closed("1000")), [line]);
}

#[test]
fn one_that_broke_is_a_warning_and_may_be_all_that_is_told() {
    let line = r#"warn a session broke seconds="3" subject="ada" by="peer" code="1006""#;
    assert_eq!(told("{}", &closed("1006")), [line]);
    assert_eq!(told(r#"{"broken": true}"#, &closed("1006")), [line]);
    assert!(told(r#"{"broken": true}"#, &closed("1000")).is_empty());
}

#[test]
fn what_is_not_known_is_ignored() {
    for name in ["opened", "struck-by-lightning"] {
        assert!(told("{}", &Event::new(name, 1_000)).is_empty(), "{name}");
    }
}
