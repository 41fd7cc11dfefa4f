//! The harness tried on itself: the echo, every relay and the loads, on real sockets of loopback, with small numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use cordboard_bench::{
    echo::Echo,
    load::{Told, pace::Pace, shake::Shake, talk::Talk},
    relay::Kind,
};

/// A relay of a process of its own, killed by its id.
struct Relay {
    child: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(kind: Kind, to: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard-bench"));
        command.args(["relay", kind.name(), "--workers", "2", "--to", &to.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn path(_: usize) -> String {
    "/ws/echo".to_owned()
}

const SMALL: Talk = Talk { connections: 7, size: 64, in_flight: 1, pace: Pace::Closed };

/// Talks until so many messages are echoed.
fn talk(talk: Talk, address: SocketAddr, messages: u64) -> std::io::Result<Told> {
    let running = talk.start(2, address, &path)?;
    running.measure(true);
    running.until(messages);
    running.stop()
}

fn rows() -> [(Talk, u64); 4] {
    [
        (SMALL, 500),
        (Talk { size: 1024, in_flight: 16, ..SMALL }, 2000),
        (Talk { connections: 3, size: 64 << 10, in_flight: 4, ..SMALL }, 100),
        (Talk { connections: 2, size: 1 << 20, in_flight: 2, ..SMALL }, 20),
    ]
}

#[test]
fn the_echo_gives_back_every_byte() {
    let echo = Echo::listen(2, None).unwrap();
    for (row, messages) in rows() {
        let told = talk(row, echo.address.unwrap(), messages).unwrap();
        assert!(told.latencies.len() >= messages / 2, "{row:?}: {}", told.latencies.len());
        assert_eq!(told.each.len(), row.connections);
        assert!(told.each.iter().all(|each| *each > 0), "{row:?}: {:?}", told.each);
    }
}

#[test]
fn every_relay_lets_every_byte_pass() {
    let echo = Echo::listen(1, None).unwrap();
    for kind in Kind::ALL {
        let relay = Relay::start(kind, echo.address.unwrap());
        for (row, messages) in rows() {
            talk(row, relay.address, messages).unwrap_or_else(|error| panic!("{kind:?} {row:?}: {error}"));
        }
    }
}

#[test]
fn every_relay_lets_handshakes_and_closes_pass() {
    let echo = Echo::listen(1, None).unwrap();
    for kind in Kind::ALL {
        let relay = Relay::start(kind, echo.address.unwrap());
        let running = Shake { at_once: 5, pace: Pace::Closed }.start(2, relay.address, "/ws/echo");
        running.measure(true);
        running.until(100);
        let told = running.stop().unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert!(told.latencies.len() >= 50, "{kind:?}: {}", told.latencies.len());
    }
}

#[test]
fn a_byte_that_is_changed_is_reported() {
    for (row, _) in rows() {
        let bytes = row.size as u64 + 2;
        for at in [0, 1, bytes / 2, bytes - 1, 3 * bytes] {
            let echo = Echo::listen(1, Some(at)).unwrap();
            let error = talk(row, echo.address.unwrap(), u64::MAX).unwrap_err().to_string();
            assert!(error.contains(&format!("byte {at} of the echo is")), "{row:?}: {error}");
        }
    }
}

#[test]
fn a_byte_that_is_changed_behind_a_relay_is_reported() {
    let echo = Echo::listen(1, Some(1000)).unwrap();
    let relay = Relay::start(Kind::Epoll, echo.address.unwrap());
    let error = talk(SMALL, relay.address, u64::MAX).unwrap_err().to_string();
    assert!(error.contains("byte 1000 of the echo is"), "{error}");
}

#[test]
fn a_handshake_that_is_not_echoed_is_reported() {
    let echo = Echo::listen(1, Some(5)).unwrap();
    let running = Shake { at_once: 1, pace: Pace::Closed }.start(1, echo.address.unwrap(), "/");
    running.until(u64::MAX);
    let error = running.stop().unwrap_err().to_string();
    assert!(error.contains("not the echo"), "{error}");
}

#[test]
fn an_open_loop_sends_what_is_due_and_no_more() {
    let echo = Echo::listen(1, None).unwrap();
    let address = echo.address.unwrap();
    let told = talk(Talk { pace: Pace::Open(20_000.0), ..SMALL }, address, 400).unwrap();
    assert!(told.latencies.len() >= 200, "{}", told.latencies.len());

    let running = Shake { at_once: 0, pace: Pace::Open(1000.0) }.start(1, address, "/");
    running.measure(true);
    running.until(50);
    assert!(running.stop().unwrap().latencies.len() >= 25);
}
