//! `cargo test` runs these natively, in no time. What they do not see is the host: that is what
//! cases.yaml is for.

use cordboard_plugin_sdk::{
    Role,
    testing::{TestConnection, TestRequest, advance_clock, set_clock},
};

use super::*;

fn ask(newcomer: &str, holder: &TestConnection) -> Result<Option<PairingDecision>, Rejection> {
    let request = TestRequest::upgrade("/chat")
        .with_role(Role::Client)
        .with_identity(Identity::named(newcomer));
    Policy::init("{}").unwrap().decide(&request, holder)
}

#[test]
fn who_comes_back_takes_its_seat_but_not_at_once_again() {
    set_clock(Duration::from_secs(1_700_000_000));
    let holder = TestConnection::new()
        .with_identity(Identity::named("ada"))
        .with_opened_at_ms(1_700_000_000_000);
    let refused = ask("ada", &holder).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (429, "too-soon"));
    advance_clock(Duration::from_secs(10));
    assert_eq!(ask("ada", &holder), Ok(Some(PairingDecision::Replace)));
}

#[test]
fn of_others_the_route_decides() {
    assert_eq!(ask("ada", &TestConnection::new()), Ok(None));
    let ada = TestConnection::new().with_identity(Identity::named("ada"));
    assert_eq!(ask("bob", &ada), Ok(None));
    assert_eq!(ask("ada", &ada.with_role(Role::Backend)), Ok(None));
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let told = "patience must be a whole number from 0 to 3600";
    assert_eq!(Policy::init(r#"{"patience": "10s"}"#).err().unwrap(), told);
}
