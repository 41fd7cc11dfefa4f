//! What observers hear of a leg: `opened`, `paired`, `policy-swapped`, `drained`, `revoked`, and in the end `idle-expired`,
//! `unpaired` and `closed`. Telling queues it and returns; after `closed` nothing is told.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU8, Ordering},
};

use tokio::runtime::Handle;

use super::OneLeg;
use crate::{
    drain::Drain,
    error::Cause,
    model::{Attribute, ConnId, Event, Mode},
    policy::{Plugin, now_ms},
    relay::{LegReport, Report},
};

/// The plugins that hear of one leg.
pub(in crate::http) struct Observers {
    plugins: RwLock<Arc<[Arc<Plugin>]>>,
    step: AtomicU8,
}

/// Steps of a leg's life, as far as order depends on them.
const BEFORE: u8 = 0;
const OPEN: u8 = 1;
const CLOSED: u8 = 2;

impl Observers {
    pub(in crate::http) fn new(plugins: Arc<[Arc<Plugin>]>) -> Self {
        Self { plugins: RwLock::new(plugins), step: AtomicU8::new(BEFORE) }
    }

    fn plugins(&self) -> Arc<[Arc<Plugin>]> {
        Arc::clone(&self.plugins.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether those that hear of it are the versions that `current` names.
    pub(in crate::http) fn are_on(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) -> bool {
        self.plugins().iter().all(|plugin| current(&plugin.name()).is_some_and(|other| Arc::ptr_eq(&other, plugin)))
    }

    /// From now on the versions that `current` names hear of it, where they listen.
    pub(in crate::http) fn follow(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) {
        let newest = |plugin: &Arc<Plugin>| {
            current(&plugin.name()).filter(|other| other.observes()).unwrap_or_else(|| Arc::clone(plugin))
        };
        let plugins = self.plugins().iter().map(newest).collect();
        *self.plugins.write().unwrap_or_else(PoisonError::into_inner) = plugins;
    }
}

/// Has queues worked off.
#[derive(Clone)]
pub(super) struct Crier {
    drain: Drain,
    /// What is told of on a thread of the relay is worked off there.
    runtime: Handle,
}

impl Crier {
    pub(super) fn new(drain: Drain) -> Self {
        Self { drain, runtime: Handle::current() }
    }

    /// The 101 is out.
    pub(super) fn opened(&self, leg: &OneLeg, subprotocol: Option<&str>) {
        let Some(observers) = leg.observers() else { return };
        observers.step.store(OPEN, Ordering::SeqCst);
        self.tell(leg, "opened", || {
            let subprotocol = subprotocol.map(|subprotocol| ("subprotocol".to_owned(), subprotocol.to_owned()));
            subprotocol.into_iter().collect()
        });
    }

    /// Tells of something while the leg is open.
    pub(super) fn tell(&self, leg: &OneLeg, name: &'static str, attributes: impl FnOnce() -> Vec<Attribute>) {
        if leg.observers().is_some_and(|observers| observers.step.load(Ordering::SeqCst) == OPEN) {
            self.queue(leg, name, attributes());
        }
    }

    /// Of one that was joined with another.
    pub(super) fn paired(&self, leg: &OneLeg, partner: ConnId) {
        self.tell(leg, "paired", || vec![("partner".to_owned(), partner.to_string())]);
    }

    /// The last that is told of a leg.
    pub(super) fn closed(&self, leg: &OneLeg, report: &Report, own: &LegReport) {
        let Some(observers) = leg.observers() else { return };
        if observers.step.swap(CLOSED, Ordering::SeqCst) != OPEN {
            return;
        }
        if report.cause == Cause::Idle {
            self.queue(leg, "idle-expired", Vec::new());
        }
        let partner = report.legs.iter().find(|other| other.conn != own.conn).map(|other| other.conn);
        if let Some(partner) = partner.filter(|_| leg.info.terms.mode == Mode::Rendezvous) {
            self.queue(leg, "unpaired", vec![("partner".to_owned(), partner.to_string())]);
        }
        let code = match by(report, own) {
            "peer" => own.close_received.or(own.close_sent),
            _ => own.close_sent.or(own.close_received),
        };
        let text = |name: &str, value: String| (name.to_owned(), value);
        // RFC 6455 §7.4.1: what it is called where there was no Close.
        let attributes = vec![
            text("code", code.unwrap_or(1006).to_string()),
            text("cause", report.cause.label().to_owned()),
            text("reason", report.cause.row().reason.to_owned()),
            text("by", by(report, own).to_owned()),
            text("bytes-in", own.bytes_in.to_string()),
            text("bytes-out", own.bytes_out.to_string()),
            text("messages-in", own.messages_in.to_string()),
            text("messages-out", own.messages_out.to_string()),
        ];
        self.queue(leg, "closed", attributes);
    }

    fn queue(&self, leg: &OneLeg, name: &'static str, attributes: Vec<Attribute>) {
        let (Some(observers), Some(facts)) = (leg.observers(), leg.kept_facts()) else { return };
        let _runtime = self.runtime.enter();
        let event = Arc::new(Event { name: name.into(), at_ms: now_ms(), attributes });
        for plugin in observers.plugins().iter().filter(|plugin| plugin.tell(&facts, &event)) {
            let (plugin, drain) = (Arc::clone(plugin), self.drain.clone());
            // Until then what is queued is told when we stop, too.
            self.drain.spawn(async move {
                tokio::select! {
                    biased;
                    _ = drain.cut_off() => {}
                    () = plugin.work_off() => {}
                }
            });
        }
    }
}

/// Who ended it, as the leg sees it: `peer` itself, its `partner`, or the `proxy`.
fn by(report: &Report, own: &LegReport) -> &'static str {
    let ours = matches!(
        report.cause,
        Cause::Expired
            | Cause::Revoked
            | Cause::Replaced
            | Cause::Dead
            | Cause::Draining
            | Cause::NoPartner
            | Cause::PluginFailed
            | Cause::PluginDeadline
            | Cause::PluginBusy
    );
    match report.ended_by {
        Some(_) if ours => "proxy",
        Some(conn) if conn == own.conn => "peer",
        Some(_) => "partner",
        None => "proxy",
    }
}
