//! The private parts of the relay that `benches/micro` measures. Nothing in the proxy calls this, so no binary of it has
//! it in.

use super::{
    Reply,
    frame::{Expect, Header},
    mailbox::mailbox,
    mask,
};

/// Reads the header that `bytes` begin with, of a client that is not inside a message: bytes of header and payload.
/// None where it is incomplete or wrong.
#[inline(never)]
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(usize, u64)> {
    let header = Header::parse(bytes, Expect { masked: true, reserved: false, continuing: false }).ok()??;
    Some((header.size, header.payload))
}

/// The way back into a session that there is not.
#[must_use]
pub fn reply() -> Reply {
    Reply { session: mailbox().0, at: 0 }
}

/// Unmasks `len` bytes at `from` and writes them at `to`, which is `from` or before it.
#[inline(never)]
pub fn unmask(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    mask::apply(buffer, from, to, len, key);
}
