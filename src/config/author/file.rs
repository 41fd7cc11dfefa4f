//! The formats of an author's files: the only place that knows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::{
    file::{GrantsFile, PluginLimitsFile, sections},
    part::{Any, Field, Part, Text},
    shape::{Form, Section},
    tree::Node,
};

sections! {
    /// A project.
    ManifestFile {
        name: Text,
        language: Text,
        component: Text,
        build: Option<Vec<String>>,
        needs: Option<Vec<NeedFile>>,
        sources: Option<Vec<String>>,
        cases: Text,
        config: Option<Map<String, Value>>,
        grants: Option<GrantsFile>,
        limits: Option<PluginLimitsFile>,
    }

    /// One of `needs`.
    NeedFile {
        name: Text,
        check: Text,
        install: Text,
    }

    /// Test cases.
    CasesFile {
        config: Field<Any>,
        mode: Text,
        cases: Option<Vec<CaseFile>>,
    }

    /// One of `cases`.
    CaseFile {
        name: Text,
        config: Field<Any>,
        limits: Option<PluginLimitsFile>,
        mode: Text,
        ask: Text,
        request: Field<RequestFile>,
        given: Option<GivenFile>,
        holder: Option<GivenFile>,
        answer: Option<AnswerFile>,
        messages: Option<Vec<MessageFile>>,
        migrate: Text,
        events: Option<Vec<EventFile>>,
        expect: Option<ExpectFile>,
    }

    /// The long form of a request.
    RequestMap {
        url: Text,
        method: Text,
        headers: Option<BTreeMap<String, ValuesFile>>,
        peer: Text,
        plain: Text,
        http_version: Text,
        scheme: Text,
        remote: Text,
        listener: Text,
        route: Text,
    }

    /// What is known of a request or a connection.
    GivenFile {
        id: Text,
        role: Text,
        channel: Text,
        identity: Option<IdentityFile>,
        attributes: Option<BTreeMap<String, String>>,
        attachment: Field<PayloadFile>,
        subprotocol: Text,
        partner: Text,
        opened_at_ms: Text,
    }

    /// `identity` of what is known.
    IdentityFile {
        subject: Text,
        roles: Option<Vec<String>>,
        expires_at_ms: Text,
        token_id: Text,
        attributes: Option<BTreeMap<String, String>>,
    }

    /// An answer that goes out.
    AnswerFile {
        status: Text,
        headers: Option<BTreeMap<String, ValuesFile>>,
    }

    /// One of `messages`.
    MessageFile {
        to_client: Field<PayloadFile>,
        to_backend: Field<PayloadFile>,
        expect: Field<Any>,
    }

    /// The long form of a message.
    PayloadMap {
        base64: Text,
    }

    /// One of `events`.
    EventFile {
        name: Text,
        at_ms: Text,
        attributes: Option<BTreeMap<String, String>>,
    }

    /// What a case expects.
    ExpectFile {
        role: Field<Any>,
        identity: Field<Any>,
        channel: Field<Any>,
        service: Field<Any>,
        rewrite: Field<Any>,
        attributes: Field<Any>,
        rejected: Field<Any>,
        pair: Field<Any>,
        answer: Field<Any>,
        migrate: Field<Any>,
        recheck: Field<Any>,
        logs: Option<Vec<String>>,
        refused: Text,
        failed: Text,
    }
}

/// A request: its URL alone, or a map with more.
#[derive(Debug)]
pub(super) enum RequestFile {
    /// The URL alone.
    Url(String),
    /// With header fields and more.
    Map(Box<RequestMap>),
}

impl Default for RequestFile {
    fn default() -> Self {
        Self::Url(String::new())
    }
}

impl Part for RequestFile {
    fn form() -> Form {
        Form::Either("a path or a map with `url` belongs here", vec![Form::Text, RequestMap::form()])
    }

    fn read(node: &Node) -> Self {
        if node.map().is_some() { Self::Map(Box::new(RequestMap::read(node))) } else { Self::Url(String::read(node)) }
    }
}

/// The value of a header field, or a list of those of several lines of one name.
#[derive(Debug, Default)]
pub(super) struct ValuesFile(pub(super) Vec<String>);

impl Part for ValuesFile {
    fn form() -> Form {
        Form::Either("a text or a list of texts belongs here", vec![Form::Scalar, Vec::<String>::form()])
    }

    fn read(node: &Node) -> Self {
        Self(if node.list().is_some() { Vec::read(node) } else { vec![String::read(node)] })
    }
}

/// A message: a text, or a map with bytes.
#[derive(Debug)]
pub(super) enum PayloadFile {
    /// A text.
    Text(String),
    /// Bytes.
    Map(PayloadMap),
}

impl Default for PayloadFile {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Part for PayloadFile {
    fn form() -> Form {
        let wanted = "a text (numbers in quotes), or a map with `base64` belongs here";
        Form::Either(wanted, vec![Form::Text, PayloadMap::form()])
    }

    fn read(node: &Node) -> Self {
        if node.map().is_some() { Self::Map(PayloadMap::read(node)) } else { Self::Text(String::read(node)) }
    }
}
