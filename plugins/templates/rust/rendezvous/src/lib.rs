//! Who is a client, who a backend, and on which channel they meet.
//!
//! | key | default | is |
//! |---|---|---|
//! | `parameter` | `channelId` | the query parameter that names the channel |
//! | `backend` | `connect` | the last segment of a backend's path |

use cordboard_plugin_sdk::{
    Channel, ChannelExtraction, Plugin, Rejection, Request, Role, RoleDetection, config::Object,
    export,
};

struct Policy {
    parameter: String,
    backend: String,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let policy = Self {
            parameter: keys.text("parameter", "channelId")?,
            backend: keys.text("backend", "connect")?,
        };
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(policy)
    }
}

impl RoleDetection for Policy {
    fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection> {
        let is_backend = request.path_segments().last() == Some(&self.backend);
        Ok(Some(if is_backend {
            Role::Backend
        } else {
            Role::Client
        }))
    }
}

impl ChannelExtraction for Policy {
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
        match request.query_param(&self.parameter) {
            // The host refuses ids that are too long or hold control characters.
            Some(id) if !id.is_empty() => Ok(Some(Channel {
                id,
                attributes: vec![],
            })),
            _ => {
                let body = format!("Name a channel: ?{}=...\n", self.parameter);
                Err(Rejection::new(400, "channel-missing").with_body(body))
            }
        }
    }
}

export!(Policy: RoleDetection, ChannelExtraction);

#[cfg(test)]
mod tests;
