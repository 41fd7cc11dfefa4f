//! Listeners that come, go and change while connections live.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::{
    CHAT,
    support::{
        PATIENCE, Proxy, Setup,
        dial::{converse, dial_at},
        eventually, http, status, upgrade,
    },
};

/// The chat on these listeners, as YAML flow maps.
fn config(listeners: &[String]) -> String {
    format!("listeners: [{}]\nadmin: {{address: '127.0.0.1:0'}}\nreload: {{quiet: 20ms}}\n{CHAT}", listeners.join(", "))
}

fn listener(name: &str, address: SocketAddr) -> String {
    format!("{{name: {name}, address: '{address}'}}")
}

fn start(listeners: &[String]) -> Proxy {
    let setup = Setup::new(CHAT);
    setup.put("cordboard.yaml", config(listeners).as_bytes());
    setup.start()
}

/// Where they listen, as the admin address shows it.
fn listening(proxy: &Proxy) -> Vec<(String, SocketAddr)> {
    let page: Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |one: &Value| (text(&one["name"]), text(&one["address"]).parse().unwrap());
    page["listeners"].as_array().unwrap().iter().map(of).collect()
}

fn change(proxy: &Proxy, listeners: &[String]) {
    let before = proxy.generation();
    proxy.setup.put("cordboard.yaml", config(listeners).as_bytes());
    proxy.reloaded(before);
}

fn asked(address: SocketAddr, channel: &str) -> u16 {
    status(&http(address, &upgrade(&format!("/chat?channelId={channel}"), "")).0)
}

/// An address that nobody holds now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const ANY: &str = "127.0.0.1:0";

#[tokio::test]
async fn a_new_listener_serves_a_removed_one_is_closed_and_its_conversations_go_on() {
    let any = || ANY.parse().unwrap();
    let proxy = start(&[listener("one", any()), listener("two", any())]);
    let before = listening(&proxy);
    let (kept, gone) = (before[0].1, before[1].1);
    let mut client = dial_at(gone, "/chat?channelId=1").await;
    let mut backend = dial_at(kept, "/chat/connect?channelId=1").await;
    converse(&mut client, &mut backend, "before").await;

    change(&proxy, &[listener("one", any()), listener("three", any())]);
    let after = listening(&proxy);
    assert_eq!(after[0], before[0], "its socket is the same");
    assert_eq!(after[1].0, "three");
    assert_eq!((asked(kept, "2"), asked(after[1].1, "3")), (101, 101));
    eventually("the end of the old socket", || TcpStream::connect(gone).is_err().then_some(()));
    converse(&mut client, &mut backend, "after").await;
}

#[test]
fn a_listener_moves_to_another_address_and_takes_its_count_along() {
    let any = || ANY.parse().unwrap();
    let limited = |address: SocketAddr| format!("{{name: one, address: '{address}', connections: 1}}");
    let proxy = start(&[limited(any())]);
    let held = TcpStream::connect(proxy.address).unwrap();
    proxy.metric_becomes("cordboard_connections", 1.0);
    let to = free();
    change(&proxy, &[limited(to)]);
    assert_eq!(listening(&proxy), [("one".to_owned(), to)]);
    assert_eq!(asked(to, "1"), 503, "the connection on the old address has the only place");
    drop(held);
    eventually("the place to be free", || (asked(to, "1") == 101).then_some(()));
}

#[test]
fn a_listener_of_another_name_takes_over_the_socket_and_its_settings_count_at_once() {
    let address = free();
    let proxy = start(&[listener("one", address)]);
    change(&proxy, &[format!("{{name: other, address: '{address}', head: 1KiB}}")]);
    assert_eq!(listening(&proxy), [("other".to_owned(), address)]);
    let long = upgrade("/chat?channelId=1", &format!("X-Long: {}\r\n", "x".repeat(2000)));
    assert_eq!((asked(address, "1"), status(&http(address, &long).0)), (101, 431));
}

#[test]
fn an_address_that_is_taken_refuses_the_change_and_nothing_else_of_it_counts() {
    let any = || ANY.parse().unwrap();
    let proxy = start(&[listener("one", any())]);
    let taken = TcpListener::bind(ANY).unwrap();
    let to = taken.local_addr().unwrap();
    let both = config(&[listener("two", to), listener("three", any())]).replace("path: /chat", "path: /talk");
    proxy.setup.put("cordboard.yaml", both.as_bytes());
    let place = format!("cordboard.yaml:1:34: listeners[0].address: cannot listen on {to}");
    proxy.logged(&["refused: ", &place, "`address` of the listener `two`"]);
    assert_eq!((proxy.generation(), listening(&proxy).len(), asked(proxy.address, "1")), (1, 1, 101));
    // Once it is free it counts, at the next look.
    drop(taken);
    proxy.signal("HUP");
    proxy.reloaded(1);
    assert_eq!(status(&http(to, &upgrade("/talk?channelId=1", "")).0), 101);
}

#[test]
fn no_connection_is_lost_while_listeners_come_and_go() {
    let any = || ANY.parse().unwrap();
    let proxy = start(&[listener("stays", any()), listener("a", any())]);
    for round in 0..4 {
        let name = if round % 2 == 0 { "b" } else { "a" };
        let leaving = listening(&proxy)[1].1;
        proxy.setup.put("cordboard.yaml", config(&[listener("stays", any()), listener(name, any())]).as_bytes());
        // Those that get in are answered, to the last one that came before the socket was closed.
        let dialling: Vec<_> = (0..4).map(|_| thread::spawn(move || dial_to_the_end(leaving))).collect();
        for streams in dialling {
            for stream in streams.join().unwrap() {
                answered(stream, round);
            }
        }
        assert_eq!((listening(&proxy)[1].0.as_str(), asked(proxy.address, &round.to_string())), (name, 101));
    }
}

/// Connections, one after the other, until nobody takes them.
fn dial_to_the_end(address: SocketAddr) -> Vec<TcpStream> {
    let end = Instant::now() + PATIENCE;
    let mut streams = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, PATIENCE) {
        // The last ones are those that count.
        if streams.len() == 200 {
            streams.clear();
        }
        streams.push(stream);
        assert!(Instant::now() < end, "the socket is still there");
    }
    streams
}

/// Asks on a connection that is open already.
fn answered(mut stream: TcpStream, round: usize) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 404, "round {round}: {answer}");
}
