//! How many connections a listener has, and how many one address has: exactly the bound is served.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::{Raw, answers, config, field, get, proxy};
use crate::support::{PATIENCE, Proxy, dial::within, eventually, upgrade, upstream::Refusing, wire::Wire};

/// A connection from another address of loopback.
fn from(proxy: &Proxy, last: u8) -> Raw {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Raw(stream)
}

#[track_caller]
fn served(raw: &mut Raw) {
    raw.send(get("/chat"));
    let head = raw.answer();
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
}

/// It is told so without having said a word, and the connection ends.
#[track_caller]
fn turned_away(mut raw: Raw, status: u16, label: &str) {
    let said = raw.rest();
    assert_eq!(answers(&said), [(status, label.to_owned())]);
    assert!(field(&said, "retry-after").is_some() && said.contains("connection: close"), "{said}");
}

/// Waits until there is a place again.
fn place_for(mut dial: impl FnMut() -> Raw) -> Raw {
    eventually("a place", || {
        let mut raw = dial();
        raw.send(get("/chat"));
        raw.answer().starts_with("HTTP/1.1 426 ").then_some(raw)
    })
}

#[test]
fn the_listener_serves_as_many_as_it_may_and_not_one_more() {
    let nobody = Refusing::bind();
    let proxy = proxy("connections: 5", nobody.address);
    let mut held: Vec<_> = (0..5).map(|_| Raw::dial(&proxy)).collect();
    held.iter_mut().for_each(served);
    for _ in 0..3 {
        turned_away(Raw::dial(&proxy), 503, "listener-full");
    }
    // Those who are there are not disturbed, and a place that is given back can be had again.
    held.iter_mut().for_each(served);
    drop(held.pop());
    held.push(place_for(|| Raw::dial(&proxy)));
    turned_away(Raw::dial(&proxy), 503, "listener-full");
    proxy.logged(&["there is no place", "listener-full"]);
    assert!(proxy.metric("cordboard_causes_total{cause=\"listener-full\"}") > 3.5);
}

#[test]
fn one_address_has_as_many_as_it_may_and_others_are_not_disturbed() {
    let nobody = Refusing::bind();
    let proxy = proxy("connections_per_ip: 2", nobody.address);
    let mut held: Vec<_> = (0..2).map(|_| from(&proxy, 1)).collect();
    held.iter_mut().for_each(served);
    turned_away(from(&proxy, 1), 429, "address-full");
    let mut others: Vec<_> = (2..6).flat_map(|last| [from(&proxy, last), from(&proxy, last)]).collect();
    others.iter_mut().for_each(served);
    turned_away(from(&proxy, 2), 429, "address-full");
    proxy.metric_becomes("cordboard_causes_total{cause=\"address-full\"}", 2.0);
    drop(held);
    place_for(|| from(&proxy, 1));
}

#[tokio::test]
async fn a_session_keeps_its_place_until_its_end() {
    let nobody = Refusing::bind();
    let proxy = proxy("connections_per_ip: 2", nobody.address);
    let client = Wire::open(proxy.address, "/chat?channelId=1").await;
    let backend = Wire::open(proxy.address, "/chat/connect?channelId=1").await;
    let mut third = Wire::knock(proxy.address, &upgrade("/chat?channelId=2", ""), b"").await;
    third.read_head().await;
    assert_eq!((third.status(), third.field("x-cordboard-error")), (429, Some("address-full")));
    drop((client, backend));
    within("a place", async {
        loop {
            let mut again = Wire::knock(proxy.address, &upgrade("/chat?channelId=2", ""), b"").await;
            again.read_head().await;
            if again.status() == 101 {
                return;
            }
        }
    })
    .await;
}

#[test]
fn a_trusted_proxy_is_not_one_address_among_others() {
    let nobody = Refusing::bind();
    let proxy = proxy("connections_per_ip: 1, connections: 8, trusted_proxies: [127.0.0.7]", nobody.address);
    let mut held: Vec<_> = (0..7).map(|_| from(&proxy, 7)).collect();
    held.iter_mut().for_each(served);
    let mut other = from(&proxy, 8);
    served(&mut other);
    turned_away(from(&proxy, 7), 503, "listener-full");
}

#[test]
fn a_reload_counts_those_who_are_there() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    let mut held: Vec<_> = (0..3).map(|_| Raw::dial(&proxy)).collect();
    held.iter_mut().for_each(served);
    let before = proxy.generation();
    proxy.setup.put("cordboard.yaml", config("connections_per_ip: 3", nobody.address).as_bytes());
    proxy.reloaded(before);
    turned_away(Raw::dial(&proxy), 429, "address-full");
    held.iter_mut().for_each(served);
}

#[test]
fn many_who_send_nothing_do_not_keep_others_out() {
    let nobody = Refusing::bind();
    let proxy = proxy("connections_per_ip: 20, establish: 2m", nobody.address);
    // Half a head each, as many as are taken, and as many more as are not.
    let slow: Vec<_> = (0..60)
        .map(|_| {
            let mut raw = from(&proxy, 1);
            let _ = std::io::Write::write_all(&mut raw.0, b"GET /chat HTTP/1.1\r\nX");
            raw
        })
        .collect();
    proxy.metric_becomes("cordboard_causes_total{cause=\"address-full\"}", 40.0);
    proxy.metric_becomes("cordboard_connections", 20.0);
    for last in 2..12 {
        served(&mut from(&proxy, last));
    }
    drop(slow);
    place_for(|| from(&proxy, 1));
}
