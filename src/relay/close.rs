//! Close frames (RFC 6455 §5.5.1, §7.4): which ones are accepted, and which one each leg gets.

use std::borrow::Cow;

use super::{Party, frame::Violation};
use crate::error::Cause;

/// "No status code": stands for a Close without payload and is never written (RFC 6455 §7.4.1).
pub(super) const NO_STATUS: u16 = 1005;

/// A Close that we write ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CloseFrame {
    /// [`NO_STATUS`] for one without payload.
    pub(super) code: u16,
    /// At most 123 bytes; the rest is cut off at a character's end.
    pub(super) reason: Cow<'static, str>,
}

impl CloseFrame {
    /// With the code and the text of a cause.
    pub(super) fn of(cause: Cause) -> Self {
        let row = cause.row();
        Self { code: row.close, reason: Cow::Borrowed(row.reason) }
    }

    /// What a violator is told.
    pub(super) fn because(violation: Violation) -> Self {
        Self { code: violation.cause().row().close, reason: Cow::Borrowed(violation.reason()) }
    }

    /// The answer to a Close: its code and no text (RFC 6455 §5.5.1).
    pub(super) fn echo(code: u16) -> Self {
        Self { code, reason: Cow::Borrowed("") }
    }

    /// The frame's payload.
    pub(super) fn payload(&self) -> Vec<u8> {
        if self.code == NO_STATUS {
            return Vec::new();
        }
        let text = &self.reason[..self.reason.floor_char_boundary(123)];
        let mut payload = Vec::with_capacity(2 + text.len());
        payload.extend_from_slice(&self.code.to_be_bytes());
        payload.extend_from_slice(text.as_bytes());
        payload
    }
}

impl From<crate::model::CloseFrame> for CloseFrame {
    fn from(frame: crate::model::CloseFrame) -> Self {
        Self { code: frame.code, reason: Cow::Owned(frame.reason) }
    }
}

/// Whether a peer may send this code (RFC 6455 §7.4, and the codes registered since).
pub(crate) const fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Judges the unmasked payload of a Close and returns its code, [`NO_STATUS`] if it has none.
///
/// # Errors
/// [`Violation::ClosePayload`] for a payload of one byte or a code that may not be sent, [`Violation::CloseReason`] for
/// text that is not UTF-8.
pub(super) fn judge(payload: &[u8]) -> Result<u16, Violation> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(NO_STATUS) } else { Err(Violation::ClosePayload) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !is_allowed(code) {
        return Err(Violation::ClosePayload);
    }
    std::str::from_utf8(reason).map_err(|_| Violation::CloseReason)?;
    Ok(code)
}

/// What the other leg is told when a session ends by `cause`, which is about a leg of `party`.
///
/// Broken clients are 1001 to the backend and broken backends 1011 to the client; a limit is the sender's own affair.
pub(super) const fn across(cause: Cause, party: Party) -> Cause {
    match (cause, party) {
        (
            Cause::BackendBroken
            | Cause::Protocol
            | Cause::InvalidUtf8
            | Cause::Dead
            | Cause::KeepAlive
            | Cause::Stalled,
            Party::Backend,
        ) => Cause::BackendBroken,
        _ => Cause::PartnerGone,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_be_sent_pass() {
        for code in 0..=u16::MAX {
            let allowed = [1000..=1003, 1007..=1014, 3000..=4999].iter().any(|range| range.contains(&code));
            assert_eq!(
                judge(&code.to_be_bytes()),
                if allowed { Ok(code) } else { Err(Violation::ClosePayload) },
                "{code}"
            );
        }
    }

    #[test]
    fn an_empty_close_is_1005_and_one_byte_is_a_violation() {
        assert_eq!(judge(b""), Ok(NO_STATUS));
        assert_eq!(judge(b"\x03"), Err(Violation::ClosePayload));
        assert_eq!(CloseFrame::echo(NO_STATUS).payload(), b"");
    }

    #[test]
    fn a_reason_must_be_utf8() {
        assert_eq!(judge(b"\x03\xe8gr\xc3\xbc\xc3\x9fe"), Ok(1000));
        assert_eq!(judge(b"\x03\xe8\xff"), Err(Violation::CloseReason));
        assert_eq!(judge(b"\x03\xe8gr\xc3"), Err(Violation::CloseReason), "a character cut in half");
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let frame = CloseFrame { code: 1000, reason: Cow::Owned("ü".repeat(100)) };
        assert_eq!(frame.payload().len(), 2 + 122);
        assert!(judge(&frame.payload()).is_ok());
    }

    #[test]
    fn every_close_of_ours_may_be_sent() {
        for cause in Cause::ALL.iter().filter(|cause| cause.row().close != 0) {
            assert!(judge(&CloseFrame::of(*cause).payload()).is_ok(), "{cause:?}");
            for party in [Party::Client, Party::Backend] {
                assert!(matches!(across(*cause, party).row().close, 1001 | 1011));
            }
        }
    }

    #[test]
    fn a_broken_backend_is_1011_and_a_broken_client_1001_to_the_other() {
        let code = |cause, party| across(cause, party).row().close;
        assert_eq!(code(Cause::BackendBroken, Party::Backend), 1011);
        assert_eq!(code(Cause::Protocol, Party::Backend), 1011);
        assert_eq!(code(Cause::KeepAlive, Party::Backend), 1011);
        assert_eq!(code(Cause::MessageTooBig, Party::Backend), 1001);
        assert_eq!(code(Cause::ClientBroken, Party::Client), 1001);
        assert_eq!(code(Cause::Protocol, Party::Client), 1001);
    }
}
