//! What reaches a service through the edge: what was asked for, and nothing that was hidden in it or behind it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::{Raw, answers, get, shapes};
use crate::support::{Proxy, Setup, eventually};

/// A service that answers each GET and nothing else, and keeps all that it is told.
struct Listening {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Listening {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let all = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut heard = all.lock().unwrap();
                heard.push(Vec::new());
                let (at, all) = (heard.len() - 1, Arc::clone(&all));
                thread::spawn(move || listen(stream, &all, at));
            }
        });
        Self { address, heard }
    }

    /// All of it, one connection after the other.
    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap().concat()).into_owned()
    }
}

fn listen(mut stream: TcpStream, all: &Mutex<Vec<Vec<u8>>>, at: usize) {
    let mut buffer = [0; 4096];
    let mut answered = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        let mut heard = all.lock().unwrap();
        heard[at].extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&heard[at]).into_owned();
        drop(heard);
        let asked = text.split("\r\n\r\n").filter(|head| head.starts_with("GET ")).count();
        if text.ends_with("\r\n\r\n") && asked > answered {
            answered += 1;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }
}

fn proxy(listener: &str, service: &Listening) -> Proxy {
    let setup = Setup::new("");
    let config = format!(
        "listeners: [{{name: main, address: '127.0.0.1:0', {listener}}}]
admin: {{address: '127.0.0.1:0'}}
routes: [{{name: rest, match: {{path: /}}, mode: http, service: s}}]
services: {{s: {{endpoints: ['http://{}']}}}}
",
        service.address
    );
    setup.put("cordboard.yaml", config.as_bytes());
    setup.start()
}

#[test]
fn nothing_of_a_shape_or_behind_it_reaches_a_service() {
    let service = Listening::start();
    let proxy = proxy("", &service);
    for (name, bytes, status, label) in shapes::heads() {
        let mut raw = Raw::dial(&proxy);
        raw.send(get("/good") + &bytes + &shapes::behind());
        assert_eq!(answers(&raw.rest()), [(200, String::new()), (status, label.to_owned())], "{name}");
    }
    let heard = service.heard();
    assert_eq!(heard.matches("GET /good HTTP/1.1\r\n").count(), shapes::heads().len(), "{heard}");
    assert_eq!(heard.matches("HTTP/1.1\r\n").count(), shapes::heads().len(), "{heard}");
    assert!(!heard.contains("/admin"), "{heard}");
}

#[test]
fn a_body_that_breaks_the_rules_is_400_and_does_not_end_at_the_service() {
    let service = Listening::start();
    let proxy = proxy("", &service);
    for body in shapes::BAD_BODIES {
        let mut raw = Raw::dial(&proxy);
        raw.send(shapes::chunked(body) + &shapes::behind());
        let said = raw.rest();
        assert_eq!(answers(&said), [(400, "bad-body".to_owned())], "{body:?}: {said}");
        assert!(said.contains("connection: close"), "{said}");
    }
    proxy.logged(&["request refused", "cause=bad-body", "the size of a chunk is followed by a space"]);
    proxy.metric_becomes("cordboard_causes_total{cause=\"bad-body\"}", shapes::BAD_BODIES.len() as f64);
    let heard = service.heard();
    assert!(!heard.contains("/admin") && !heard.contains("0\r\n\r\n"), "{heard}");
}

#[test]
fn a_body_passes_with_as_many_extensions_as_are_allowed_and_without_them() {
    let service = Listening::start();
    let proxy = proxy("chunk_extensions: 40B", &service);
    // Of 10 bytes each, the semicolon counted.
    let body = |chunks: usize| "1;a=\"bcde\"\r\nx\r\n".repeat(chunks) + "0\r\n\r\n";
    let mut raw = Raw::dial(&proxy);
    raw.send(shapes::chunked(&body(4)));
    eventually("the body at the service", || service.heard().ends_with("\r\n0\r\n\r\n").then_some(()));
    assert!(!service.heard().contains("bcde"), "{}", service.heard());
    let mut raw = Raw::dial(&proxy);
    raw.send(shapes::chunked(&body(5)));
    assert_eq!(answers(&raw.rest()), [(400, "bad-body".to_owned())]);
}

#[test]
fn http2_in_an_upgrade_never_becomes_a_tunnel() {
    let service = Listening::start();
    let proxy = proxy("", &service);
    let mut raw = Raw::dial(&proxy);
    let fields = "\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let asks = get("/good").replace("\r\n\r\n", fields);
    raw.send(asks.clone() + &asks + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + &shapes::behind());
    let expected = [(200, String::new()), (200, String::new()), (505, "http-version".to_owned())];
    assert_eq!(answers(&raw.rest()), expected);
    let heard = service.heard();
    assert!(!heard.contains("h2c") && !heard.contains("/admin"), "{heard}");
}
