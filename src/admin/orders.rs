//! What can be asked of the proxy at the admin address: to reload, to go back, to go on, to take
//! permissions back, and to explain.
//!
//! An order is a POST with a body of JSON, or with none. A page in the operator's browser cannot give one: what it sends
//! of its own accord has an `Origin`, and a name that was made to point here is not a loopback name.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    http::{
        explain,
        session::{Revoked, Whom},
    },
    local,
    reload::{Control, NoRollback, Reloaded, Why, short},
};

/// How long an answer waits for a reload; after that it says that one is under way.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// Fewest digits of a hash that was announced: as many as lists show.
const SHORTEST_HASH: usize = 12;

/// A status and what the body says.
pub(super) type Reply = (StatusCode, Value);

/// Whether there is such an order.
pub(super) fn is_known(path: &str) -> bool {
    matches!(path, "/explain" | "/reload" | "/rollback" | "/resume" | "/revoke" | "/adm/modules")
}

/// Carries out an order.
pub(super) async fn carry_out(control: &Control, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    if let Err(why) = comes_from_here(&head) {
        return problem(StatusCode::FORBIDDEN, why);
    }
    let asked = match read(&head.headers, body).await {
        Ok(asked) => asked,
        Err((status, why)) => return problem(status, why),
    };
    let order = async {
        match head.uri.path() {
            "/explain" => match explain::Asked::from_json(&asked) {
                Ok(asked) => {
                    match explain::explain(&control.board.current.load_full(), &asked, Some(&control.board)).await {
                        Ok(told) => (StatusCode::OK, told),
                        Err(why) => problem(StatusCode::BAD_REQUEST, why),
                    }
                }
                Err(why) => problem(StatusCode::BAD_REQUEST, why),
            },
            "/reload" => reload(control, &asked).await,
            "/revoke" => revoke(control, &asked).await,
            "/rollback" => rollback(control, &asked).await,
            "/resume" => match nothing_but(&asked, &[]) {
                Some(reply) => reply,
                None => resume(control).await,
            },
            _ => modules(control, &asked).await,
        }
    };
    let Ok(reply) = timeout(ANSWER_WITHIN, order).await else {
        let waits = control.overview().waits.unwrap_or("the policies to be loaded");
        let problem = format!("given up; it waited for {waits}");
        return (StatusCode::GATEWAY_TIMEOUT, json!({"result": "late", "problems": [problem]}));
    };
    reply
}

/// Whether it can only come from somebody on this machine who means it.
fn comes_from_here(head: &Parts) -> Result<(), &'static str> {
    if head.headers.contains_key(header::ORIGIN) {
        return Err("orders are not taken from web pages: there is an Origin");
    }
    local::host(&head.headers).map(drop)
}

/// The body as JSON; null where there is none.
async fn read(headers: &HeaderMap, body: Incoming) -> Result<Value, local::Refused> {
    let bytes = local::body(body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    local::is_json(headers)?;
    local::parse(&bytes)
}

async fn reload(control: &Control, asked: &Value) -> Reply {
    if let Some(reply) = nothing_but(asked, &["hash"]) {
        return reply;
    }
    let hash = match &asked["hash"] {
        Value::Null => None,
        Value::String(hash)
            if (SHORTEST_HASH..=64).contains(&hash.len()) && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) =>
        {
            Some(hash.to_ascii_lowercase())
        }
        _ => {
            let why = "`hash` must be 64 hexadecimal digits, or at least the first 12 of them; `cordboard check` shows \
                       them for a file, `/generation` for what serves";
            return problem(StatusCode::BAD_REQUEST, why);
        }
    };
    told(control.reload(Why::Asked, hash.as_deref()).await)
}

async fn rollback(control: &Control, asked: &Value) -> Reply {
    if let Some(reply) = nothing_but(asked, &["generation"]) {
        return reply;
    }
    let number = match &asked["generation"] {
        Value::Null => None,
        value => match value.as_u64() {
            Some(number) => Some(number),
            None => return problem(StatusCode::BAD_REQUEST, "`generation` must be the number of one"),
        },
    };
    match control.rollback(number).await {
        Ok((reloaded, number)) => {
            let done = matches!(reloaded, Reloaded::Applied(_));
            let (status, mut reply) = told(reloaded);
            if done {
                reply["was"] = number.into();
                reply["pinned"] = true.into();
            }
            (status, reply)
        }
        Err(none @ NoRollback::Unknown(..)) => problem(StatusCode::NOT_FOUND, none.to_string()),
        Err(none) => problem(StatusCode::CONFLICT, none.to_string()),
    }
}

/// Has the permission of sessions taken back. That goes on to its end, whether its answer is waited for or not.
async fn revoke(control: &Control, asked: &Value) -> Reply {
    let whom = match whom(asked) {
        Ok(whom) => whom,
        Err(why) => return problem(StatusCode::BAD_REQUEST, why),
    };
    let (reply, done) = oneshot::channel();
    let (board, named) = (Arc::clone(&control.board), whom.clone());
    control.board.drain.spawn(async move {
        // Nobody may wait for it any more.
        let _ = reply.send(board.sessions.revoke(&named).await);
    });
    match (done.await, whom) {
        (Err(_), _) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the order came to no end"),
        (Ok(Revoked { sessions: 0, .. }), Whom::Connection(conn)) => {
            problem(StatusCode::NOT_FOUND, format!("there is no session with the connection {conn}"))
        }
        (Ok(Revoked { sessions, closed }), _) => {
            (StatusCode::OK, json!({"result": "revoked", "sessions": sessions, "closed": closed}))
        }
    }
}

fn whom(asked: &Value) -> Result<Whom, String> {
    let keys = "`token_id`, `subject` or `connection`";
    let one = asked.as_object().and_then(|map| map.iter().next().filter(|_| map.len() == 1));
    match one {
        Some((key, Value::String(text))) => match key.as_str() {
            "token_id" => Ok(Whom::Token(text.clone())),
            "subject" => Ok(Whom::Subject(text.clone())),
            "connection" => text.parse().map(Whom::Connection).map_err(|why: &str| format!("`{text}`: {why}")),
            _ => Err(format!("unknown key `{key}`: there is {keys}")),
        },
        _ => Err(format!("one of {keys} is needed, with a text")),
    }
}

/// Whatever the files are: nothing is pinned afterwards, and that is said.
async fn resume(control: &Control) -> Reply {
    let (reloaded, unpinned) = control.resume().await;
    let (status, mut reply) = told(reloaded);
    reply["unpinned"] = unpinned.into();
    reply["serves"] = control.board.current.load().number.into();
    (status, reply)
}

/// Reloads, and says what became of the modules that were named; `ALL`, or none, is all of them.
async fn modules(control: &Control, asked: &Value) -> Reply {
    let names: Vec<&str> = match asked {
        Value::Null => Vec::new(),
        Value::Array(names) if names.iter().all(Value::is_string) => names.iter().filter_map(Value::as_str).collect(),
        _ => return problem(StatusCode::BAD_REQUEST, "the body must be a list of names, or [\"ALL\"]"),
    };
    let before = control.board.current.load_full();
    let all = names.is_empty() || names.contains(&"ALL");
    let unknown: Vec<_> = names.iter().filter(|name| !all && !before.plugins.contains_key(**name)).collect();
    if !unknown.is_empty() {
        let known: Vec<_> = before.plugins.keys().map(AsRef::as_ref).collect();
        return problem(
            StatusCode::NOT_FOUND,
            format!("there is no module {unknown:?}; there are {}", known.join(", ")),
        );
    }
    let (status, mut reply) = told(control.reload(Why::Asked, None).await);
    let after = control.board.current.load_full();
    let mut became = Map::new();
    for (name, plugin) in &after.plugins {
        if all || names.contains(&name.as_ref()) {
            let same = before.plugins.get(name).is_some_and(|old| old.identity() == plugin.identity());
            became.insert(name.to_string(), if same { "unchanged" } else { "reloaded" }.into());
        }
    }
    reply["modules"] = Value::Object(became);
    (status, reply)
}

/// What became of it.
fn told(reloaded: Reloaded) -> Reply {
    let result = reloaded.name();
    match reloaded {
        Reloaded::Applied(number) => (StatusCode::OK, json!({"result": result, "generation": number})),
        Reloaded::Unchanged => (StatusCode::OK, json!({"result": result})),
        Reloaded::Pinned(pending) => (
            StatusCode::CONFLICT,
            json!({
                "result": result,
                "pending": super::page::pending(&pending),
                "problems": ["what serves is pinned by a rollback; resume to take up what the files say"],
            }),
        ),
        Reloaded::Unfulfilled(problems) => (StatusCode::CONFLICT, json!({"result": result, "problems": problems})),
        Reloaded::Waits(problems) => (StatusCode::ACCEPTED, json!({"result": result, "problems": problems})),
        Reloaded::Refused(refused) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({
                "result": result,
                "hash": refused.hash.as_deref().map(short),
                "problems": refused.problems,
            }),
        ),
    }
}

fn problem(status: StatusCode, why: impl Into<String>) -> Reply {
    (status, json!({"result": "not done", "problems": [why.into()]}))
}

/// A reply where something else is asked than these keys of an object.
fn nothing_but(asked: &Value, keys: &[&str]) -> Option<Reply> {
    let wrong = match asked {
        Value::Null => return None,
        Value::Object(map) => map.keys().find(|key| !keys.contains(&key.as_str()))?,
        _ => return Some(problem(StatusCode::BAD_REQUEST, "the body must be an object")),
    };
    let known = if keys.is_empty() { "none".to_owned() } else { format!("`{}`", keys.join("`, `")) };
    Some(problem(StatusCode::BAD_REQUEST, format!("unknown key `{wrong}`: there is {known}")))
}
