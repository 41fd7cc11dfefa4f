//! [`export!`](crate::export): from a crate to a component.

/// Makes the crate a plugin: exports `meta` and the named interfaces of a policy, and nothing else.
///
/// ```
/// # use cordboard_plugin_sdk::{ChannelExtraction, Plugin, RoleDetection};
/// # struct Policy;
/// # impl Plugin for Policy {
/// #     const NAME: &'static str = "policy";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// # impl RoleDetection for Policy {}
/// # impl ChannelExtraction for Policy {}
/// # fn main() {}
/// cordboard_plugin_sdk::export!(Policy: RoleDetection, ChannelExtraction);
/// ```
///
/// Name only what the policy decides: the host asks every interface that a component exports. Version and description
/// shown by the host are those of the crate's `Cargo.toml`. Off wasm the macro checks the traits and exports nothing.
///
/// With `; schema = "schema.json"` the component carries the JSON Schema of its configuration, in a custom section
/// `cordboard:config-schema` of its core module. The host checks the configuration by it before `init`. The path is
/// as for [`include_str!`].
///
/// ```text
/// cordboard_plugin_sdk::export!(Policy: MessageFiltering; schema = "schema.json");
/// ```
#[macro_export]
macro_rules! export {
    ($policy:ty: $($interface:ident),+ $(,)? $(; schema = $schema:literal)?) => {
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
            // Text, and there, whatever the target.
            $(const _: &str = ::core::include_str!($schema);)?
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type Exports = $crate::__private::Adapter<$policy>;
            $crate::__private::bindings::meta::export_meta!(
                Exports with_types_in $crate::__private::bindings::meta
            );
            $($crate::__export_interface!($interface Exports);)+

            // Here and not in the SDK: the linker leaves out of a library what nothing calls.
            #[unsafe(export_name = "cabi_realloc")]
            unsafe extern "C" fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
                // SAFETY: as the host calls it.
                unsafe { $crate::__private::bindings::runtime::cabi_realloc(old, old_len, align, len) }
            }

            // On wasm a static of a named section is a custom section of the module.
            $(
                #[used]
                #[unsafe(link_section = "cordboard:config-schema")]
                static SCHEMA: [u8; ::core::include_bytes!($schema).len()] = *::core::include_bytes!($schema);
            )?
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
    (Authorization $exports:ident) => {
        $crate::__private::bindings::authorization::export_authorization!(
            $exports with_types_in $crate::__private::bindings::authorization
        );
    };
    (SessionAuthorization $exports:ident) => {
        $crate::__private::bindings::session_authorization::export_session_authorization!(
            $exports with_types_in $crate::__private::bindings::session_authorization
        );
    };
    (Pairing $exports:ident) => {
        $crate::__private::bindings::pairing::export_pairing!(
            $exports with_types_in $crate::__private::bindings::pairing
        );
    };
    (ResponseRewriting $exports:ident) => {
        $crate::__private::bindings::response_rewriting::export_response_rewriting!(
            $exports with_types_in $crate::__private::bindings::response_rewriting
        );
    };
    (MessageFiltering $exports:ident) => {
        $crate::__private::bindings::message_filtering::export_message_filtering!(
            $exports with_types_in $crate::__private::bindings::message_filtering
        );
    };
    (FilterMigration $exports:ident) => {
        $crate::__private::bindings::filter_migration::export_filter_migration!(
            $exports with_types_in $crate::__private::bindings::filter_migration
        );
    };
    (Lifecycle $exports:ident) => {
        $crate::__private::bindings::lifecycle::export_lifecycle!(
            $exports with_types_in $crate::__private::bindings::lifecycle
        );
    };
    ($other:ident $exports:ident) => {
        ::core::compile_error!(::core::concat!(
            "`", ::core::stringify!($other), "` is not an interface; there are ",
            "RoleDetection, Authorization, SessionAuthorization, ChannelExtraction, ServiceResolution, Pairing, ",
            "RequestRewriting, ResponseRewriting, MessageFiltering, FilterMigration and Lifecycle"
        ));
    };
}
