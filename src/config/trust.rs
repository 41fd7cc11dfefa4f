//! `trust` and `fetch`: whose signatures count and which components need one, and how components come over the network.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Component, PluginConfig, Remote, Url,
    check::{Check, Range},
    diagnose::quoted,
    file::{FetchFile, HostFile, PluginFile, TrustFile},
    part::{Field, Text},
    service::host_and_port,
    tree::At,
};
use crate::signature::PublicKey;

/// Most keys.
const MAX_KEYS: usize = 64;
/// Most hosts.
const MAX_HOSTS: usize = 256;

/// `trust`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trust {
    /// Who may sign components, by name. Default nobody.
    pub keys: BTreeMap<Arc<str>, PublicKey>,
    /// Which components need a signature. Default unpinned.
    pub require: Require,
}

impl Trust {
    /// Whether a component may not be used without a signature.
    #[must_use]
    pub fn demands(&self, plugin: &PluginConfig) -> bool {
        let asked = plugin.signature.is_some() || !plugin.signed_by.is_empty();
        match &plugin.component {
            Component::Builtin(_) => false,
            Component::File(_) => asked || self.require == Require::Always,
            Component::Remote(_) => {
                asked
                    || match self.require {
                        Require::Never => false,
                        Require::Unpinned => !plugin.is_pinned(),
                        Require::Remote | Require::Always => true,
                    }
            }
        }
    }

    /// Who may sign the component of a plugin.
    pub fn signers<'a>(
        &'a self,
        plugin: &'a PluginConfig,
    ) -> impl Iterator<Item = (&'a str, PublicKey)> + Clone + use<'a> {
        let may = |name: &Arc<str>| plugin.signed_by.is_empty() || plugin.signed_by.contains(name);
        self.keys.iter().filter(move |(name, _)| may(name)).map(|(name, key)| (&**name, *key))
    }
}

/// Which components need a signature; a built-in policy never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Require {
    /// None, unless its plugin says `signature` or `signed_by`.
    Never,
    /// What comes over the network and has no hash pinned.
    #[default]
    Unpinned,
    /// What comes over the network.
    Remote,
    /// All of them.
    Always,
}

/// `fetch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Longest time for one component, from the first question to its last byte. Default 30s, 100ms to 10m.
    pub timeout: Duration,
    /// How often what is not pinned is looked at again. Default 0, which is at the start and when a reload is ordered
    /// only; 1s to 720h.
    pub refresh: Duration,
    /// Certificates in PEM that are believed beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// A `config.json` of Docker, whose `auths` are used for hosts that `hosts` gives no user for.
    pub docker_config: Option<PathBuf>,
    /// By `host` or `host:port`.
    pub hosts: BTreeMap<Arc<str>, Host>,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            refresh: Duration::ZERO,
            ca_file: None,
            docker_config: None,
            hosts: BTreeMap::new(),
        }
    }
}

impl Fetch {
    /// What is said of the host of a reference or a URL. The port of `https` may stand in either of them and not in the
    /// other.
    #[must_use]
    pub fn host(&self, authority: &str) -> Option<&Host> {
        self.hosts.get(authority).or_else(|| match authority.strip_suffix(":443") {
            Some(name) => self.hosts.get(name),
            None => self.hosts.get(&*format!("{authority}:443")),
        })
    }
}

/// One of `hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Host {
    /// Whether a registry of this name is asked without TLS, and a web server of this name told without TLS who we are.
    /// Default false.
    pub plain_http: bool,
    /// Who we are there.
    pub login: Option<Login>,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: Arc<str>,
    /// The password, or a token in its place.
    pub password: Arc<str>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Where a signature is, if not at the place that follows from the component's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureAt {
    /// A file.
    File(PathBuf),
    /// A file of a web server.
    Url(Url),
}

pub(super) fn trust(check: &mut Check, at: &At<'_>, file: TrustFile) -> Trust {
    let keys_at = at.key("keys");
    let files = file.keys.unwrap_or_default();
    if files.len() > MAX_KEYS {
        check.misplaced(&keys_at, format!("{} keys are more than {MAX_KEYS}", files.len()), None);
    }
    let mut keys = BTreeMap::new();
    for (name, text) in files {
        let at = keys_at.key(&name);
        let name = check.key_name(&at, &name);
        match text.parse::<PublicKey>() {
            Ok(key) => drop(name.map(|name| keys.insert(name, key))),
            Err(why) => {
                let hint = "`cordboard plugin keygen` prints the line to put here".to_owned();
                check.wrong(&at, format!("{} {why}", quoted(&text)), Some(hint));
            }
        }
    }
    let words = [
        ("never", Require::Never),
        ("unpinned", Require::Unpinned),
        ("remote", Require::Remote),
        ("always", Require::Always),
    ];
    Trust { keys, require: check.choice(&at.key("require"), &file.require, Require::default(), &words, &[]) }
}

pub(super) fn fetch(check: &mut Check, at: &At<'_>, file: FetchFile, dir: &Path) -> Fetch {
    let default = Fetch::default();
    let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
    let timeout = Range { min: Duration::from_millis(100), max: Duration::from_mins(10), zero: None };
    let refresh = Range { min: second, max: day * 30, zero: Some("only at the start and when a reload is ordered") };
    let hosts_at = at.key("hosts");
    let files = file.hosts.unwrap_or_default();
    if files.len() > MAX_HOSTS {
        check.misplaced(&hosts_at, format!("{} hosts are more than {MAX_HOSTS}", files.len()), None);
    }
    let hosts = files.into_iter().filter_map(|(name, file)| host(check, &hosts_at.key(&name), &name, &file));
    let hosts = hosts.collect();
    Fetch {
        timeout: check.duration(&at.key("timeout"), &file.timeout, default.timeout, &timeout),
        refresh: check.duration(&at.key("refresh"), &file.refresh, default.refresh, &refresh),
        ca_file: path(check, &at.key("ca_file"), &file.ca_file, dir),
        docker_config: path(check, &at.key("docker_config"), &file.docker_config, dir),
        hosts,
    }
}

fn path(check: &mut Check, at: &At<'_>, field: &Text, dir: &Path) -> Option<PathBuf> {
    let Field::Set(text) = field else { return None };
    if text.is_empty() || text.contains('\0') {
        check.wrong(at, format!("{} is not a path", quoted(text)), None);
        return None;
    }
    Some(dir.join(text))
}

fn host(check: &mut Check, at: &At<'_>, name: &str, file: &HostFile) -> Option<(Arc<str>, Host)> {
    if host_and_port(name).is_none_or(|(_, port)| port.is_some_and(|port| port.parse::<u16>().is_err())) {
        let hint = "as it stands in the reference: `registry.example` or `localhost:5000`".to_owned();
        check.misplaced(at, format!("{} is not a host", quoted(name)), Some(hint));
        return None;
    }
    let plain_http = check.flag(&at.key("plain_http"), &file.plain_http, false);
    let user_at = at.key("username");
    let username = check.text(&user_at, &file.username);
    let password = check.text(&at.key("password"), &file.password);
    let login = match (username, password) {
        (Some(username), Some(password)) => {
            if username.contains(':') {
                check.wrong(&user_at, "a user name with a colon cannot be sent", None);
            }
            Some(Login { username: username.into(), password: password.into() })
        }
        (None, None) => None,
        (user, _) => {
            let missing = if user.is_some() { "password" } else { "username" };
            check.misplaced(at, format!("`{missing}` is missing: a user is a name and a password"), None);
            None
        }
    };
    Some((name.to_ascii_lowercase().into(), Host { plain_http, login }))
}

/// `signature` and `signed_by` of a plugin.
pub(super) fn signature(
    check: &mut Check,
    at: &At<'_>,
    file: &PluginFile,
    dir: &Path,
    trust: &Trust,
) -> (Option<SignatureAt>, Vec<Arc<str>>) {
    let signature_at = at.key("signature");
    let signature = match &file.signature {
        Field::Set(text) if text.contains("://") => match Url::parse(text) {
            Ok(url) => Some(SignatureAt::Url(url)),
            Err(why) => {
                let hint = "a signature is a file, or the URL of one".to_owned();
                check.wrong(&signature_at, format!("{} {why}", quoted(text)), Some(hint));
                None
            }
        },
        field => path(check, &signature_at, field, dir).map(SignatureAt::File),
    };
    let signers_at = at.key("signed_by");
    let mut signed_by = Vec::new();
    for (index, name) in file.signed_by.iter().flatten().enumerate() {
        let at = signers_at.index(index);
        let names = trust.keys.keys().map(AsRef::as_ref);
        if names.clone().any(|known| known == name) {
            signed_by.push(name.as_str().into());
        } else {
            let hint = super::suggestion("known keys are", name, names)
                .unwrap_or_else(|| "the file has no keys: add it under `trust.keys`".to_owned());
            check.wrong(&at, format!("there is no key {}", quoted(name)), Some(hint));
        }
    }
    (signature, signed_by)
}

/// Whether a plugin's component can be told from another that somebody put in its place.
pub(super) fn vouched(check: &mut Check, at: &At<'_>, plugin: &PluginConfig, trust: &Trust, fetch: &Fetch) {
    let component_at = at.key("component");
    if matches!(plugin.component, Component::Builtin(_)) {
        for (key, there) in [("signature", plugin.signature.is_some()), ("signed_by", !plugin.signed_by.is_empty())] {
            if there {
                let hint = "leave the key out".to_owned();
                check.misplaced(&at.key(key), "a built-in policy has no signature", Some(hint));
            }
        }
        return;
    }
    let demanded = trust.demands(plugin);
    if demanded && trust.keys.is_empty() {
        let (message, hint) = if plugin.signature.is_some() || trust.require != Require::Unpinned {
            ("its signature is required, and there is no key that could have made it", "add one under `trust.keys`")
        } else {
            (
                "comes over the network, and nothing tells it from what somebody put in its place",
                "pin it with `sha256`, or add who signs it under `trust.keys`; `trust.require: never` leaves it to TLS \
                 alone",
            )
        };
        check.wrong(&component_at, message, Some(hint.to_owned()));
        return;
    }
    if matches!((&plugin.component, &plugin.signature), (Component::File(_), Some(SignatureAt::Url(_)))) {
        let hint = "put it beside the component, or name its file".to_owned();
        check.wrong(&at.key("signature"), "the signature of a file is a file", Some(hint));
    }
    let open = match &plugin.component {
        Component::Remote(Remote::Url(url)) => !url.secure,
        Component::Remote(Remote::Oci(oci)) => fetch.host(&oci.registry).is_some_and(|host| host.plain_http),
        _ => false,
    };
    if open && !demanded && !plugin.is_pinned() {
        let hint = "use TLS, pin it with `sha256`, or have it signed".to_owned();
        check.wrong(
            &component_at,
            "comes without TLS: anybody on the way could put something else in its place",
            Some(hint),
        );
    }
}
