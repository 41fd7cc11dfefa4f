//! What the edge lets pass is what was sent: every request in its turn, every byte behind an upgrade.

use std::{
    io::{ErrorKind, Write as _},
    time::Duration,
};

use super::{Raw, answers, get, proxy};
use crate::support::{
    dial::within,
    upgrade,
    upstream::{Refusing, Upstream},
    wire::{TEXT, Wire, masked},
};

#[test]
fn good_requests_in_a_row_are_all_answered_in_their_order() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    let chunked =
        "PUT /ws HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nGET \r\n0\r\nT: u\r\n\r\n";
    let plain = [
        (get("/nowhere"), 404),
        (get("/ws"), 426),
        ("\r\n".to_owned() + &get("/chat/%2e"), 400),
        ("GET http://TEST:80/nowhere HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 404),
        ("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 400),
        (
            "GET /chat HTTP/1.1\r\nHost: test\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n"
                .to_owned(),
            426,
        ),
    ];
    let with_bodies = [
        ("POST /chat HTTP/1.1\r\nHost: test\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_owned(), 426),
        (get("/nowhere"), 404),
        (chunked.to_owned(), 426),
    ];
    let last = ("GET /nowhere HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".to_owned(), 404);
    let answered = |requests: &[(String, u16)], times: usize, piece: usize| {
        let all: Vec<_> = requests.iter().cycle().take(requests.len() * times).chain([&last]).collect();
        let sent: String = all.iter().map(|(request, _)| request.as_str()).collect();
        let expected: Vec<_> = all.iter().map(|(_, status)| *status).collect();
        let mut raw = Raw::dial(&proxy);
        for bytes in sent.as_bytes().chunks(piece) {
            raw.send(bytes);
        }
        let statuses: Vec<_> = answers(&raw.rest()).into_iter().map(|(status, _)| status).collect();
        assert_eq!(statuses, expected, "in pieces of {piece}");
    };
    for piece in [usize::MAX, 1000, 7, 1] {
        answered(&plain, 40, piece);
    }
    // A body that nobody reads ends the connection unless it is there with its head.
    answered(&with_bodies, 8, usize::MAX);
}

/// Requests whose bodies nobody reads, of a client that reads no answer until the proxy takes no more of them.
#[test]
fn a_client_that_reads_late_gets_the_answers_to_all_that_it_has_asked() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    let request = "POST /chat HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\na";
    let mut raw = Raw::dial(&proxy);
    raw.0.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut sent = 0;
    let full = loop {
        let begun = sent % request.len();
        match raw.0.write(&request.as_bytes()[begun..]) {
            Ok(written) => sent += written,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    let writer = {
        let mut stream = raw.0.try_clone().unwrap();
        stream.set_write_timeout(None).unwrap();
        let rest = request[sent % request.len()..].to_owned()
            + "GET /nowhere HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        std::thread::spawn(move || stream.write_all(rest.as_bytes()))
    };
    let statuses: Vec<_> = answers(&raw.rest()).into_iter().map(|(status, _)| status).collect();
    writer.join().unwrap().unwrap();
    assert_eq!(statuses.last(), Some(&404), "after {} answers", statuses.len());
    assert_eq!(statuses.len(), sent.div_ceil(request.len()) + 1);
}

#[test]
fn a_large_body_that_nobody_wants_is_no_request() {
    let nobody = Refusing::bind();
    let proxy = proxy("linger: 100ms", nobody.address);
    let body = get("/admin").repeat(20_000);
    let mut raw = Raw::dial(&proxy);
    raw.send(format!("POST /chat HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()));
    // The proxy may close before all of it is written.
    let _ = raw.0.write_all(body.as_bytes());
    assert!(raw.answer().starts_with("HTTP/1.1 426 "));
    assert!(proxy.log().iter().all(|line| !line.contains("/admin")));
}

/// A request, and frames behind it in every way to cut them.
#[tokio::test]
async fn frames_behind_an_upgrade_arrive_in_order_however_they_are_cut() {
    let upstream = Upstream::bind().await;
    let proxy = proxy("", upstream.address);
    let frames = [masked(TEXT, b"GET / HTTP/1.1\n\n"), masked(TEXT, b"second"), masked(TEXT, &[b'x'; 300])].concat();
    let all = [upgrade("/ws", "").into_bytes(), frames].concat();
    let head = all.len() - 371;
    let cuts = [1, 2, 20, head - 3, head - 1, head, head + 1, head + 7, all.len() - 1, all.len()];
    for cut in cuts {
        let mut client = Wire::knock(proxy.address, "", &all[..cut]).await;
        tokio::task::yield_now().await;
        client.write(&all[cut..]).await;
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        client.read_head().await;
        assert_eq!(client.status(), 101, "cut at {cut}: {}", client.head);
        dialled.expect(TEXT, b"GET / HTTP/1.1\n\n").await;
        dialled.expect(TEXT, b"second").await;
        dialled.expect(TEXT, &[b'x'; 300]).await;
    }
}

// The head of the upgrade comes behind other requests, so that it is taken apart and put together again.
#[tokio::test]
async fn an_upgrade_behind_other_requests_gets_all_bytes_that_follow_it() {
    let upstream = Upstream::bind().await;
    let proxy = proxy("", upstream.address);
    let frames = masked(TEXT, &[b'y'; 60_000]);
    let sent =
        [get("/nowhere").into_bytes(), get("/chat").into_bytes(), upgrade("/ws", "").into_bytes(), frames].concat();
    for first in [10, 70, 200, sent.len()] {
        let mut client = Wire::knock(proxy.address, "", &sent[..first]).await;
        tokio::task::yield_now().await;
        client.write(&sent[first..]).await;
        for expected in [404, 426] {
            client.read_head().await;
            assert_eq!(client.status(), expected, "{}", client.head);
            let length = client.field("content-length").unwrap().parse().unwrap();
            client.take_body(length).await;
        }
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        client.read_head().await;
        assert_eq!(client.status(), 101, "{}", client.head);
        dialled.expect(TEXT, &[b'y'; 60_000]).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_service_is_dialled_is_noticed_behind_the_edge() {
    let upstream = Upstream::bind().await;
    let proxy = proxy("", upstream.address);
    let client = Wire::knock(proxy.address, &upgrade("/ws", ""), b"").await;
    let mut dialled = upstream.accept().await;
    drop(client);
    within("the end of the dial", async { while dialled.frame().await.is_some() {} }).await;
    proxy.logged(&["client-gone", "path=/ws"]);
}
