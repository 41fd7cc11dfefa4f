use cordboard_plugin_sdk::{
    Role,
    testing::{TestConnection, TestRequest, assert_schema_names_the_keys},
};

use super::*;

/// Whether a newcomer replaces a holder, both clients. None: no authorizer had an opinion.
fn replaces(config: &str, newcomer: Option<Identity>, holder: Option<Identity>) -> bool {
    let mut request = TestRequest::upgrade("/").with_role(Role::Client);
    let mut connection = TestConnection::new().with_role(Role::Client);
    if let Some(identity) = newcomer {
        request = request.with_identity(identity);
    }
    if let Some(identity) = holder {
        connection = connection.with_identity(identity);
    }
    match NewestWins::init(config).unwrap().decide(&request, &connection).unwrap() {
        None => false,
        Some(PairingDecision::Replace) => true,
        Some(PairingDecision::Join) => panic!("it joins nobody"),
    }
}

#[test]
fn the_same_subject_and_nobody_again_take_the_seat_and_nobody_else() {
    let (ada, bob, nobody) =
        (|| Some(Identity::named("ada")), || Some(Identity::named("bob")), || Some(Identity::anonymous()));
    let (default, neither) = ("{}", r#"{"sameSubject": false, "anonymous": false}"#);
    let (names, anonymous) = (r#"{"anonymous": false}"#, r#"{"sameSubject": false}"#);
    for (newcomer, holder, [by_default, only_names, only_anonymous]) in [
        (ada(), ada(), [true, true, false]),
        (ada(), bob(), [false; 3]),
        (ada(), nobody(), [false; 3]),
        (None, ada(), [false; 3]),
        (nobody(), nobody(), [true, false, true]),
        (None, nobody(), [true, false, true]),
        (None, None, [true, false, true]),
    ] {
        let of = |config| replaces(config, newcomer.clone(), holder.clone());
        assert_eq!(
            [of(default), of(names), of(anonymous), of(neither)],
            [by_default, only_names, only_anonymous, false],
            "{newcomer:?} {holder:?}"
        );
    }
}

#[test]
fn another_role_s_seat_is_not_its_affair() {
    let policy = NewestWins::init("{}").unwrap();
    let backend = TestConnection::new().with_role(Role::Backend);
    let client = TestRequest::upgrade("/").with_role(Role::Client);
    assert_eq!(policy.decide(&client, &backend), Ok(None));
    assert_eq!(policy.decide(&TestRequest::upgrade("/"), &backend), Ok(None));
    assert_eq!(policy.decide(&client.with_role(Role::Backend), &backend), Ok(Some(PairingDecision::Replace)));
}

#[test]
fn a_bad_configuration_is_told() {
    for (config, told) in [
        ("[]", "the configuration must be an object: "),
        (r#"{"anonymous": "yes"}"#, "anonymous: a text is neither true nor false"),
        (r#"{"subject": true}"#, "unknown key \"subject\"; the keys are sameSubject, anonymous"),
    ] {
        let error = NewestWins::init(config).unwrap_err();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<NewestWins>(include_str!("schema.json"));
}
