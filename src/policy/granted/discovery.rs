//! Discovery: the endpoints of the services of the configuration that serves, from memory.

use std::{collections::HashMap, sync::Arc};

use super::{
    super::{
        host::State,
        output::cut,
        v0_1::{discovery, errors},
    },
    refused,
};
use crate::config::{self, Transport};

/// Endpoints by id of their service.
pub(super) type Services = HashMap<String, Vec<config::Endpoint>>;

pub(super) fn view<'a>(services: impl Iterator<Item = &'a config::Service>) -> Services {
    services.map(|service| (service.id.as_str().to_owned(), service.endpoints.clone())).collect()
}

impl discovery::Host for State {
    /// Those with the tag; without one all of them, which say their tags themselves.
    fn lookup(
        &mut self,
        service: String,
        env_tag: Option<String>,
    ) -> wasmtime::Result<Result<Vec<discovery::Endpoint>, errors::HostError>> {
        self.granted()?;
        let services = self.plugin().powers.shared.services.load_full();
        let Some(endpoints) = services.get(&service) else {
            let error = refused("not-found", format!("there is no service {:?}", cut(&service, 128)));
            return Ok(self.refusing("discovery", Err(error)));
        };
        let fits =
            |endpoint: &&config::Endpoint| env_tag.is_none() || endpoint.env_tag.as_deref() == env_tag.as_deref();
        Ok(Ok(endpoints.iter().filter(fits).map(shown).collect()))
    }
}

/// Nothing is known of an endpoint's health and load in this version: it counts as healthy and idle.
fn shown(endpoint: &config::Endpoint) -> discovery::Endpoint {
    let tag = endpoint.env_tag.as_ref().map(|tag: &Arc<str>| ("env_tag".to_owned(), tag.to_string()));
    discovery::Endpoint {
        address: endpoint.authority.to_string(),
        tls: endpoint.transport == Transport::Tls,
        healthy: true,
        active_connections: 0,
        weight: 1,
        metadata: tag.into_iter().collect(),
    }
}
