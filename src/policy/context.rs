//! What a policy call is about: one handshake and the results of the steps before this one.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    head::target,
    model::{Attribute, ChannelId, Handshake, Role},
};

/// Most attributes that the plugins of one handshake may leave, and the longest name and value, in bytes.
const ATTRIBUTES: usize = 64;
const ATTRIBUTE_BYTES: usize = 4096;

/// The subject of a call. Steps add to it between calls.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) handshake: Arc<Handshake>,
    pub(super) role: Option<Role>,
    pub(super) channel: Option<ChannelId>,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Call {
    pub(super) fn about(handshake: &Arc<Handshake>) -> Self {
        Self { handshake: Arc::clone(handshake), role: None, channel: None, attributes: BTreeMap::new() }
    }

    /// Takes a plugin's attributes, under its name: all or, if they break a bound, none.
    pub(super) fn add(&mut self, plugin: &str, attributes: Vec<Attribute>) -> Result<(), String> {
        if attributes.is_empty() {
            return Ok(());
        }
        let mut all = self.attributes.clone();
        for (name, value) in attributes {
            let too_long = name.len() + value.len() > ATTRIBUTE_BYTES;
            all.insert(format!("{plugin}/{name}"), value);
            if too_long || all.len() > ATTRIBUTES {
                return Err(format!(
                    "left more than {ATTRIBUTES} attributes, or one of more than {ATTRIBUTE_BYTES} bytes"
                ));
            }
        }
        self.attributes = all;
        Ok(())
    }

    pub(super) fn query_param(&self, name: &str) -> Option<String> {
        target::query_param(self.handshake.uri.query().unwrap_or_default(), name)
    }

    pub(super) fn query_params(&self, name: &str) -> Vec<String> {
        target::query_pairs(self.handshake.uri.query().unwrap_or_default())
            .filter(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// The values of a header, in order; none for a name that is not one.
    pub(super) fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.handshake.headers.get_all(name).into_iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        target::cookie(&self.handshake.headers, name).map(ToOwned::to_owned)
    }
}
