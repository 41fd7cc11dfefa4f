//! What the manager is told, read from the socket that it would read.

use std::{io::ErrorKind, os::unix::net::UnixDatagram};

use crate::support::{
    CHAT, PATIENCE, Proxy, Setup,
    dial::{converse, dial},
    http, status, upgrade,
};

/// The manager's end, in the folder of the configuration.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn of(setup: &Setup) -> Self {
        let path = setup.file("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned() }
    }

    /// The next message, line by line.
    fn next(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the manager is told something");
        String::from_utf8(message[..length].to_vec()).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    /// The next one that begins so.
    fn told(&self, first: &str) -> Vec<String> {
        loop {
            let message = self.next();
            if message[0] == first {
                return message;
            }
            // Looked after meanwhile; every state must come in its turn.
            let between = message[0] == "WATCHDOG=1" || message[0].starts_with("STATUS=");
            assert!(between && message.len() == 1, "{first} was expected and {message:?} came");
        }
    }
}

/// Now, as the manager counts.
fn monotonic() -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    // What has been slept through counts in one of the two clocks only; a machine for tests does not sleep.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let micros = (seconds * 1e6) as u64;
    micros
}

#[test]
fn the_manager_is_told_each_state_in_its_turn() {
    let setup = Setup::new(&format!("reload: {{watch: off}}\ndrain: {{delay: 2s, grace: 3s}}\n{CHAT}"));
    let manager = Manager::of(&setup);
    let envs = [("NOTIFY_SOCKET", manager.path.as_str())];
    let mut proxy = Proxy::start(setup, &envs);
    assert_eq!(manager.told("READY=1"), ["READY=1", "STATUS=serving generation 1; 0 legs"]);
    assert_eq!(status(&http(proxy.address, &upgrade("/nowhere", "")).0), 404, "who is ready, answers");

    let before = monotonic();
    let change = |route: &str| format!("reload: {{watch: off}}\ndrain: {{delay: 2s, grace: 3s}}\n{CHAT}{route}");
    proxy.setup.write(&change("    limits: {message: 1KiB}\n"));
    proxy.signal("HUP");
    let reloading = manager.told("RELOADING=1");
    let since: u64 = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    // /proc/uptime has hundredths of a second.
    assert!(
        (before.saturating_sub(20_000)..=monotonic() + 20_000).contains(&since),
        "{before} {since} {}",
        monotonic()
    );
    assert_eq!(manager.told("READY=1")[1], "STATUS=serving generation 2; 0 legs");

    proxy.setup.write(&change("    limits: {message: many}\n"));
    proxy.signal("HUP");
    manager.told("RELOADING=1");
    assert_eq!(manager.told("READY=1")[1], "STATUS=serving generation 2; what the files say was refused; 0 legs");

    proxy.signal("TERM");
    assert_eq!(
        manager.told("STOPPING=1"),
        ["STOPPING=1", "STATUS=draining: 0 legs, to be cut after 5s", "EXTEND_TIMEOUT_USEC=15000000"]
    );
    proxy.signal("TERM");
    assert!(proxy.ended().success());
}

#[tokio::test]
async fn the_watchdog_is_fed_also_while_we_drain_and_the_status_follows() {
    let setup = Setup::new(&format!("drain: {{grace: 1h, spread: 1h}}\n{CHAT}"));
    let manager = Manager::of(&setup);
    let envs = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", "100000")];
    let proxy = Proxy::start(setup, &envs);
    manager.told("READY=1");
    for _ in 0..3 {
        manager.told("WATCHDOG=1");
    }
    let mut client = dial(&proxy, "/chat?channelId=1").await;
    let mut backend = dial(&proxy, "/chat/connect?channelId=1").await;
    // One that is just being answered may be seen before the other.
    while manager.told_status() != "STATUS=serving generation 1; 2 legs" {}
    converse(&mut client, &mut backend, "beside it").await;
    proxy.signal("TERM");
    manager.told("STOPPING=1");
    for _ in 0..3 {
        manager.told("WATCHDOG=1");
    }
}

impl Manager {
    fn told_status(&self) -> String {
        loop {
            let mut message = self.next();
            if message.len() == 1 && message[0].starts_with("STATUS=") {
                return message.remove(0);
            }
        }
    }
}

#[tokio::test]
async fn a_manager_that_is_deaf_or_gone_holds_up_nothing() {
    for gone in [false, true] {
        let setup = Setup::new(CHAT);
        let manager = Manager::of(&setup);
        if gone {
            std::fs::remove_file(&manager.path).unwrap();
        } else {
            // Full, as if it had not read for long.
            let other = UnixDatagram::unbound().unwrap();
            other.set_nonblocking(true).unwrap();
            while other.send_to(b"STATUS=full", &manager.path).is_ok() {}
            let full = other.send_to(b"STATUS=full", &manager.path).unwrap_err();
            assert_eq!(full.kind(), ErrorKind::WouldBlock);
        }
        let envs = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", "20000")];
        let mut proxy = Proxy::start(setup, &envs);
        proxy.logged(&["WARN", "the service manager cannot be told how we are"]);
        let mut client = dial(&proxy, "/chat?channelId=1").await;
        let mut backend = dial(&proxy, "/chat/connect?channelId=1").await;
        converse(&mut client, &mut backend, "in spite of it").await;
        // Said once, and not at each attempt.
        proxy.signal("HUP");
        proxy.logged(&["the files were read again"]);
        let said = proxy.log().iter().filter(|line| line.contains("the service manager")).count();
        assert_eq!(said, 1, "{:?}", proxy.log());
        proxy.signal("TERM");
        proxy.signal("TERM");
        assert!(proxy.ended().success());
    }
}
