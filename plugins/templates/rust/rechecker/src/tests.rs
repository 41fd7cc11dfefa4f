//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::{
    Identity,
    testing::{TestConnection, advance_clock, set_clock},
};

use super::*;

#[test]
fn a_session_ends_when_it_has_lasted_too_long() {
    set_clock(Duration::from_secs(1_700_000_000));
    let policy = Policy::init(r#"{"longest": 60, "exempt": ["monitor"]}"#).unwrap();
    let ada = TestConnection::new()
        .with_identity(Identity::named("ada"))
        .with_opened_at_ms(1_700_000_000_000);
    assert_eq!(policy.recheck(&ada), Ok(()));
    advance_clock(Duration::from_secs(60));
    assert_eq!(policy.recheck(&ada).unwrap_err().code, 4401);
    let monitor = ada.with_identity(Identity::named("monitor"));
    assert_eq!(policy.recheck(&monitor), Ok(()));
}

#[test]
fn who_has_no_name_is_not_exempt() {
    let policy = Policy::init(r#"{"exempt": [""]}"#).unwrap();
    let nobody = TestConnection::new().with_opened_at_ms(0);
    assert_eq!(policy.recheck(&nobody).unwrap_err().code, 4401);
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    assert_eq!(
        Policy::init(r#"{"longest": "1h"}"#).err().unwrap(),
        "longest must be a whole number from 0 to 604800"
    );
}
