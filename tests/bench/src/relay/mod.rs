//! Relays to compare with: the limits of what a proxy can cost, and what one would write by hand. Each listens, dials
//! one address for every connection, and lets all pass; none knows of HTTP but the one that relays messages.

mod copy;
mod epoll;
mod messages;
mod splice;

use std::{
    convert::Infallible,
    io::{self, Write as _},
    net::SocketAddr,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// The relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// `tokio::io::copy_bidirectional`.
    Copy,
    /// Edge-triggered epoll, one buffer a thread.
    Epoll,
    /// The same with `splice(2)`.
    Splice,
    /// tokio-tungstenite at both ends, messages between.
    Messages,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Copy, Self::Epoll, Self::Splice, Self::Messages];

    /// As the command line names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Epoll => "epoll",
            Self::Splice => "splice",
            Self::Messages => "messages",
        }
    }
}

/// Where a relay listens and whom it dials.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Port 0 means a free one.
    pub listen: SocketAddr,
    /// The service behind it.
    pub to: SocketAddr,
    /// Threads.
    pub workers: usize,
}

/// Relays until it is killed. The address that it listens on is the first line of standard output.
pub fn run(kind: Kind, ways: Ways) -> io::Result<Infallible> {
    match kind {
        Kind::Copy => copy::run(ways),
        Kind::Epoll => epoll::run::<epoll::Buffered>(ways),
        Kind::Splice => epoll::run::<splice::Spliced>(ways),
        Kind::Messages => messages::run(ways),
    }
}

/// A listener that shares its port with those of other threads; the kernel spreads the connections.
fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 4096)?;
    Ok(socket.into())
}

fn tell(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()
}
