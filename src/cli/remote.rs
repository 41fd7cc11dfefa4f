//! What is asked of a running proxy: `cordboard generations | reload | rollback | resume | revoke | health`, at its admin address.

use std::{
    error::Error,
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{net::TcpStream, time::timeout};

use super::{exit, print};
use crate::config::DEFAULT_ADMIN;

/// How long it may take to reach it.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A little longer than the proxy lets an order wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(70);

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// How many reasons of a refusal are listed.
const SHOWN_PROBLEMS: usize = 3;
/// How long a probe waits in all.
const PROBE_WITHIN: Duration = Duration::from_secs(2);

/// Where the proxy is, and how its answer is shown.
#[derive(Clone, Copy, clap::Args)]
pub(super) struct Remote {
    /// The admin address of the running proxy
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADMIN, value_parser = address)]
    admin: SocketAddr,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
}

/// Whose permission is taken back.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whom {
    /// Of everybody whose identity has this token, by its key for revocation
    #[arg(long, value_name = "ID")]
    token_id: Option<String>,
    /// Of everybody with this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Of this connection, whatever its policies say: `conn` in the log
    #[arg(long, value_name = "CONN")]
    connection: Option<String>,
}

/// An admin address, also as `cordboard run` prints it.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    bare.parse().map_err(|_| format!("it is written HOST:PORT, with an IP address, such as {DEFAULT_ADMIN}"))
}

/// An answer of the admin address.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// `cordboard generations`: what served, oldest first.
pub(super) fn generations(remote: Remote) -> u8 {
    finish(remote, ask(remote.admin, Method::GET, "/generations", None), |body| {
        let mut out = String::new();
        for record in list(&body["generations"]) {
            let changes = list(&record["changes"]).iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
            let _ = writeln!(
                out,
                "{:>4}  {}  {}  {}{}{changes}",
                record["generation"],
                time(record),
                hash(record),
                record["why"].as_str().unwrap_or("-"),
                if changes.is_empty() { "" } else { ": " },
            );
        }
        if !body["refused"].is_null() {
            refused(&mut out, &body["refused"]);
        }
        if body["pinned"] == true {
            out.push_str("pinned: changes of the files do not serve before `cordboard resume`\n");
        }
        if let Some(changes) = body["pending"]["changes"].as_array() {
            let changes: Vec<_> = changes.iter().filter_map(Value::as_str).collect();
            let _ = writeln!(out, "pending: {}", changes.join("; "));
        }
        out
    })
}

/// `cordboard reload [--hash HASH]`.
pub(super) fn reload(remote: Remote, hash: Option<&str>) -> u8 {
    order(remote, "/reload", hash.map(|hash| json!({ "hash": hash })).as_ref())
}

/// `cordboard rollback [GENERATION]`.
pub(super) fn rollback(remote: Remote, generation: Option<u64>) -> u8 {
    order(remote, "/rollback", generation.map(|generation| json!({ "generation": generation })).as_ref())
}

/// `cordboard resume`.
pub(super) fn resume(remote: Remote) -> u8 {
    order(remote, "/resume", None)
}

/// `cordboard revoke --token-id ID | --subject SUBJECT | --connection CONN`.
pub(super) fn revoke(remote: Remote, whom: &Whom) -> u8 {
    let Whom { token_id, subject, connection } = whom;
    let named = [("token_id", token_id), ("subject", subject), ("connection", connection)];
    let body: Map<_, _> =
        named.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into()))).collect();
    finish(remote, ask(remote.admin, Method::POST, "/revoke", Some(&body.into())), |body| {
        let (sessions, closed) = (&body["sessions"], &body["closed"]);
        format!("sessions asked about: {sessions}; closed: {closed}\n")
    })
}

/// `cordboard health [--live]`: what `/readyz` or `/livez` says, as an exit code.
pub(super) fn health(admin: SocketAddr, live: bool) -> u8 {
    let path = if live { "/livez" } else { "/readyz" };
    match exchange(admin, Method::GET, path, None, PROBE_WITHIN) {
        Ok((status, body)) => {
            let said = String::from_utf8_lossy(&body);
            let printed = print(&format!("{}\n", said.lines().next().unwrap_or_default()));
            if status == StatusCode::OK { printed } else { exit::FAILURE }
        }
        Err(error) => unreachable(admin, &error),
    }
}

fn order(remote: Remote, path: &str, body: Option<&Value>) -> u8 {
    finish(remote, ask(remote.admin, Method::POST, path, body), |body| {
        let result = body["result"].as_str().unwrap_or_default();
        let mut said =
            body["generation"].as_u64().map_or_else(|| result.to_owned(), |n| format!("generation {n} serves"));
        if let Some(was) = body["was"].as_u64() {
            let _ = write!(said, ": what generation {was} was; it is pinned, which `cordboard resume` ends");
        }
        if body["unpinned"] == true {
            said.push_str("; it is pinned no more");
        }
        said + "\n"
    })
}

/// When it was, as people read it.
fn time(of: &Value) -> String {
    let since = Duration::from_secs(of["since"].as_u64().unwrap_or_default());
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
}

fn hash(of: &Value) -> &str {
    of["hash"].as_str().and_then(|hash| hash.get(..12)).unwrap_or("-")
}

/// What was refused, and the first reasons.
fn refused(out: &mut String, refused: &Value) {
    let problems = list(&refused["problems"]);
    let number = match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    let _ = writeln!(out, "refused: {}  {}  {number}", time(refused), hash(refused));
    for problem in problems.iter().filter_map(Value::as_str).take(SHOWN_PROBLEMS) {
        let _ = writeln!(out, "  {}", problem.lines().next().unwrap_or_default());
    }
    if problems.len() > SHOWN_PROBLEMS {
        let _ = writeln!(out, "  … ({} more: `cordboard generations --json`)", problems.len() - SHOWN_PROBLEMS);
    }
}

/// Shows an answer; one that says that it was not done is a failure.
fn finish(remote: Remote, answer: Result<Answer, String>, show: impl FnOnce(&Value) -> String) -> u8 {
    let Answer { status, body } = match answer {
        Ok(answer) => answer,
        Err(error) => return unreachable(remote.admin, &error),
    };
    // Lists have no result, and all else has one.
    let result = body["result"].as_str();
    if result.is_none() && !body["generations"].is_array() {
        return stranger(remote.admin, status);
    }
    let mut printed = exit::OK;
    if remote.json {
        printed = print(&format!("{body:#}\n"));
    } else if status == StatusCode::OK {
        printed = print(&show(&body));
    } else {
        eprintln!("cordboard: {}", result.unwrap_or_default());
        for problem in list(&body["problems"]).iter().filter_map(Value::as_str) {
            eprintln!("{problem}");
        }
        if body["unpinned"] == true {
            let serves = &body["serves"];
            eprintln!(
                "the pin of the rollback is taken away; generation {serves} serves on until the files are good again"
            );
        }
    }
    match (status, result) {
        (StatusCode::OK, _) => printed,
        (_, Some("refused")) => exit::CONFIG,
        _ => exit::FAILURE,
    }
}

/// Says that something else answers at this address.
pub(super) fn stranger(admin: SocketAddr, status: StatusCode) -> u8 {
    eprintln!(
        "cordboard: {admin}: what answers here ({}) is not the admin address of a proxy; `--admin` wants its \
         `admin.address`, which `cordboard run` prints when it starts (`admin on ...`)",
        status.as_u16()
    );
    exit::FAILURE
}

/// Says that there is no answer.
pub(super) fn unreachable(admin: SocketAddr, error: &str) -> u8 {
    eprintln!("cordboard: {admin}: {error}; is the proxy running, and is this its `admin.address`?");
    exit::FAILURE
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Asks once.
pub(super) fn ask(admin: SocketAddr, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, String> {
    let (status, body) = exchange(admin, method, path, body, ANSWER_WITHIN)?;
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// As [`fetch`], for who has no runtime.
fn exchange(
    admin: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
    within: Duration,
) -> Result<(StatusCode, Bytes), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(fetch(admin, method, path, body, within))
}

/// Status and body of an answer of the admin address that comes in time.
pub(super) async fn fetch(
    admin: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
    within: Duration,
) -> Result<(StatusCode, Bytes), String> {
    let answer = async {
        let stream = timeout(CONNECT_WITHIN, TcpStream::connect(admin)).await??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, admin.to_string());
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::<Bytes>::new(body.map(Value::to_string).unwrap_or_default().into()))?;
        let answer = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, Box<dyn Error + Send + Sync>>((head.status, body))
        };
        tokio::select! {
            answer = answer => answer,
            Err(error) = connection => Err(error.into()),
        }
    };
    match timeout(within, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {within:?}")),
    }
}
