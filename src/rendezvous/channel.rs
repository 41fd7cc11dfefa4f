//! One channel's two seats as a state machine: pure transitions, no clock, no locks.
//!
//! ```text
//! Held ─answer─▶ Reserved ─ready─▶ Ready ◀──guest gone── Host ┐
//!                   ▲  └────ready───────────────────────▶ Guest ┴ the two halves of Taken
//!                   └──────────host gone──────────────────┘
//! ```
//! The leg that waited hosts the session, the one that came second is its guest. A guest whose host leaves before it has
//! taken the guest's leg keeps its seat as `Reserved`, so that nobody is joined with it until it is ready again. Once it has
//! taken it the two have met: what they would need for another partner is let go of.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{After, Arrival, Bell, Evicted, Gauges, Life, Opposite, Pair, Readied, Side, subprotocol::Offer};
use crate::{
    error::Cause,
    model::{Accept, BackendFirst, ConnId, Identity, RendezvousRules, Second},
};

/// Stands for "never" where a timeout is too long for the clock.
const FAR: Duration = Duration::from_hours(30 * 365 * 24);

/// How far a leg is that may still get a partner, or another one.
#[derive(Debug)]
enum Stage<H> {
    /// Before the 101, which waits for a partner to be seated; the subprotocol is not settled.
    Held,
    /// The 101 is going out, or the leg is between two sessions; the subprotocol is settled.
    Reserved,
    /// Its session waits.
    Ready(H),
    /// Taken; the session is this leg's own.
    Host(H),
    /// Taken; the session is the partner's.
    Guest(H),
}

impl<H> Stage<H> {
    const fn handle(&self) -> Option<&H> {
        match self {
            Self::Held | Self::Reserved => None,
            Self::Ready(handle) | Self::Host(handle) | Self::Guest(handle) => Some(handle),
        }
    }

    fn into_handle(self) -> Option<H> {
        match self {
            Self::Held | Self::Reserved => None,
            Self::Ready(handle) | Self::Host(handle) | Self::Guest(handle) => Some(handle),
        }
    }

    const fn is_taken(&self) -> bool {
        matches!(self, Self::Host(_) | Self::Guest(_))
    }
}

/// A seat's holder. Of joined ones there are many, for long.
#[derive(Debug)]
struct Holder<H> {
    conn: ConnId,
    identity: Option<Arc<Identity>>,
    state: State<H>,
}

#[derive(Debug)]
pub(super) enum State<H> {
    Apart(Box<Apart<H>>),
    /// In this session, with its partner: from now on they lose their seats together.
    Met(H),
}

impl<H> State<H> {
    fn into_handle(self) -> Option<H> {
        match self {
            Self::Apart(apart) => apart.stage.into_handle(),
            Self::Met(session) => Some(session),
        }
    }
}

/// What a holder needs that has not met a partner yet.
#[derive(Debug)]
pub(super) struct Apart<H> {
    stage: Stage<H>,
    offer: Offer,
    /// Settled unless `Held`; then what was agreed with the latest partner, and the next one agrees anew.
    subprotocol: Option<Arc<str>>,
    deadline: Instant,
    bell: Arc<Bell>,
}

impl<H> Holder<H> {
    fn handle(&self) -> Option<&H> {
        match &self.state {
            State::Apart(apart) => apart.stage.handle(),
            State::Met(session) => Some(session),
        }
    }

    fn apart(&self) -> Option<&Apart<H>> {
        match &self.state {
            State::Apart(apart) => Some(apart),
            State::Met(_) => None,
        }
    }

    fn apart_mut(&mut self) -> Option<&mut Apart<H>> {
        match &mut self.state {
            State::Apart(apart) => Some(apart),
            State::Met(_) => None,
        }
    }

    fn is_taken(&self) -> bool {
        self.apart().is_none_or(|apart| apart.stage.is_taken())
    }

    fn subject(&self) -> Option<&str> {
        subject(self.identity.as_ref())
    }

    /// Off the seat for `cause`, which its owner learns when it next looks.
    fn lose(self, cause: Cause, after: &mut After<H>) -> (ConnId, Option<H>) {
        // Of a pair that has met, the session is told.
        if let Some(apart) = self.apart() {
            // The first cause stands; a holder leaves its seat once, so there is no second.
            let _ = apart.bell.lost.set(cause);
            after.bells.push(Arc::clone(&apart.bell));
        }
        (self.conn, self.state.into_handle())
    }

    /// It has met its partner, if it has one. What it does not need any more is not to be dropped here.
    fn meet(&mut self) -> Option<State<H>> {
        let stage = &mut self.apart_mut()?.stage;
        match mem::replace(stage, Stage::Reserved) {
            Stage::Host(session) | Stage::Guest(session) => Some(mem::replace(&mut self.state, State::Met(session))),
            alone => {
                *stage = alone;
                None
            }
        }
    }
}

impl<H: Clone> Holder<H> {
    /// If it waits, it becomes the host of a pair. The handle is moved, as none may be dropped here.
    fn host(&mut self) -> Option<(ConnId, H)> {
        let conn = self.conn;
        let stage = &mut self.apart_mut()?.stage;
        match mem::replace(stage, Stage::Reserved) {
            Stage::Ready(session) => {
                *stage = Stage::Host(session.clone());
                Some((conn, session))
            }
            other => {
                *stage = other;
                None
            }
        }
    }
}

/// Whom an identity names; nobody and an anonymous one are the same.
fn subject(identity: Option<&Arc<Identity>>) -> Option<&str> {
    identity.and_then(|identity| identity.subject.as_deref())
}

/// [`super::Reservation`] without its guard.
#[derive(Debug)]
pub(super) enum Decision<H> {
    Seated { bell: Arc<Bell>, deadline: Instant, subprotocol: Option<Arc<str>>, evicted: Option<Evicted<H>> },
    Occupied { holder: ConnId, handle: Option<H> },
    Opposite { holder: ConnId },
    Refused { cause: Cause, evicted: Option<Evicted<H>> },
}

/// Whether a leg's 101 may go out.
#[derive(Debug)]
pub(super) enum Answer {
    Go { subprotocol: Option<Arc<str>> },
    Hold,
}

/// The two seats. The map keeps room for more channels than there are, so who sits there is elsewhere.
#[derive(Debug)]
pub(super) struct Channel<H> {
    client: Option<Box<Holder<H>>>,
    backend: Option<Box<Holder<H>>>,
}

impl<H> Default for Channel<H> {
    fn default() -> Self {
        Self { client: None, backend: None }
    }
}

impl<H> Channel<H> {
    /// See [`super::Registry::who_sits`].
    pub(super) fn who_sits(&self, side: Side) -> (Option<ConnId>, Option<ConnId>) {
        let opposite = self.seat(side.opposite()).filter(|partner| !partner.is_taken());
        (self.seat(side).map(|holder| holder.conn), opposite.map(|partner| partner.conn))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.client.is_none() && self.backend.is_none()
    }

    pub(super) fn census(&self) -> Gauges {
        let mut count = Gauges { channels: usize::from(!self.is_empty()), ..Gauges::default() };
        for side in [Side::Client, Side::Backend] {
            match self.seat(side).map(|holder| &holder.state) {
                None => {}
                // One of two.
                Some(State::Met(_)) => count.pairs += usize::from(side == Side::Client),
                Some(State::Apart(apart)) => match apart.stage {
                    Stage::Held | Stage::Reserved => count.reserved += 1,
                    Stage::Ready(_) => count.waiting += 1,
                    Stage::Host(_) => count.pairs += 1,
                    Stage::Guest(_) => {}
                },
            }
        }
        count
    }

    fn seat(&self, side: Side) -> Option<&Holder<H>> {
        match side {
            Side::Client => self.client.as_deref(),
            Side::Backend => self.backend.as_deref(),
        }
    }

    const fn seat_mut(&mut self, side: Side) -> &mut Option<Box<Holder<H>>> {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }

    /// The seat's holder, if it is still this one.
    fn held_by(&mut self, side: Side, conn: ConnId) -> Option<&mut Holder<H>> {
        self.seat_mut(side).as_deref_mut().filter(|holder| holder.conn == conn)
    }

    /// The holder leaves by itself. A partner keeps its seat: a host waits on, a guest must say again that it is ready.
    pub(super) fn leave(&mut self, side: Side, conn: ConnId, after: &mut After<H>) {
        if let Some(leaver) = self.seat_mut(side).take_if(|holder| holder.conn == conn) {
            debug_assert!(leaver.apart().is_some(), "who has met leaves with its partner");
            after.handles.extend(leaver.state.into_handle());
            self.widow(side.opposite(), after);
        }
    }

    /// The guest's leg has reached its host's session: gives what the two do not need any more. Nothing if they do not hold
    /// their seats; they lose them together.
    pub(super) fn meet(&mut self, pair: Pair) -> [Option<State<H>>; 2] {
        pair.legs().map(|(side, conn)| {
            let holder = self.held_by(side, conn)?;
            debug_assert!(holder.is_taken(), "who meets is joined");
            holder.meet()
        })
    }

    /// Two that have met leave.
    pub(super) fn part(&mut self, pair: Pair, after: &mut After<H>) {
        for (side, conn) in pair.legs() {
            let left = self.seat_mut(side).take_if(|holder| holder.conn == conn && holder.apart().is_none());
            if let Some(leaver) = left {
                after.handles.extend(leaver.state.into_handle());
            }
        }
    }

    /// What becomes of a holder whose partner's seat was just freed.
    fn widow(&mut self, side: Side, after: &mut After<H>) {
        let Some(apart) = self.seat_mut(side).as_mut().and_then(|holder| holder.apart_mut()) else { return };
        apart.stage = match mem::replace(&mut apart.stage, Stage::Reserved) {
            Stage::Host(handle) => Stage::Ready(handle),
            Stage::Guest(handle) => {
                after.handles.push(handle);
                Stage::Reserved
            }
            alone @ (Stage::Held | Stage::Reserved | Stage::Ready(_)) => alone,
        };
    }

    /// The holder is put off its seat, with its partner if they are joined.
    fn evict(&mut self, side: Side, cause: Cause, after: &mut After<H>) -> Option<Evicted<H>> {
        let holder = self.seat_mut(side).take()?;
        let partner = if holder.is_taken() { self.seat_mut(side.opposite()).take() } else { None };
        self.widow(side.opposite(), after);
        let partner = partner.map(|partner| {
            let (conn, handle) = partner.lose(Cause::PartnerGone, after);
            after.handles.extend(handle);
            conn
        });
        let (conn, handle) = holder.lose(cause, after);
        Some(Evicted { conn, handle, cause, partner })
    }

    /// May the 101 go out? From the first yes on the subprotocol is settled.
    pub(super) fn answer(&mut self, side: Side, conn: ConnId) -> Option<Answer> {
        let alone = self.seat(side.opposite()).is_none();
        let apart = self.held_by(side, conn)?.apart_mut()?;
        if matches!(apart.stage, Stage::Held) {
            if alone {
                return Some(Answer::Hold);
            }
            apart.stage = Stage::Reserved;
        }
        Some(Answer::Go { subprotocol: apart.subprotocol.clone() })
    }
}

impl<H: Clone> Channel<H> {
    /// See [`super::Registry::reserve`]. Nothing changes on a refusal, except that a dead holder goes.
    pub(super) fn reserve(
        &mut self,
        arrival: Arrival,
        rules: &RendezvousRules,
        verdict: Option<(ConnId, Life)>,
        opposite: Opposite,
        now: Instant,
        after: &mut After<H>,
    ) -> Decision<H> {
        let Arrival { conn, side, identity, offers } = arrival;
        if [&self.client, &self.backend].into_iter().flatten().any(|holder| holder.conn == conn) {
            return Decision::Refused { cause: Cause::Internal, evicted: None };
        }
        // Judged as the newcomer found the channel: one that ends a pair is not the first to come.
        let backend_first = side == Side::Backend && self.client.is_none();
        let verdict = |holder: &Holder<H>| match verdict {
            Some((about, life)) if about == holder.conn => Some(life),
            _ => None,
        };
        let dead = |holder: &Holder<H>| holder.handle().is_some() && verdict(holder) == Some(Life::Dead);
        let mut evicted = if self.seat(side).is_some_and(dead) { self.evict(side, Cause::Dead, after) } else { None };
        if backend_first && rules.backend_first == BackendFirst::Reject {
            return Decision::Refused { cause: Cause::BackendFirst, evicted };
        }
        if let Some(holder) = self.seat(side) {
            let Some(life) = verdict(holder) else {
                return Decision::Occupied { holder: holder.conn, handle: holder.handle().cloned() };
            };
            let is_same = holder.subject() == subject(identity.as_ref());
            let may_replace = rules.second(&side.role()) == Second::Replace && is_same;
            if life != Life::Yields && !may_replace {
                return Decision::Refused { cause: Cause::SeatTaken, evicted };
            }
        }
        if let Some(partner) = self.seat(side.opposite())
            && !partner.is_taken()
            && let Opposite::Only(known) = opposite
            && known != Some(partner.conn)
        {
            return Decision::Opposite { holder: partner.conn };
        }
        // From here on a holder is replaced, and a leg that it is joined with will not be there to agree with.
        let offer = Offer::new(offers, rules);
        let partner = self.seat(side.opposite()).and_then(Holder::apart).filter(|partner| !partner.stage.is_taken());
        let agreed = match partner {
            Some(Apart { stage: Stage::Held, offer: partners, .. }) => Offer::together(partners, &offer),
            Some(partner) => offer.second(partner.subprotocol.as_ref()).map(|chosen| (None, chosen)),
            None => Ok((None, offer.first())),
        };
        let Ok((partners, subprotocol)) = agreed else {
            return Decision::Refused { cause: Cause::SubprotocolMismatch, evicted };
        };
        if self.seat(side).is_some() {
            evicted = self.evict(side, Cause::Replaced, after);
        }
        if let Some(partner) = self.seat_mut(side.opposite()).as_mut().and_then(|holder| holder.apart_mut())
            && matches!(partner.stage, Stage::Held)
        {
            partner.subprotocol = partners;
            after.bells.push(Arc::clone(&partner.bell));
        }
        let bell = Arc::new(Bell::default());
        let deadline = now.checked_add(rules.pairing_timeout).unwrap_or_else(|| now + FAR);
        let (stage, settled) = match rules.accept {
            Accept::AtOnce => (Stage::Reserved, subprotocol.clone()),
            Accept::WhenPaired => (Stage::Held, None),
        };
        let apart = Apart { stage, offer, subprotocol, deadline, bell: Arc::clone(&bell) };
        *self.seat_mut(side) = Some(Box::new(Holder { conn, identity, state: State::Apart(Box::new(apart)) }));
        Decision::Seated { bell, deadline, subprotocol: settled, evicted }
    }

    /// The 101 is flushed: wait, or be joined with a partner that waits.
    pub(super) fn ready(&mut self, side: Side, conn: ConnId, handle: &H) -> Option<Readied<H>> {
        let apart = self.held_by(side, conn)?.apart()?;
        let deadline = apart.deadline;
        if matches!(apart.stage, Stage::Held | Stage::Reserved) {
            if let Some((partner, session)) = self.seat_mut(side.opposite()).as_mut().and_then(|holder| holder.host()) {
                self.held_by(side, conn)?.apart_mut()?.stage = Stage::Guest(session.clone());
                return Some(Readied::Join { partner, handle: session });
            }
            self.held_by(side, conn)?.apart_mut()?.stage = Stage::Ready(handle.clone());
        }
        Some(Readied::Wait { deadline })
    }

    /// A guest found its host's session ended: the host's seat is free, if it was not yet, and the guest is ready again.
    pub(super) fn rejoin(&mut self, side: Side, conn: ConnId, handle: &H, after: &mut After<H>) -> Option<Readied<H>> {
        if matches!(self.held_by(side, conn)?.apart()?.stage, Stage::Guest(_)) {
            if let Some(host) = self.seat_mut(side.opposite()).take() {
                let (_, handle) = host.lose(Cause::PartnerGone, after);
                after.handles.extend(handle);
            }
            self.widow(side, after);
        }
        self.ready(side, conn, handle)
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// There may be a hundred thousand of each. A handle is a pointer.
    #[test]
    fn what_is_kept_of_each_joined_leg_stays_small() {
        assert!(size_of::<Holder<Arc<()>>>() <= 32, "{}", size_of::<Holder<Arc<()>>>());
    }
}
