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
    policy::Facts,
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

/// What few legs have for long: what is written down of their end, and what plugins are told of them.
#[derive(Debug, Default)]
pub(super) struct Extra {
    doom: Option<Box<Doom>>,
    /// The session that it is on its way to.
    pub(super) next: Option<relay::Handle>,
    /// Somebody waits for its doom.
    awaited: Option<Arc<Notify>>,
    /// What plugins are told of it, where they were or will be.
    pub(super) facts: Option<Arc<Facts>>,
}

impl From<Arc<Facts>> for Extra {
    fn from(facts: Arc<Facts>) -> Self {
        Self { facts: Some(facts), ..Self::default() }
    }
}

impl Extra {
    pub(super) const fn is_nothing(&self) -> bool {
        self.doom.is_none() && self.next.is_none() && self.awaited.is_none() && self.facts.is_none()
    }
}

impl Ties {
    /// The leg is to be closed; false if that was settled before.
    pub(super) fn seal(&self, conn: ConnId, doom: &Doom) -> bool {
        {
            let mut tied = self.lock();
            let extra = tied.extra.get_or_insert_default();
            if extra.doom.is_some() {
                return false;
            }
            extra.doom = Some(Box::new(doom.clone()));
            if let Some(awaited) = &extra.awaited {
                awaited.notify_one();
            }
        }
        self.tell_sessions(|session| tell(session, conn, doom));
        true
    }

    /// The session that has the leg is to end, each leg behind what the other has sent until then.
    pub(super) fn drain(&self, conn: ConnId, code: u16, cause: Cause) {
        self.tell_sessions(|session| session.drain(Some(conn), code, cause));
    }

    /// Tells the session that has the leg, and the one that it is on its way to.
    fn tell_sessions(&self, tell: impl Fn(&relay::Handle)) {
        let (session, next) = {
            let tied = self.lock();
            (tied.session.clone(), tied.extra.as_ref().and_then(|extra| extra.next.clone()))
        };
        tell(&session);
        next.iter().for_each(tell);
    }

    /// The session that has the leg.
    pub(super) fn session(&self) -> relay::Handle {
        self.lock().session.clone()
    }

    /// Its own, unless another's has it.
    pub(super) fn own_session(&self) -> Option<relay::Handle> {
        let tied = self.lock();
        tied.host.is_none().then(|| tied.session.clone())
    }

    /// The leg is about to be handed over to this session.
    pub(super) fn goes_to(&self, host: &relay::Handle) {
        self.lock().extra.get_or_insert_default().next = Some(host.clone());
    }

    /// The session to which the leg went has it.
    pub(super) fn arrived(&self, conn: ConnId) {
        let doom = self.lock().extra.as_ref().and_then(|extra| extra.doom.clone());
        if let Some(doom) = doom {
            // It may have been told before it had the leg.
            self.tell_sessions(|session| tell(session, conn, &doom));
        }
    }

    /// Waits until it is settled that the leg is to be closed, and tells why. One may wait.
    pub(super) async fn sealed(&self) -> Cause {
        loop {
            let awaited = {
                let mut tied = self.lock();
                let extra = tied.extra.get_or_insert_default();
                match &extra.doom {
                    Some(doom) => return doom.cause,
                    None => Arc::clone(extra.awaited.get_or_insert_default()),
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
        let fate = Ties::of(own, None);
        let seal = async { fate.seal(conn(), &Cause::Expired.into()) };
        assert_eq!(tokio::join!(biased; fate.sealed(), seal), (Cause::Expired, true));
        assert_eq!(fate.sealed().await, Cause::Expired);
    }

    #[test]
    fn a_leg_that_is_on_its_way_is_closed_on_arrival() {
        let ((own, ours), (host, theirs)) = (relay::mailbox(), relay::mailbox());
        let fate = Ties::of(own, None);
        assert!(fate.seal(conn(), &Cause::Expired.into()));
        assert_eq!((ours.closings(), theirs.closings()), (1, 0));
        // Its own session never has it, and its host was not known then.
        fate.goes_to(&host);
        fate.lock().arrive(ConnId::from_raw(2), host);
        fate.arrived(conn());
        assert_eq!((ours.closings(), theirs.closings()), (1, 1));
        assert!(!fate.seal(conn(), &Cause::Revoked.into()), "once is enough");
    }

    #[test]
    fn both_sessions_of_a_leg_are_told_and_its_host_again_once_it_has_the_leg() {
        let ((own, ours), (host, theirs)) = (relay::mailbox(), relay::mailbox());
        let fate = Ties::of(own, None);
        fate.goes_to(&host);
        let frame = CloseFrame { code: 4001, reason: "no".to_owned() };
        assert!(fate.seal(conn(), &Doom { cause: Cause::Revoked, frame: Some(frame) }));
        assert_eq!((ours.closings(), theirs.closings()), (1, 1));
        // Before the session has the leg, or told of it first.
        fate.arrived(conn());
        assert_eq!(theirs.closings(), 2);
        fate.lock().arrive(ConnId::from_raw(2), host);
        fate.arrived(conn());
        assert_eq!(theirs.closings(), 3);
        // Nothing is to be done about one that lives.
        let (other, mail) = relay::mailbox();
        Ties::of(other, None).arrived(conn());
        assert_eq!(mail.closings(), 0);
    }

    #[test]
    fn a_guest_is_told_in_the_session_of_its_host_alone() {
        let ((own, ours), (host, theirs)) = (relay::mailbox(), relay::mailbox());
        let fate = Ties::of(own, None);
        assert!(fate.own_session().is_some());
        fate.goes_to(&host);
        fate.lock().arrive(ConnId::from_raw(2), host);
        assert!(fate.own_session().is_none(), "who stops tells the host's session in the host's turn");
        assert!(fate.lock().extra.is_none(), "few legs have more than that");
        assert!(fate.seal(conn(), &Cause::Expired.into()));
        assert_eq!((ours.closings(), theirs.closings()), (0, 1));
    }
}
