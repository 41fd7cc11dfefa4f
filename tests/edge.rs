//! The strict edge: what is no plain request is refused before it is parsed, whatever comes behind it is never looked at,
//! heads and connections are bounded in size, number and time.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::large_stack_arrays)] // bodies of some length

mod support;

#[path = "edge/bounds.rs"]
mod bounds;
#[path = "edge/forwarded.rs"]
mod forwarded;
#[path = "edge/order.rs"]
mod order;
#[path = "edge/places.rs"]
mod places;
#[path = "edge/shapes.rs"]
mod shapes;
#[path = "edge/time.rs"]
mod time;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use support::{PATIENCE, Proxy, Setup, status};

/// A configuration with routes at `/chat` and `/ws`: keys of the listener, and where the service of `/ws` is.
fn config(listener: &str, service: SocketAddr) -> String {
    format!(
        "listeners: [{{name: main, address: '127.0.0.1:0', {listener}}}]
admin: {{address: '127.0.0.1:0'}}
reload: {{quiet: 20ms}}
plugins: {{rendezvous: {{component: 'builtin:rendezvous'}}}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}
  - {{name: ws, match: {{path: /ws}}, mode: router, service: s}}
services: {{s: {{endpoints: ['ws://{service}']}}}}
"
    )
}

fn proxy(listener: &str, service: SocketAddr) -> Proxy {
    let setup = Setup::new("");
    setup.put("cordboard.yaml", config(listener, service).as_bytes());
    setup.start()
}

/// A connection that is not helped by any client.
struct Raw(TcpStream);

impl Raw {
    fn dial(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Everything up to the end of the connection, which must come in peace.
    fn rest(&mut self) -> String {
        let mut all = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut all) {
            panic!("{error} after {:?}", String::from_utf8_lossy(&all));
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The head of the next answer; its body is left out.
    fn answer(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "the end came in {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut body = vec![0; length(&head)];
        self.0.read_exact(&mut body).unwrap();
        head
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn length(head: &str) -> usize {
    field(head, "content-length").map_or(0, |length| length.parse().unwrap())
}

/// The answers in what a connection said: status and label of each.
fn answers(said: &str) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    let mut rest = said;
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        let label = field(head, "x-cordboard-error").unwrap_or_default().to_owned();
        answers.push((status(head), label));
        rest = behind.get(length(head)..).unwrap_or_else(|| panic!("a body is cut in {said:?}"));
    }
    assert_eq!(rest, "", "something stands behind the answers");
    answers
}

/// A plain request, which is answered 426, 404 or whatever the path brings.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}
