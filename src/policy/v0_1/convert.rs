//! The contract's types, and what they are in [`crate::model`].

use std::time::Duration;

use super::{Action, CODE_BYTES, LOG_REASON_BYTES, REJECTION_HEADERS, Target, Wanted, exports, types};
use crate::{model, policy::output::cut};

impl From<exports::service_resolution::Resolution> for (Target, Vec<model::Attribute>) {
    fn from(resolution: exports::service_resolution::Resolution) -> Self {
        let (path_and_query, timeout) = (resolution.path_and_query, resolution.connect_timeout_ms);
        let wanted = |id, scheme, env_tag| Wanted {
            id,
            scheme,
            env_tag,
            path_and_query,
            connect_timeout: timeout.map(|ms| Duration::from_millis(u64::from(ms))),
        };
        let target = match resolution.target {
            exports::service_resolution::Target::Service(service) => {
                Target::Service(wanted(service.service_id, service.scheme, service.env_tag))
            }
            exports::service_resolution::Target::Endpoint(url) => Target::Endpoint(wanted(url, None, None)),
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

impl From<types::Identity> for model::Identity {
    fn from(identity: types::Identity) -> Self {
        let types::Identity { subject, roles, expires_at_ms, token_id, attributes } = identity;
        Self { subject, roles, expires_at_ms, token_id, attributes }
    }
}

impl From<&model::Identity> for types::Identity {
    fn from(identity: &model::Identity) -> Self {
        let model::Identity { subject, roles, expires_at_ms, token_id, attributes } = identity.clone();
        Self { subject, roles, expires_at_ms, token_id, attributes }
    }
}

impl From<types::Direction> for model::Direction {
    fn from(direction: types::Direction) -> Self {
        match direction {
            types::Direction::ToBackend => Self::ToBackend,
            types::Direction::ToClient => Self::ToClient,
        }
    }
}

impl From<model::Direction> for types::Direction {
    fn from(direction: model::Direction) -> Self {
        match direction {
            model::Direction::ToBackend => Self::ToBackend,
            model::Direction::ToClient => Self::ToClient,
        }
    }
}

impl From<types::MessageKind> for model::MessageKind {
    fn from(kind: types::MessageKind) -> Self {
        match kind {
            types::MessageKind::Text => Self::Text,
            types::MessageKind::Binary => Self::Binary,
        }
    }
}

impl From<model::MessageKind> for types::MessageKind {
    fn from(kind: model::MessageKind) -> Self {
        match kind {
            model::MessageKind::Text => Self::Text,
            model::MessageKind::Binary => Self::Binary,
        }
    }
}

impl From<types::OversizePolicy> for model::Oversize {
    fn from(policy: types::OversizePolicy) -> Self {
        match policy {
            types::OversizePolicy::Pass => Self::Pass,
            types::OversizePolicy::Drop => Self::Drop,
            types::OversizePolicy::Close => Self::Close,
        }
    }
}

impl From<types::Payload> for model::Payload {
    fn from(payload: types::Payload) -> Self {
        match payload {
            types::Payload::Text(text) => Self { kind: model::MessageKind::Text, bytes: text.into_bytes() },
            types::Payload::Binary(bytes) => Self { kind: model::MessageKind::Binary, bytes },
        }
    }
}

impl From<types::CloseFrame> for model::CloseFrame {
    fn from(frame: types::CloseFrame) -> Self {
        Self { code: frame.code, reason: frame.reason }
    }
}

impl From<exports::message_filtering::Action> for Action {
    fn from(action: exports::message_filtering::Action) -> Self {
        match action {
            exports::message_filtering::Action::Forward => Self::Forward,
            exports::message_filtering::Action::Emit(payload) => Self::Emit(payload.into()),
            exports::message_filtering::Action::Reply(payload) => Self::Reply(payload.into()),
            exports::message_filtering::Action::Close(frame) => Self::Close(frame.into()),
        }
    }
}

impl From<exports::pairing::PairingDecision> for model::PairingDecision {
    fn from(decision: exports::pairing::PairingDecision) -> Self {
        match decision {
            exports::pairing::PairingDecision::Join => Self::Join,
            exports::pairing::PairingDecision::Replace => Self::Replace,
        }
    }
}

impl From<&model::Event> for exports::lifecycle::Event {
    fn from(event: &model::Event) -> Self {
        Self { name: event.name.clone().into_owned(), at_ms: event.at_ms, attributes: event.attributes.clone() }
    }
}
