//! Orders at the admin address, as they go over the wire.

use serde_json::{Value, json};

use crate::{
    CHAT, GIVES_NO_ROLES, GIVES_ROLES, chat_by_file, handshake,
    support::{Proxy, Setup, http, status},
};

/// Status and body of a request with a body of JSON; none sends none.
fn post(proxy: &Proxy, path: &str, more: &str, body: &str) -> (u16, Value) {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    sent(
        proxy,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{kind}{more}Content-Length: {}\r\n\r\n{body}",
            proxy.admin,
            body.len()
        ),
    )
}

fn sent(proxy: &Proxy, request: &str) -> (u16, Value) {
    let (head, body) = http(proxy.admin, request);
    (status(&head), serde_json::from_str(&body).unwrap_or_else(|_| json!(body)))
}

fn problem(reply: &Value) -> &str {
    reply["problems"][0].as_str().unwrap_or_else(|| panic!("{reply:#}"))
}

#[test]
fn modules_are_listed_and_reloaded_by_name() {
    let setup = Setup::new(&format!("{}reload: {{watch: off}}\n", chat_by_file("component: policy.wasm")));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    let list: Value = serde_json::from_str(&proxy.get("/adm/modules")).unwrap();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "rendezvous"]);
    assert!(list[2]["origin"].as_str().unwrap().ends_with("policy.wasm"), "{list:#}");

    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    let (status, reply) = post(&proxy, "/adm/modules", "", r#"["rendezvous", "a"]"#);
    assert_eq!((status, &reply["generation"]), (200, &2.into()), "{reply:#}");
    assert_eq!(reply["modules"], json!({"a": "unchanged", "rendezvous": "reloaded"}));
    assert_eq!(handshake(&proxy, "/chat?channelId=1"), 403);

    proxy.setup.put("policy.wasm", GIVES_ROLES);
    for body in [r#"["ALL"]"#, ""] {
        let (status, reply) = post(&proxy, "/adm/modules", "", body);
        assert_eq!((status, reply["modules"].as_object().unwrap().len()), (200, 3), "{reply:#}");
    }
    assert_eq!(handshake(&proxy, "/chat?channelId=1"), 101);
    let (status, reply) = post(&proxy, "/adm/modules", "", r#"["router"]"#);
    assert_eq!(status, 404);
    assert_eq!(problem(&reply), r#"there is no module ["router"]; there are a, b, rendezvous"#);
}

#[test]
fn orders_from_web_pages_and_under_other_names_are_refused() {
    let proxy = Proxy::with(&format!("{CHAT}reload: {{watch: off}}\n"));
    proxy.setup.write(&format!("{CHAT}    limits: {{idle: 3s}}\nreload: {{watch: off}}\n"));
    for (more, why) in [("Origin: http://127.0.0.1:9901\r\n", "Origin"), ("Origin: null\r\n", "Origin")] {
        let (status, reply) = post(&proxy, "/reload", more, "");
        assert!(status == 403 && problem(&reply).contains(why), "{more} {status} {reply:#}");
    }
    for host in ["evil.example", "evil.example:9901", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example"] {
        let (status, reply) =
            sent(&proxy, &format!("POST /reload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
        assert!(status == 403 && problem(&reply).contains("loopback"), "{host} {status} {reply:#}");
    }
    assert_eq!(proxy.generation(), 1);
    for (n, host) in ["localhost", "LOCALHOST:1", "[::1]:9901", "127.0.0.2"].iter().enumerate() {
        proxy.setup.write(&format!("{CHAT}    limits: {{idle: {}s}}\nreload: {{watch: off}}\n", n + 4));
        let (status, reply) =
            sent(&proxy, &format!("POST /reload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((status, &reply["result"]), (200, &"applied".into()), "{host} {reply:#}");
    }
}

#[test]
fn what_is_no_order_is_told_what_would_be() {
    let proxy = Proxy::with(CHAT);
    for (path, body, status, why) in [
        ("/reload", "{", 400, "the body: EOF while parsing"),
        ("/reload", "[]", 400, "must be an object"),
        ("/reload", r#"{"hsah": 1}"#, 400, "unknown key `hsah`: there is `hash`"),
        ("/reload", r#"{"hash": 1}"#, 400, "64 hexadecimal digits"),
        ("/rollback", r#"{"generation": "1"}"#, 400, "must be the number of one"),
        ("/rollback", r#"{"generation": -1}"#, 400, "must be the number of one"),
        ("/rollback", r#"{"generation": 7}"#, 404, "generation 7 is not remembered"),
        ("/rollback", "", 409, "nothing else has served before generation 1"),
        ("/resume", r#"{"a": 1}"#, 400, "unknown key `a`: there is none"),
        ("/adm/modules", "{}", 400, "a list of names"),
        ("/adm/modules", "[1]", 400, "a list of names"),
    ] {
        let (got, reply) = post(&proxy, path, "", body);
        assert!(got == status && problem(&reply).contains(why), "{path} {body}: {got} {reply:#}");
    }
    let body = "{}";
    let form = format!("POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (got, reply) = sent(&proxy, &form);
    assert!(got == 415 && problem(&reply).contains("application/json"), "{got} {reply:#}");
    // At the bound, and one byte beyond it.
    let padded = |length: usize| format!("{}{{}}", " ".repeat(length - 2));
    assert_eq!(post(&proxy, "/resume", "", &padded(64 << 10)).0, 200);
    let (got, reply) = post(&proxy, "/resume", "", &padded((64 << 10) + 1));
    assert!(got == 413 && problem(&reply).contains("65536"), "{got} {reply:#}");

    for (request, status) in [("GET /reload", 405), ("POST /generation", 405), ("PUT /reload", 405), ("GET /x", 404)] {
        let (head, text) =
            http(proxy.admin, &format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        assert!(crate::support::status(&head) == status && text.contains("/adm/modules"), "{request}: {head} {text}");
    }
    assert_eq!(proxy.generation(), 1);
}
