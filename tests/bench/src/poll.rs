//! An epoll set.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

pub use rustix::event::epoll::EventFlags as Flags;
use rustix::event::{Timespec, epoll};

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// What happened, and to which token.
pub type Events = Vec<(usize, Flags)>;

/// The set. Sockets leave it by being closed in all processes, or by [`Poll::remove`].
#[derive(Debug)]
pub struct Poll {
    set: OwnedFd,
}

impl Poll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self { set: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches a descriptor; its events come with `token`.
    pub fn add(&self, socket: impl AsFd, token: usize, flags: Flags) -> io::Result<()> {
        Ok(epoll::add(&self.set, socket, epoll::EventData::new_u64(token as u64), flags)?)
    }

    /// Watches a descriptor of the set for other events.
    pub fn modify(&self, socket: impl AsFd, token: usize, flags: Flags) -> io::Result<()> {
        Ok(epoll::modify(&self.set, socket, epoll::EventData::new_u64(token as u64), flags)?)
    }

    /// Watches a descriptor no longer.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.set, socket)?)
    }

    /// Puts what has happened in place of `events`, waiting at most `timeout` for the first of it; without one for as
    /// long as it takes.
    pub fn wait(&self, timeout: Option<Duration>, events: &mut Events) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        events.clear();
        let mut room = [const { MaybeUninit::uninit() }; BATCH];
        match epoll::wait(&self.set, &mut room, timeout.as_ref()) {
            Ok((happened, _)) => events.extend(
                happened.iter().map(|event| (usize::try_from(event.data.u64()).unwrap_or(usize::MAX), event.flags)),
            ),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
