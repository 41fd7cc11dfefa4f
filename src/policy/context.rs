//! What a policy call is about: a handshake and the results of the steps before this one, a live connection, a message.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use super::interest::Interests;
use crate::{
    head::target,
    model::{Attribute, ChannelId, ConnId, Direction, Handshake, Identity, Mode, Payload, Role},
};

/// Most attributes that the plugins of one handshake may leave, and the longest name and value, in bytes.
const ATTRIBUTES: usize = 64;
const ATTRIBUTE_BYTES: usize = 4096;

/// Attributes by their full names.
pub(super) type Attributes = BTreeMap<String, String>;

/// The request that a call is about. Steps add to it between calls.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) handshake: Arc<Handshake>,
    pub(super) role: Option<Role>,
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) channel: Option<ChannelId>,
    /// Few requests have any.
    pub(super) attributes: Option<Arc<Attributes>>,
    /// The kind of its route, if it matters.
    pub(super) mode: Option<Mode>,
}

impl Call {
    pub(super) fn about(handshake: &Arc<Handshake>) -> Self {
        Self {
            handshake: Arc::clone(handshake),
            role: None,
            identity: None,
            channel: None,
            attributes: None,
            mode: None,
        }
    }

    /// Takes a plugin's attributes, under its name: all or, if they break a bound, none.
    pub(super) fn add(&mut self, plugin: &str, attributes: Vec<Attribute>) -> Result<(), String> {
        if attributes.is_empty() {
            return Ok(());
        }
        let mut all = self.attributes.as_deref().cloned().unwrap_or_default();
        for (name, value) in attributes {
            let too_long = name.len() + value.len() > ATTRIBUTE_BYTES;
            all.insert(format!("{plugin}/{name}"), value);
            if too_long || all.len() > ATTRIBUTES {
                return Err(format!(
                    "left more than {ATTRIBUTES} attributes, or one of more than {ATTRIBUTE_BYTES} bytes"
                ));
            }
        }
        self.attributes = Some(Arc::new(all));
        Ok(())
    }

    /// An attribute by its full name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn query_param(&self, name: &str) -> Option<String> {
        target::query_param(self.handshake.uri.query().unwrap_or_default(), name)
    }

    pub(super) fn query_params(&self, name: &str) -> Vec<String> {
        target::query_pairs(self.handshake.uri.query().unwrap_or_default())
            .filter(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// The values of a header, in order; none for a name that is not one.
    pub(super) fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.handshake.headers.get_all(name).into_iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
    }

    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        target::cookie(&self.handshake.headers, name).map(ToOwned::to_owned)
    }
}

/// A connection as its plugins see it once its handshake is judged. What comes later is filled in when it comes.
#[derive(Debug)]
pub struct Facts {
    /// Its id.
    pub id: ConnId,
    /// What it is on its route.
    pub role: Role,
    /// Name of its route.
    pub route: Arc<str>,
    /// The channel it is on.
    pub channel: ChannelId,
    /// Who it is, if an authorizer said so.
    pub identity: Option<Arc<Identity>>,
    attributes: Option<Arc<Attributes>>,
    /// Its partner's id; 0 is none.
    peer: AtomicU64,
    /// In milliseconds since 1970; when it was judged, until its 101 is out.
    opened_at: AtomicU64,
    /// There are many connections, and few of them have any of this.
    rest: OnceLock<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    subprotocol: OnceLock<Box<str>>,
    /// What each plugin keeps of it, by its name. A version finds what the one before it left.
    attachments: Mutex<Vec<(Arc<str>, Vec<u8>)>>,
}

impl Facts {
    pub(super) fn new(call: &Call, role: Role, channel: ChannelId) -> Self {
        let (id, route) = (call.handshake.id, Arc::clone(&call.handshake.route));
        let facts = Self::later(id, role, route, channel, call.identity.clone(), now_ms());
        Self { attributes: call.attributes.clone(), ..facts }
    }

    /// The same of one of which nothing was kept but this.
    #[must_use]
    pub fn later(
        id: ConnId,
        role: Role,
        route: Arc<str>,
        channel: ChannelId,
        identity: Option<Arc<Identity>>,
        opened_at_ms: u64,
    ) -> Self {
        Self {
            id,
            role,
            route,
            channel,
            identity,
            attributes: None,
            peer: AtomicU64::new(0),
            opened_at: AtomicU64::new(opened_at_ms),
            rest: OnceLock::new(),
        }
    }

    /// Whether it can be made [later](Self::later): no plugin has left anything, and no subprotocol was agreed on.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.attributes.is_none() && self.rest.get().is_none()
    }

    /// Its 101 is out, with this subprotocol.
    pub fn opened(&self, subprotocol: Option<&str>) {
        if let Some(subprotocol) = subprotocol {
            let _ = self.rest().subprotocol.set(subprotocol.into());
        }
        self.opened_then(now_ms());
    }

    pub(super) fn opened_then(&self, time_ms: u64) {
        self.opened_at.store(time_ms, Ordering::Relaxed);
    }

    /// It is joined with this one.
    pub fn joined(&self, peer: ConnId) {
        let _ = self.peer.compare_exchange(0, peer.raw(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.rest.get()?.subprotocol.get().map(AsRef::as_ref)
    }

    /// The connection it is joined with.
    #[must_use]
    pub fn peer(&self) -> Option<ConnId> {
        Some(self.peer.load(Ordering::Relaxed)).filter(|peer| *peer != 0).map(ConnId::from_raw)
    }

    /// It for a call of this plugin.
    pub(super) fn live(self: &Arc<Self>, plugin: &str) -> Live {
        let kept = |rest: &Rest| {
            let attachments = rest.attachments.lock().unwrap_or_else(PoisonError::into_inner);
            attachments.iter().find(|(name, _)| **name == *plugin).map(|(_, bytes)| bytes.clone())
        };
        let attachment = self.rest.get().and_then(|rest| kept(rest)).unwrap_or_default();
        Live { facts: Arc::clone(self), attachment, attached: None }
    }

    /// A plugin keeps this of it from now on.
    pub(super) fn attach(&self, plugin: &Arc<str>, bytes: Vec<u8>) {
        let mut attachments = self.rest().attachments.lock().unwrap_or_else(PoisonError::into_inner);
        match attachments.iter_mut().find(|(name, _)| name == plugin) {
            Some((_, kept)) => *kept = bytes,
            None => attachments.push((Arc::clone(plugin), bytes)),
        }
    }

    fn rest(&self) -> &Rest {
        self.rest.get_or_init(Box::default)
    }

    /// An attribute by its full name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes()?.get(name).map(String::as_str)
    }

    pub(super) fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_deref()
    }

    /// When its 101 went out, in milliseconds since 1970.
    #[must_use]
    pub fn opened_at(&self) -> u64 {
        self.opened_at.load(Ordering::Relaxed)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A live connection in a call, with what the plugin keeps of it.
pub(super) struct Live {
    pub(super) facts: Arc<Facts>,
    pub(super) attachment: Vec<u8>,
    /// What the call has put in its place: it counts once the call has succeeded.
    pub(super) attached: Option<Vec<u8>>,
}

/// The message of a call.
pub(super) struct Message {
    pub(super) direction: Direction,
    pub(super) payload: Payload,
}

/// All that a call is about. It goes into an instance and comes back out of it.
#[derive(Default)]
pub(super) struct Scene {
    pub(super) call: Option<Arc<Call>>,
    pub(super) live: Option<Live>,
    pub(super) message: Option<Message>,
    /// Where interest may be declared.
    pub(super) interests: Option<Interests>,
}

impl Scene {
    /// A decision about a request.
    pub(super) fn about(call: &Arc<Call>) -> Self {
        Self { call: Some(Arc::clone(call)), ..Self::default() }
    }

    /// The call has succeeded: what the plugin has put by counts.
    pub(super) fn keep(&mut self, plugin: &Arc<str>) {
        if let Some(live) = &mut self.live
            && let Some(bytes) = live.attached.take()
        {
            live.facts.attach(plugin, bytes);
        }
    }

    /// The connection whose call it is, and its route.
    pub(super) fn place(&self) -> Option<(ConnId, &Arc<str>)> {
        let asker = self.call.as_ref().map(|call| (call.handshake.id, &call.handshake.route));
        asker.or_else(|| self.live.as_ref().map(|live| (live.facts.id, &live.facts.route)))
    }

    /// The connection that it is about, for logs.
    pub(super) fn conn(&self) -> Option<ConnId> {
        let live = self.live.as_ref().map(|live| live.facts.id);
        live.or_else(|| self.call.as_ref().map(|call| call.handshake.id))
    }
}
