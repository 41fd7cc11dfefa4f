//! The configuration's text.

use std::fmt::Write as _;

use super::{
    handlers::{Handler, Matching},
    plan::{Plan, Rendezvous, Router, Told},
    report::Report,
    services::{Endpoint, Services},
};
use crate::config::diagnose::escaped;

/// Where comments are wrapped.
const WIDTH: usize = 120;
/// Where comments behind a line begin, if the line is shorter.
const COLUMN: usize = 39;
/// The endpoint of a service of which nothing is known: a name that never resolves (RFC 6761 §6.4).
const NOWHERE: &str = "ws://put-the-endpoint-here.invalid:80";

struct Text(String);

impl Text {
    /// A line, and what is to be said of it.
    fn line(&mut self, line: &str, comment: &str) {
        let out = &mut self.0;
        // Writing to a string cannot fail.
        let _ = if comment.is_empty() {
            writeln!(out, "{line}")
        } else {
            writeln!(out, "{line:COLUMN$} # {}", escaped(comment))
        };
    }

    /// A comment of its own, wrapped.
    fn comment(&mut self, indent: usize, text: &str) {
        let mut line = String::new();
        for word in escaped(text).split_whitespace() {
            if !line.is_empty() && indent + line.chars().count() + word.chars().count() + 3 > WIDTH {
                self.line(&format!("{:indent$}# {line}", ""), "");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&format!("{:indent$}# {line}", ""), "");
    }

    fn told(&mut self, key: &str, told: Option<&Told<impl ToString>>) {
        if let Some(told) = told {
            self.line(&format!("      {key}: {}", scalar(&told.value.to_string())), &told.from);
        }
    }
}

/// A text as YAML that is nothing but this text.
fn scalar(text: &str) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(letter);
    let reserved = ["null", "yes", "no", "on", "off", "y", "n"];
    if plain && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || !(' '..='~').contains(&c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// Writes it.
pub(super) fn write(plan: &Plan, report: &Report, files: &[&str]) -> String {
    let mut out = Text(String::new());
    out.comment(0, &format!("Made by `cordboard import light4j` from {}.", files.join(", ")));
    out.comment(
        0,
        "What stands behind a line says from where it comes. Where light-4j did something that is not the \
                    default here, the key is set to what it did; docs/migrate.md says why one may want to change it.",
    );
    list(&mut out, "Not carried over:", report.all_lost());
    list(&mut out, "Needs no key here:", report.all_different());
    out.line("listeners:", "");
    out.line("  - name: main", "");
    out.line(&format!("    address: {}", scalar(&plan.address.value.to_string())), &plan.address.from);
    out.line("", "");
    out.line("plugins:", "");
    if let Some(rendezvous) = &plan.rendezvous {
        rendezvous_plugin(&mut out, rendezvous);
    }
    if let Some(router) = &plan.router {
        router_plugin(&mut out, router);
    }
    out.line("", "");
    out.line("routes:", "");
    let mut counts = [0, 0];
    for route in &plan.routes {
        let (name, count) = match route.handler {
            Handler::Rendezvous => ("rendezvous", &mut counts[0]),
            Handler::Router => ("router", &mut counts[1]),
        };
        *count += 1;
        let name = if *count == 1 { name.to_owned() } else { format!("{name}-{count}") };
        out.line(&format!("  - name: {name}"), &route.from);
        match &route.matching {
            Matching::Prefix(path) => out.line(&format!("    match: {{ path: {} }}", scalar(path)), ""),
            Matching::Regex(regex) => out.line(&format!("    match: {{ path_regex: {} }}", scalar(regex)), ""),
        }
        match route.handler {
            Handler::Rendezvous => rendezvous_route(&mut out, *count == 1),
            Handler::Router => {
                router_route(&mut out, plan.router.as_ref().and_then(|router| router.idle.as_ref()), *count == 1);
            }
        }
    }
    if !plan.services.is_empty() {
        out.line("", "");
        services(&mut out, &plan.services);
    }
    out.0
}

fn list(out: &mut Text, title: &str, items: &[String]) {
    if !items.is_empty() {
        out.line("#", "");
        out.comment(0, title);
        for item in items {
            out.comment(0, &format!("- {item}"));
        }
    }
    if title.starts_with("Needs") {
        out.line("", "");
    }
}

fn rendezvous_plugin(out: &mut Text, rendezvous: &Rendezvous) {
    out.line("  rendezvous:", "");
    out.line("    component: builtin:rendezvous", "");
    out.comment(
        4,
        "The channel id comes from x-group-id, channel-group-id or the query's channelId, as before. \
                    backendPath is compared with whole segments of the path, and never with the query.",
    );
    if rendezvous.enabled.is_some() || rendezvous.backend_path.is_some() {
        out.line("    config:", "");
        out.told("enabled", rendezvous.enabled.as_ref());
        out.told("backendPath", rendezvous.backend_path.as_ref());
    }
}

fn router_plugin(out: &mut Text, router: &Router) {
    out.line("  router:", "");
    out.line("    component: builtin:router", "");
    out.line("    config:", "");
    out.told("enabled", router.enabled.as_ref());
    out.told("defaultProtocol", router.protocol.as_ref());
    out.told("defaultEnvTag", router.env_tag.as_ref());
    out.line(
        "      allowOverrides: []",
        "any caller could override protocol and tag; list `protocol`, `envTag` for that",
    );
    if router.prefixes.is_empty() {
        out.line("      pathPrefixService: {}", "none: only a header or the query names a service");
        return;
    }
    out.line("      pathPrefixService:", "");
    for entry in &router.prefixes {
        let mut value = scalar(&entry.service);
        if entry.protocol.is_some() || entry.env_tag.is_some() {
            value = format!("{{ serviceId: {value}");
            for (key, text) in [("protocol", &entry.protocol), ("envTag", &entry.env_tag)] {
                if let Some(text) = text {
                    let _ = write!(value, ", {key}: {}", scalar(text));
                }
            }
            value.push_str(" }");
        }
        out.line(&format!("        {}: {value}", scalar(&entry.path)), &entry.place.to_string());
    }
}

fn rendezvous_route(out: &mut Text, explained: bool) {
    let why = |text| if explained { text } else { "" };
    for (line, comment) in [
        ("    mode: rendezvous", ""),
        ("    plugins: [rendezvous]", ""),
        ("    rendezvous:", ""),
        ("      namespace: rendezvous", "one registry for all paths"),
        ("      backend_first: reject", "409, where light-4j closed it; `wait` is the default here"),
        ("      second_client: reject", "409, where light-4j closed it"),
        ("      second_backend: reject", "light-4j took the second one and left the first orphaned"),
        ("      pairing_timeout: 24h", "light-4j waited for ever; 30s is the default here"),
        ("    limits:", ""),
        ("      message: 0", "none in light-4j; 1MiB is the default here"),
        ("      idle: 0", "none in light-4j; 1h is the default here"),
        ("      ping: terminate", "each leg by itself, as in light-4j; `relay` is the default here"),
    ] {
        out.line(line, why(comment));
    }
}

fn router_route(out: &mut Text, idle: Option<&Told<u64>>, explained: bool) {
    let why = |text| if explained { text } else { "" };
    out.line("    mode: router", "");
    out.line("    plugins: [router]", "");
    out.line("    host: endpoint", why("light-4j sent the service its own name; `preserve` is the default here"));
    out.line("    limits:", "");
    out.line("      message: 0", why("none in light-4j; 1MiB is the default here"));
    out.line("      ping: terminate", why("each leg by itself, as in light-4j; `relay` is the default here"));
    if let Some(idle) = idle {
        out.line(&format!("      idle: {}", milliseconds(idle.value)), why(&idle.from));
    }
}

fn milliseconds(value: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let unit = units.into_iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    unit.map_or("0".to_owned(), |(unit, factor)| format!("{}{unit}", value / factor))
}

fn services(out: &mut Text, services: &Services) {
    out.line("services:", "");
    for (id, endpoints) in services {
        out.line(&format!("  {}:", scalar(id)), "");
        out.line("    endpoints:", "");
        if endpoints.is_empty() {
            out.line(&format!("      - {NOWHERE}"), "not in these files");
        }
        for (Endpoint { url, env_tag }, place) in endpoints {
            let url = scalar(url);
            let line = match env_tag {
                None => format!("      - {url}"),
                Some(tag) => format!("      - {{ url: {url}, env_tag: {} }}", scalar(tag)),
            };
            out.line(&line, &format!("directUrls, {place}"));
        }
    }
}
