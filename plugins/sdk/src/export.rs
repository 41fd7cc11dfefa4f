//! From a policy's traits to a component's exports: the adapter that `wit-bindgen` calls.

use std::{cell::OnceCell, marker::PhantomData, sync::Once, thread::LocalKey};

use crate::{
    Action, Authorization, Channel, ChannelExtraction, CloseFrame, Edit, Event, FilterMigration, Identity, Lifecycle,
    MessageFiltering, Pairing, PairingDecision, Plugin, Rejection, RequestRewriting, Resolution, ResponseRewriting,
    Role, RoleDetection, ServiceResolution, SessionAuthorization,
    bindings::{
        authorization::exports::cordboard::plugin::authorization,
        channel_extraction::exports::cordboard::plugin::channel_extraction,
        filter_migration::exports::cordboard::plugin::filter_migration,
        lifecycle::exports::cordboard::plugin::lifecycle,
        message_filtering::exports::cordboard::plugin::message_filtering,
        meta::exports::cordboard::plugin::meta::{self, Info},
        pairing::exports::cordboard::plugin::pairing,
        request_rewriting::exports::cordboard::plugin::request_rewriting,
        response_rewriting::exports::cordboard::plugin::response_rewriting,
        role_detection::exports::cordboard::plugin::role_detection,
        service_resolution::exports::cordboard::plugin::service_resolution,
        session_authorization::exports::cordboard::plugin::session_authorization,
    },
    connection::HostConnection,
    log,
    message::{HostInterest, HostMessage},
    request::HostRequest,
};

/// What [`export!`](crate::export) knows of a policy beyond its traits: where its one value lives, and its package.
pub trait Exported: Plugin {
    /// The version of the package.
    const VERSION: &'static str;
    /// The description of the package.
    const DESCRIPTION: &'static str;

    /// The value that `init` made. An instance has one thread.
    fn slot() -> &'static LocalKey<OnceCell<Self>>;
}

/// Answers the host's calls with a policy.
#[derive(Debug)]
pub struct Adapter<P>(PhantomData<P>);

/// Panic text is dropped on `wasm32-unknown-unknown`; the host's log keeps it.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let text = info.payload_as_str().unwrap_or("(the panic carries no text)");
            let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            log::write(log::Level::Error, &format!("panicked at {place}: {text}"), &[]);
        }));
    });
}

/// Runs a decision on the policy. The host calls `init` first; a host that does not gets a trap and this text.
fn decide<P: Exported, T>(decision: impl FnOnce(&P) -> T) -> T {
    P::slot().with(|slot| match slot.get() {
        Some(policy) => decision(policy),
        None => panic!("{} was asked before a successful init", P::NAME),
    })
}

impl<P: Exported> meta::Guest for Adapter<P> {
    fn describe() -> Info {
        report_panics();
        Info { name: P::NAME.to_owned(), version: P::VERSION.to_owned(), description: P::DESCRIPTION.to_owned() }
    }

    fn init(config: String) -> Result<(), String> {
        report_panics();
        let policy = P::init(&config)?;
        P::slot().with(|slot| slot.set(policy)).map_err(|_| format!("{}: init was called twice", P::NAME))
    }
}

impl<P: Exported + RoleDetection> role_detection::Guest for Adapter<P> {
    fn detect_role() -> Result<Option<Role>, Rejection> {
        decide(|policy: &P| policy.detect_role(&HostRequest))
    }
}

impl<P: Exported + ChannelExtraction> channel_extraction::Guest for Adapter<P> {
    fn extract_channel() -> Result<Option<Channel>, Rejection> {
        decide(|policy: &P| policy.extract_channel(&HostRequest))
    }
}

impl<P: Exported + ServiceResolution> service_resolution::Guest for Adapter<P> {
    fn resolve() -> Result<Option<Resolution>, Rejection> {
        decide(|policy: &P| policy.resolve(&HostRequest))
    }
}

impl<P: Exported + RequestRewriting> request_rewriting::Guest for Adapter<P> {
    fn rewrite_request() -> Result<Vec<Edit>, Rejection> {
        decide(|policy: &P| policy.rewrite_request(&HostRequest))
    }
}

impl<P: Exported + ResponseRewriting> response_rewriting::Guest for Adapter<P> {
    fn rewrite_response(status: u16, headers: Vec<(String, String)>) -> Result<Vec<Edit>, Rejection> {
        decide(|policy: &P| policy.rewrite_response(&HostRequest, status, &headers))
    }
}

impl<P: Exported + Authorization> authorization::Guest for Adapter<P> {
    fn authorize() -> Result<Option<Identity>, Rejection> {
        decide(|policy: &P| policy.authorize(&HostRequest))
    }
}

impl<P: Exported + SessionAuthorization> session_authorization::Guest for Adapter<P> {
    fn recheck() -> Result<(), CloseFrame> {
        decide(|policy: &P| policy.recheck(&HostConnection))
    }
}

impl<P: Exported + Pairing> pairing::Guest for Adapter<P> {
    fn decide() -> Result<Option<PairingDecision>, Rejection> {
        decide(|policy: &P| policy.decide(&HostRequest, &HostConnection))
    }
}

impl<P: Exported + MessageFiltering> message_filtering::Guest for Adapter<P> {
    fn open() {
        decide(|policy: &P| policy.open(&HostRequest, &HostConnection, &HostInterest));
    }

    fn on_message() -> Vec<Action> {
        decide(|policy: &P| policy.on_message(&HostMessage, &HostConnection, &HostInterest))
    }
}

impl<P: Exported + FilterMigration> filter_migration::Guest for Adapter<P> {
    fn migrate(from_version: String) -> Result<(), String> {
        decide(|policy: &P| policy.migrate(&HostConnection, &from_version))
    }
}

impl<P: Exported + Lifecycle> lifecycle::Guest for Adapter<P> {
    fn on_event(event: Event) {
        decide(|policy: &P| policy.on_event(&HostConnection, &event));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{config, testing::take_log};

    struct Silent;

    impl Plugin for Silent {
        const NAME: &'static str = "silent";

        fn init(config: &str) -> Result<Self, String> {
            config::nothing(config).map(|()| Self)
        }
    }

    // With the harmless answer of each.
    impl RoleDetection for Silent {}
    impl ChannelExtraction for Silent {}
    impl ServiceResolution for Silent {}
    impl Pairing for Silent {}
    impl RequestRewriting for Silent {}
    impl ResponseRewriting for Silent {}
    impl FilterMigration for Silent {}
    impl Lifecycle for Silent {}

    crate::export!(
        Silent: RoleDetection, ChannelExtraction, ServiceResolution, Pairing, RequestRewriting, ResponseRewriting,
        FilterMigration, Lifecycle,
    );

    type Host = Adapter<Silent>;

    #[test]
    fn the_host_hears_who_it_is_and_why_a_configuration_is_refused() {
        let told = <Host as meta::Guest>::describe();
        assert_eq!((told.name.as_str(), told.version.as_str()), ("silent", env!("CARGO_PKG_VERSION")));
        assert!(!told.description.is_empty());
        let refused = <Host as meta::Guest>::init(r#"{"x": 1}"#.to_owned());
        assert_eq!(refused.unwrap_err(), "unknown key \"x\"; there are none");
        assert_eq!(<Host as meta::Guest>::init("{}".to_owned()), Ok(()));
        assert_eq!(<Host as meta::Guest>::init("{}".to_owned()).unwrap_err(), "silent: init was called twice");
    }

    #[test]
    fn what_is_not_written_is_no_opinion() {
        <Host as meta::Guest>::init("{}".to_owned()).unwrap();
        assert_eq!(<Host as role_detection::Guest>::detect_role(), Ok(None));
        assert_eq!(<Host as channel_extraction::Guest>::extract_channel(), Ok(None));
        assert_eq!(<Host as service_resolution::Guest>::resolve(), Ok(None));
        assert_eq!(<Host as pairing::Guest>::decide(), Ok(None));
        assert_eq!(<Host as request_rewriting::Guest>::rewrite_request(), Ok(vec![]));
        assert_eq!(<Host as response_rewriting::Guest>::rewrite_response(101, vec![]), Ok(vec![]));
        assert_eq!(<Host as filter_migration::Guest>::migrate("silent@0".to_owned()), Ok(()));
        <Host as lifecycle::Guest>::on_event(Event::new("opened", 0));
        assert!(take_log().is_empty());
    }

    #[test]
    fn a_panic_is_told_with_its_text_and_place() {
        // In a thread of its own: the hook is the process's, and the lines are the thread's.
        let told = std::thread::spawn(|| {
            report_panics();
            let unmade = std::panic::catch_unwind(<Host as role_detection::Guest>::detect_role);
            assert!(unmade.is_err());
            take_log()
        });
        let line = &told.join().unwrap()[0];
        assert!(line.message.ends_with("silent was asked before a successful init"), "{line}");
        assert!(line.message.starts_with("panicked at ") && line.message.contains("src/export.rs:"), "{line}");
    }
}
