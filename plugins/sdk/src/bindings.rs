//! What `wit-bindgen` makes of the contract in `wit`: one world for all imports, one for each exported interface.
//!
//! `wit` is a link to the repository's contract, so that the crate holds all it needs wherever it is copied or packaged.
//!
//! A component is the union of the worlds whose export macro its crate invokes, so it exports exactly those interfaces
//! and nothing else; imports that nobody calls are dropped when the component is made. `types` is generated once, in
//! [`imports`], and shared by all.

#![allow(missing_docs, unreachable_pub, unsafe_code, clippy::pedantic)]

/// The host's side: types, what the running call is about, log, clock, and the capabilities that a grant opens.
pub mod imports {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world imports {
                import cordboard:plugin/types@0.1.0;
                import cordboard:plugin/request@0.1.0;
                import cordboard:plugin/connection@0.1.0;
                import cordboard:plugin/message@0.1.0;
                import cordboard:plugin/interest@0.1.0;
                import cordboard:host/log@0.1.0;
                import cordboard:host/clock@0.1.0;
                import cordboard:host/random@0.1.0;
                import cordboard:host/metrics@0.1.0;
                import cordboard:host/key-value@0.1.0;
                import cordboard:host/discovery@0.1.0;
                import cordboard:host/http-client@0.1.0;
            }
        ",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

/// Every plugin's own description and start.
pub mod meta {
    wit_bindgen::generate!({
        path: "wit",
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
        path: "wit",
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
        path: "wit",
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
        path: "wit",
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
        path: "wit",
        inline: "
            package cordboard:sdk;
            world request-rewriting { export cordboard:plugin/request-rewriting@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_request_rewriting",
    });
}

/// Which header fields of the answer change?
pub mod response_rewriting {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world response-rewriting { export cordboard:plugin/response-rewriting@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_response_rewriting",
    });
}

/// Who is it, and may they in?
pub mod authorization {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world authorization { export cordboard:plugin/authorization@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_authorization",
    });
}

/// May an open session go on?
pub mod session_authorization {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world session-authorization { export cordboard:plugin/session-authorization@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_session_authorization",
    });
}

/// What if the seat is taken?
pub mod pairing {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world pairing { export cordboard:plugin/pairing@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_pairing",
        additional_derives: [PartialEq, Eq],
    });
}

/// What becomes of a message?
pub mod message_filtering {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world message-filtering { export cordboard:plugin/message-filtering@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_message_filtering",
        additional_derives: [PartialEq, Eq],
    });
}

/// May a connection move to this version?
pub mod filter_migration {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world filter-migration { export cordboard:plugin/filter-migration@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_filter_migration",
    });
}

/// What happened to a connection?
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "wit",
        inline: "
            package cordboard:sdk;
            world lifecycle { export cordboard:plugin/lifecycle@0.1.0; }
        ",
        with: { "cordboard:plugin/types@0.1.0": crate::bindings::imports::cordboard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        additional_derives: [PartialEq, Eq],
    });
}
