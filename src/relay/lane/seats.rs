//! How the sockets of sessions come into a lane, and by which tokens the kernel speaks of them: twice the number of their
//! session, plus one for the second leg. One that an errand of the lane had keeps the token of that, so that the kernel
//! need not be told.

use std::{io, sync::Arc};

use mio::Token;

use super::{inbox::Inbox, tcp::Tcp};
use crate::{
    relay::{Leg, side::Traits},
    stream::Stream,
};

const NONE: u32 = u32::MAX;

/// Which sockets have the [places](super::loose) that they had with errands.
pub(super) struct Seats {
    inbox: Arc<Inbox>,
    /// By places: the token that each would have. It stays when its place is free, and is not to be believed then.
    tokens: Vec<u32>,
    /// By those tokens: the place.
    places: Vec<u32>,
}

impl Seats {
    pub(super) const fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, tokens: Vec::new(), places: Vec::new() }
    }

    /// The token of the socket that has this place, if it is a session's.
    pub(super) fn token(&self, place: usize) -> Option<usize> {
        let token = *self.tokens.get(place)? as usize;
        (self.places.get(token).copied() == short(place)).then_some(token)
    }

    /// Takes a leg's socket over from who watched it.
    ///
    /// # Errors
    /// When the system watches no more sockets (`fs.epoll.max_user_watches`).
    pub(super) fn open(&mut self, leg: Leg, token: usize) -> io::Result<(Tcp, Traits)> {
        let Leg { id, stream, early, end, party, limits, extensions, screen: _ } = leg;
        let io = match (stream, short(token)) {
            (Stream::Lane(stream), Some(short)) if Arc::ptr_eq(stream.lane(), &self.inbox) => {
                let (stream, place, known) = stream.hand_over()?;
                set(&mut self.tokens, place, short);
                // There are fewer descriptors than that.
                set(&mut self.places, token, u32::try_from(place).unwrap_or(NONE));
                Tcp::watched(stream, known)
            }
            (stream, _) => Tcp::register(stream.into_std()?, self.inbox.registry(), Token(token))?,
        };
        Ok((io, Traits { conn: id, party, end, limits, extensions, early }))
    }

    /// The socket of this token is closed.
    pub(super) fn leave(&mut self, token: usize) {
        if let Some(place) = self.places.get_mut(token)
            && *place != NONE
        {
            self.inbox.loose.leave(std::mem::replace(place, NONE) as usize);
        }
    }
}

fn short(number: usize) -> Option<u32> {
    u32::try_from(number).ok().filter(|short| *short != NONE)
}

fn set(numbers: &mut Vec<u32>, at: usize, number: u32) {
    if numbers.len() <= at {
        numbers.resize(at + 1, NONE);
    }
    numbers[at] = number;
}
