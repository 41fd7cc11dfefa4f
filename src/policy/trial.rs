//! Trying a plugin apart from a proxy: it is asked what a route would ask it, by the same code and within the same bounds,
//! about a request of which something may be known already.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Asking, Facts, Failure, Known, Plugin, Refused, Ruling, Trace, authorize,
    context::{Call, Scene},
    decide_from, detect, extract, filter,
    filter::Filters,
    interest::Interests,
    resolve, rewrite,
    v0_1::{Answer, Question},
};
use crate::{
    model::{ChannelId, ConnId, Direction, Event, Handshake, Hook, Identity, Mode, Oversize, Payload, Role, Verdict},
    relay::Screened,
};

impl Known {
    /// What is known of a request before anybody is asked; attributes by their full names.
    #[must_use]
    pub fn given(
        handshake: &Arc<Handshake>,
        role: Option<Role>,
        channel: Option<ChannelId>,
        identity: Option<Identity>,
        attributes: BTreeMap<String, String>,
    ) -> Self {
        Self(Arc::new(Call {
            role,
            channel,
            identity: identity.map(Arc::new),
            attributes: (!attributes.is_empty()).then(|| Arc::new(attributes)),
            ..Call::about(handshake)
        }))
    }

    /// The attributes that were left, by their full names.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.attributes.as_deref().into_iter().flatten();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What the plugins say of a request of which this is known: as [`decide`](super::decide).
///
/// # Errors
/// Those of [`decide`](super::decide).
pub async fn decide(plugins: &[Arc<Plugin>], known: &Known, mode: Mode, trace: &mut Trace) -> Result<Ruling, Refused> {
    decide_from(plugins, known.clone(), mode, trace).await
}

/// What the plugins say of one question about a request of which this is known; nothing is asked where `hook` is none of a
/// request.
///
/// # Errors
/// Those of [`decide`](super::decide).
pub async fn decide_one(
    plugins: &[Arc<Plugin>],
    known: &Known,
    hook: Hook,
    mode: Mode,
    trace: &mut Trace,
) -> Result<Ruling, Refused> {
    let (mut call, mut verdict) = (Arc::clone(&known.0), Verdict::default());
    let mut asking = Asking::of(trace);
    match hook {
        Hook::Role => detect(plugins, &mut call, &mut verdict, mode, &mut asking).await?,
        Hook::Authorize => authorize::authorize(plugins, &mut call, &mut verdict, &mut asking).await?,
        Hook::Channel => extract(plugins, &mut call, &mut verdict, &mut asking).await?,
        Hook::Service => resolve(plugins, &mut call, &mut verdict, &mut asking).await?,
        Hook::Rewrite => rewrite(plugins, &call, &mut verdict, &mut asking).await?,
        _ => {}
    }
    Ok(Ruling { verdict, known: Known(call) })
}

/// What has become of a connection before it is looked at.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// The connection that it is joined with.
    pub partner: Option<ConnId>,
    /// When its 101 went out, in milliseconds since 1970; none is now.
    pub opened_at_ms: Option<u64>,
    /// What the plugin keeps of it.
    pub attachment: Vec<u8>,
}

impl Facts {
    /// Puts a connection where it was, for this plugin.
    pub fn recall(&self, plugin: &Plugin, past: Past) {
        self.opened(past.subprotocol.as_deref());
        if let Some(partner) = past.partner {
            self.joined(partner);
        }
        if let Some(time) = past.opened_at_ms {
            self.opened_then(time);
        }
        if !past.attachment.is_empty() {
            self.attach(&plugin.name(), past.attachment);
        }
    }
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Seen {
    /// No filter wants to see such messages.
    Unseen,
    /// It is longer than what is looked at; this becomes of it.
    TooLong(Oversize),
    /// This is made of it.
    Looked(Screened),
}

/// Shows a message to the filters of one connection.
pub async fn show(filters: &Filters, direction: Direction, message: Payload) -> Seen {
    let rules = filters.filters.iter().filter_map(|filter| filter.declared.rule(direction, message.kind));
    let rules: Vec<_> = rules.collect();
    let Some(most) = rules.iter().map(|rule| rule.max_bytes).max() else { return Seen::Unseen };
    if message.bytes.len() as u64 > u64::from(most) {
        let stops = rules.iter().map(|rule| rule.oversize).find(|oversize| *oversize != Oversize::Pass);
        return Seen::TooLong(stops.unwrap_or_default());
    }
    Seen::Looked(filter::look(filters.filters.iter().cloned().collect(), direction, message).await)
}

impl Plugin {
    /// Has it take a connection over from a version of this name, `name@identity`; the inner error is its refusal.
    ///
    /// # Errors
    /// The call failed.
    pub async fn migrate_now(self: &Arc<Self>, facts: &Arc<Facts>, from: &str) -> Result<Result<(), String>, Failure> {
        let mut scene = filter::scene(facts, &self.name(), Interests::everything());
        let answer = self.ask_about(Question::Migrate(from), &mut scene).await?;
        scene.keep(&self.name());
        Ok(match answer {
            Answer::Migrated(said) => said,
            _ => Ok(()),
        })
    }

    /// Tells it of an event, and waits until it has been told.
    ///
    /// # Errors
    /// The call failed.
    pub async fn tell_now(&self, facts: &Arc<Facts>, event: &Event) -> Result<(), Failure> {
        let mut scene = Scene { live: Some(facts.live(&self.name())), ..Scene::default() };
        self.ask_about(Question::Event(event), &mut scene).await?;
        scene.keep(&self.name());
        Ok(())
    }
}
