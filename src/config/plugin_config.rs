//! What is configured of a plugin.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Grants, Remote, SignatureAt};

/// One of `plugins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginConfig {
    /// Its name in this configuration.
    pub name: Arc<str>,
    /// Where its code comes from.
    pub component: Component,
    /// What the component must hash to (SHA-256).
    pub sha256: Option<[u8; 32]>,
    /// Where its signature is, if that is said; then it must have one. Default beside the component.
    pub signature: Option<SignatureAt>,
    /// Which of `trust.keys` may have signed it; one of them must have. Default all of them.
    pub signed_by: Vec<Arc<str>>,
    /// What it is configured with.
    pub config: PluginSettings,
    /// What it may use beside what every plugin may. Default nothing.
    pub grants: Grants,
    /// Its bounds.
    pub limits: PluginLimits,
    /// What a failure means. Default closed.
    pub on_failure: OnFailure,
    /// Where the input of a failed call is written, as a test case. Default nowhere.
    pub dump: Option<Dump>,
    /// How often it is asked whether a session may go on. Default 0, which is never; 1s to 24h.
    pub recheck: Duration,
    /// Whether it is asked about older sessions, too, when another version of it serves. Default false.
    pub recheck_on_swap: bool,
}

/// Where a plugin's code comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// Built into the proxy, by name. Whether there is such a one is the policy host's to say.
    Builtin(Arc<str>),
    /// A component file; relative paths are resolved against [`super::Source::dir`].
    File(PathBuf),
    /// It comes over the network.
    Remote(Remote),
}

impl PluginConfig {
    /// Whether the configuration says what the component must hash to.
    #[must_use]
    pub const fn is_pinned(&self) -> bool {
        self.sha256.is_some() || matches!(&self.component, Component::Remote(remote) if remote.is_digest())
    }
}

/// The `config` of a plugin: a JSON object that only the plugin understands.
///
/// Two are equal when their texts are: the order of keys counts, because it may mean something to a plugin.
#[derive(Clone)]
pub struct PluginSettings {
    value: Value,
    json: Arc<str>,
}

impl PluginSettings {
    pub(super) fn new(object: serde_json::Map<String, Value>) -> Self {
        let value = Value::Object(object);
        let json = value.to_string().into();
        Self { value, json }
    }

    /// The object, keys in the order of the file.
    #[must_use]
    pub const fn as_value(&self) -> &Value {
        &self.value
    }

    /// The object as compact JSON.
    #[must_use]
    pub const fn as_json(&self) -> &Arc<str> {
        &self.json
    }
}

impl PartialEq for PluginSettings {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for PluginSettings {}

impl fmt::Debug for PluginSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

/// The `limits` of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Wall time of one decision; a guest that takes longer is stopped. Default 100ms, 1ms to 30s.
    pub decision: Duration,
    /// Wall time of one call about a message; a filter that takes longer is stopped. Default 50ms, 1ms to 30s.
    pub message: Duration,
    /// Wall time of instantiation and `init`. Default 2s, 10ms to 1m.
    pub init: Duration,
    /// Time of one call in functions of the host that wait, which is counted apart. Default 2s, 1ms to 1m.
    pub host: Duration,
    /// Calls of granted functions in one call of the guest. Default 1000, 1 to 1 000 000.
    pub host_calls: u32,
    /// Linear memories of one instance together, in bytes. Default 16MiB, 64KiB to 256MiB.
    pub memory: usize,
    /// Calls at once, each on an instance of its own. Default 64, 1 to 1000.
    pub instances: usize,
    /// Calls that wait for an instance; more are refused. Default 1024, 0 to 1 000 000.
    pub queue: usize,
    /// Calls after which an instance is thrown away. Default 10 000, 1 to 1 000 000 000.
    pub reuse: u32,
    /// Events that wait to be told; over it they are dropped. Default 1024, 1 to 1 000 000.
    pub events: usize,
    /// Bytes a guest may hand to the host in one host call, and in one answer. Default 1MiB, 1KiB to 64MiB.
    pub host_copy: usize,
    /// Resource handles alive at once in one instance. Default 256, 1 to 65 536.
    pub handles: usize,
    /// Actions of a filter about one message. Default 16, 1 to 1024.
    pub actions: usize,
    /// What a filter may say about one message: so many times its bytes, and so many more. Default 4 times and 64KiB,
    /// 0 to 1024 times and 0 to 64MiB.
    pub output: Output,
    /// Bytes that a plugin may keep of one connection. Default 4KiB, 0 to 1MiB.
    pub attachment: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            decision: Duration::from_millis(100),
            message: Duration::from_millis(50),
            init: Duration::from_secs(2),
            host: Duration::from_secs(2),
            host_calls: 1000,
            memory: 16 << 20,
            instances: 64,
            queue: 1024,
            reuse: 10_000,
            events: 1024,
            host_copy: 1 << 20,
            handles: 256,
            actions: 16,
            output: Output::default(),
            attachment: 4 << 10,
        }
    }
}

/// Where the inputs of failed calls are written, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// The folder; relative paths are resolved against [`super::Source::dir`].
    pub dir: PathBuf,
    /// Files of the plugin in it; the oldest makes way. Default 20, 1 to 10 000.
    pub files: usize,
    /// As many at once, and then one each time a new one is earned. Default 10, 1 to 6000.
    pub per_minute: u32,
    /// Longest message that is written, in bytes. Default 256KiB, 1B to 4MiB.
    pub message: usize,
    /// Those that wait to be written. Default 16, 1 to 1000.
    pub queue: usize,
}

impl Default for Dump {
    fn default() -> Self {
        Self { dir: PathBuf::new(), files: 20, per_minute: 10, message: 256 << 10, queue: 16 }
    }
}

/// How much a filter may make of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// So many times its bytes.
    pub factor: usize,
    /// And so many bytes more.
    pub plus: usize,
}

impl Output {
    /// Most bytes of all that is made of `bytes`.
    #[must_use]
    pub const fn most(self, bytes: usize) -> usize {
        self.factor.saturating_mul(bytes).saturating_add(self.plus)
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { factor: 4, plus: 64 << 10 }
    }
}

/// What a failing plugin means for the connection it was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Refused with 503.
    #[default]
    Closed,
    /// As if the plugin had no opinion.
    Open,
}
