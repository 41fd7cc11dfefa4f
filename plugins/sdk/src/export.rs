//! From a policy's traits to a component's exports: the adapter that `wit-bindgen` calls, and [`export!`](crate::export).

use std::{cell::OnceCell, marker::PhantomData, sync::Once, thread::LocalKey};

use crate::{
    Channel, ChannelExtraction, Edit, Plugin, Rejection, RequestRewriting, Resolution, Role, RoleDetection,
    ServiceResolution,
    bindings::{
        channel_extraction::exports::cordboard::plugin::channel_extraction,
        meta::exports::cordboard::plugin::meta::{self, Info},
        request_rewriting::exports::cordboard::plugin::request_rewriting,
        role_detection::exports::cordboard::plugin::role_detection,
        service_resolution::exports::cordboard::plugin::service_resolution,
    },
    log,
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
fn decide<P: Exported, T>(decision: impl FnOnce(&P, &HostRequest) -> T) -> T {
    P::slot().with(|slot| match slot.get() {
        Some(policy) => decision(policy, &HostRequest(())),
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
        decide(|policy: &P, request| policy.detect_role(request))
    }
}

impl<P: Exported + ChannelExtraction> channel_extraction::Guest for Adapter<P> {
    fn extract_channel() -> Result<Option<Channel>, Rejection> {
        decide(|policy: &P, request| policy.extract_channel(request))
    }
}

impl<P: Exported + ServiceResolution> service_resolution::Guest for Adapter<P> {
    fn resolve() -> Result<Option<Resolution>, Rejection> {
        decide(|policy: &P, request| policy.resolve(request))
    }
}

impl<P: Exported + RequestRewriting> request_rewriting::Guest for Adapter<P> {
    fn rewrite_request() -> Result<Vec<Edit>, Rejection> {
        decide(|policy: &P, request| policy.rewrite_request(request))
    }
}

/// Makes the crate a plugin: exports `meta` and the named interfaces of a policy, and nothing else.
///
/// ```ignore
/// cordboard_plugin_sdk::export!(Policy: RoleDetection, ChannelExtraction);
/// ```
///
/// Name only what the policy decides: the host asks every interface that a component exports. Version and description
/// shown by the host are those of the crate's `Cargo.toml`. Off wasm the macro checks the traits and exports nothing.
#[macro_export]
macro_rules! export {
    ($policy:ty: $($interface:ident),+ $(,)?) => {
        const _: () = {
            impl $crate::__private::Exported for $policy {
                const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
                const DESCRIPTION: &'static str = ::core::env!("CARGO_PKG_DESCRIPTION");

                fn slot() -> &'static ::std::thread::LocalKey<::std::cell::OnceCell<Self>> {
                    ::std::thread_local! {
                        static POLICY: ::std::cell::OnceCell<$policy> = const { ::std::cell::OnceCell::new() };
                    }
                    &POLICY
                }
            }

            const fn decides<P: $($crate::$interface +)+>() {}
            decides::<$policy>();
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type Exports = $crate::__private::Adapter<$policy>;
            $crate::__private::bindings::meta::export_meta!(
                Exports with_types_in $crate::__private::bindings::meta
            );
            $($crate::__export_interface!($interface Exports);)+
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_interface {
    (RoleDetection $exports:ident) => {
        $crate::__private::bindings::role_detection::export_role_detection!(
            $exports with_types_in $crate::__private::bindings::role_detection
        );
    };
    (ChannelExtraction $exports:ident) => {
        $crate::__private::bindings::channel_extraction::export_channel_extraction!(
            $exports with_types_in $crate::__private::bindings::channel_extraction
        );
    };
    (ServiceResolution $exports:ident) => {
        $crate::__private::bindings::service_resolution::export_service_resolution!(
            $exports with_types_in $crate::__private::bindings::service_resolution
        );
    };
    (RequestRewriting $exports:ident) => {
        $crate::__private::bindings::request_rewriting::export_request_rewriting!(
            $exports with_types_in $crate::__private::bindings::request_rewriting
        );
    };
    ($other:ident $exports:ident) => {
        ::core::compile_error!(::core::concat!(
            "`", ::core::stringify!($other), "` is not an interface; there are ",
            "RoleDetection, ChannelExtraction, ServiceResolution and RequestRewriting"
        ));
    };
}
