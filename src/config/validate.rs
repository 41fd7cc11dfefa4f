//! From the file's structs to a [`Config`]: sections, ranges and what must agree between them.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use serde_json::json;
use tracing::Level;

use super::{
    Config, DEFAULT_ADMIN, Drain, Http2Rules, Listener, Log, LogFormat, Oldest, OnSwap, Places, Problem, Reading,
    Reload, Source, Values, Watch,
    check::{Asked, Check, Range},
    diagnose::quoted,
    file::{AdminFile, DrainFile, File, Http2File, ListenerFile, LogFile, ReloadFile},
    fill::{Names, fill},
    part::{Field, Part as _, Text},
    plugin, route, service,
    shape::mend,
    tree::{At, Node, Position},
    trust, unlikely,
    value::spell_duration,
    yaml,
};

/// Most networks of `trusted_proxies`.
const MAX_NETWORKS: usize = 256;
/// Largest bound for connections.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Most worker threads.
const MAX_WORKERS: usize = 1024;
/// Most requests of an HTTP/2 connection at once.
const MAX_STREAMS: u32 = 10_000;

/// Reads and checks a file; the whole of [`super::read`].
pub(super) fn read(source: &Source, values: &Values<'_>) -> Result<Reading, Vec<Problem>> {
    let refuse = |mut problem: Problem| {
        problem.locate(&source.name, &source.text);
        vec![problem]
    };
    if source.text.len() > yaml::MAX_BYTES {
        let message = format!("the file is larger than {} MiB", yaml::MAX_BYTES >> 20);
        return Err(refuse(Problem::new(Position::START, String::new(), message)));
    }
    let mut tree = yaml::read(&source.text).map_err(|problem| refuse(*problem))?;
    let (names, mut problems) = match values.file.map(|file| (file, Names::read(&file.text))) {
        None => (Names::default(), Vec::new()),
        Some((_, Ok(names))) => (names, Vec::new()),
        // What is wrong with the rest of the configuration is said as well.
        Some((file, Err(problems))) => {
            (Names::BROKEN, problems.into_iter().map(|problem| problem.placed(&file.name, None)).collect())
        }
    };
    let (unfilled, secrets) = fill(&mut tree, values, &names);
    problems.extend(unfilled);
    problems.extend(mend(&mut tree, &File::form()));
    let mut check = Check::with(problems);
    let at = At::root(&tree);
    let config = sections(&mut check, &at, File::read(&tree), &source.dir);
    if let Some(config) = &config {
        unlikely::warn(&mut check, &at, config);
    }
    let (config, warnings) = check.finish(source, &secrets, config)?;
    let places = Places::of(source, &at, &config);
    Ok(Reading { config, warnings, places, secrets })
}

/// What the checks ask of the keys of a file.
pub(super) fn asked(tree: &Node) -> BTreeMap<String, Asked> {
    let mut check = Check::recording();
    sections(&mut check, &At::root(tree), File::read(tree), Path::new(""));
    check.asked()
}

fn sections(check: &mut Check, at: &At<'_>, file: File, dir: &Path) -> Option<Config> {
    let listeners = listeners(check, &at.key("listeners"), file.listeners.unwrap_or_default());
    let admin = admin(check, &at.key("admin"), file.admin, listeners.as_deref().unwrap_or_default());
    let log = log(check, &at.key("log"), &file.log.unwrap_or_default());
    let reload = reload(check, &at.key("reload"), &file.reload.unwrap_or_default());

    let trust = trust::trust(check, &at.key("trust"), file.trust.unwrap_or_default());
    let fetch_at = at.key("fetch");
    let fetch = trust::fetch(check, &fetch_at, file.fetch.unwrap_or_default(), dir);
    if reload.watch == Watch::Off && !fetch.refresh.is_zero() {
        let hint = "leave one of the two out".to_owned();
        check.wrong(&fetch_at.key("refresh"), "with `reload.watch: off` nothing is looked at unasked", Some(hint));
    }
    let (plugins_at, services_at, routes_at) = (at.key("plugins"), at.key("services"), at.key("routes"));
    let (plugins, services) = (file.plugins.unwrap_or_default(), file.services.unwrap_or_default());
    // Also what turns out to be wrong is known by its name: a route that uses it is not to blame.
    let plugin_names: Vec<String> = plugins.keys().cloned().collect();
    let service_names: Vec<String> = services.keys().cloned().collect();
    // Where they cannot be read nobody knows what is there.
    let known = |names, at: &At<'_>| if at.is_wrong() { None } else { Some(names) };
    let names = route::Names {
        plugins: known(&plugin_names[..], &plugins_at),
        services: known(&service_names[..], &services_at),
    };

    let plugins = plugins.into_iter().filter_map(|(name, file)| {
        let plugin = plugin::plugin(check, &plugins_at.key(&name), &name, file, (dir, &trust, &fetch))?;
        Some((Arc::clone(&plugin.name), Arc::new(plugin)))
    });
    let plugins: BTreeMap<_, _> = plugins.collect();
    let services = services.into_iter().filter_map(|(id, file)| {
        let service = service::service(check, &services_at.key(&id), &id, file)?;
        Some((service.id.clone(), Arc::new(service)))
    });
    let services: BTreeMap<_, _> = services.collect();
    let routes = route::routes(check, &routes_at, file.routes.unwrap_or_default(), &names);
    let drain = drain(check, &at.key("drain"), &file.drain.unwrap_or_default());
    let workers = check.count(&at.key("workers"), &file.workers, 0, &(0..=MAX_WORKERS));
    Some(Config { listeners: listeners?, admin, log, reload, plugins, routes, services, trust, fetch, drain, workers })
}

fn listeners(check: &mut Check, at: &At<'_>, files: Vec<ListenerFile>) -> Option<Vec<Listener>> {
    if files.is_empty() {
        let hint = "add `listeners: [ { name: main, address: \"127.0.0.1:8080\" } ]`".to_owned();
        check.misplaced(at, "at least one listener is needed", Some(hint));
        return None;
    }
    let mut names = Unique::default();
    let mut addresses: Vec<(SocketAddr, String, usize)> = Vec::new();
    let mut all = Some(Vec::with_capacity(files.len()));
    for (index, file) in files.into_iter().enumerate() {
        let at = at.index(index);
        let listener = listener(check, &at, &file);
        if let Some(listener) = &listener {
            names.check(check, &at.key("name"), &listener.name);
            let address_at = at.key("address");
            let taken = addresses.iter().find(|(other, ..)| overlap(*other, listener.address));
            if let Some((_, other, line)) = taken {
                let shown = Check::shown(&address_at, listener.address);
                let message = format!("{shown} is taken by the listener at {other} in line {line}");
                check.wrong(&address_at, message, None);
            }
            let shown = Check::shown(&address_at, listener.address);
            addresses.push((listener.address, shown, address_at.value().line));
        }
        all = all.zip(listener).map(|(mut all, listener)| {
            all.push(listener);
            all
        });
    }
    all
}

fn listener(check: &mut Check, at: &At<'_>, file: &ListenerFile) -> Option<Listener> {
    let name_at = at.key("name");
    let name = check.required(&name_at, &file.name, "a name for logs and plugins");
    let name = name.and_then(|name| check.name(&name_at, name));
    let address_at = at.key("address");
    let address = check.required(&address_at, &file.address, "an address to listen on, such as `127.0.0.1:8080`");
    let address = address.and_then(|text| address_of(check, &address_at, text));
    let range = Range { min: Duration::from_millis(10), max: Duration::from_mins(10), zero: None };
    let establish = check.duration(&at.key("establish"), &file.establish, Listener::ESTABLISH, &range);
    let lingers = Range { min: Duration::from_millis(10), max: Duration::from_mins(5), zero: Some("none") };
    let linger = check.duration(&at.key("linger"), &file.linger, Listener::LINGER, &lingers);
    let http2 = http2(check, &at.key("http2"), file.http2.as_ref());
    check.later(&at.key("tls"), &file.tls, &json!(null));
    check.later(&at.key("proxy_protocol"), &file.proxy_protocol, &json!(false));
    let proxies_at = at.key("trusted_proxies");
    let trusted_proxies = networks(check, &proxies_at, file.trusted_proxies.as_deref().unwrap_or_default());
    let idle = Range { min: Duration::from_millis(100), max: Duration::from_hours(1), zero: None };
    let head = Range { min: 1 << 10, max: 1 << 20, zero: None };
    let extensions_at = at.key("chunk_extensions");
    let extensions = Range { min: 1, max: 8 << 10, zero: Some("none allowed") };
    let per_ip_at = at.key("connections_per_ip");
    let most = 0..=MAX_CONNECTIONS;
    Some(Listener {
        name: name?,
        address: address?,
        establish,
        trusted_proxies,
        linger,
        idle: check.duration(&at.key("idle"), &file.idle, Listener::IDLE, &idle),
        head: check.memory(&at.key("head"), &file.head, Listener::HEAD, &head),
        head_fields: check.count(&at.key("head_fields"), &file.head_fields, Listener::HEAD_FIELDS, &(1..=1000)),
        chunk_extensions: check.memory(&extensions_at, &file.chunk_extensions, Listener::CHUNK_EXTENSIONS, &extensions),
        connections: check.count(&at.key("connections"), &file.connections, 0, &most),
        connections_per_ip: check.count(&per_ip_at, &file.connections_per_ip, 0, &most),
        http2,
    })
}

/// Networks as `10.0.0.0/8`, or single addresses.
fn networks(check: &mut Check, at: &At<'_>, list: &[String]) -> Arc<[IpNet]> {
    if list.len() > MAX_NETWORKS {
        check.misplaced(at, format!("{} networks are more than {MAX_NETWORKS}", list.len()), None);
        return Arc::default();
    }
    let mut networks = Vec::with_capacity(list.len());
    for (index, text) in list.iter().enumerate() {
        let at = at.index(index);
        let hint = || Some("a network is written `10.0.0.0/8`, one address `192.0.2.7`".to_owned());
        match text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            None => check.wrong(&at, format!("{} is not a network", quoted(text)), hint()),
            Some(network) if network.trunc() != network => {
                let hint = Some(format!("write {}", Check::shown(&at, format!("`{}`", network.trunc()))));
                check.wrong(&at, format!("{} has bits set behind its prefix", quoted(text)), hint);
            }
            Some(network) => networks.push(network),
        }
    }
    networks.into()
}

fn http2(check: &mut Check, at: &At<'_>, file: Option<&Http2File>) -> Http2Rules {
    let default = Http2Rules::default();
    let Some(file) = file else { return default };
    let idle = Range { min: Duration::from_millis(100), max: Duration::from_hours(24), zero: Some("none") };
    Http2Rules {
        streams: check.count(&at.key("streams"), &file.streams, default.streams, &(1..=MAX_STREAMS)),
        idle: check.duration(&at.key("idle"), &file.idle, default.idle, &idle),
    }
}

fn address_of(check: &mut Check, at: &At<'_>, text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let hint = match text.strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_ok() => format!("every IPv4 address is `0.0.0.0:{port}`"),
        _ => "names are not resolved here; write `127.0.0.1:8080`, `0.0.0.0:8080` or `\"[::1]:8080\"`".to_owned(),
    };
    check.wrong(at, format!("{} is not an IP address with a port", quoted(text)), Some(hint));
    None
}

/// Whether two addresses cannot be bound side by side.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |x: SocketAddr, y: SocketAddr| x.ip().is_unspecified() && x.is_ipv4() == y.is_ipv4();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn admin(check: &mut Check, at: &At<'_>, file: Field<AdminFile>, listeners: &[Listener]) -> Option<SocketAddr> {
    let file = match file {
        Field::Set(file) => file,
        Field::Absent => AdminFile::default(),
        Field::Null => {
            let hint = "turned off it is `admin: { address: null }`; for the default, leave the key out".to_owned();
            check.misplaced(at, "is it on or off?", Some(hint));
            return None;
        }
    };
    check.later(&at.key("token"), &file.token, &json!(null));
    let at = at.key("address");
    let address = match &file.address {
        Field::Absent => DEFAULT_ADMIN,
        Field::Null => return None,
        Field::Set(text) => address_of(check, &at, text)?,
    };
    if !address.ip().is_loopback() {
        let hint = "an address that others can reach needs a token, and tokens are not in this version".to_owned();
        check.wrong(&at, format!("{} is not a loopback address", Check::shown(&at, address)), Some(hint));
        return None;
    }
    let taken = listeners.iter().find(|listener| overlap(listener.address, address));
    if let Some(listener) = taken {
        let hint = "give `admin.address` another port, or null to turn it off".to_owned();
        let shown = Check::shown(&at, address);
        check.wrong(&at, format!("{shown} is taken by the listener `{}`", listener.name), Some(hint));
    }
    Some(address)
}

fn log(check: &mut Check, at: &At<'_>, file: &LogFile) -> Log {
    let default = Log::default();
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let queue = Range { min: 64 << 10, max: 1 << 30, zero: Some("none") };
    Log {
        format: check.choice(&at.key("format"), &file.format, default.format, &formats, &[]),
        level: check.choice(&at.key("level"), &file.level, default.level, &levels, &[]),
        sessions: check.flag(&at.key("sessions"), &file.sessions, default.sessions),
        decisions: check.flag(&at.key("decisions"), &file.decisions, default.decisions),
        queue: check.size(&at.key("queue"), &file.queue, default.queue, &queue),
    }
}

fn reload(check: &mut Check, at: &At<'_>, file: &ReloadFile) -> Reload {
    let default = Reload::default();
    let oldest = [("wait", Oldest::Wait), ("migrate", Oldest::Migrate), ("close", Oldest::Close)];
    let sessions = [("pin", OnSwap::Pin), ("migrate", OnSwap::Migrate), ("drain", OnSwap::Drain)];
    let watch = [("auto", Watch::Auto), ("poll", Watch::Poll), ("off", Watch::Off)];
    let quiet = Range { min: Duration::from_millis(10), max: Duration::from_secs(2), zero: None };
    Reload {
        watch: check.choice(&at.key("watch"), &file.watch, default.watch, &watch, &[]),
        quiet: check.duration(&at.key("quiet"), &file.quiet, default.quiet, &quiet),
        generations: check.count(&at.key("generations"), &file.generations, default.generations, &(2..=1000)),
        oldest: check.choice(&at.key("oldest"), &file.oldest, default.oldest, &oldest, &[]),
        sessions: check.choice(&at.key("sessions"), &file.sessions, default.sessions, &sessions, &[]),
        history: check.count(&at.key("history"), &file.history, default.history, &(1..=1000)),
    }
}

fn drain(check: &mut Check, at: &At<'_>, file: &DrainFile) -> Drain {
    let default = Drain::default();
    let hour = |zero| Range { min: Duration::from_millis(1), max: Duration::from_hours(1), zero: Some(zero) };
    let delay = check.duration(&at.key("delay"), &file.delay, default.delay, &hour("none"));
    let grace = check.duration(&at.key("grace"), &file.grace, default.grace, &hour("an end at once"));
    let spread_at = at.key("spread");
    // The default gives way to a short `grace`; what was asked for does not.
    let spread = match file.spread {
        Field::Absent => default.spread.min(grace),
        _ => check.duration(&spread_at, &file.spread, default.spread.min(grace), &hour("all at once")),
    };
    if spread > grace {
        let [spread, grace] =
            [(&spread_at, spread), (&at.key("grace"), grace)].map(|(at, time)| Check::shown(at, spell_duration(time)));
        let message = format!("{spread} is longer than `drain.grace`, {grace}");
        check.wrong(&spread_at, message, Some("connections close over `spread` and are cut at `grace`".to_owned()));
    }
    Drain { delay, grace, close_code: close_code(check, &at.key("close_code"), &file.close_code, default), spread }
}

fn close_code(check: &mut Check, at: &At<'_>, field: &Text, default: Drain) -> u16 {
    let Some(text) = check.text(at, field) else {
        return default.close_code;
    };
    if let Ok(code @ (1001 | 1012 | 3000..=4999)) = text.parse() {
        return code;
    }
    check.wrong(at, format!("{} is not a code to stop with: 1001, 1012 or 3000 to 4999", quoted(text)), None);
    default.close_code
}

/// Names that may stand only once, with the lines they stand in.
#[derive(Default)]
pub(super) struct Unique {
    lines: HashMap<Arc<str>, usize>,
}

impl Unique {
    /// Reports a name that was there before.
    pub(super) fn check(&mut self, check: &mut Check, at: &At<'_>, name: &Arc<str>) {
        let line = at.value().line;
        if let Some(first) = self.lines.get(name) {
            check.wrong(at, format!("{} stands twice; first in line {first}", quoted(name)), None);
        } else {
            self.lines.insert(Arc::clone(name), line);
        }
    }
}
