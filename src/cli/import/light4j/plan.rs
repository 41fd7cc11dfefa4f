//! What is to be written: the two plugins, the routes, where to listen.

use std::net::{IpAddr, SocketAddr};

use super::{
    boolean,
    document::Node,
    handlers::{Handler, Handlers, Matching, Served},
    report::Report,
    services::{self, Prefix, Services},
    settings::{Found, Kind, Settings},
};
use crate::config::{Problem, diagnose::quoted};

/// Longest `idle` of a route, in milliseconds: 720h.
const MAX_IDLE: u64 = 720 * 3_600_000;
/// Shortest.
const MIN_IDLE: u64 = 100;

/// A value, and where it comes from.
pub(super) struct Told<T> {
    pub(super) value: T,
    pub(super) from: String,
}

/// The rendezvous policy.
pub(super) struct Rendezvous {
    pub(super) enabled: Option<Told<bool>>,
    pub(super) backend_path: Option<Told<String>>,
}

/// The router policy.
pub(super) struct Router {
    pub(super) enabled: Option<Told<bool>>,
    pub(super) protocol: Option<Told<String>>,
    pub(super) env_tag: Option<Told<String>>,
    /// Milliseconds; 0 is none.
    pub(super) idle: Option<Told<u64>>,
    pub(super) prefixes: Vec<Prefix>,
}

/// Everything.
pub(super) struct Plan {
    pub(super) address: Told<SocketAddr>,
    pub(super) rendezvous: Option<Rendezvous>,
    pub(super) router: Option<Router>,
    /// Never empty.
    pub(super) routes: Vec<Served>,
    pub(super) services: Services,
}

impl Plan {
    /// None where there is no route to write.
    pub(super) fn make(settings: &Settings, report: &mut Report) -> Result<Option<Self>, Box<Problem>> {
        let handlers = Handlers::read(settings, report)?;
        let mut routes = handlers.served;
        for (kind, handler) in [(Kind::Rendezvous, Handler::Rendezvous), (Kind::Router, Handler::Router)] {
            if settings.has(kind) && !routes.iter().any(|route| route.handler == handler) {
                if handlers.known {
                    let why = "is configured, but no path leads to its handler, so it did nothing";
                    report.missing(format!("{} {why}", kind.name()));
                } else {
                    routes.extend(documented(handler));
                    report.missing(format!(
                        "no handler.yml says which paths lead to {}; those of the documentation were taken",
                        handler.class()
                    ));
                }
            }
        }
        // Theirs match exactly, ours by prefix and in order: the longer ones must come first.
        routes.sort_by_key(|route| std::cmp::Reverse(route.matching.segments()));
        let mut seen = Vec::new();
        routes.retain(|route| {
            let new = !seen.contains(&route.matching);
            if new {
                seen.push(route.matching.clone());
            } else {
                report.missing(format!("{} is the same as a route before it, and was left out", route.from));
            }
            new
        });
        if routes.is_empty() {
            return Ok(None);
        }
        let has = |handler| routes.iter().any(|route| route.handler == handler);
        let rendezvous = has(Handler::Rendezvous).then(|| Rendezvous::read(settings)).transpose()?;
        let dialling = has(Handler::Router).then(|| Router::read(settings, report)).transpose()?;
        let mut services = services::direct(settings, report)?;
        if let Some(router) = &dialling {
            check_services(router, &mut services, report);
            check_prefixes(router, &routes, report);
        }
        Ok(Some(Self { address: address(settings, report)?, rendezvous, router: dialling, routes, services }))
    }
}

impl Matching {
    fn segments(&self) -> usize {
        let (Self::Prefix(path) | Self::Regex(path)) = self;
        // The alternative at the end of an expression holds one more.
        let extra = usize::from(matches!(self, Self::Regex(_)));
        if path == "/" { 0 } else { path.matches('/').count() - extra - path.matches("[^/]").count() }
    }
}

/// The paths of the documentation's examples.
fn documented(handler: Handler) -> Vec<Served> {
    let paths: &[&str] = match handler {
        Handler::Rendezvous => &["/chat", "/connect"],
        Handler::Router => &["/"],
    };
    let served = |path: &&str| Served {
        handler,
        matching: Matching::Prefix((*path).to_owned()),
        from: "no handler.yml was given: a path of the documentation".to_owned(),
    };
    paths.iter().map(served).collect()
}

fn told<T>(
    found: Option<Found>,
    read: impl FnOnce(&Node) -> Result<T, Box<Problem>>,
) -> Result<Option<Told<T>>, Box<Problem>> {
    found.map(|found| Ok(Told { value: read(&found.node)?, from: found.from })).transpose()
}

fn text(node: &Node) -> Result<String, Box<Problem>> {
    let text = node.text("a text")?;
    if text.contains("${") { Err(node.place.problem("no value can hold `${` here")) } else { Ok(text.to_owned()) }
}

impl Rendezvous {
    fn read(settings: &Settings) -> Result<Self, Box<Problem>> {
        let get = |key| settings.get(Kind::Rendezvous, key);
        let backend_path = told(get("backendPath")?, |node| {
            let path = text(node)?;
            let inner = path.strip_prefix('/').unwrap_or(&path);
            let inner = inner.strip_suffix('/').unwrap_or(inner);
            let bad = |segment: &str| {
                let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
                !decoded.is_ok_and(|text| !matches!(&*text, "" | "." | ".."))
            };
            if path.contains(['?', '#']) || inner.split('/').any(bad) {
                let message = format!("{} is no path by which a backend could be known", quoted(&path));
                return Err(node.place.problem_with(message, "one or more whole segments, such as /connect"));
            }
            Ok(path)
        })?;
        Ok(Self { enabled: told(get("enabled")?, boolean)?, backend_path })
    }
}

impl Router {
    fn read(settings: &Settings, report: &mut Report) -> Result<Self, Box<Problem>> {
        let get = |key| settings.get(Kind::Router, key);
        let protocol = told(get("defaultProtocol")?.filter(not_blank), |node| {
            services::protocol_name(&text(node)?).map_err(|why| node.place.problem(why))
        })?;
        let env_tag = told(get("defaultEnvTag")?.filter(not_blank), |node| {
            services::id(&text(node)?, "the tag").map_err(|why| node.place.problem(why))
        })?;
        let idle = told(get("idleTimeoutMs")?.filter(not_blank), |node| {
            let text = node.text("3600000")?;
            let idle: u64 = text.trim().parse().map_err(|_| {
                node.place.problem_with(format!("{} is no number of milliseconds", quoted(text)), "a whole number")
            })?;
            let kept = if idle == 0 { 0 } else { idle.clamp(MIN_IDLE, MAX_IDLE) };
            if kept != idle {
                report.lost(&node.place, format!("idleTimeoutMs: {idle} is out of range here; {kept} was taken"));
            }
            Ok(kept)
        })?;
        let prefixes = match get("pathPrefixService")? {
            Some(found) => services::prefixes(&found.node, report)?,
            None => Vec::new(),
        };
        Ok(Self { enabled: told(get("enabled")?, boolean)?, protocol, env_tag, idle, prefixes })
    }
}

fn not_blank(found: &Found) -> bool {
    use super::document::Value;
    match &found.node.value {
        Value::Null => false,
        Value::Scalar(text) => !text.trim().is_empty(),
        Value::List(_) | Value::Map(_) => true,
    }
}

/// Every service that a prefix names must stand among the services, with an endpoint of its tag.
fn check_services(router: &Router, services: &mut Services, report: &mut Report) {
    let default = router.env_tag.as_ref().map(|tag| tag.value.as_str());
    for prefix in &router.prefixes {
        let tag = prefix.env_tag.as_deref().or(default);
        let endpoints = services.entry(prefix.service.clone()).or_default();
        if !endpoints.is_empty() && !endpoints.iter().any(|(endpoint, _)| endpoint.env_tag.as_deref() == tag) {
            let tag = tag.map_or("no tag".to_owned(), |tag| format!("tag {}", quoted(tag)));
            let text = format!("the service {} has no endpoint with {tag}", quoted(&prefix.service));
            report.lost(&prefix.place, text);
        }
    }
    for (id, endpoints) in services {
        if endpoints.is_empty() {
            let text = format!("the endpoints of the service {} are not in these files: put them in", quoted(id));
            report.missing(text);
        }
    }
}

/// A prefix that no route leads to named a service for nobody, and does so here.
fn check_prefixes(router: &Router, served: &[Served], report: &mut Report) {
    let within = |path: &str, prefix: &str| {
        let rest = path.strip_prefix(prefix.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for prefix in &router.prefixes {
        let leads = |route: &Served| match &route.matching {
            Matching::Prefix(path) => within(path, &prefix.path) || within(&prefix.path, path),
            Matching::Regex(_) => true,
        };
        if !served.iter().filter(|route| route.handler == Handler::Router).any(leads) {
            let text = format!("no path leads to the prefix {}, so nobody asks for it", quoted(&prefix.path));
            report.lost(&prefix.place, text);
        }
    }
}

/// Where to listen.
fn address(settings: &Settings, report: &mut Report) -> Result<Told<SocketAddr>, Box<Problem>> {
    if !settings.has(Kind::Server) {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        report.missing("no server.yml says where to listen; 127.0.0.1:8080 was taken");
        return Ok(Told { value: address, from: "not in these files".to_owned() });
    }
    let get = |key| settings.get(Kind::Server, key);
    let flag = |key, default| Ok::<_, Box<Problem>>(told(get(key)?, boolean)?.map_or(default, |told| told.value));
    let ip = told(get("ip")?.filter(not_blank), |node| {
        let text = node.text("0.0.0.0")?;
        let wrong = || node.place.problem_with(format!("{} is no IP address", quoted(text)), "such as 0.0.0.0");
        text.parse::<IpAddr>().map_err(|_| wrong())
    })?;
    let ip = ip.map_or(IpAddr::from([0, 0, 0, 0]), |told| told.value);
    // As light-4j brings them.
    let (http, https) = (flag("enableHttp", false)?, flag("enableHttps", true)?);
    let port = |key, default| {
        let port = told(get(key)?.filter(not_blank), |node| {
            let text = node.text("8080")?;
            let wrong = || node.place.problem_with(format!("{} is no port", quoted(text)), "0 to 65535");
            text.parse::<u16>().map_err(|_| wrong())
        })?;
        Ok::<_, Box<Problem>>(port.unwrap_or(Told { value: default, from: format!("{key}: the default") }))
    };
    let (plain, secure) = (port("httpPort", 8080)?, port("httpsPort", 8443)?);
    if https {
        let text = format!(
            "TLS on port {} ({}): not in this version; let something in front end it",
            secure.value, secure.from
        );
        report.missing(text);
    }
    let port = if http || !https { plain } else { secure };
    Ok(Told { value: SocketAddr::new(ip, port.value), from: port.from })
}
