//! The header codec against tungstenite's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Cursor;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::*;

fn expect(masked: bool, continuing: bool) -> Expect {
    Expect { masked, reserved: false, continuing }
}

#[test]
fn lengths_at_the_borders_of_their_forms() {
    for (length, size) in [(0_u64, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (u64::MAX >> 1, 10)] {
        for masked in [false, true] {
            let mut bytes = Vec::new();
            let header = FrameHeader { mask: masked.then_some([9, 8, 7, 6]), ..FrameHeader::default() };
            let header = FrameHeader {
                opcode: tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode::Data(
                    tokio_tungstenite::tungstenite::protocol::frame::coding::Data::Binary,
                ),
                ..header
            };
            header.format(length, &mut bytes).unwrap();
            let size = if masked { size + 4 } else { size };
            assert_eq!(bytes.len(), size);
            let parsed = Header::parse(&bytes, expect(masked, false)).unwrap().unwrap();
            assert_eq!((parsed.payload, parsed.size, parsed.mask), (length, size, masked.then_some([9, 8, 7, 6])));
            for cut in 0..size {
                assert_eq!(Header::parse(&bytes[..cut], expect(masked, false)), Ok(None), "{cut} of {size} bytes");
            }
        }
    }
}

#[test]
fn a_violation_shows_with_the_bytes_that_decide() {
    assert_eq!(Header::parse(&[0xc1, 0x80], expect(true, false)), Err(Violation::Reserved));
    assert_eq!(Header::parse(&[0x83, 0x80], expect(true, false)), Err(Violation::Opcode));
    assert_eq!(Header::parse(&[0x81, 0x00], expect(true, false)), Err(Violation::Unmasked));
    assert_eq!(Header::parse(&[0x81, 0x80], expect(false, false)), Err(Violation::Masked));
    assert_eq!(Header::parse(&[0x09, 0x80], expect(true, false)), Err(Violation::Control));
    assert_eq!(Header::parse(&[0x89, 0xfe], expect(true, false)), Err(Violation::Control));
    assert_eq!(Header::parse(&[0x80, 0x80], expect(true, false)), Err(Violation::Continuation));
    assert_eq!(Header::parse(&[0x81, 0x80], expect(true, true)), Err(Violation::Interrupted));
    assert_eq!(Header::parse(&[0x81, 0xfe, 0, 125], expect(true, false)), Err(Violation::Length));
    assert_eq!(Header::parse(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], expect(true, false)), Err(Violation::Length));
    assert_eq!(Header::parse(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], expect(true, false)), Err(Violation::Length));
}

#[test]
fn control_frames_of_ours_are_read_back_by_the_oracle() {
    for mask in [None, Some([1, 2, 3, 4])] {
        for length in [0, 1, 8, 125, 200] {
            let mut bytes = Vec::new();
            put_control(&mut bytes, Opcode::Pong, &vec![0x55; length], mask);
            let mut cursor = Cursor::new(&bytes);
            let (header, read) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            assert_eq!((header.is_final, u8::from(header.opcode), header.mask), (true, 0xa, mask));
            assert_eq!(read, length.min(MAX_CONTROL) as u64, "what is too long is cut off");
            assert_eq!(bytes.len(), header.len(read) + length.min(MAX_CONTROL));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes: we accept what the oracle reads, with the same meaning, and where we refuse there is a rule
    /// that the oracle leaves to a later step.
    #[test]
    fn any_bytes_are_read_as_the_oracle_reads_them(
        first in any::<u8>(), second in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..13)
    ) {
        let bytes = [&[first, second][..], &rest].concat();
        let ours = Header::parse(&bytes, Expect { masked: second & 0x80 != 0, reserved: true, continuing: first.trailing_zeros() >= 4 });
        let theirs = FrameHeader::parse(&mut Cursor::new(&bytes));
        match (ours, theirs) {
            (Ok(Some(ours)), Ok(Some((theirs, length)))) => {
                prop_assert_eq!((ours.fin, ours.opcode as u8), (theirs.is_final, u8::from(theirs.opcode)));
                prop_assert_eq!((ours.mask, ours.payload), (theirs.mask, length));
                prop_assert_eq!(ours.size, theirs.len(length));
            }
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
            (Err(violation), Ok(_)) => {
                prop_assert!(matches!(violation, Violation::Length | Violation::Control | Violation::Opcode), "{:?}", violation);
            }
            (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours, theirs),
        }
    }
}
