//! `cordboard explain`: what a configuration, or a running proxy, would do with a request, and why.

use std::{net::SocketAddr, path::PathBuf};

use http::{Method, StatusCode};
use serde_json::Value;

use super::{
    curl, exit, load, print,
    remote::{self, list},
};
use crate::{
    candidate::Paths,
    config::DEFAULT_ADMIN,
    http::explain::{self, Asked},
};

/// What is asked, and whom.
#[derive(clap::Args)]
pub(super) struct Explain {
    /// Of this configuration; its policies are loaded
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// What placeholders in it stand for, before the environment
    #[arg(long, value_name = "FILE", requires = "config")]
    values: Option<PathBuf>,
    /// Of the running proxy with this admin address
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADMIN, value_parser = remote::address)]
    admin: SocketAddr,
    /// The request comes from this address
    #[arg(long, value_name = "IP")]
    peer: Option<String>,
    /// It comes in on this listener [default: the first]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// It is a WebSocket handshake; by default where the URL says so, or a path leads to a route for WebSockets
    #[arg(long, conflicts_with = "plain")]
    ws: bool,
    /// It is a plain request
    #[arg(long)]
    plain: bool,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
    /// `[METHOD] URL [-H 'Name: value']...`, where a path is enough, or a command line of curl
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "REQUEST")]
    request: Vec<String>,
}

pub(super) fn explain(asked: &Explain) -> u8 {
    // Whoever is asked reads it too; but here is the place to say that it was mistyped.
    let read = request(asked).and_then(|request| Ok((Asked::from_json(&request)?, request)));
    let (read, request) = match read {
        Ok(both) => both,
        Err(why) => {
            eprintln!("cordboard: {why}");
            return exit::USAGE;
        }
    };
    let told = match &asked.config {
        Some(config) => of_file(&Paths { config: config.clone(), values: asked.values.clone() }, &read),
        None => of_proxy(asked.admin, &request),
    };
    match told {
        Err(code) => code,
        Ok(told) if asked.json => print(&format!("{told:#}\n")),
        Ok(told) => print(&shown(&told)),
    }
}

fn request(asked: &Explain) -> Result<Value, String> {
    let mut request = curl::request(&asked.request)?;
    if asked.ws || asked.plain {
        request["websocket"] = asked.ws.into();
    }
    if let Some(peer) = &asked.peer {
        request["peer"] = peer.as_str().into();
    }
    if let Some(listener) = &asked.listener {
        request["listener"] = listener.as_str().into();
    }
    Ok(request)
}

fn of_proxy(admin: SocketAddr, request: &Value) -> Result<Value, u8> {
    let answer = remote::ask(admin, Method::POST, "/explain", Some(request));
    let answer = answer.map_err(|error| remote::unreachable(admin, &error))?;
    if answer.status == StatusCode::OK && answer.body["routes"].is_array() {
        return Ok(answer.body);
    }
    if !answer.body["problems"].is_array() {
        return Err(remote::stranger(admin, answer.status));
    }
    for problem in list(&answer.body["problems"]).iter().filter_map(Value::as_str) {
        eprintln!("cordboard: {admin}: {problem}");
    }
    Err(if answer.status == StatusCode::BAD_REQUEST { exit::USAGE } else { exit::FAILURE })
}

fn of_file(paths: &Paths, request: &Asked) -> Result<Value, u8> {
    let told = load::with(paths, async |generation| {
        // The first call of a fresh instance is paid by none of those that are shown.
        explain::explain(&generation, request, None).await?;
        explain::explain(&generation, request, None).await
    });
    let told = told.map_err(|failed| {
        failed.say();
        failed.code()
    })?;
    told.map_err(|why| {
        eprintln!("cordboard: {why}");
        exit::USAGE
    })
}

/// For people.
fn shown(told: &Value) -> String {
    use std::fmt::Write as _;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut out = String::new();
    for route in list(&told["routes"]) {
        let (name, mode) = (text(&route["route"]), text(&route["mode"]));
        if let Some(miss) = route["misses"].as_str() {
            let _ = writeln!(out, "route {name} ({mode}): does not match: {miss}");
            continue;
        }
        let _ = writeln!(out, "route {name} ({mode}): matches");
        for opinion in list(&route["opinions"]) {
            let [plugin, version, question, answer] =
                ["plugin", "version", "question", "answer"].map(|key| text(&opinion[key]));
            let _ = writeln!(out, "  {plugin}@{version} {question}: {answer} ({} us)", opinion["took_us"]);
        }
    }
    let (plan, refusal) = (&told["plan"], &told["refusal"]);
    if let Some(subject) = plan["subject"].as_str() {
        let _ = writeln!(out, "subject: {subject}");
    }
    let _ = match plan["action"].as_str() {
        Some("pair") => writeln!(
            out,
            "plan: a seat as {} on channel {} of {}",
            text(&plan["role"]),
            text(&plan["channel"]),
            text(&plan["namespace"])
        ),
        Some(action) => {
            let endpoints: Vec<_> = list(&plan["endpoints"]).iter().map(text).collect();
            let endpoints = if endpoints.is_empty() { "none that fits".to_owned() } else { endpoints.join(", ") };
            let _ = writeln!(out, "plan: {action} {} (endpoints: {endpoints})", text(&plan["service"]));
            let _ = writeln!(out, "  {}", text(&plan["request"]));
            for header in list(&plan["headers"]) {
                let _ = writeln!(out, "  {}: {}", text(&header[0]), text(&header[1]));
            }
            Ok(())
        }
        None => {
            let detail = refusal["detail"].as_str().map_or_else(String::new, |detail| format!(" ({detail})"));
            let (status, cause) = (&refusal["status"], text(&refusal["cause"]));
            writeln!(out, "refused: {status} {cause}: {}{detail}", text(&refusal["reason"]))
        }
    };
    for (key, says) in [("holder", "the seat is held by"), ("opposite", "opposite waits")] {
        if let Some(conn) = plan[key].as_str() {
            let _ = writeln!(out, "  {says} {conn}");
        }
    }
    for later in list(&plan["later"]) {
        let questions: Vec<_> = list(&later["questions"]).iter().map(text).collect();
        let _ = writeln!(out, "  asked later: {} ({})", text(&later["plugin"]), questions.join(", "));
    }
    out
}
