//! Which subprotocol a leg's 101 names (RFC 6455 §4.2.2), pure.
//!
//! Each leg is judged by the list and the rule of its own route. The first leg decides by itself, unless its 101 is held
//! back: then its choice is made together with the second leg's. Names are compared as they are (RFC 6455 §11.5).

use std::sync::Arc;

use crate::model::{RendezvousRules, SubprotocolRule};

/// What a leg can speak and how exactly its partner must speak the same.
#[derive(Debug)]
pub(super) struct Offer {
    /// Its offers that its route allows, in its order.
    acceptable: Vec<Arc<str>>,
    /// Whether it offered anything at all.
    offered: bool,
    rule: SubprotocolRule,
}

/// What the 101s of the first and of the second leg name.
pub(super) type Choices = (Option<Arc<str>>, Option<Arc<str>>);

/// The two legs cannot agree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch;

impl Offer {
    pub(super) fn new(offers: Vec<Arc<str>>, rules: &RendezvousRules) -> Self {
        let offered = !offers.is_empty();
        let mut acceptable = offers;
        acceptable.retain(|name| rules.subprotocols.is_empty() || rules.subprotocols.contains(name));
        Self { acceptable, offered, rule: rules.subprotocol }
    }

    /// The choice of a first leg: none if it offered nothing that its route allows.
    pub(super) fn first(&self) -> Option<Arc<str>> {
        self.acceptable.first().cloned()
    }

    /// The choice of a second leg whose partner's 101 named `settled`.
    ///
    /// Without a subprotocol on the other leg this one must not expect one either: a client whose offers are all ignored
    /// fails the connection (RFC 6455 §4.1), and a status tells it more.
    pub(super) fn second(&self, settled: Option<&Arc<str>>) -> Result<Option<Arc<str>>, Mismatch> {
        match settled {
            Some(name) if self.acceptable.contains(name) => Ok(Some(Arc::clone(name))),
            Some(_) if self.offered || self.rule == SubprotocolRule::Strict => Err(Mismatch),
            None if !self.acceptable.is_empty() => Err(Mismatch),
            Some(_) | None => Ok(None),
        }
    }

    /// The choices of a first leg whose 101 is held back and of a second leg, in this order: the first leg's most preferred
    /// one that both can speak, else what it would have been given alone.
    pub(super) fn together(first: &Self, second: &Self) -> Result<Choices, Mismatch> {
        let common = first.acceptable.iter().find(|name| second.acceptable.contains(name));
        let settled = common.cloned().or_else(|| first.first());
        let chosen = second.second(settled.as_ref())?;
        Ok((settled, chosen))
    }
}
