//! Sockets that are handed over, each a real descriptor of this process.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

use crate::support::{
    CHAT, Proxy, Setup, binary,
    dial::{converse, dial, within},
    http, status, upgrade,
    wire::Wire,
};

fn bind(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

fn free() -> TcpListener {
    bind("127.0.0.1:0")
}

/// `cordboard run` of this configuration as a manager starts it: sockets from descriptor 3 on, in the name of its pid.
fn handing(setup: &Setup, sockets: &[(&str, &TcpListener)]) -> (Command, Vec<OwnedFd>) {
    let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
    let mut script = "exec".to_owned();
    let copies = sockets.iter().zip(3..).map(|((_, socket), place)| {
        // Far from the places where they are to be, and not closed by the exec.
        let copy = fcntl_dupfd_cloexec(socket, 100).unwrap();
        fcntl_setfd(&copy, FdFlags::empty()).unwrap();
        let from = copy.as_raw_fd();
        write!(script, " {place}<&{from} {from}<&-").unwrap();
        copy
    });
    let copies = copies.collect();
    script += "; LISTEN_PID=$$ exec \"$@\"";
    let plain = binary();
    let mut command = Command::new("bash");
    command.args(["-c", &script, "manager"]).arg(plain.get_program()).args(["run", "--config"]).arg(setup.path());
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    (command, copies)
}

fn start(setup: Setup, sockets: &[(&str, &TcpListener)]) -> Proxy {
    let (command, _copies) = handing(&setup, sockets);
    Proxy::spawn(setup, command)
}

/// Exit code and standard error of one that must not start.
#[track_caller]
fn refused(yaml: &str, sockets: &[(&str, &TcpListener)], expected: &[&str]) {
    let setup = Setup::new("");
    setup.put("cordboard.yaml", yaml.as_bytes());
    let (mut command, _copies) = handing(&setup, sockets);
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{error}");
    for part in expected {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
    assert!(output.stdout.split(|byte| *byte == b'\n').all(|line| !line.starts_with(b"listening")), "nothing listens");
}

const THREE: &str = "
listeners:
  - {name: front, address: '127.0.0.1:1'}
  - {name: back, address: '127.0.0.1:0'}
  - {name: side, address: '127.0.0.1:2'}
admin: {address: '127.0.0.1:3'}
";

#[tokio::test]
async fn sockets_go_by_their_names_and_the_others_are_bound_as_configured() {
    let (front, side, admin) = (free(), free(), free());
    let setup = Setup::new("");
    setup.put("cordboard.yaml", format!("{THREE}{CHAT}").as_bytes());
    // Not in the order of the file. Ports 1, 2 and 3 are configured, and nobody listens there.
    let proxy = start(setup, &[("side", &side), ("admin", &admin), ("front", &front)]);
    let address = |socket: &TcpListener| socket.local_addr().unwrap();
    assert_eq!(proxy.admin, address(&admin));
    let line = proxy.logged(&["started"]);
    for (name, socket) in [("front", &front), ("side", &side)] {
        assert!(line.contains(&format!("{name}={}", address(socket))), "{line}");
    }
    let bound: SocketAddr = line.split("back=").nth(1).unwrap().split([' ', '"']).next().unwrap().parse().unwrap();
    for place in [address(&front), address(&side), bound] {
        assert_eq!(status(&http(place, &upgrade("/nowhere", "")).0), 404, "{place}");
    }
    assert_eq!(proxy.get("/readyz"), "ready\n");
}

#[test]
fn a_listener_called_admin_has_the_socket_of_this_name() {
    let socket = free();
    let setup = Setup::new("");
    let yaml = "listeners: [{name: admin, address: '127.0.0.1:1'}]\nadmin: {address: '127.0.0.1:0'}\n";
    setup.put("cordboard.yaml", format!("{yaml}{CHAT}").as_bytes());
    let proxy = start(setup, &[("admin", &socket)]);
    assert_eq!(proxy.address, socket.local_addr().unwrap());
    assert_eq!(proxy.get("/readyz"), "ready\n");
}

#[test]
fn a_socket_that_nobody_can_use_is_refused_with_what_would_be_right() {
    let one = "listeners: [{name: main, address: '127.0.0.1:0'}]\nadmin: {address: '127.0.0.1:0'}\n";
    let (a, b, open) = (free(), free(), bind("0.0.0.0:0"));
    let address = a.local_addr().unwrap().to_string();
    let yaml = format!("{one}{CHAT}");
    let stranger = &["a socket called `web` (", &address, "FileDescriptorName=", "`main`", "`admin`"];
    refused(&yaml, &[("web", &a), ("main", &b)], stranger);
    refused(&yaml, &[("", &a)], &["a socket called `unknown` ("]);
    refused(&yaml, &[("main", &a), ("main", &b)], &["two sockets called `main` were handed over"]);
    refused(&yaml, &[("admin", &open)], &["the socket `admin` (0.0.0.0:", "is not on loopback"]);
    let off = yaml.replace("admin: {address: '127.0.0.1:0'}", "admin: {address: null}");
    refused(&off, &[("admin", &a)], &["a socket called `admin` (", "`admin.address` is null"]);

    let idle = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    idle.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    refused(&yaml, &[("main", &idle.into())], &["the socket `main`", "is no TCP listener: it does not listen"]);
    let datagrams = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    refused(&yaml, &[("main", &datagrams.into())], &["the socket `main`", "is no TCP listener"]);
}

#[test]
fn what_was_handed_to_another_process_is_left_alone() {
    let taken = free();
    let setup = Setup::new(CHAT);
    let (mut command, _copies) = handing(&setup, &[("nobody", &taken)]);
    // As a child of somebody who was started so.
    let script = command.get_args().nth(1).unwrap().to_str().unwrap().replace("$$", "1");
    let arguments: Vec<_> = command.get_args().skip(2).map(ToOwned::to_owned).collect();
    let mut other = Command::new(command.get_program());
    other.arg("-c").arg(script).args(arguments).env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "nobody");
    command = other;
    let proxy = Proxy::spawn(setup, command);
    assert_eq!(proxy.get("/readyz"), "ready\n");
}

#[tokio::test]
async fn no_handshake_is_lost_while_the_process_is_replaced() {
    let (main, admin) = (free(), free());
    let address = main.local_addr().unwrap();
    let yaml = "listeners: [{name: main, address: '127.0.0.1:1'}]\nadmin: {address: '127.0.0.1:0'}\n\
                drain: {grace: 1h, spread: 1h}\n";
    let setup = || {
        let setup = Setup::new("");
        setup.put("cordboard.yaml", format!("{yaml}{CHAT}").as_bytes());
        setup
    };
    let mut first = start(setup(), &[("main", &main), ("admin", &admin)]);
    assert_eq!(first.address, address);
    let mut client = dial(&first, "/chat?channelId=1").await;
    let mut backend = dial(&first, "/chat/connect?channelId=1").await;
    converse(&mut client, &mut backend, "before").await;

    first.signal("TERM");
    first.logged(&["no more connections are accepted"]);
    // Nobody accepts now, and nobody is refused: the kernel keeps what they ask.
    let asking: Vec<_> = (0..20)
        .map(|n| async move {
            let request = upgrade(&format!("/chat?channelId=new-{n}"), "");
            Wire::knock(address, &request, b"").await
        })
        .collect();
    let mut waiting = Vec::new();
    for ask in asking {
        waiting.push(within("a connection that the kernel takes", ask).await);
    }
    // What is joined lives on meanwhile.
    converse(&mut client, &mut backend, "during").await;

    let second = start(setup(), &[("main", &main), ("admin", &admin)]);
    for wire in &mut waiting {
        wire.read_head().await;
        assert_eq!(wire.status(), 101, "{}", wire.head);
    }
    let mut late = Vec::new();
    for n in 0..20 {
        let target = format!("/chat/connect?channelId=new-{n}");
        late.push(Wire::open(address, &target).await);
    }
    for ((n, one), other) in waiting.iter_mut().enumerate().zip(&mut late) {
        one.send(0x81, format!("{n}").as_bytes()).await;
        other.expect(0x81, format!("{n}").as_bytes()).await;
    }
    // The first one ends and takes nothing with it.
    first.signal("TERM");
    assert!(first.ended().success());
    assert!(TcpStream::connect(address).await.is_ok());
    assert_eq!(status(&http(address, &upgrade("/chat?channelId=after", "")).0), 101);
    drop(second);
}
