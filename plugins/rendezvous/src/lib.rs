//! The built-in rendezvous policy: the role comes from the path, the channel id from a header or the query.
//!
//! - **Role**: `backend` where the segments of `backendPath` stand anywhere in the path, whole and in a row; else
//!   `client`. The query never counts.
//! - **Channel id**: the first of `channelHeaders` that is present, even if it is empty; else the first parameter of
//!   `channelQuery`, percent-decoded; else no opinion. An id that breaks the rules is refused with 400.
//! - `enabled: false` means no opinion in both.
//!
//! Both sides of a channel must name it; whom they are joined with is the host's part.

// See the SDK: a rejection is an HTTP answer, made once in a refused call.
#![allow(clippy::result_large_err)]

mod config;

use config::Config;
use cordboard_plugin_sdk::{
    Channel, ChannelExtraction, Plugin, Rejection, Request, Role, RoleDetection, export, id::InvalidId, path, query,
};

/// The policy with its configuration.
#[derive(Debug)]
pub struct Rendezvous {
    config: Config,
}

impl Plugin for Rendezvous {
    const NAME: &'static str = "rendezvous";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl RoleDetection for Rendezvous {
    fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection> {
        if !self.config.enabled {
            return Ok(None);
        }
        let mark = self.config.backend_path.as_slice();
        let path = request.path();
        let segments: Vec<_> = path::segments(&path).collect();
        let is_backend = segments.windows(mark.len()).any(|run| run == mark);
        Ok(Some(if is_backend { Role::Backend } else { Role::Client }))
    }
}

impl ChannelExtraction for Rendezvous {
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
        if !self.config.enabled {
            return Ok(None);
        }
        for name in &self.config.channel_headers {
            if let Some(id) = request.header(name) {
                return channel(Ok(id), "header", name).map(Some);
            }
        }
        if self.config.channel_query.is_empty() {
            return Ok(None);
        }
        // The raw query rather than the host's decoded parameter: an id that is no text must be told from one that is.
        let raw = request.query().unwrap_or_default();
        for name in &self.config.channel_query {
            if let Some(id) = query::values(&raw, name).next() {
                return channel(id, "query parameter", name).map(Some);
            }
        }
        Ok(None)
    }
}

fn channel(id: Result<String, InvalidId>, kind: &str, name: &str) -> Result<Channel, Rejection> {
    id.and_then(Channel::new).map_err(|error| {
        let text = format!("the channel id in {kind} {name:?} {error}");
        Rejection::new(400, "bad-channel-id").with_reason(text.clone()).with_body(text + "\n")
    })
}

export!(Rendezvous: RoleDetection, ChannelExtraction);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
