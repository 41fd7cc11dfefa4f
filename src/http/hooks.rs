//! What the plugins of a leg are asked while it lives: its message filters, and the generation whose code they are.

use std::sync::Arc;

use super::{Admitted, Refuse, session::SessionHandle};
use crate::{
    generation::Generation,
    model::{ChannelId, Role},
    policy::filter::{self, Filters},
    relay::Screen,
    rendezvous::Side,
};

/// Of one leg.
pub(super) struct Hooks {
    filters: Arc<Filters>,
    /// Counted as long as its code is in use.
    _generation: Arc<Generation>,
}

impl Hooks {
    /// None where there is nobody to ask: then no generation is kept.
    pub(super) fn of(filters: Option<Arc<Filters>>, generation: Arc<Generation>) -> Option<Self> {
        filters.map(|filters| Self { filters, _generation: generation })
    }

    /// `name@identity` of each filter, for logs.
    pub(super) fn labels(&self) -> String {
        self.filters.labels()
    }
}

/// Opens the filters of a connection, before its 101.
pub(super) async fn open(
    admitted: &Admitted,
    role: &Role,
    channel: &ChannelId,
) -> Result<Option<Arc<Filters>>, Refuse> {
    let plugins = &admitted.route.plugins;
    if !plugins.iter().any(|plugin| plugin.filters()) {
        return Ok(None);
    }
    let facts = admitted.subject.facts(role.clone(), channel.clone());
    Ok(filter::open(plugins, &admitted.subject, &facts).await?)
}

/// What looks at the messages of two legs of a rendezvous, of which one is on this side.
pub(super) fn screen(side: Side, own: &SessionHandle, partner: &SessionHandle) -> Option<Arc<dyn Screen>> {
    let filters = |leg: &SessionHandle, other: &SessionHandle| {
        let filters = leg.hooks().map(|hooks| Arc::clone(&hooks.filters));
        filters.inspect(|filters| filters.facts().joined(other.conn()))
    };
    let (own, partner) = (filters(own, partner), filters(partner, own));
    match side {
        Side::Client => filter::screen(own.as_ref(), partner.as_ref()),
        Side::Backend => filter::screen(partner.as_ref(), own.as_ref()),
    }
}
