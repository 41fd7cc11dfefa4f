//! What `wit-bindgen` makes of the contract in `wit/v0.1`: one world for all imports, one for each exported interface.
//!
//! A component is the union of the worlds whose export macro its crate invokes, so it exports exactly those interfaces
//! and nothing else; imports that nobody calls are dropped when the component is made. `types` is generated once, in
//! [`imports`], and shared by all.

#![allow(missing_docs, unreachable_pub, unsafe_code, clippy::pedantic)]

/// The host's side: types, the running call's request, log and clock.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package cordboard:sdk;
            world imports {
                import cordboard:plugin/types@0.1.0;
                import cordboard:plugin/request@0.1.0;
                import cordboard:host/log@0.1.0;
                import cordboard:host/clock@0.1.0;
            }
        ",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

/// Every plugin's own description and start.
pub mod meta {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package cordboard:sdk;
            world meta { export cordboard:plugin/meta@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_meta",
    });
}

/// Client, backend, routed or session?
pub mod role_detection {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package cordboard:sdk;
            world role-detection { export cordboard:plugin/role-detection@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_role_detection",
    });
}

/// Which channel?
pub mod channel_extraction {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package cordboard:sdk;
            world channel-extraction { export cordboard:plugin/channel-extraction@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_channel_extraction",
    });
}

/// Which service is dialled?
pub mod service_resolution {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package cordboard:sdk;
            world service-resolution { export cordboard:plugin/service-resolution@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_service_resolution",
        additional_derives: [PartialEq, Eq],
    });
}

/// Which header fields change on the way?
pub mod request_rewriting {
    wit_bindgen::generate!({
        path: "../../wit/v0.1",
        inline: "
            package cordboard:sdk;
            world request-rewriting { export cordboard:plugin/request-rewriting@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_request_rewriting",
    });
}
