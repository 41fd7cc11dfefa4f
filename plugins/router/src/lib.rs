//! The built-in router policy: which service a request names, and its traces taken out of what goes upstream.
//!
//! - **Service id**, by precedence: the headers `Service-Id`, `service_id`, `serviceId`; the query parameters
//!   `service_id`, `serviceId`; the longest prefix of `pathPrefixService` at a segment boundary. Blank ones count as
//!   absent. No opinion where nothing names a service.
//! - **Protocol and environment tag**: the prefix entry's own, else the defaults. The query's `protocol` and `env_tag`
//!   (`envTag`) count only where `allowOverrides` lists them, and an invalid one is then refused with 400.
//! - **Upstream** goes the path as received, the query without the router's parameters (all others byte for byte and
//!   in order), and no routing headers.
//! - **Channel id**: the header `x-group-id`, else `channel-group-id`; else no opinion, and the host makes one.
//! - `enabled: false` means no opinion in everything.

// See the SDK: a rejection is an HTTP answer, made once in a refused call.
#![allow(clippy::result_large_err)]

mod config;
mod prefixes;

use config::{Config, Protocol};
use cordboard_plugin_sdk::{
    Channel, ChannelExtraction, Edit, Plugin, Rejection, Request, RequestRewriting, Resolution, ServiceRef,
    ServiceResolution, Target, export,
    id::{self, InvalidId},
    query,
};
use prefixes::Service;

const CHANNEL_HEADERS: [&str; 2] = ["x-group-id", "channel-group-id"];
const SERVICE_HEADERS: [&str; 3] = ["service-id", "service_id", "serviceid"];
const SERVICE_PARAMETERS: [&str; 2] = ["service_id", "serviceId"];
const ENV_TAG_PARAMETERS: [&str; 2] = ["env_tag", "envTag"];
const PROTOCOL_PARAMETERS: [&str; 1] = ["protocol"];
/// All that is taken out of the query, whether or not it counted.
const ROUTER_PARAMETERS: [&str; 5] = ["protocol", "service_id", "serviceId", "env_tag", "envTag"];

/// The policy with its configuration.
#[derive(Debug)]
pub struct Router {
    config: Config,
}

impl Plugin for Router {
    const NAME: &'static str = "router";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl ChannelExtraction for Router {
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
        if !self.config.enabled {
            return Ok(None);
        }
        let Some((name, id)) = CHANNEL_HEADERS.iter().find_map(|name| Some((name, request.header(name)?))) else {
            return Ok(None);
        };
        match Channel::new(id) {
            Ok(channel) => Ok(Some(channel)),
            Err(error) => Err(bad("bad-channel-id", &format!("the channel id in header {name:?} {error}"))),
        }
    }
}

impl ServiceResolution for Router {
    fn resolve(&self, request: &impl Request) -> Result<Option<Resolution>, Rejection> {
        if !self.config.enabled {
            return Ok(None);
        }
        let raw_query = request.query();
        let query = raw_query.as_deref().unwrap_or_default();
        let Some(service) = self.named_service(request, query)? else {
            return Ok(None);
        };

        let protocol = self.protocol(&service, query)?;
        let env_tag = self.env_tag(&service, query)?;
        let path_and_query = query::without(query, &ROUTER_PARAMETERS).map(|left| {
            let path = request.path();
            if left.is_empty() { path } else { format!("{path}?{left}") }
        });
        let target = Target::Service(ServiceRef {
            service_id: service.id,
            scheme: Some(protocol.name().to_owned()),
            env_tag: Some(env_tag).filter(|tag| !tag.is_empty()),
        });
        Ok(Some(Resolution { path_and_query, ..Resolution::target(target) }))
    }
}

impl RequestRewriting for Router {
    fn rewrite_request(&self, _: &impl Request) -> Result<Vec<Edit>, Rejection> {
        if !self.config.enabled {
            return Ok(Vec::new());
        }
        Ok(SERVICE_HEADERS.iter().map(|name| Edit::Remove((*name).to_owned())).collect())
    }
}

impl Router {
    fn named_service(&self, request: &impl Request, query: &str) -> Result<Option<Service>, Rejection> {
        let header = SERVICE_HEADERS.iter().find_map(|name| request.header(name).filter(|id| !id.trim().is_empty()));
        let named = match header {
            Some(id) => Some(Ok(id)),
            None => first_given(query, &SERVICE_PARAMETERS),
        };
        match named {
            Some(id) => service_id(id).map(|id| Some(Service { id, protocol: None, env_tag: None })),
            None => Ok(self.config.prefixes.longest(|| request.path()).cloned()),
        }
    }

    fn protocol(&self, service: &Service, query: &str) -> Result<Protocol, Rejection> {
        let given = self.config.override_protocol.then(|| first_given(query, &PROTOCOL_PARAMETERS)).flatten();
        match given {
            None => Ok(service.protocol.unwrap_or(self.config.default_protocol)),
            Some(text) => text
                .ok()
                .and_then(|text| Protocol::parse(text.trim()))
                .ok_or_else(|| bad("bad-protocol", &format!("the query's protocol is none of {}", Protocol::NAMES))),
        }
    }

    /// The tag; empty for untagged endpoints.
    fn env_tag(&self, service: &Service, query: &str) -> Result<String, Rejection> {
        let given = self.config.override_env_tag.then(|| first_given(query, &ENV_TAG_PARAMETERS)).flatten();
        match given {
            None => Ok(service.env_tag.as_ref().unwrap_or(&self.config.default_env_tag).clone()),
            Some(text) => {
                checked(text).map_err(|error| bad("bad-env-tag", &format!("the environment tag in the query {error}")))
            }
        }
    }
}

/// The first value that is not blank, of these parameters in this order. One that is no text is not blank.
fn first_given(query: &str, names: &[&str]) -> Option<Result<String, InvalidId>> {
    let given = |value: &Result<String, InvalidId>| !value.as_ref().is_ok_and(|value| value.trim().is_empty());
    names.iter().find_map(|name| query::values(query, name).find(given))
}

fn service_id(id: Result<String, InvalidId>) -> Result<String, Rejection> {
    checked(id).map_err(|error| bad("bad-service-id", &format!("the service id {error}")))
}

/// Without the blanks around it, and by the rule for ids.
fn checked(text: Result<String, InvalidId>) -> Result<String, InvalidId> {
    let text = text?.trim().to_owned();
    id::check(&text).map(|()| text)
}

fn bad(code: &str, text: &str) -> Rejection {
    Rejection::new(400, code).with_reason(text).with_body(format!("{text}\n"))
}

export!(Router: ChannelExtraction, ServiceResolution, RequestRewriting);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
