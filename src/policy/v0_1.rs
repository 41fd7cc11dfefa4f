//! Bindings of contract version 0.1 (`wit/v0.1`) and the conversions between its types and [`crate::model`].
//!
//! One generated world holds every interface; which of them a component really exports is found by looking at it,
//! so the generated world and its all-or-nothing constructor are not used.

use std::time::Duration;

use wasmtime::component::{Component, Instance, InstancePre};

use super::output::cut;
use crate::model;

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
                import cordboard:host/log@0.1.0;
                import cordboard:host/clock@0.1.0;
                export cordboard:plugin/meta@0.1.0;
                export cordboard:plugin/role-detection@0.1.0;
                export cordboard:plugin/channel-extraction@0.1.0;
                export cordboard:plugin/service-resolution@0.1.0;
                export cordboard:plugin/request-rewriting@0.1.0;
            }
        ",
        world: "cordboard:embedder/host",
        imports: { default: trappable },
        exports: { default: async },
    });
}

pub(super) use generated::cordboard::{
    host::{clock, log},
    plugin::{request, types},
};
use generated::exports::cordboard::plugin as exports;

/// Packages of the contract that this host links, with the version it speaks.
pub(super) const PLUGIN_PACKAGE: &str = "cordboard:plugin/";
pub(super) const HOST_PACKAGE: &str = "cordboard:host/";
pub(super) const VERSION: &str = "0.1.0";

/// The interface every plugin exports.
pub(super) const META: &str = "meta";
/// The decision interfaces a plugin may export, in the order in which they are asked.
pub(super) const DECISIONS: [&str; 4] =
    ["role-detection", "channel-extraction", "service-resolution", "request-rewriting"];
/// What a plugin may import, beside WASI.
pub(super) const IMPORTS: [&str; 4] =
    ["cordboard:plugin/types", "cordboard:plugin/request", "cordboard:host/log", "cordboard:host/clock"];

/// One question to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Role,
    Channel,
    Service,
    Rewrite,
}

impl Question {
    /// As it is shown.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Channel => "channel",
            Self::Service => "service",
            Self::Rewrite => "rewrite",
        }
    }
}

/// A plugin's answer; `None` is "no opinion".
#[derive(Debug)]
pub(super) enum Answer {
    Role(Option<model::Role>),
    Channel(Option<(String, Vec<model::Attribute>)>),
    Service(Option<(Target, Vec<model::Attribute>)>),
    Rewrite(Vec<model::Edit>),
    Rejected(model::Rejection),
}

/// A resolver's answer before the host has checked it.
#[derive(Debug)]
pub(super) enum Target {
    Service(Wanted),
    Endpoint(String),
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

/// Where the exported functions stand in a component, found once a version.
pub(super) struct Indices {
    meta: exports::meta::GuestIndices,
    role: Option<exports::role_detection::GuestIndices>,
    channel: Option<exports::channel_extraction::GuestIndices>,
    service: Option<exports::service_resolution::GuestIndices>,
    rewrite: Option<exports::request_rewriting::GuestIndices>,
}

/// The exported functions of one instance.
pub(super) struct Guest {
    meta: exports::meta::Guest,
    role: Option<exports::role_detection::Guest>,
    channel: Option<exports::channel_extraction::Guest>,
    service: Option<exports::service_resolution::Guest>,
    rewrite: Option<exports::request_rewriting::Guest>,
}

fn exported(component: &Component, interface: &str) -> bool {
    component.get_export_index(None, format!("{PLUGIN_PACKAGE}{interface}@{VERSION}")).is_some()
}

impl Indices {
    pub(super) fn new<T: 'static>(component: &Component, pre: &InstancePre<T>) -> wasmtime::Result<Self> {
        macro_rules! find {
            ($module:ident, $interface:literal) => {
                if exported(component, $interface) { Some(exports::$module::GuestIndices::new(pre)?) } else { None }
            };
        }
        Ok(Self {
            meta: exports::meta::GuestIndices::new(pre)?,
            role: find!(role_detection, "role-detection"),
            channel: find!(channel_extraction, "channel-extraction"),
            service: find!(service_resolution, "service-resolution"),
            rewrite: find!(request_rewriting, "request-rewriting"),
        })
    }

    /// The functions of an instance.
    ///
    /// # Errors
    /// Names the interface whose types are not the contract's.
    pub(super) fn load(&self, mut store: impl wasmtime::AsContextMut, instance: &Instance) -> wasmtime::Result<Guest> {
        macro_rules! load {
            ($indices:expr, $interface:literal) => {
                $indices.load(&mut store, instance).map_err(|error| {
                    error.context(format!(
                        "its export `{PLUGIN_PACKAGE}{}` has other types than the contract's (`wit/v0.1`)",
                        $interface
                    ))
                })
            };
        }
        macro_rules! load_if_exported {
            ($indices:expr, $interface:literal) => {
                $indices.as_ref().map(|indices| load!(indices, $interface)).transpose()
            };
        }
        Ok(Guest {
            meta: load!(self.meta, "meta")?,
            role: load_if_exported!(self.role, "role-detection")?,
            channel: load_if_exported!(self.channel, "channel-extraction")?,
            service: load_if_exported!(self.service, "service-resolution")?,
            rewrite: load_if_exported!(self.rewrite, "request-rewriting")?,
        })
    }

    /// Whether this question is worth asking.
    pub(super) const fn answers(&self, question: Question) -> bool {
        match question {
            Question::Role => self.role.is_some(),
            Question::Channel => self.channel.is_some(),
            Question::Service => self.service.is_some(),
            Question::Rewrite => self.rewrite.is_some(),
        }
    }
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
        question: Question,
    ) -> wasmtime::Result<Answer> {
        Ok(match question {
            Question::Role => match &self.role {
                None => Answer::Role(None),
                Some(guest) => match guest.call_detect_role(store).await? {
                    Ok(role) => Answer::Role(role.map(Into::into)),
                    Err(rejection) => Answer::Rejected(rejection.into()),
                },
            },
            Question::Channel => match &self.channel {
                None => Answer::Channel(None),
                Some(guest) => match guest.call_extract_channel(store).await? {
                    Ok(channel) => Answer::Channel(channel.map(|channel| (channel.id, channel.attributes))),
                    Err(rejection) => Answer::Rejected(rejection.into()),
                },
            },
            Question::Service => match &self.service {
                None => Answer::Service(None),
                Some(guest) => match guest.call_resolve(store).await? {
                    Ok(resolution) => Answer::Service(resolution.map(Into::into)),
                    Err(rejection) => Answer::Rejected(rejection.into()),
                },
            },
            Question::Rewrite => match &self.rewrite {
                None => Answer::Rewrite(Vec::new()),
                Some(guest) => match guest.call_rewrite_request(store).await? {
                    Ok(edits) => Answer::Rewrite(edits.into_iter().map(Into::into).collect()),
                    Err(rejection) => Answer::Rejected(rejection.into()),
                },
            },
        })
    }
}

impl From<exports::service_resolution::Resolution> for (Target, Vec<model::Attribute>) {
    fn from(resolution: exports::service_resolution::Resolution) -> Self {
        let target = match resolution.target {
            exports::service_resolution::Target::Service(service) => Target::Service(Wanted {
                id: service.service_id,
                scheme: service.scheme,
                env_tag: service.env_tag,
                path_and_query: resolution.path_and_query,
                connect_timeout: resolution.connect_timeout_ms.map(|ms| Duration::from_millis(u64::from(ms))),
            }),
            exports::service_resolution::Target::Endpoint(url) => Target::Endpoint(url),
        };
        (target, resolution.attributes)
    }
}

impl From<types::Role> for model::Role {
    fn from(role: types::Role) -> Self {
        match role {
            types::Role::Client => Self::Client,
            types::Role::Backend => Self::Backend,
            types::Role::Listener => Self::Listener,
            types::Role::Routed => Self::Routed,
            types::Role::Session => Self::Session,
            types::Role::Other(name) => Self::Other(name),
        }
    }
}

impl From<&model::Role> for types::Role {
    fn from(role: &model::Role) -> Self {
        match role {
            model::Role::Client => Self::Client,
            model::Role::Backend => Self::Backend,
            model::Role::Listener => Self::Listener,
            model::Role::Routed => Self::Routed,
            model::Role::Session => Self::Session,
            model::Role::Other(name) => Self::Other(name.clone()),
        }
    }
}

impl From<types::Edit> for model::Edit {
    fn from(edit: types::Edit) -> Self {
        match edit {
            types::Edit::Set((name, value)) => Self::Set(name, value),
            types::Edit::Append((name, value)) => Self::Append(name, value),
            types::Edit::Remove(name) => Self::Remove(name),
        }
    }
}

impl From<types::Rejection> for model::Rejection {
    fn from(rejection: types::Rejection) -> Self {
        let mut headers = rejection.headers;
        // Cut rather than failed: a connection that was to be refused must be refused.
        headers.truncate(REJECTION_HEADERS);
        Self {
            status: rejection.status,
            code: cut(&rejection.code, CODE_BYTES).to_owned(),
            log_reason: cut(&rejection.log_reason, LOG_REASON_BYTES).to_owned(),
            body: rejection.body,
            headers,
        }
    }
}
