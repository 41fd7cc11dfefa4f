//! What is known of a request once its plugins have decided, for what they are asked later.

use std::sync::Arc;

use super::{
    Plugin,
    context::{Call, Facts},
    v0_1::Question,
};
use crate::model::{ChannelId, Hook, Identity, Role, Verdict};

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

impl Plugin {
    /// Whether it exports what this is asked of.
    #[must_use]
    pub fn is_asked(&self, hook: Hook) -> bool {
        self.answers(match hook {
            Hook::Role => Question::Role,
            Hook::Authorize => Question::Authorize,
            Hook::Channel => Question::Channel,
            Hook::Service => Question::Service,
            Hook::Rewrite => Question::Rewrite,
            Hook::Pair => Question::Pair,
            Hook::Response => Question::Response(0, &[]),
            Hook::Open => Question::Open,
            Hook::Message => Question::Message,
            Hook::Migrate => Question::Migrate(""),
            Hook::Recheck => Question::Recheck,
            Hook::Event => return self.observes(),
        })
    }

    /// What it is asked or told once a request is let in, as questions are shown: of who sits on its channel, of its
    /// answer, of its messages, of whether it may go on, of its life.
    #[must_use]
    pub fn later(&self) -> Vec<&'static str> {
        let all = [Hook::Pair, Hook::Response, Hook::Message, Hook::Recheck, Hook::Event];
        all.into_iter().filter(|hook| self.is_asked(*hook)).map(Hook::name).collect()
    }

    /// Whether it takes over connections of other versions.
    #[must_use]
    pub const fn takes_over(&self) -> bool {
        self.answers(Question::Migrate(""))
    }

    /// Whether it is asked about connections that live, so that what it is to be told of them must be kept.
    #[must_use]
    pub const fn asks_later(&self) -> bool {
        self.pairs() || self.answers(Question::Open) || self.answers(Question::Recheck) || self.observes()
    }
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
