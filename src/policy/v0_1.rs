//! Bindings of contract version 0.1 (`wit/v0.1`): what a plugin can be asked, and what it answers.
//!
//! One generated world holds every interface; which of them a component really exports is found by looking at it,
//! so the generated world and its all-or-nothing constructor are not used.

mod convert;

use std::time::Duration;

use wasmtime::component::{Component, Instance, InstancePre};

use crate::model::{self, Hook};

/// Most header fields of a rejection; the rest is left out.
const REJECTION_HEADERS: usize = 64;
/// Longest code of a rejection, in bytes; the rest is cut.
const CODE_BYTES: usize = 128;
/// Longest reason of a rejection for the operator, in bytes; the rest is cut.
const LOG_REASON_BYTES: usize = 1024;

#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit/v0.1",
        inline: r"
            package cordboard:embedder;
            world host {
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
                export cordboard:plugin/meta@0.1.0;
                export cordboard:plugin/role-detection@0.1.0;
                export cordboard:plugin/authorization@0.1.0;
                export cordboard:plugin/channel-extraction@0.1.0;
                export cordboard:plugin/service-resolution@0.1.0;
                export cordboard:plugin/pairing@0.1.0;
                export cordboard:plugin/request-rewriting@0.1.0;
                export cordboard:plugin/response-rewriting@0.1.0;
                export cordboard:plugin/message-filtering@0.1.0;
                export cordboard:plugin/filter-migration@0.1.0;
                export cordboard:plugin/session-authorization@0.1.0;
                export cordboard:plugin/lifecycle@0.1.0;
            }
        ",
        world: "cordboard:embedder/host",
        imports: { "cordboard:host/http-client.send": async | trappable, default: trappable },
        exports: { default: async },
    });
}

pub(super) use generated::cordboard::{
    host::{clock, discovery, errors, http_client, key_value, log, metrics, random},
    plugin::{connection, interest, message, request, types},
};
use generated::exports::cordboard::plugin as exports;

/// Packages of the contract that this host links, with the version it speaks.
pub(super) const PLUGIN_PACKAGE: &str = "cordboard:plugin/";
pub(super) const HOST_PACKAGE: &str = "cordboard:host/";
pub(super) const VERSION: &str = "0.1.0";

/// The interface every plugin exports.
pub(super) const META: &str = "meta";
/// What a plugin may import without being granted it, beside WASI.
pub(super) const IMPORTS: [&str; 8] = [
    "cordboard:plugin/types",
    "cordboard:plugin/request",
    "cordboard:plugin/connection",
    "cordboard:plugin/message",
    "cordboard:plugin/interest",
    "cordboard:host/log",
    "cordboard:host/clock",
    // Types only.
    "cordboard:host/errors",
];
/// What a plugin may import if it is granted: the interface, the key of the grant, and what the grant looks like.
pub(super) const GRANTED: [(&str, &str, &str); 5] = [
    ("cordboard:host/random", "random", "random: true"),
    ("cordboard:host/metrics", "metrics", "metrics: { series: 100 }"),
    ("cordboard:host/key-value", "key_value", "key_value: { BUCKET: {} }"),
    ("cordboard:host/discovery", "discovery", "discovery: true"),
    ("cordboard:host/http-client", "http_client", "http_client: { allow: [ \"HOST:PORT\" ] }"),
];

/// One question to a plugin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    Role,
    Authorize,
    Channel,
    Service,
    Pair,
    Rewrite,
    /// Status and header fields of the answer.
    Response(u16, &'a [model::Attribute]),
    Open,
    Message,
    /// From the version of this name.
    Migrate(&'a str),
    Recheck,
    Event(&'a model::Event),
}

impl Question<'_> {
    /// What is asked.
    pub(super) const fn hook(self) -> Hook {
        match self {
            Self::Role => Hook::Role,
            Self::Authorize => Hook::Authorize,
            Self::Channel => Hook::Channel,
            Self::Service => Hook::Service,
            Self::Pair => Hook::Pair,
            Self::Rewrite => Hook::Rewrite,
            Self::Response(..) => Hook::Response,
            Self::Open => Hook::Open,
            Self::Message => Hook::Message,
            Self::Migrate(_) => Hook::Migrate,
            Self::Recheck => Hook::Recheck,
            Self::Event(_) => Hook::Event,
        }
    }
}

/// A plugin's answer; `None` is "no opinion".
#[derive(Debug)]
pub(super) enum Answer {
    Role(Option<model::Role>),
    Identity(Option<model::Identity>),
    Channel(Option<(String, Vec<model::Attribute>)>),
    Service(Option<(Target, Vec<model::Attribute>)>),
    Pairing(Option<model::PairingDecision>),
    Rewrite(Vec<model::Edit>),
    Rejected(model::Rejection),
    Actions(Vec<Action>),
    Migrated(Result<(), String>),
    Checked(Result<(), model::CloseFrame>),
    /// There is nothing to answer.
    Told,
}

impl Answer {
    /// Whether it is more than "no opinion".
    pub(super) const fn is_opinion(&self) -> bool {
        match self {
            Self::Role(None)
            | Self::Identity(None)
            | Self::Channel(None)
            | Self::Service(None)
            | Self::Pairing(None)
            | Self::Told => false,
            Self::Rewrite(edits) => !edits.is_empty(),
            _ => true,
        }
    }
}

/// What a filter wants done about a message.
#[derive(Debug)]
pub(super) enum Action {
    /// Pass it on unchanged.
    Forward,
    /// Pass this on.
    Emit(model::Payload),
    /// Answer its sender.
    Reply(model::Payload),
    /// End the session.
    Close(model::CloseFrame),
}

/// A resolver's answer before the host has checked it.
#[derive(Debug)]
pub(super) enum Target {
    Service(Wanted),
    /// Its URL stands in place of the id.
    Endpoint(Wanted),
}

/// The service that a resolver named, and how it is to be dialled.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: String,
    pub(super) scheme: Option<String>,
    pub(super) env_tag: Option<String>,
    pub(super) path_and_query: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
}

/// What each interface is called, and the questions that go to it.
macro_rules! interfaces {
    ($($field:ident: $module:ident = $interface:literal for $($question:pat_param)|+, )+) => {
        /// The interfaces that a plugin may export, in the order in which they are asked.
        pub(super) const INTERFACES: &[&str] = &[$($interface,)+];

        /// Where the exported functions stand in a component, found once a version.
        pub(super) struct Indices {
            meta: exports::meta::GuestIndices,
            $($field: Option<exports::$module::GuestIndices>,)+
        }

        /// The exported functions of one instance.
        pub(super) struct Guest {
            meta: exports::meta::Guest,
            $($field: Option<exports::$module::Guest>,)+
        }

        impl Indices {
            pub(super) fn new<T: 'static>(component: &Component, pre: &InstancePre<T>) -> wasmtime::Result<Self> {
                Ok(Self {
                    meta: exports::meta::GuestIndices::new(pre)?,
                    $($field: if exported(component, $interface) {
                        Some(exports::$module::GuestIndices::new(pre)?)
                    } else {
                        None
                    },)+
                })
            }

            /// The functions of an instance.
            ///
            /// # Errors
            /// Names the interface whose types are not the contract's.
            pub(super) fn load(
                &self,
                mut store: impl wasmtime::AsContextMut,
                instance: &Instance,
            ) -> wasmtime::Result<Guest> {
                let other = |interface| move |error: wasmtime::Error| error.context(format!(
                    "its export `{PLUGIN_PACKAGE}{interface}` has other types than the contract's (`wit/v0.1`)"
                ));
                Ok(Guest {
                    meta: self.meta.load(&mut store, instance).map_err(other(META))?,
                    $($field: match &self.$field {
                        Some(indices) => Some(indices.load(&mut store, instance).map_err(other($interface))?),
                        None => None,
                    },)+
                })
            }

            /// Whether this question is worth asking.
            pub(super) const fn answers(&self, question: Question<'_>) -> bool {
                match question { $($($question)|+ => self.$field.is_some(),)+ }
            }

            /// Whether it is told of events; there is no question without one.
            pub(super) const fn observes(&self) -> bool {
                self.observe.is_some()
            }

            /// Whether it exports anything that a plugin is for.
            pub(super) fn exported(&self) -> impl Iterator<Item = &'static str> {
                [$(self.$field.as_ref().map(|_| $interface),)+].into_iter().flatten()
            }
        }
    };
}

interfaces! {
    role: role_detection = "role-detection" for Question::Role,
    authorize: authorization = "authorization" for Question::Authorize,
    channel: channel_extraction = "channel-extraction" for Question::Channel,
    service: service_resolution = "service-resolution" for Question::Service,
    pair: pairing = "pairing" for Question::Pair,
    rewrite: request_rewriting = "request-rewriting" for Question::Rewrite,
    response: response_rewriting = "response-rewriting" for Question::Response(..),
    filter: message_filtering = "message-filtering" for Question::Open | Question::Message,
    migrate: filter_migration = "filter-migration" for Question::Migrate(_),
    recheck: session_authorization = "session-authorization" for Question::Recheck,
    observe: lifecycle = "lifecycle" for Question::Event(_),
}

fn exported(component: &Component, interface: &str) -> bool {
    component.get_export_index(None, format!("{PLUGIN_PACKAGE}{interface}@{VERSION}")).is_some()
}

impl Guest {
    pub(super) async fn describe<T: Send>(
        &self,
        store: &mut wasmtime::Store<T>,
    ) -> wasmtime::Result<exports::meta::Info> {
        self.meta.call_describe(store).await
    }

    pub(super) async fn init<T: Send>(
        &self,
        store: &mut wasmtime::Store<T>,
        config: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        self.meta.call_init(store, config).await
    }

    /// Asks one question; asking what the plugin does not export is "no opinion".
    pub(super) async fn ask<T: Send>(
        &self,
        store: &mut wasmtime::Store<T>,
        question: Question<'_>,
    ) -> wasmtime::Result<Answer> {
        /// An answer that may be a rejection.
        macro_rules! decision {
            ($guest:expr, $none:expr, $call:ident($($argument:expr),*), |$said:ident| $answer:expr) => {
                match $guest {
                    None => $none,
                    Some(guest) => match guest.$call(store, $($argument),*).await? {
                        Ok($said) => $answer,
                        Err(rejection) => Answer::Rejected(rejection.into()),
                    },
                }
            };
        }
        let edits = |edits: Vec<types::Edit>| Answer::Rewrite(edits.into_iter().map(Into::into).collect());
        Ok(match question {
            Question::Role => decision!(&self.role, Answer::Role(None), call_detect_role(), |role| {
                Answer::Role(role.map(Into::into))
            }),
            Question::Authorize => decision!(&self.authorize, Answer::Identity(None), call_authorize(), |identity| {
                Answer::Identity(identity.map(Into::into))
            }),
            Question::Channel => decision!(&self.channel, Answer::Channel(None), call_extract_channel(), |channel| {
                Answer::Channel(channel.map(|channel| (channel.id, channel.attributes)))
            }),
            Question::Service => decision!(&self.service, Answer::Service(None), call_resolve(), |resolution| {
                Answer::Service(resolution.map(Into::into))
            }),
            Question::Pair => decision!(&self.pair, Answer::Pairing(None), call_decide(), |decision| {
                Answer::Pairing(decision.map(Into::into))
            }),
            Question::Rewrite => {
                decision!(&self.rewrite, Answer::Rewrite(Vec::new()), call_rewrite_request(), |said| edits(said))
            }
            Question::Response(status, headers) => {
                decision!(&self.response, Answer::Rewrite(Vec::new()), call_rewrite_response(status, headers), |said| {
                    edits(said)
                })
            }
            Question::Open => {
                if let Some(guest) = &self.filter {
                    guest.call_open(store).await?;
                }
                Answer::Told
            }
            Question::Message => match &self.filter {
                None => Answer::Actions(vec![Action::Forward]),
                Some(guest) => {
                    Answer::Actions(guest.call_on_message(store).await?.into_iter().map(Into::into).collect())
                }
            },
            Question::Migrate(from) => Answer::Migrated(match &self.migrate {
                None => Ok(()),
                Some(guest) => guest.call_migrate(store, from).await?,
            }),
            Question::Recheck => Answer::Checked(match &self.recheck {
                None => Ok(()),
                Some(guest) => guest.call_recheck(store).await?.map_err(Into::into),
            }),
            Question::Event(event) => {
                if let Some(guest) = &self.observe {
                    guest.call_on_event(store, &event.into()).await?;
                }
                Answer::Told
            }
        })
    }
}
