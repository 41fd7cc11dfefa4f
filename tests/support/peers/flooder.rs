//! Sends as fast as it can, for ever, and finds out how much is taken.

use std::{io, time::Duration};

use socket2::SockRef;
use tokio::time::timeout;

use super::announcer::announce;
use crate::support::{
    board::Leg,
    dial::within,
    wire::{BINARY, PING, PONG},
};

/// Payload of one message.
const MESSAGE: usize = 60_000;

/// How long a socket takes nothing before it counts as full.
const FULL: Duration = Duration::from_secs(1);

/// One that never stops by itself. What it sends is a stream of its own: who hears it can tell whether any is missing.
pub struct Flooder {
    pub leg: Leg,
    seed: u64,
    /// The message that is being written, and how much of it was.
    frame: Vec<u8>,
    sent: usize,
    /// Messages sent to the end.
    pub messages: u64,
}

/// Message number `n` of the flood with this seed.
fn message(seed: u64, n: u64) -> Vec<u8> {
    let mut state = (seed << 32 | n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut payload = Vec::with_capacity(MESSAGE + 8);
    while payload.len() < MESSAGE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.extend(state.to_le_bytes());
    }
    payload.truncate(MESSAGE);
    payload
}

impl Flooder {
    pub fn new(leg: Leg, seed: u64) -> Self {
        // So that its own kernel takes little off it.
        SockRef::from(&leg.wire.stream).set_send_buffer_size(64 << 10).unwrap();
        Self { leg, seed, frame: Vec::new(), sent: 0, messages: 0 }
    }

    /// Bytes of payload that were taken so far.
    pub fn taken(&self) -> u64 {
        self.messages * MESSAGE as u64 + self.sent as u64
    }

    /// Writes until the socket has taken nothing for a while.
    ///
    /// # Panics
    /// If it has taken `most` messages.
    pub async fn until_it_is_full(&mut self, most: u64) {
        while let Ok(ready) = timeout(FULL, self.leg.wire.stream.writable()).await {
            ready.unwrap();
            assert!(self.messages < most, "{most} messages of {MESSAGE} bytes were taken");
            match self.write() {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    /// Writes once; whole messages only if `frame` has ended.
    fn write(&mut self) -> io::Result<()> {
        if self.sent == self.frame.len() {
            self.frame = self.leg.frame_of(BINARY, &message(self.seed, self.messages));
            self.sent = 0;
        }
        self.sent += self.leg.wire.stream.try_write(&self.frame[self.sent..])?;
        if self.sent == self.frame.len() {
            self.messages += 1;
            self.frame.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Writes for ever.
    pub async fn goes_on(&mut self) {
        loop {
            self.leg.wire.stream.writable().await.unwrap();
            match self.write() {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    /// Waits for as long, and hears nothing that ends it.
    pub async fn waits(&mut self, time: Duration) {
        let harmless = async {
            loop {
                match self.leg.frame().await {
                    Some(frame) if matches!(frame.first, PING | PONG) => {}
                    other => break other,
                }
            }
        };
        let heard = timeout(time, harmless).await;
        assert!(heard.is_err(), "nothing was expected and {heard:?} came");
    }

    /// Messages sent to the end or by half.
    pub fn begun(&self) -> u64 {
        self.messages + u64::from(self.sent > 0)
    }

    /// Ends the message that it is in the middle of, and stops.
    pub async fn stops(mut self) -> (Leg, u64) {
        if self.sent == 0 {
            return (self.leg, self.messages);
        }
        within("the rest of a message to be taken", async {
            while self.sent < self.frame.len() {
                self.leg.wire.stream.writable().await.unwrap();
                match self.write() {
                    Ok(()) => {}
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
        })
        .await;
        (self.leg, self.messages)
    }
}

/// Begins a frame that never ends, and writes of it until the socket has taken nothing for a while.
pub async fn pours_into_one_frame(leg: &mut Leg) {
    announce(leg, BINARY, 1 << 40).await;
    let zeros = vec![0; MESSAGE];
    while let Ok(ready) = timeout(FULL, leg.wire.stream.writable()).await {
        ready.unwrap();
        let _ = leg.wire.stream.try_write(&zeros);
    }
}

/// The first `messages` of a flood with this seed are what comes next, byte for byte.
pub async fn is_heard(leg: &mut Leg, seed: u64, messages: u64) {
    for n in 0..messages {
        let frame = leg.hear().await.expect("a message and not the end");
        assert!((frame.first, frame.payload) == (BINARY, message(seed, n)), "message {n} differs");
    }
}
