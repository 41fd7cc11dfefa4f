//! How a leg is ended by somebody else than its peers: because its identity is over, by order, or because a plugin said so
//! when it was asked again.
//!
//! A leg may be on its way from its own session into its partner's just then, and neither of the two has it. So the end
//! is written down first, then both are told, and who has moved a leg looks whether there is something written.

use std::sync::Arc;

use tokio::sync::Notify;

use super::ties::Ties;
use crate::{
    error::Cause,
    model::{CloseFrame, ConnId},
    relay,
};

/// Why a leg is to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Doom {
    pub(in crate::http) cause: Cause,
    /// What it is told, where that is not the cause's own.
    pub(in crate::http) frame: Option<CloseFrame>,
}

impl From<Cause> for Doom {
    fn from(cause: Cause) -> Self {
        Self { cause, frame: None }
    }
}

/// What is written down of a leg's end, and of who has the leg: of each that was its partner's guest.
#[derive(Debug, Default)]
pub(super) struct Written {
    doom: Option<Box<Doom>>,
    /// Its partner's session, where it is that one's guest.
    host: Option<relay::Handle>,
    /// Its partner, once that session has it.
    pub(super) partner: Option<ConnId>,
    /// Somebody waits for its doom.
    awaited: Option<Arc<Notify>>,
}

impl Ties {
    /// The leg is to be closed; false if that was settled before. `own` is its own session.
    pub(super) fn seal(&self, conn: ConnId, own: &relay::Handle, doom: &Doom) -> bool {
        let host = {
            let mut tied = self.lock();
            let written = tied.end.get_or_insert_default();
            if written.doom.is_some() {
                return false;
            }
            written.doom = Some(Box::new(doom.clone()));
            if let Some(awaited) = &written.awaited {
                awaited.notify_one();
            }
            written.host.clone()
        };
        tell(own, conn, doom);
        if let Some(host) = host {
            tell(&host, conn, doom);
        }
        true
    }

    /// The session that has the leg is to end, each leg behind what the other has sent until then. `own` is its own.
    pub(super) fn drain(&self, conn: ConnId, own: &relay::Handle, code: u16, cause: Cause) {
        own.drain(Some(conn), code, cause);
        let host = self.lock().end.as_ref().and_then(|written| written.host.clone());
        if let Some(host) = host {
            host.drain(Some(conn), code, cause);
        }
    }

    /// The leg is about to be handed over to this session.
    pub(super) fn goes_to(&self, host: &relay::Handle) {
        self.lock().end.get_or_insert_default().host = Some(host.clone());
    }

    /// The session to which the leg went has it.
    pub(super) fn arrived(&self, conn: ConnId) {
        let written = self.lock().end.as_ref().and_then(|end| Some((end.host.clone()?, end.doom.clone()?)));
        if let Some((host, doom)) = written {
            // It may have been told before it had the leg.
            tell(&host, conn, &doom);
        }
    }

    /// Waits until it is settled that the leg is to be closed, and tells why. One may wait.
    pub(super) async fn sealed(&self) -> Cause {
        loop {
            let awaited = {
                let mut tied = self.lock();
                let written = tied.end.get_or_insert_default();
                match &written.doom {
                    Some(doom) => return doom.cause,
                    None => Arc::clone(written.awaited.get_or_insert_default()),
                }
            };
            // What comes before that is kept.
            awaited.notified().await;
        }
    }
}

fn tell(session: &relay::Handle, conn: ConnId, doom: &Doom) {
    match &doom.frame {
        None => session.close(Some(conn), doom.cause),
        Some(frame) => session.dismiss(conn, doom.cause, frame.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn() -> ConnId {
        ConnId::from_raw(1)
    }

    #[tokio::test]
    async fn who_waits_for_the_end_is_told_whenever_it_comes() {
        let (own, _mail) = relay::mailbox();
        let fate = Ties::default();
        let seal = async { fate.seal(conn(), &own, &Cause::Expired.into()) };
        assert_eq!(tokio::join!(biased; fate.sealed(), seal), (Cause::Expired, true));
        assert_eq!(fate.sealed().await, Cause::Expired);
    }

    #[test]
    fn a_leg_that_is_on_its_way_is_closed_on_arrival() {
        let ((own, ours), (host, theirs)) = (relay::mailbox(), relay::mailbox());
        let fate = Ties::default();
        assert!(fate.seal(conn(), &own, &Cause::Expired.into()));
        assert_eq!((ours.closings(), theirs.closings()), (1, 0));
        // Its own session never has it, and its host was not known then.
        fate.goes_to(&host);
        fate.arrived(conn());
        assert_eq!((ours.closings(), theirs.closings()), (1, 1));
        assert!(!fate.seal(conn(), &own, &Cause::Revoked.into()), "once is enough");
    }

    #[test]
    fn both_sessions_of_a_leg_are_told_and_its_host_again_once_it_has_the_leg() {
        let ((own, ours), (host, theirs)) = (relay::mailbox(), relay::mailbox());
        let fate = Ties::default();
        fate.goes_to(&host);
        let frame = CloseFrame { code: 4001, reason: "no".to_owned() };
        assert!(fate.seal(conn(), &own, &Doom { cause: Cause::Revoked, frame: Some(frame) }));
        assert_eq!((ours.closings(), theirs.closings()), (1, 1));
        fate.arrived(conn());
        assert_eq!(theirs.closings(), 2);
        // Nothing is to be done about one that lives.
        let (_other, mail) = relay::mailbox();
        Ties::default().arrived(conn());
        assert_eq!(mail.closings(), 0);
    }
}
