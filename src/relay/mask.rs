//! Masking (RFC 6455 §5.3), in place or while the payload moves down over a removed header.
//!
//! One body, in blocks that the compiler turns into vector instructions; it is compiled a second time for processors
//! with AVX2, whose registers are twice as wide. Only a payload below four bytes is done bytewise: in others the first
//! and the last block overlap their neighbours.

#![allow(unsafe_code)] // the call of what is compiled for AVX2, below; once, and once in the tests

/// Bytes of the largest block.
const BLOCK: usize = 128;

/// The key as it stands after `bytes` more bytes of payload.
#[allow(clippy::cast_possible_truncation)] // of what is less than four
pub(super) const fn rotate(key: [u8; 4], bytes: usize) -> [u8; 4] {
    // Little endian on every processor: the first byte is the lowest.
    u32::from_le_bytes(key).rotate_right(8 * (bytes % 4) as u32).to_le_bytes()
}

/// XORs `len` bytes at `from` with the key and writes them at `to`, which is `from` or before it.
pub(super) fn apply(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    debug_assert!(to <= from, "a payload moves down only");
    // For less it does not pay to ask.
    #[cfg(target_arch = "x86_64")]
    if len >= BLOCK && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { apply_avx2(buffer, from, to, len, key) };
    }
    apply_portable(buffer, from, to, len, key);
}

/// [`apply_portable`], compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_avx2(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    apply_portable(buffer, from, to, len, key);
}

/// What [`apply`] does, for the processor that its caller is compiled for.
#[inline(always)]
#[allow(clippy::inline_always)] // or it would not be compiled for AVX2
fn apply_portable(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    match len {
        BLOCK.. => blocks::<BLOCK>(buffer, from, to, len, key),
        64.. => blocks::<64>(buffer, from, to, len, key),
        32.. => blocks::<32>(buffer, from, to, len, key),
        16.. => blocks::<16>(buffer, from, to, len, key),
        8.. => blocks::<8>(buffer, from, to, len, key),
        4.. => blocks::<4>(buffer, from, to, len, key),
        _ => {
            for (at, key) in key.into_iter().enumerate().take(len) {
                buffer[to + at] = buffer[from + at] ^ key;
            }
        }
    }
}

/// [`apply`] for `N` bytes or more, in blocks of `N`.
///
/// The first and the last block may overlap each other and those between. They are loaded before anything is stored, so
/// no byte is masked twice, and stored at the end, with the same bytes where they overlap. Each block between is loaded
/// whole before it is stored, ascending, so what it overwrites has been read.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn blocks<const N: usize>(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    let last = len - N;
    let head = masked::<N>(buffer, from, key);
    let tail = masked::<N>(buffer, from + last, rotate(key, last));
    if len > 2 * N {
        // Stores that are aligned are quicker; where this starts does not matter otherwise, if it is within the head.
        let mut at = N - buffer[to..].as_ptr().addr() % N;
        let key = rotate(key, at);
        while at < last {
            let block = masked::<N>(buffer, from + at, key);
            store(buffer, to + at, block);
            at += N;
        }
    }
    store(buffer, to, head);
    store(buffer, to + last, tail);
}

/// A masked copy of the `N` bytes at `from`. `N` is a multiple of four.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn masked<const N: usize>(buffer: &[u8], from: usize, key: [u8; 4]) -> [u8; N] {
    let mut block = buffer[from..from + N].first_chunk().copied().unwrap_or([0; N]);
    for word in block.as_chunks_mut::<4>().0 {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    block
}

/// Puts a block where it belongs. As an array, whose copy is a few instructions wherever this is compiled: that of a slice
/// may be a call.
#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn store<const N: usize>(buffer: &mut [u8], to: usize, block: [u8; N]) {
    if let Some(place) = buffer[to..to + N].first_chunk_mut() {
        *place = block;
    }
}

/// The same for what is short, in place; begins with the key's first byte.
pub(super) fn xor_bytes(bytes: &mut [u8], key: [u8; 4]) {
    apply_portable(bytes, 0, 0, bytes.len(), key);
}

/// A fresh key from the system's random numbers: peers must not be able to guess it (RFC 6455 §10.3).
pub(super) fn random_key() -> [u8; 4] {
    // The first 32 bits of a UUIDv4 are all random.
    uuid::Uuid::new_v4().as_fields().0.to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Apply = fn(&mut [u8], usize, usize, usize, [u8; 4]);

    /// The one that chooses, and both that it chooses from, for every length.
    const ALL: [(&str, Apply); 3] = [("chosen", apply), ("portable", apply_portable), ("avx2", avx2)];

    /// Under Miri, to which all of them are nine minutes and more, every seventh.
    const STEP: usize = if cfg!(miri) { 7 } else { 1 };

    /// The one for AVX2; on processors without it the portable one.
    fn avx2(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, which is all that the function asks for.
            return unsafe { apply_avx2(buffer, from, to, len, key) };
        }
        apply_portable(buffer, from, to, len, key);
    }

    #[test]
    fn every_length_offset_and_distance_equals_the_bytewise_definition() {
        let key = [0xa5, 0x01, 0xff, 0x3c];
        let source: Vec<u8> = (0..1200_u32).map(|n| (n * 7 + n / 256 + 3).to_le_bytes()[0]).collect();
        let around = |n: usize| n - 2..n + 3;
        let around = around(3 * BLOCK).chain(around(4 * BLOCK)).chain(around(7 * BLOCK));
        for len in (0..2 * BLOCK + 8).chain(around).step_by(STEP) {
            let distances = [0, 1, 2, 3, 4, 5, 8, 14, 31, 32, 63, 64, 65, 127, 128, 129, 140];
            for distance in distances.into_iter().step_by(STEP) {
                // Four starts that differ in how they are aligned.
                for from in [140, 141, 155, 172] {
                    let to = from - distance;
                    let wanted: Vec<u8> = (0..len).map(|n| source[from + n] ^ key[n % 4]).collect();
                    for (name, apply) in ALL {
                        let mut moved = source.clone();
                        apply(&mut moved, from, to, len, key);
                        let what = format!("{name}, len {len}, distance {distance}, from {from}");
                        assert_eq!(moved[..to], source[..to], "bytes before it are untouched: {what}");
                        assert_eq!(moved[to..to + len], wanted, "{what}");
                        assert_eq!(moved[from + len..], source[from + len..], "bytes behind it are untouched: {what}");
                    }
                }
            }
        }
    }

    #[test]
    fn in_place_every_alignment_of_a_long_payload_equals_the_bytewise_definition() {
        let key = [0xa5, 0x01, 0xff, 0x3c];
        let source: Vec<u8> = (0..1200_u32).map(|n| (n * 7 + n / 256 + 3).to_le_bytes()[0]).collect();
        for to in (0..=BLOCK).step_by(STEP) {
            for (distance, len) in [(0, 5 * BLOCK), (0, 5 * BLOCK + 77), (4, 5 * BLOCK + 1), (14, 2 * BLOCK + 1)] {
                let from = to + distance;
                let wanted: Vec<u8> = (0..len).map(|n| source[from + n] ^ key[n % 4]).collect();
                for (name, apply) in ALL {
                    let mut moved = source.clone();
                    apply(&mut moved, from, to, len, key);
                    assert_eq!(moved[to..to + len], wanted, "{name}, to {to}, distance {distance}, len {len}");
                }
            }
        }
    }

    #[test]
    fn short_ones_in_place_equal_the_bytewise_definition() {
        let key = [0xa5, 0x01, 0xff, 0x3c];
        for len in 0..=u8::MAX {
            let mut bytes: Vec<u8> = (0..len).collect();
            xor_bytes(&mut bytes, key);
            let wanted: Vec<u8> = (0..len).map(|n| n ^ key[usize::from(n) % 4]).collect();
            assert_eq!(bytes, wanted);
        }
    }

    #[test]
    fn a_payload_in_pieces_goes_on_with_the_rotated_key() {
        let key = [1, 2, 3, 4];
        let mut whole: Vec<u8> = (0..100).collect();
        let mut pieces = whole.clone();
        apply(&mut whole, 0, 0, 100, key);
        let mut at = 0;
        let mut now = key;
        for len in [1, 2, 3, 5, 7, 0, 13, 69] {
            apply(&mut pieces, at, at, len, now);
            now = rotate(now, len);
            at += len;
        }
        assert_eq!((at, pieces), (100, whole));
    }
}
