//! What is said: every message follows from its lane and number alone, so a listener knows each byte before it comes.
//!
//! A message that was lost, doubled, changed, out of its order or on the wrong line is therefore found at the latest
//! with the next one; this holds for empty messages too, which have no room for a tag.

/// The largest message, in bytes.
pub const LARGEST: u64 = 200 << 10;

/// Repeatable random numbers (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    pub fn new(seeds: &[u64]) -> Self {
        let mut dice = Self(0x0c0d_b0a4_d000_0001);
        for seed in seeds {
            dice.0 ^= seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
            dice.next();
        }
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound`, without it; 0 if there is nothing between.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Who talks to whom: the session, and 0 from the client or 1 from the backend.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    pub session: u64,
    pub direction: usize,
}

pub struct Message {
    pub text: bool,
    pub body: Vec<u8>,
}

impl Lane {
    pub fn dice(self, number: u64) -> Dice {
        Dice::new(&[self.session, self.direction as u64, number])
    }

    pub fn message(self, number: u64) -> Message {
        let mut dice = self.dice(number);
        let size = usize::try_from(size(&mut dice)).unwrap();
        let text = dice.percent(50);
        let mut body = format!("session {} direction {} message {number} ", self.session, self.direction).into_bytes();
        body.truncate(size);
        if text && (size - body.len()) % 2 == 1 {
            body.push(b' ');
        }
        while body.len() < size {
            let mut eight = dice.next().to_le_bytes();
            if text {
                // Characters of two bytes each, so that fragments and reads end inside of them.
                eight.chunks_exact_mut(2).for_each(|two| (two[0], two[1]) = (0xc3, 0x80 | two[1] & 0x3f));
            }
            body.extend_from_slice(&eight[..(size - body.len()).min(8)]);
        }
        Message { text, body }
    }
}

/// Mostly small, with every length at which the frame header changes, up to [`LARGEST`].
fn size(dice: &mut Dice) -> u64 {
    const EDGES: [u64; 6] = [0, 1, 124, 125, 126, 127];
    const HIGH_EDGES: [u64; 4] = [65_534, 65_535, 65_536, 65_537];
    match dice.below(100) {
        0..25 => EDGES[dice.index(EDGES.len())],
        25..85 => dice.below(2_000),
        85..96 => dice.below(20_000),
        96..99 => HIGH_EDGES[dice.index(HIGH_EDGES.len())],
        _ => LARGEST - dice.below(2),
    }
}

/// Why what was heard is not what is expected.
pub fn difference(expected: &Message, text: bool, body: &[u8]) -> Option<String> {
    let expected_kind = if expected.text { "text" } else { "binary" };
    let kind = if text { "text" } else { "binary" };
    if text == expected.text && body == expected.body {
        return None;
    }
    let begin = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(48)]).into_owned();
    let at = expected.body.iter().zip(body).position(|(one, other)| one != other);
    Some(format!(
        "expected {expected_kind} of {} bytes that begins {:?}, heard {kind} of {} bytes that begins {:?}; first \
         difference at {at:?}",
        expected.body.len(),
        begin(&expected.body),
        body.len(),
        begin(body),
    ))
}
