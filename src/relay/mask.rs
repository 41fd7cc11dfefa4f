//! Masking (RFC 6455 §5.3), in place or while the payload moves down over a removed header.
//!
//! One body, in blocks that the compiler turns into vector instructions; it is compiled a second time for processors with
//! AVX2, whose registers are twice as wide.

#![allow(unsafe_code)] // the call of what is compiled for AVX2, once, below

/// Bytes handled at once: all are loaded before any is stored, so source and destination may overlap.
const BLOCK: usize = 64;

/// From so many bytes on it pays to ask which processor this is.
const WIDE: usize = 128;

/// The key as it stands after `bytes` more bytes of payload.
pub(super) const fn rotate(key: [u8; 4], bytes: usize) -> [u8; 4] {
    let at = bytes % 4;
    [key[at], key[(at + 1) % 4], key[(at + 2) % 4], key[(at + 3) % 4]]
}

/// XORs `len` bytes at `from` with the key and writes them at `to`, which is `from` or before it.
pub(super) fn apply(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    debug_assert!(to <= from, "a payload moves down only");
    #[cfg(target_arch = "x86_64")]
    if len >= WIDE && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { apply_avx2(buffer, from, to, len, key) };
    }
    blocks(buffer, from, to, len, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_avx2(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    blocks(buffer, from, to, len, key);
}

/// The body of both.
#[inline(always)]
#[allow(clippy::inline_always)] // or it would not be compiled for AVX2
fn blocks(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    if from == to {
        let (blocks, rest) = buffer[from..from + len].as_chunks_mut::<BLOCK>();
        for block in blocks {
            *block = masked(*block, key);
        }
        return xor_bytes(rest, key);
    }
    let whole = len - len % BLOCK;
    for at in (0..whole).step_by(BLOCK) {
        let mut block = [0; BLOCK];
        block.copy_from_slice(&buffer[from + at..from + at + BLOCK]);
        buffer[to + at..to + at + BLOCK].copy_from_slice(&masked(block, key));
    }
    buffer.copy_within(from + whole..from + len, to + whole);
    xor_bytes(&mut buffer[to + whole..to + len], key);
}

#[inline(always)]
#[allow(clippy::inline_always)] // as above
fn masked<const N: usize>(mut block: [u8; N], key: [u8; 4]) -> [u8; N] {
    let words = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    for word in block.as_chunks_mut::<8>().0 {
        *word = (u64::from_ne_bytes(*word) ^ words).to_ne_bytes();
    }
    block
}

/// The same for what is left over or short; begins with the key's first byte.
#[inline]
pub(super) fn xor_bytes(bytes: &mut [u8], key: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = masked(*word, key);
    }
    let (half, rest) = rest.split_at_mut(rest.len() & 4);
    half.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    rest.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
}

/// A fresh key from the system's random numbers: peers must not be able to guess it (RFC 6455 §10.3).
pub(super) fn random_key() -> [u8; 4] {
    // The first 32 bits of a UUIDv4 are all random.
    uuid::Uuid::new_v4().as_fields().0.to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_offset_and_distance_equals_the_bytewise_definition() {
        let key = [0xa5, 0x01, 0xff, 0x3c];
        let source: Vec<u8> = (0..400_u32).map(|n| (n * 7 + 3).to_le_bytes()[0]).collect();
        for len in (0..200).chain([255, 256, 257]) {
            for distance in [0, 1, 3, 4, 8, 14, 63, 64, 65, 130] {
                let wanted: Vec<u8> = (0..len).map(|n| source[131 + n] ^ key[n % 4]).collect();
                // The one that is chosen here, which is another for long ones where there is AVX2, and the one for all.
                for mask in [apply, blocks] {
                    let mut moved = source.clone();
                    mask(&mut moved, 131, 131 - distance, len, key);
                    assert_eq!(moved[131 - distance..131 - distance + len], wanted, "len {len}, distance {distance}");
                    assert_eq!(moved[131 + len..], source[131 + len..], "bytes behind it are untouched");
                }
            }
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
