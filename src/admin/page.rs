//! What is shown: what serves, what served before, what was refused, the modules.

use serde_json::{Value, json};

use crate::{
    config::diff::Change,
    generation::Generation,
    model::ChannelId,
    policy::Plugin,
    reload::{Control, Overview, Pending, Refused, seconds, short},
};

/// What serves, and what is known besides.
pub(super) fn generation(control: &Control) -> Value {
    let generation = control.board.current.load_full();
    let Overview { refused, pinned, pending, waits, .. } = control.overview();
    json!({
        "generation": generation.number,
        "hash": generation.hash(),
        "since": seconds(generation.since),
        "alive": control.population.alive(),
        "listeners": control.listeners.addresses().iter().map(|(name, address)| json!({
            "name": &**name,
            "address": address.to_string(),
        })).collect::<Vec<_>>(),
        "plugins": modules(&generation),
        "routes": generation.routes.iter().map(|route| json!({
            "name": &*route.config.name,
            "mode": route.mode().name(),
            "plugins": route.config.plugins.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        })).collect::<Vec<_>>(),
        "refused": refused.map(|refused| self::refused(&refused)),
        "pinned": pinned,
        "pending": pending.map(|pending| self::pending(&pending)),
        "waits_for": waits,
    })
}

/// Legs shown at once.
const LEGS: usize = 1000;

/// The legs on the line, oldest first.
pub(super) fn sessions(control: &Control) -> Value {
    let (legs, all) = control.board.sessions.list(LEGS);
    json!({
        "legs": all,
        "shown": legs.iter().map(|leg| json!({
            "conn": leg.conn.to_string(),
            "route": &*leg.info.terms.route,
            "role": leg.info.role(),
            "channel": leg.info.channel.as_ref().map(ChannelId::as_str),
            "peer": leg.info.peer().to_string(),
            "subject": leg.info.subject(),
            "policy": &*leg.info.policy,
            "generation": leg.info.generation(),
            "filters": leg.filters,
            "filters_generation": leg.generation,
            "upstream": leg.info.upstream.as_ref().map(|it| format!("{}/{}", it.service.id.as_str(), it.endpoint)),
        })).collect::<Vec<_>>(),
    })
}

/// What served, oldest first.
pub(super) fn generations(control: &Control) -> Value {
    let Overview { records, refused, pinned, pending, .. } = control.overview();
    json!({
        "generations": records.iter().map(|record| json!({
            "generation": record.number,
            "since": seconds(record.since),
            "why": record.why.to_string(),
            "changes": changes(&record.changes),
            "hash": record.candidate.hash(),
        })).collect::<Vec<_>>(),
        "refused": refused.map(|refused| self::refused(&refused)),
        "pinned": pinned,
        "pending": pending.map(|pending| self::pending(&pending)),
    })
}

/// What the files say, and is wrong.
fn refused(refused: &Refused) -> Value {
    json!({
        "since": seconds(refused.since),
        "hash": refused.hash.as_deref().map(short),
        "problems": refused.problems,
    })
}

/// The policies that serve.
pub(super) fn modules(generation: &Generation) -> Value {
    let module = |plugin: &Plugin| {
        json!({
            "name": &*plugin.name(),
            "identity": &**plugin.identity(),
            "component": plugin.described(),
            "origin": plugin.spec().origin,
            "exports": plugin.exports(),
            "grants": plugin.spec().grants.given(),
        })
    };
    generation.plugins.values().map(|plugin| module(plugin)).collect()
}

/// What would serve without the pin.
pub(super) fn pending(pending: &Pending) -> Value {
    json!({"hash": pending.hash, "changes": changes(&pending.changes)})
}

fn changes(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}
