//! How long a connection may take for what.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Raw, answers, get, proxy};
use crate::support::{PATIENCE, Proxy, dial::not_before, eventually, upgrade, upstream::Refusing};

/// Waits until the proxy has read all that was sent.
fn taken(proxy: &Proxy, raw: &Raw) {
    let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let ends = (port(proxy.address), port(raw.0.local_addr().unwrap()));
    eventually("the bytes to be read", || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = sockets.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[1].ends_with(&ends.0) && row[2].ends_with(&ends.1))?;
        row[4].ends_with(":00000000").then_some(())
    });
}

const ESTABLISH: Duration = Duration::from_millis(600);

#[test]
fn a_head_that_does_not_end_is_408_when_its_time_is_over() {
    let nobody = Refusing::bind();
    let proxy = proxy("establish: 600ms", nobody.address);
    let heads = ["G", "GET /chat?s3cret HTTP/1.1\r\n", "GET /chat?s3cret HTTP/1.1\r\nHost: test\r\nX: y\r\n", "\r"];
    for head in heads {
        let begun = Instant::now();
        let mut raw = Raw::dial(&proxy);
        raw.send(head);
        assert_eq!(answers(&raw.rest()), [(408, "establish-timeout".to_owned())], "{head:?}");
        not_before(begun, ESTABLISH);
    }
    let line = proxy.logged(&["request refused", "cause=establish-timeout", "path=/chat", "status=408"]);
    let waited = line.split_once("duration_ms=").unwrap().1.split(' ').next().unwrap();
    assert!(waited.parse::<u128>().unwrap() >= ESTABLISH.as_millis(), "since the connection began: {line}");
    assert!(!line.contains("s3cret"), "{line}");
    proxy.metric_becomes("cordboard_causes_total{cause=\"establish-timeout\"}", heads.len() as f64);
}

#[test]
fn a_head_that_dribbles_is_not_given_more_time() {
    let nobody = Refusing::bind();
    let proxy = proxy("establish: 600ms", nobody.address);
    let mut raw = Raw::dial(&proxy);
    let mut other = raw.0.try_clone().unwrap();
    let dribbling = thread::spawn(move || {
        let head = get("/chat").replace("\r\n\r\n", &format!("\r\nX: {}", "x".repeat(10_000)));
        for byte in head.bytes() {
            if std::io::Write::write_all(&mut other, &[byte]).is_err() {
                return;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        panic!("all of it was taken");
    });
    assert!(raw.answer().starts_with("HTTP/1.1 408 "));
    dribbling.join().unwrap();
}

#[test]
fn who_says_nothing_is_cut_without_a_word() {
    let nobody = Refusing::bind();
    let proxy = proxy("establish: 600ms, idle: 1h", nobody.address);
    let begun = Instant::now();
    let mut raw = Raw::dial(&proxy);
    assert_eq!(raw.rest(), "");
    not_before(begun, ESTABLISH);
    // An empty line is not the beginning of a head.
    let mut raw = Raw::dial(&proxy);
    raw.send("\r\n");
    assert_eq!(raw.rest(), "");
    proxy.metric_becomes("cordboard_connections_cut_total{why=\"silent\"}", 2.0);
    proxy.metric_becomes("cordboard_connections", 0.0);
}

#[test]
fn a_later_head_has_its_time_from_its_first_byte() {
    let nobody = Refusing::bind();
    let proxy = proxy("establish: 600ms, idle: 2m", nobody.address);
    let mut raw = Raw::dial(&proxy);
    raw.send(get("/chat"));
    raw.answer();
    // Longer than `establish` nothing at all: allowed between requests.
    let pause = Instant::now();
    eventually("the pause", || (pause.elapsed() > ESTABLISH * 2).then_some(()));
    let begun = Instant::now();
    raw.send("GET /chat HTTP/1.1\r\nHost:");
    assert_eq!(answers(&raw.rest()), [(408, "establish-timeout".to_owned())]);
    not_before(begun, ESTABLISH);
}

#[test]
fn a_late_head_behind_a_good_request_is_answered_behind_it() {
    let nobody = Refusing::bind();
    let proxy = proxy("establish: 600ms", nobody.address);
    let mut raw = Raw::dial(&proxy);
    raw.send(get("/chat") + "GET /chat HTTP/1.1\r\nX");
    let expected = [(426, "not-an-upgrade".to_owned()), (408, "establish-timeout".to_owned())];
    assert_eq!(answers(&raw.rest()), expected);
}

#[test]
fn a_kept_connection_is_closed_without_a_word_when_it_is_idle_too_long() {
    let nobody = Refusing::bind();
    let proxy = proxy("idle: 300ms, establish: 2m", nobody.address);
    let mut raw = Raw::dial(&proxy);
    let mut asked = Instant::now();
    for _ in 0..3 {
        asked = Instant::now();
        raw.send(get("/chat"));
        raw.answer();
    }
    assert_eq!(raw.rest(), "");
    not_before(asked, Duration::from_millis(300));
    proxy.metric_becomes("cordboard_connections_cut_total{why=\"idle\"}", 1.0);
}

#[test]
fn a_request_that_is_being_answered_is_not_idle() {
    // A service that takes the connection and never says a word: the answer is there after `connect_timeout`.
    let mute = crate::support::upstream::Mute::bind();
    let proxy = proxy("idle: 100ms, establish: 1500ms", mute.address);
    let begun = Instant::now();
    let mut raw = Raw::dial(&proxy);
    raw.send(upgrade("/ws", ""));
    let said = raw.rest();
    assert!([408, 504].contains(&answers(&said)[0].0), "{said}");
    not_before(begun, Duration::from_millis(1400));
}

#[test]
fn a_peer_that_takes_no_answer_is_given_up() {
    let nobody = Refusing::bind();
    let proxy = proxy("idle: 300ms, establish: 2m", nobody.address);
    let raw = Raw::dial(&proxy);
    raw.0.set_nonblocking(true).unwrap();
    let requests = get("/chat").repeat(1000);
    // Until nothing fits any more on the way there and back.
    let mut full = Instant::now();
    eventually("the end of the connection", || {
        match std::io::Write::write(&mut &raw.0, requests.as_bytes()) {
            Ok(_) => full = Instant::now(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return Some(()),
        }
        assert!(full.elapsed() < PATIENCE, "it is still open");
        None
    });
    proxy.metric_becomes("cordboard_connections_cut_total{why=\"stalled\"}", 1.0);
    proxy.metric_becomes("cordboard_connections", 0.0);
}

#[test]
fn who_leaves_in_the_middle_of_a_head_is_counted() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    for head in ["G", "GET /chat HTTP/1.1\r\nHost: te"] {
        let mut raw = Raw::dial(&proxy);
        raw.send(get("/chat") + head);
        raw.answer();
        raw.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(raw.rest(), "");
    }
    proxy.metric_becomes("cordboard_connections_cut_total{why=\"partial\"}", 2.0);
}

#[test]
fn a_refusal_reaches_a_peer_that_is_still_sending() {
    let nobody = Refusing::bind();
    let proxy = proxy("linger: 30s", nobody.address);
    for (sent, refused) in
        [("GET /chat HTTP/1.1\r\nHost: test\r\nHost: test\r\n", 400), (&upgrade("/nowhere", ""), 404)]
    {
        let mut raw = Raw::dial(&proxy);
        raw.send(sent);
        for _ in 0..200 {
            raw.send([b'x'; 10_000]);
        }
        assert_eq!(answers(&raw.rest())[0].0, refused);
        drop(raw);
        proxy.metric_becomes("cordboard_connections", 0.0);
    }
}

#[test]
fn who_does_not_close_after_a_refusal_is_closed_when_the_lingering_is_over() {
    let nobody = Refusing::bind();
    for linger in ["0", "200ms"] {
        let proxy = proxy(&format!("linger: {linger}"), nobody.address);
        for (sent, refused) in
            [("GET /chat HTTP/1.1\r\nHost: test\r\nHost: test\r\n", 400), (&upgrade("/nowhere", ""), 404)]
        {
            let mut raw = Raw::dial(&proxy);
            raw.send(sent);
            assert_eq!(answers(&raw.rest())[0].0, refused);
            proxy.metric_becomes("cordboard_connections", 0.0);
        }
    }
}

#[test]
fn who_is_in_the_middle_of_a_head_when_we_stop_gets_an_answer() {
    let nobody = Refusing::bind();
    let mut proxy = proxy("", nobody.address);
    let mut raw = Raw::dial(&proxy);
    raw.send("GET /chat HTTP/1.1\r\nHo");
    let mut idle = Raw::dial(&proxy);
    idle.send(get("/chat"));
    idle.answer();
    taken(&proxy, &raw);
    proxy.signal("TERM");
    assert_eq!(idle.rest(), "", "an idle one is closed at once");
    raw.send("st: test\r\n\r\n");
    let said = raw.rest();
    assert_eq!(answers(&said), [(503, "draining".to_owned())]);
    assert!(said.contains("connection: close"), "{said}");
    drop((raw, idle));
    assert_eq!(proxy.ended().code(), Some(0));
}
