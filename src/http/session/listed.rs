//! Who is on the line, for whoever wants to see it.

use std::sync::Arc;

use super::{LegInfo, Sessions};
use crate::{http::hooks::Hooks, model::ConnId};

/// A leg on the line, as it is shown.
pub struct Listed {
    /// Its connection.
    pub conn: ConnId,
    /// What was known of it at its 101.
    pub info: LegInfo,
    /// `name@identity` of its message filters; empty if it has none.
    pub filters: Vec<String>,
    /// The generation whose code they are; none if it has none.
    pub generation: Option<u64>,
}

impl Sessions {
    /// The first legs, oldest first, and how many there are in all. Takes a look at each.
    #[must_use]
    pub fn list(&self, most: usize) -> (Vec<Listed>, usize) {
        let mut conns: Vec<ConnId> = self.legs.iter().map(|leg| *leg.key()).collect();
        let all = conns.len();
        // Ids are given in order.
        conns.sort_unstable();
        let shown = conns.into_iter().take(most).filter_map(|conn| {
            let leg = Arc::clone(&*self.legs.get(&conn)?);
            let hooks = leg.hooks.as_deref();
            let (filters, generation) = (hooks.map_or_else(Vec::new, Hooks::labels), hooks.map(Hooks::generation));
            Some(Listed { conn, info: leg.info.clone(), filters, generation })
        });
        (shown.collect(), all)
    }
}
