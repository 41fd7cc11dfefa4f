//! Masking (RFC 6455 §5.3), in place or while the payload moves down over a removed header.
//!
//! Works in blocks that the compiler turns into vector instructions; no `unsafe`.

/// Bytes handled at once: all are loaded before any is stored, so source and destination may overlap.
const BLOCK: usize = 64;

/// The key as it stands after `bytes` more bytes of payload.
pub(super) const fn rotate(key: [u8; 4], bytes: usize) -> [u8; 4] {
    let at = bytes % 4;
    [key[at], key[(at + 1) % 4], key[(at + 2) % 4], key[(at + 3) % 4]]
}

/// XORs `len` bytes at `from` with the key and writes them at `to`, which is `from` or before it.
pub(super) fn apply(buffer: &mut [u8], from: usize, to: usize, len: usize, key: [u8; 4]) {
    debug_assert!(to <= from, "a payload moves down only");
    let words = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    if from == to {
        let (blocks, rest) = buffer[from..from + len].as_chunks_mut::<8>();
        for block in blocks {
            *block = (u64::from_ne_bytes(*block) ^ words).to_ne_bytes();
        }
        xor_bytes(rest, key);
        return;
    }
    let whole = len - len % BLOCK;
    for at in (0..whole).step_by(BLOCK) {
        let mut block = [0; BLOCK];
        block.copy_from_slice(&buffer[from + at..from + at + BLOCK]);
        for word in block.as_chunks_mut::<8>().0 {
            *word = (u64::from_ne_bytes(*word) ^ words).to_ne_bytes();
        }
        buffer[to + at..to + at + BLOCK].copy_from_slice(&block);
    }
    buffer.copy_within(from + whole..from + len, to + whole);
    xor_bytes(&mut buffer[to + whole..to + len], key);
}

/// The same for what is left over or short; begins with the key's first byte.
pub(super) fn xor_bytes(bytes: &mut [u8], key: [u8; 4]) {
    for (byte, key) in bytes.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
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
                let mut moved = source.clone();
                apply(&mut moved, 131, 131 - distance, len, key);
                let wanted: Vec<u8> = (0..len).map(|n| source[131 + n] ^ key[n % 4]).collect();
                assert_eq!(moved[131 - distance..131 - distance + len], wanted, "len {len}, distance {distance}");
                assert_eq!(moved[131 + len..], source[131 + len..], "bytes behind it are untouched");
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
