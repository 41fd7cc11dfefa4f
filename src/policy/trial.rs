//! Trying a plugin apart from a proxy: it is asked what a route would ask it, by the same code and within the same bounds,
//! about a request of which something may be known already.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Facts, Failure, Known, Plugin, Refused, Ruling, Trace,
    context::{Call, Scene},
    decide_from, filter,
    filter::Filters,
    v0_1::Question,
};
use crate::{
    model::{ChannelId, Direction, Event, Handshake, Identity, Mode, Oversize, Payload, Role},
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
