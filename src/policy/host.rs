//! What a guest can reach: the state of one instance and the functions it may import.
//!
//! The interfaces of request, connection, message and interest speak of the running call; outside one that has it their
//! functions trap. WASI is linked with an empty
//! context: no environment, no files, no sockets; what a guest prints goes to its log. Memory and tables are counted
//! over the whole instance, because a component may consist of many modules.

mod log;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{
    component::Tag,
    context::{Call, Live, Message, Scene, now_ms},
    deadline::{Armed, REASON_BYTES},
    interest::{Interests, Rule},
    output::{self, GuestOutput},
    v0_1::{clock, connection, errors, interest, message, request, types},
};
use crate::{
    config::PluginLimits,
    head::plain,
    model::{Handshake, MessageKind},
};

/// Most elements of all tables of an instance together: more than any known toolchain makes.
const TABLE_ELEMENTS: usize = 4 * super::engine::TABLE_ELEMENTS;

/// The state of one instance.
pub(super) struct State {
    /// What the running call is about; nothing while there is none.
    scene: Scene,
    pub(super) limits: PluginLimits,
    /// When guest code is stopped, whatever it does.
    pub(super) deadline: Instant,
    /// Until when a tick does not interrupt it.
    pub(super) spared_until: Instant,
    /// The same for whoever drops the call.
    armed: Armed,
    /// How long the running call may still wait in the host.
    host_left: Duration,
    /// Granted functions that the running call has called.
    pub(super) host_calls: u32,
    plugin: Arc<Tag>,
    /// The latest error that the guest logged, in the running call or before the first.
    last_words: Option<String>,
    /// The latest error that the host gave it in the running call.
    host_refused: Option<String>,
    /// Its standard output and error.
    printed: [GuestOutput; 2],
    /// Bytes of linear memory and GC heap, over all modules of the instance.
    memory: Use,
    /// Elements of tables, over all modules of the instance.
    tables: Use,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// What is taken of something that is bounded.
struct Use {
    taken: usize,
    /// What the latest growth added.
    latest: usize,
    most: usize,
}

impl Use {
    const fn of(most: usize) -> Self {
        Self { taken: 0, latest: 0, most }
    }

    /// Grows one part from `current` to `desired`; the total that was wanted if that is too much.
    fn grow(&mut self, current: usize, desired: usize) -> Result<(), usize> {
        let more = desired.saturating_sub(current);
        let total = self.taken.saturating_add(more);
        if total > self.most {
            return Err(total);
        }
        (self.taken, self.latest) = (total, more);
        Ok(())
    }

    /// The latest growth did not happen after all.
    fn undo(&mut self) {
        self.taken -= std::mem::take(&mut self.latest);
    }
}

impl State {
    pub(super) fn new(plugin: &Arc<Tag>, limits: &PluginLimits) -> Self {
        let (output, errors) = (GuestOutput::of(plugin), GuestOutput::of(plugin));
        let wasi = WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(u64::try_from(limits.host_copy).unwrap_or(u64::MAX))
            .stdout(output.clone())
            .stderr(errors.clone())
            .build();
        plugin.alive.fetch_add(1, Ordering::Relaxed);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            scene: Scene::default(),
            limits: *limits,
            deadline: Instant::now(),
            spared_until: Instant::now(),
            armed: Armed::new(),
            host_left: limits.host,
            host_calls: 0,
            plugin: Arc::clone(plugin),
            last_words: None,
            host_refused: None,
            printed: [output, errors],
            memory: Use::of(limits.memory),
            tables: Use::of(TABLE_ELEMENTS),
            wasi,
            table,
        }
    }

    pub(super) fn begin(&mut self, scene: Scene) {
        self.scene = scene;
        (self.last_words, self.host_refused) = (None, None);
        (self.host_left, self.host_calls) = (self.limits.host, 0);
    }

    /// Guest code may run until then.
    pub(super) fn arm(&mut self, deadline: Instant) -> Armed {
        self.deadline = deadline;
        self.armed.set(deadline);
        self.armed.clone()
    }

    pub(super) fn plugin(&self) -> &Arc<Tag> {
        &self.plugin
    }

    /// How long the running call may still wait in the host.
    pub(super) const fn host_left(&self) -> Duration {
        self.host_left
    }

    /// The call waits in the host from now on, for so long at most.
    pub(super) fn wait_until(&self, now: Instant, most: Duration) {
        self.armed.set(self.deadline.max(now) + most);
    }

    /// It waits no more: the guest goes on with what it had left of its own time. Tells how long it was.
    pub(super) fn waited_since(&mut self, begun: Instant) -> Duration {
        let waited = begun.elapsed();
        self.host_left = self.host_left.saturating_sub(waited);
        self.arm(self.deadline + waited);
        waited
    }

    pub(super) fn end(&mut self) -> Scene {
        // What it printed on standard error is what languages with exceptions leave behind.
        let [_, errors] = self.printed.each_ref().map(GuestOutput::take);
        self.last_words = self.last_words.take().or(errors);
        std::mem::take(&mut self.scene)
    }

    /// An error that the host gives the guest, noted: whoever does not look at it fails soon after, and says something else.
    pub(super) fn refusing<T>(
        &mut self,
        interface: &str,
        said: Result<T, errors::HostError>,
    ) -> Result<T, errors::HostError> {
        if let Err(error) = &said {
            self.host_refused = Some(format!("{interface}: {}: {}", error.code, error.message));
        }
        said
    }

    /// The latest error that the guest logged, such as a panic's text, to be put behind what it failed of: those who do
    /// not see the log learn of it, too, and the others have all of it in one place.
    pub(super) fn said(&self) -> String {
        let told = |what: &str, words: &Option<String>| words.as_ref().map(|words| format!("; {what}: {words}"));
        let said =
            told("it said", &self.last_words.as_ref().map(|words| output::one_line(words, REASON_BYTES).into_owned()));
        let refused = told("before that it was refused", &self.host_refused);
        [refused, said].into_iter().flatten().collect()
    }

    fn call(&self, function: &str) -> wasmtime::Result<&Call> {
        self.scene.call.as_deref().ok_or_else(|| outside("request", function, "about a request"))
    }

    fn live(&self, function: &str) -> wasmtime::Result<&Live> {
        self.scene.live.as_ref().ok_or_else(|| outside("connection", function, "about a connection"))
    }

    fn message(&self, function: &str) -> wasmtime::Result<&Message> {
        self.scene.message.as_ref().ok_or_else(|| outside("message", function, "about a message"))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.plugin.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn outside(interface: &str, function: &str, what: &str) -> wasmtime::Error {
    wasmtime::format_err!("cordboard:plugin/{interface}#{function} was called outside of a call {what}")
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let most = self.memory.most;
        let grown = self.memory.grow(current, desired).map(|()| true);
        self.plugin.memory.fetch_max(self.memory.taken, Ordering::Relaxed);
        grown.map_err(|total| wasmtime::format_err!("wants {total} bytes of memory; limits.memory is {most}"))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.undo();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What the pool keeps room for in one table holds without the pool, too.
        if desired > super::engine::TABLE_ELEMENTS {
            let most = super::engine::TABLE_ELEMENTS;
            return Err(wasmtime::format_err!("wants a table of {desired} elements; {most} are allowed"));
        }
        let grown = self.tables.grow(current, desired).map(|()| true);
        grown.map_err(|total| {
            wasmtime::format_err!("wants tables of {total} elements together; {TABLE_ELEMENTS} are allowed")
        })
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables.undo();
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The protocol that a request asks to be upgraded to.
fn protocol(handshake: &Handshake) -> Option<String> {
    plain::upgrade_asked(handshake).and_then(|asked| asked.to_str().ok().map(str::to_ascii_lowercase))
}

impl types::Host for State {}

impl errors::Host for State {}

impl request::Host for State {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("id")?.handshake.id.to_string())
    }

    fn is_upgrade(&mut self) -> wasmtime::Result<bool> {
        Ok(protocol(&self.call("is-upgrade")?.handshake).is_some())
    }

    fn protocol(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(protocol(&self.call("protocol")?.handshake))
    }

    fn http_version(&mut self) -> wasmtime::Result<String> {
        Ok(match self.call("http-version")?.handshake.version {
            http::Version::HTTP_2 => "2",
            http::Version::HTTP_10 => "1.0",
            _ => "1.1",
        }
        .to_owned())
    }

    fn method(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("method")?.handshake.method.to_string())
    }

    fn scheme(&mut self) -> wasmtime::Result<String> {
        self.call("scheme").map(|call| if call.handshake.client.tls { "https" } else { "http" }.to_owned())
    }

    fn authority(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("authority")?.handshake.authority.clone())
    }

    fn path(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("path")?.handshake.uri.path().to_owned())
    }

    fn path_segments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.call("path-segments")?.handshake.segments.clone())
    }

    fn query(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call("query")?.handshake.uri.query().map(ToOwned::to_owned))
    }

    fn query_param(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.call("query-param")?.query_param(&name))
    }

    fn query_params(&mut self, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(self.call("query-params")?.query_params(&name))
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.call("header")?.header_values(&name).next().map(ToOwned::to_owned))
    }

    fn header_values(&mut self, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(self.call("header-values")?.header_values(&name).map(ToOwned::to_owned).collect())
    }

    fn header_names(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.call("header-names")?.handshake.headers.keys().map(|name| name.as_str().to_owned()).collect())
    }

    fn cookie(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.call("cookie")?.cookie(&name))
    }

    fn subprotocols(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.call("subprotocols")?.handshake.subprotocols.clone())
    }

    fn peer_address(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("peer-address")?.handshake.peer.ip().to_string())
    }

    fn remote_address(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("remote-address")?.handshake.client.remote.to_string())
    }

    fn client_certificate_subject(&mut self) -> wasmtime::Result<Option<String>> {
        self.call("client-certificate-subject").map(|_| None)
    }

    fn listener(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("listener")?.handshake.listener.to_string())
    }

    fn route_name(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("route-name")?.handshake.route.to_string())
    }

    fn role(&mut self) -> wasmtime::Result<Option<types::Role>> {
        Ok(self.call("role")?.role.as_ref().map(Into::into))
    }

    fn identity(&mut self) -> wasmtime::Result<Option<types::Identity>> {
        Ok(self.call("identity")?.identity.as_deref().map(Into::into))
    }

    fn channel_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call("channel-id")?.channel.as_ref().map(|id| id.as_str().to_owned()))
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.call("attribute")?.attribute(&name).map(ToOwned::to_owned))
    }
}

impl connection::Host for State {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.live("id")?.facts.id.to_string())
    }

    fn role(&mut self) -> wasmtime::Result<types::Role> {
        Ok((&self.live("role")?.facts.role).into())
    }

    fn channel_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(Some(self.live("channel-id")?.facts.channel.as_str().to_owned()))
    }

    fn identity(&mut self) -> wasmtime::Result<Option<types::Identity>> {
        Ok(self.live("identity")?.facts.identity.as_deref().map(Into::into))
    }

    fn subprotocol(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.live("subprotocol")?.facts.subprotocol().map(ToOwned::to_owned))
    }

    fn peer_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.live("peer-id")?.facts.peer().map(|peer| peer.to_string()))
    }

    fn opened_at_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.live("opened-at-ms")?.facts.opened_at())
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.live("attribute")?.facts.attribute(&name).map(ToOwned::to_owned))
    }

    fn attachment(&mut self) -> wasmtime::Result<Vec<u8>> {
        let live = self.live("attachment")?;
        Ok(live.attached.as_ref().unwrap_or(&live.attachment).clone())
    }

    fn set_attachment(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<(), String>> {
        let most = self.limits.attachment;
        self.live("set-attachment")?;
        if bytes.len() > most {
            return Ok(Err(format!("{} bytes are too many; limits.attachment is {most}", bytes.len())));
        }
        if let Some(live) = &mut self.scene.live {
            live.attached = Some(bytes);
        }
        Ok(Ok(()))
    }
}

impl message::Host for State {
    fn direction(&mut self) -> wasmtime::Result<types::Direction> {
        Ok(self.message("direction")?.direction.into())
    }

    fn kind(&mut self) -> wasmtime::Result<types::MessageKind> {
        Ok(self.message("kind")?.payload.kind.into())
    }

    fn size(&mut self) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.message("size")?.payload.bytes.len()).unwrap_or(u32::MAX))
    }

    fn text(&mut self) -> wasmtime::Result<Option<String>> {
        let payload = &self.message("text")?.payload;
        Ok(match payload.kind {
            // It was checked when it came.
            MessageKind::Text => String::from_utf8(payload.bytes.clone()).ok(),
            MessageKind::Binary => None,
        })
    }

    fn bytes(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.message("bytes")?.payload.bytes.clone())
    }

    fn slice(&mut self, offset: u32, length: u32) -> wasmtime::Result<Vec<u8>> {
        let bytes = &self.message("slice")?.payload.bytes;
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = begin.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(bytes.len());
        Ok(bytes[begin..end].to_vec())
    }
}

impl interest::Host for State {
    fn messages(
        &mut self,
        direction: types::Direction,
        kind: types::MessageKind,
        max_bytes: u32,
        oversize: types::OversizePolicy,
    ) -> wasmtime::Result<()> {
        let Some(interests) = &mut self.scene.interests else {
            return Err(outside("interest", "messages", "in which interest can be declared"));
        };
        // A guest has no room for more, so none is kept of ours.
        let max_bytes = max_bytes.min(u32::try_from(self.limits.memory).unwrap_or(u32::MAX));
        interests.want(direction.into(), kind.into(), Rule { max_bytes, oversize: oversize.into() });
        Ok(())
    }

    fn nothing(&mut self) -> wasmtime::Result<()> {
        let Some(interests) = &mut self.scene.interests else {
            return Err(outside("interest", "nothing", "in which interest can be declared"));
        };
        *interests = Interests::default();
        Ok(())
    }
}

impl clock::Host for State {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(now_ms())
    }

    fn monotonic_ns(&mut self) -> wasmtime::Result<u64> {
        let since = self.plugin.loaded_at.elapsed();
        Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}
