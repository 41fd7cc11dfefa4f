//! What is known of a request once its plugins have decided, for what they are asked later.

use std::sync::Arc;

use super::context::{Call, Facts};
use crate::model::{ChannelId, Identity, Role, Verdict};

/// A request with all that was said of it.
#[derive(Clone)]
pub struct Known(pub(super) Arc<Call>);

/// What the plugins of a route have decided.
pub struct Ruling {
    /// What they said.
    pub verdict: Verdict,
    /// What later questions are about.
    pub known: Known,
}

impl Known {
    /// Who it is, if an authorizer said so.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.0.identity.as_ref()
    }

    /// The connection that the request becomes, on this channel.
    #[must_use]
    pub fn facts(&self, role: Role, channel: ChannelId) -> Arc<Facts> {
        Arc::new(Facts::new(&self.0, role, channel))
    }
}
