//! Sockets that a service manager hands over when it starts us (socket activation, `sd_listen_fds(3)`).
//!
//! A socket belongs to the listener whose name it has (`FileDescriptorName=` of the socket unit); one called `admin` is
//! the admin address, unless a listener is called so. Where a socket was handed over, the configured address is not
//! bound. A socket that nobody can use is an error: it would take connections that nobody accepts. The manager keeps a
//! copy of each, so that whoever dials while we are started anew waits in the kernel's queue and is not refused.

use std::{env, io, net::TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;

use crate::config::Config;

/// The name of the admin address's socket.
pub const ADMIN: &str = "admin";
/// Most sockets, far more than a unit can have by default.
pub const MOST: usize = 1024;

/// Sockets by name.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(String, TcpListener)>);

impl Sockets {
    /// Takes what the environment speaks of, and lets it speak of them no more. To be called once, while there is no
    /// other thread.
    ///
    /// # Errors
    /// Says what cannot be a listener's socket.
    pub fn take_over() -> Result<Self, Vec<String>> {
        let count = env::var("LISTEN_FDS").unwrap_or_default();
        if count.parse::<usize>().is_ok_and(|count| count > MOST) {
            return Err(vec![format!("LISTEN_FDS is {count}, and more than {MOST} sockets are not taken over")]);
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let (mut sockets, mut errors) = (Vec::<(String, TcpListener)>::new(), Vec::new());
        for place in 0..handed.len() {
            // As the manager calls them that have no name.
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
            let socket = handed.take_tcp_listener(place).and_then(|socket| {
                let socket = socket.ok_or_else(|| io::Error::other("it was taken already"))?;
                if !SockRef::from(&socket).is_listener()? {
                    return Err(io::Error::other("it does not listen"));
                }
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            match socket {
                Err(error) => {
                    errors.push(format!("the socket `{name}` that was handed over is no TCP listener: {error}"));
                }
                Ok(_) if sockets.iter().any(|(known, _)| known == name) => errors.push(format!(
                    "two sockets called `{name}` were handed over; give each socket unit one ListenStream= and a \
                     FileDescriptorName= of its own"
                )),
                Ok(socket) => sockets.push((name.to_owned(), socket)),
            }
        }
        if errors.is_empty() { Ok(Self(sockets)) } else { Err(errors) }
    }

    /// The one of this name, once.
    pub fn take(&mut self, name: &str) -> Option<TcpListener> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// The one of the admin address, once.
    pub fn take_admin(&mut self, config: &Config) -> Option<TcpListener> {
        if is_listener(config, ADMIN) { None } else { self.take(ADMIN) }
    }

    /// Whether each has somebody to whom it belongs.
    ///
    /// # Errors
    /// Says of each that has nobody what would be right.
    pub fn belong_to(&self, config: &Config) -> Result<(), Vec<String>> {
        let names =
            config.listeners.iter().map(|listener| format!("`{}`", listener.name)).collect::<Vec<_>>().join(", ");
        let wrong = |(name, socket): &(String, TcpListener)| {
            if is_listener(config, name) {
                return None;
            }
            let address = socket.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
            if name != ADMIN {
                return Some(format!(
                    "a socket called `{name}` ({address}) was handed over, and no listener is called so; set \
                     FileDescriptorName= of the socket unit to one of {names}, or to `{ADMIN}`"
                ));
            }
            if config.admin.is_none() {
                return Some(format!(
                    "a socket called `{ADMIN}` ({address}) was handed over, and `admin.address` is null"
                ));
            }
            let loopback = socket.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
            (!loopback).then(|| format!("the socket `{ADMIN}` ({address}) that was handed over is not on loopback"))
        };
        let wrong: Vec<_> = self.0.iter().filter_map(wrong).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

fn is_listener(config: &Config, name: &str) -> bool {
    config.listeners.iter().any(|listener| &*listener.name == name)
}
