//! What a guest can reach: the state of one instance and the functions it may import.
//!
//! The request interface speaks of the running call; outside one its functions trap. WASI is linked with an empty
//! context: no environment, no files, no sockets; what a guest prints goes to its log.

use std::{
    fmt::Write as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{
    component::Tag,
    context::Call,
    v0_1::{clock, log, request, types},
};
use crate::config::PluginLimits;

/// Longest log message and field value taken from a guest, in bytes; the rest is cut.
const LOG_BYTES: usize = 4096;
/// Most fields of one log event; the rest is dropped.
const LOG_FIELDS: usize = 32;
/// Log lines that one plugin version may write in a second; the rest is counted and dropped.
const LOG_LINES_PER_SECOND: u32 = 200;

/// The state of one instance.
pub(super) struct State {
    /// The running call; none while there is none.
    call: Option<Arc<Call>>,
    /// When the running call ends, whatever it does.
    pub(super) deadline: Instant,
    /// Set when the guest asked for more than its bounds.
    pub(super) hit: Option<Bound>,
    plugin: Arc<Tag>,
    memory: usize,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// A bound that a guest ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Memory,
    Table,
    Deadline,
}

impl State {
    pub(super) fn new(plugin: &Arc<Tag>, limits: &PluginLimits, deadline: Instant) -> Self {
        let output = GuestOutput { plugin: Arc::clone(plugin) };
        let wasi = WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .stdout(output.clone())
            .stderr(output)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self { call: None, deadline, hit: None, plugin: Arc::clone(plugin), memory: limits.memory, wasi, table }
    }

    pub(super) fn begin(&mut self, call: &Arc<Call>, deadline: Instant) {
        self.call = Some(Arc::clone(call));
        self.deadline = deadline;
    }

    pub(super) fn end(&mut self) {
        self.call = None;
    }

    fn call(&self, function: &str) -> wasmtime::Result<&Call> {
        self.call.as_deref().ok_or_else(|| {
            wasmtime::format_err!("cordboard:plugin/request#{function} was called outside of a call about a request")
        })
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= self.memory {
            return Ok(true);
        }
        self.hit = Some(Bound::Memory);
        Err(wasmtime::format_err!("wants {desired} bytes of memory; limits.memory is {}", self.memory))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= super::engine::TABLE_ELEMENTS {
            return Ok(true);
        }
        self.hit = Some(Bound::Table);
        Err(wasmtime::format_err!("wants a table of {desired} elements; {} are allowed", super::engine::TABLE_ELEMENTS))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for State {}

impl request::Host for State {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.call("id")?.handshake.id.to_string())
    }

    fn is_upgrade(&mut self) -> wasmtime::Result<bool> {
        // Only upgrades reach the policies in this version.
        self.call("is-upgrade").map(|_| true)
    }

    fn protocol(&mut self) -> wasmtime::Result<Option<String>> {
        self.call("protocol").map(|_| Some("websocket".to_owned()))
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
        self.call("scheme").map(|_| "http".to_owned())
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
        Ok(self.call("remote-address")?.handshake.remote.to_string())
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
        self.call("identity").map(|_| None)
    }

    fn channel_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call("channel-id")?.channel.as_ref().map(|id| id.as_str().to_owned()))
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.call("attribute")?.attributes.get(&name).cloned())
    }
}

impl clock::Host for State {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic_ns(&mut self) -> wasmtime::Result<u64> {
        let since = self.plugin.loaded_at.elapsed();
        Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        if self.plugin.log_budget.take(Instant::now()) {
            let conn = self.call.as_ref().map(|call| call.handshake.id.to_string()).unwrap_or_default();
            emit(&self.plugin, &conn, level.into(), cut(&message), &render(&fields));
        }
        Ok(())
    }

    fn enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        Ok(Level::from(level) <= tracing::level_filters::LevelFilter::current())
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Trace => Self::TRACE,
            log::Level::Debug => Self::DEBUG,
            log::Level::Info => Self::INFO,
            log::Level::Warn => Self::WARN,
            log::Level::Error => Self::ERROR,
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOG_BYTES)]
}

fn render(fields: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in fields.iter().take(LOG_FIELDS) {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}={:?}", cut(name), cut(value));
        if text.len() > LOG_BYTES {
            break;
        }
    }
    text
}

/// The level of a tracing event is part of its static description, hence one event a level.
fn emit(plugin: &Tag, conn: &str, level: Level, message: &str, fields: &str) {
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(target: "cordboard::plugin", Level::$level, plugin = %plugin.name, version = %plugin.identity, conn, fields, "{message}")
        };
    }
    match level {
        Level::TRACE => at!(TRACE),
        Level::DEBUG => at!(DEBUG),
        Level::INFO => at!(INFO),
        Level::WARN => at!(WARN),
        Level::ERROR => at!(ERROR),
    }
}

/// Log lines a plugin version may still write this second.
pub(super) struct LogBudget(Mutex<(Option<Instant>, u32)>);

impl LogBudget {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    fn take(&self, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0.is_none_or(|start| now.duration_since(start).as_secs() >= 1) {
            if window.1 > LOG_LINES_PER_SECOND {
                tracing::warn!(dropped = window.1 - LOG_LINES_PER_SECOND, "log lines of a plugin were dropped");
            }
            *window = (Some(now), 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= LOG_LINES_PER_SECOND
    }
}

/// Standard output and error of a guest: into its log, at `info`.
#[derive(Clone)]
struct GuestOutput {
    plugin: Arc<Tag>,
}

impl GuestOutput {
    fn print(&self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
            if self.plugin.log_budget.take(Instant::now()) {
                emit(&self.plugin, "", Level::INFO, cut(line), "");
            }
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LOG_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_plugin_writes_so_many_log_lines_a_second_and_no_more() {
        let budget = LogBudget::new();
        let start = Instant::now();
        let taken = (0..LOG_LINES_PER_SECOND * 2).filter(|_| budget.take(start)).count();
        assert_eq!(taken, LOG_LINES_PER_SECOND as usize);
        assert!(budget.take(start + Duration::from_secs(1)));
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let text = "é".repeat(LOG_BYTES);
        assert_eq!(cut(&text).len(), LOG_BYTES);
        assert_eq!(cut(&format!("a{text}")).len(), LOG_BYTES - 1);
        assert_eq!(render(&[("a".into(), "b c".into()), ("d".into(), String::new())]), "a=\"b c\" d=\"\"");
    }
}
