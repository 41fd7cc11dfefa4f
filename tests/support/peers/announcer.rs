//! Announces frames whose payload it never sends.

use crate::support::board::Leg;

const KEY: [u8; 4] = [9, 8, 7, 6];

/// The longest form of a header: 14 bytes from a leg that masks, 10 from one that does not.
pub fn header(leg: &Leg, first: u8, length: u64) -> Vec<u8> {
    let mask = if leg.masks() { 0x80 } else { 0 };
    let mut bytes = match length {
        0..=125 => vec![first, mask | u8::try_from(length).unwrap()],
        126..=0xffff => [&[first, mask | 0x7e][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &length.to_be_bytes()].concat(),
    };
    if leg.masks() {
        bytes.extend(KEY);
    }
    bytes
}

/// Sends the header of a frame and nothing behind it.
pub async fn announce(leg: &mut Leg, first: u8, length: u64) {
    let header = header(leg, first, length);
    leg.write(&header).await;
}
