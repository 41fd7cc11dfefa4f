//! The service behind the demo's page, asked as no page of ours would ask it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::MetadataExt as _,
};

use serde_json::{Value, json};

use super::support::{PATIENCE, demo::Demo, eventually, http, status};

/// A whole request; the lines of `fields` have their ends.
fn ask(at: SocketAddr, line: &str, fields: &str, body: &str) -> (String, String) {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    http(at, &format!("{line} HTTP/1.1\r\n{fields}{length}Connection: close\r\n\r\n{body}"))
}

fn get(demo: &Demo, path: &str) -> (String, String) {
    ask(demo.proxy, &format!("GET {path}"), &format!("Host: {}\r\n", demo.proxy), "")
}

fn shown(demo: &Demo) -> Value {
    serde_json::from_str(&get(demo, "/page/config").1).unwrap()
}

/// What the page itself sends.
fn own(demo: &Demo) -> String {
    let proxy = demo.proxy;
    format!(
        "Host: {proxy}\r\nOrigin: http://{proxy}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n"
    )
}

fn save(demo: &Demo, fields: &str, text: &str) -> (u16, Value) {
    let body = json!({"text": text, "version": shown(demo)["version"]}).to_string();
    let (head, body) = ask(demo.proxy, "PUT /page/config", fields, &body);
    (status(&head), serde_json::from_str(&body).unwrap_or_default())
}

#[test]
fn the_page_comes_through_the_proxy_and_nothing_in_it_is_from_elsewhere() {
    let demo = Demo::start();
    assert!(demo.text.lines().next().unwrap().contains(&format!("open http://{}/", demo.proxy)), "{}", demo.text);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/page.js", "text/javascript; charset=utf-8"),
        ("/page/shared.js", "text/javascript; charset=utf-8"),
        ("/page/talk.js", "text/javascript; charset=utf-8"),
        ("/page/editor.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let (head, body) = get(&demo, path);
        assert_eq!(status(&head), 200, "{path}");
        let policy = format!(
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self' ws://{}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            demo.proxy
        );
        let kind = format!("content-type: {kind}");
        for field in [
            policy.as_str(),
            &kind,
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "x-frame-options: DENY",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.lines().any(|line| line == field), "{path} has no {field}:\n{head}");
        }
        // The name of SVG is an address that nobody asks.
        let body = body.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("https://") && !body.contains("http://"), "{path}");
        let (head, body) = ask(demo.proxy, &format!("HEAD {path}"), &format!("Host: {}\r\n", demo.proxy), "");
        assert_eq!((status(&head), body.as_str()), (200, ""));
    }
    let (head, _) = get(&demo, "/page/config");
    assert!(head.contains("default-src 'none'") && !head.contains("access-control-"), "{head}");
    assert_eq!(status(&get(&demo, "/page/other").0), 404);
    for (line, allowed) in [
        ("POST /", "GET, HEAD"),
        ("POST /page/config", "GET, HEAD, PUT"),
        ("GET /page/knock", "POST"),
        ("PUT /page/events", "GET"),
    ] {
        let (head, _) = ask(demo.proxy, line, &own(&demo), "{}");
        assert!(status(&head) == 405 && head.contains(&format!("allow: {allowed}")), "{line}: {head}");
    }
}

#[test]
fn a_save_is_taken_from_the_page_alone() {
    let demo = Demo::start();
    let before = fs::read_to_string(&demo.config).unwrap();
    let (own, proxy) = (own(&demo), demo.proxy);
    let origin = format!("Origin: http://{proxy}\r\n");
    let json = "Content-Type: application/json\r\n";
    for (what, fields, expected) in [
        ("another origin", own.replace(&origin, "Origin: http://evil.example\r\n"), 403),
        ("another port", own.replace(&origin, &format!("Origin: http://{}\r\n", demo.echo)), 403),
        ("another scheme", own.replace(&origin, &format!("Origin: https://{proxy}\r\n")), 403),
        ("no origin", own.replace(&origin, ""), 403),
        ("an opaque origin", own.replace(&origin, "Origin: null\r\n"), 403),
        ("two origins", own.replace(&origin, &format!("{origin}Origin: http://evil.example\r\n")), 403),
        ("another site", own.replace("same-origin", "same-site"), 403),
        ("a name that was rebound", own.replace(&proxy.to_string(), "evil.example:8080"), 403),
        ("a form", own.replace("application/json", "application/x-www-form-urlencoded"), 415),
        ("plain text", own.replace("application/json", "text/plain;application/json"), 415),
        ("no type", own.replace(json, ""), 415),
    ] {
        let (status, said) = save(&demo, &fields, "evil: true\n");
        assert!(status == expected && said["problem"].is_string(), "{what}: {status} {said}");
        assert_eq!(fs::read_to_string(&demo.config).unwrap(), before, "{what}");
    }
    assert_eq!(save(&demo, &own, &before).0, 200);
    let typed = own.replace("application/json", "Application/JSON; charset=utf-8");
    assert_eq!(save(&demo, &typed.replace(&proxy.to_string(), &format!("localhost:{}", proxy.port())), &before).0, 200);
}

#[test]
fn what_is_read_is_read_on_this_machine_and_under_its_name() {
    let demo = Demo::start();
    for path in ["/", "/page/config", "/page/events"] {
        let (head, body) = ask(demo.proxy, &format!("GET {path}"), "Host: evil.example\r\n", "");
        assert!(status(&head) == 403 && body.contains("loopback"), "{path}: {head}\n{body}");
        // As the proxy would say it of a caller from elsewhere, were its listener opened to them.
        let fields = format!("Host: {}\r\nX-Forwarded-For: 192.0.2.7\r\n", demo.page);
        let (head, body) = ask(demo.page, &format!("GET {path}"), &fields, "");
        assert!(status(&head) == 403 && body.contains("on this machine"), "{path}: {head}\n{body}");
    }
    // What a caller says of himself is not passed on.
    let fields = format!("Host: {}\r\nX-Forwarded-For: 192.0.2.7\r\n", demo.proxy);
    assert_eq!(status(&ask(demo.proxy, "GET /page/config", &fields, "").0), 200);
}

#[test]
fn a_save_replaces_the_demos_own_file_in_one_step_and_no_other() {
    let demo = Demo::start();
    let other = demo.config.with_file_name("other.yaml");
    fs::write(&other, "mine").unwrap();
    let inode = fs::metadata(&demo.config).unwrap().ino();
    let before = shown(&demo);
    let text = format!("{}# größer\n", before["text"].as_str().unwrap());
    let body = json!({"text": text, "version": before["version"], "path": other, "file": "other.yaml"}).to_string();
    let (head, _) = ask(demo.proxy, "PUT /page/config", &own(&demo), &body);
    assert_eq!(status(&head), 200);
    assert_eq!(fs::read_to_string(&demo.config).unwrap(), text);
    assert_ne!(fs::metadata(&demo.config).unwrap().ino(), inode, "the file was written in place");
    for path in ["/page/config/other.yaml", "/page/other.yaml", "/page/config%2fother.yaml"] {
        let (head, _) = ask(demo.proxy, &format!("PUT {path}"), &own(&demo), &body);
        assert!((400..500).contains(&status(&head)), "{path}: {head}");
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    assert_eq!(fs::read_dir(demo.config.parent().unwrap()).unwrap().count(), 2, "nothing is left beside it");

    // The version was that of the text before.
    let (head, said) = ask(demo.proxy, "PUT /page/config", &own(&demo), &body);
    assert!(status(&head) == 409 && said.contains("changed on disk"), "{said}");
    assert_eq!(fs::read_to_string(&demo.config).unwrap(), text);
    assert_eq!(shown(&demo)["original"], before["text"]);
    // What was removed is made again.
    let version = shown(&demo)["version"].clone();
    fs::remove_file(&demo.config).unwrap();
    assert_eq!(status(&get(&demo, "/page/config").0), 500);
    let body = json!({"text": text, "version": version}).to_string();
    assert_eq!(status(&ask(demo.proxy, "PUT /page/config", &own(&demo), &body).0), 200);
    assert_eq!(fs::read_to_string(&demo.config).unwrap(), text);
}

#[test]
fn a_body_may_have_64_kib_and_must_be_what_is_asked_for() {
    let demo = Demo::start();
    let before = shown(&demo);
    let body = json!({"text": before["text"], "version": before["version"]}).to_string();
    let put = |body: &str| status(&ask(demo.proxy, "PUT /page/config", &own(&demo), body).0);
    let padded = |length: usize| body.clone() + &" ".repeat(length - body.len());
    assert_eq!(put(&padded(65_536)), 200);
    assert_eq!(put(&padded(65_537)), 413);
    // One that does not say how long it is.
    let chunked = format!(
        "PUT /page/config HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n10001\r\n{}\r\n0\r\n\r\n",
        own(&demo),
        padded(65_537)
    );
    assert_eq!(status(&http(demo.proxy, &chunked).0), 413);
    for wrong in ["", "{", "[]", "{\"text\": 1, \"version\": \"\"}", "{\"text\": \"a\"}", "\u{0}"] {
        assert_eq!(put(wrong), 400, "{wrong:?}");
    }
    fs::write(&demo.config, format!("# {}\n", "x".repeat(1 << 16))).unwrap();
    let (head, said) = get(&demo, "/page/config");
    assert!(status(&head) == 500 && said.contains("more than 65536 bytes"), "{said}");
}

#[test]
fn a_knock_tells_what_the_proxy_answers_to_a_handshake() {
    let demo = Demo::start();
    let knock = |target: Value| {
        let (head, said) = ask(demo.proxy, "POST /page/knock", &own(&demo), &json!({ "target": target }).to_string());
        (status(&head), serde_json::from_str::<Value>(&said).unwrap())
    };
    assert_eq!(knock(json!("/ws/echo")), (200, json!({"status": 101})));
    let (status, said) = knock(json!("/chat"));
    assert_eq!((status, &said["status"], &said["cause"]), (200, &json!(400), &json!("no-channel")));
    assert_eq!(said["body"], "a channel id is needed and none was given");
    for wrong in
        [json!(null), json!("ws://127.0.0.1:1/"), json!("chat"), json!("/a b"), json!(format!("/{}", "x".repeat(2048)))]
    {
        assert_eq!(knock(wrong.clone()).0, 400, "{wrong}");
    }
    assert_eq!(knock(json!(format!("/{}", "x".repeat(2047)))).0, 200);
    let foreign = own(&demo).replace("Origin: http://", "Origin: http://not-");
    assert_eq!(super::status(&ask(demo.proxy, "POST /page/knock", &foreign, "{\"target\": \"/ws/echo\"}").0), 403);
}

/// A stream of events, and what it says next.
struct Events(BufReader<TcpStream>);

impl Events {
    fn listen(demo: &Demo) -> Self {
        let mut stream = TcpStream::connect(demo.proxy).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /page/events HTTP/1.1\r\nHost: {}\r\n\r\n", demo.proxy).unwrap();
        Self(BufReader::new(stream))
    }

    /// The status line.
    fn answer(&mut self) -> u16 {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        status(&line)
    }

    /// None at the end.
    fn next(&mut self) -> Option<Value> {
        let mut lines = (&mut self.0).lines().map(Result::unwrap);
        lines.find_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
    }
}

#[test]
fn events_tell_of_every_change_through_the_proxy_and_end_when_it_stops() {
    let mut demo = Demo::start();
    let mut events = Events::listen(&demo);
    assert_eq!(events.answer(), 200);
    let first = events.next().unwrap();
    assert_eq!((&first["generation"], &first["sessions"], &first["problems"]), (&json!(1), &json!(0), &Value::Null));
    assert_eq!(first["file"], shown(&demo)["version"]);

    assert_eq!(save(&demo, &own(&demo), "listners: []\n").0, 200);
    let refused = std::iter::from_fn(|| events.next()).find(|event| !event["problems"].is_null()).unwrap();
    let problem = refused["problems"][0].as_str().unwrap();
    assert!(problem.contains("demo.yaml:1:1: ") && problem.contains("did you mean `listeners`?"), "{problem}");
    assert_eq!(refused["generation"], 1);
    assert!(refused["looks"].as_u64() > first["looks"].as_u64());

    assert_eq!(demo.ended_by("INT").code(), Some(0));
    assert!(std::iter::from_fn(|| events.next()).count() < 5, "the stream ended");
    assert!(demo.log().contains("clean=true"), "{}", demo.log());
}

#[test]
fn as_many_pages_as_may_be_hear_of_changes_and_one_that_goes_makes_room() {
    let demo = Demo::start();
    let mut listening: Vec<_> = (0..32).map(|_| Events::listen(&demo)).collect();
    assert!(listening.iter_mut().all(|events| events.answer() == 200));
    assert_eq!(Events::listen(&demo).answer(), 503);
    listening.pop();
    eventually("room for another", || (Events::listen(&demo).answer() == 200).then_some(()));
}
