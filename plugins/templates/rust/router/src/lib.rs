//! Which service a path leads to.
//!
//! | key | default | is |
//! |---|---|---|
//! | `services` | `{ /ws/echo: echo }` | services by their paths; the longest path wins |

use std::{cmp::Reverse, collections::BTreeMap};

use cordboard_plugin_sdk::{
    Channel, ChannelExtraction, Plugin, Rejection, Request, Resolution, Role, RoleDetection,
    ServiceResolution, config::Object, export,
};

struct Policy {
    /// Paths and their services, the longest path first.
    services: Vec<(String, String)>,
}

impl Policy {
    /// The service of the longest path that the request's begins with, whole segments only.
    fn service(&self, request: &impl Request) -> Option<&str> {
        let path = request.path();
        let leads = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.services
            .iter()
            .find(|(prefix, _)| leads(prefix))
            .map(|(_, service)| service.as_str())
    }
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let echo = BTreeMap::from([("/ws/echo".to_owned(), "echo".to_owned())]);
        let services = keys.must("services", "map paths to services", echo)?;
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        let mut services: Vec<_> = services.into_iter().collect();
        services.sort_by_key(|(path, _)| Reverse(path.len()));
        Ok(Self { services })
    }
}

impl RoleDetection for Policy {
    fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection> {
        // None is "no opinion": the next plugin of the route is asked.
        Ok(self.service(request).map(|_| Role::Routed))
    }
}

impl ChannelExtraction for Policy {
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
        let id = request.header("x-group-id").filter(|id| !id.is_empty());
        // The host refuses ids that are too long or hold control characters.
        Ok(id.map(|id| Channel {
            id,
            attributes: vec![],
        }))
    }
}

impl ServiceResolution for Policy {
    fn resolve(&self, request: &impl Request) -> Result<Option<Resolution>, Rejection> {
        Ok(self.service(request).map(Resolution::service))
    }
}

export!(Policy: RoleDetection, ChannelExtraction, ServiceResolution);

#[cfg(test)]
mod tests;
