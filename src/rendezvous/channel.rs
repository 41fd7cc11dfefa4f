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

use super::{After, Arrival, Bell, Evicted, Gauges, Life, Opposite, Readied, Side, subprotocol::Offer};
use crate::{
    error::Cause,
    model::{Accept, BackendFirst, ConnId, RendezvousRules, Second},
};

/// Stands for "never" where a timeout is too long for the clock.
const FAR: Duration = Duration::from_hours(30 * 365 * 24);

#[derive(Debug)]
enum State<H> {
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

impl<H> State<H> {
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
    subject: Option<Arc<str>>,
    state: State<H>,
    /// None once the two legs have met: from then on they lose their seats together.
    apart: Option<Box<Apart>>,
}

/// What a holder needs that may still get a partner, or another one.
#[derive(Debug)]
pub(super) struct Apart {
    offer: Offer,
    /// Settled unless `Held`; then what was agreed with the latest partner, and the next one agrees anew.
    subprotocol: Option<Arc<str>>,
    deadline: Instant,
    bell: Arc<Bell>,
}

impl<H> Holder<H> {
    /// Off the seat for `cause`, which its owner learns when it next looks.
    fn lose(self, cause: Cause, after: &mut After<H>) -> (ConnId, Option<H>) {
        // Of a pair that has met, the session is told.
        if let Some(apart) = self.apart {
            // The first cause stands; a holder leaves its seat once, so there is no second.
            let _ = apart.bell.lost.set(cause);
            after.bells.push(apart.bell);
        }
        (self.conn, self.state.into_handle())
    }
}

impl<H: Clone> Holder<H> {
    /// If it waits, it becomes the host of a pair. The handle is moved, as none may be dropped here.
    fn host(&mut self) -> Option<(ConnId, H)> {
        match mem::replace(&mut self.state, State::Reserved) {
            State::Ready(session) => {
                self.state = State::Host(session.clone());
                Some((self.conn, session))
            }
            other => {
                self.state = other;
                None
            }
        }
    }
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
        let opposite = self.seat(side.opposite()).filter(|partner| !partner.state.is_taken());
        (self.seat(side).map(|holder| holder.conn), opposite.map(|partner| partner.conn))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.client.is_none() && self.backend.is_none()
    }

    pub(super) fn census(&self) -> Gauges {
        let mut count = Gauges { channels: usize::from(!self.is_empty()), ..Gauges::default() };
        for holder in [&self.client, &self.backend].into_iter().flatten() {
            match holder.state {
                State::Held | State::Reserved => count.reserved += 1,
                State::Ready(_) => count.waiting += 1,
                State::Host(_) => count.pairs += 1,
                State::Guest(_) => {}
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
            after.handles.extend(leaver.state.into_handle());
            self.widow(side.opposite(), after);
        }
    }

    /// The guest's leg has reached its host's session: gives what the two do not need any more. Nothing if they do not hold
    /// their seats; they lose them together.
    pub(super) fn meet(&mut self, legs: [(Side, ConnId); 2]) -> [Option<Box<Apart>>; 2] {
        legs.map(|(side, conn)| {
            let holder = self.held_by(side, conn)?;
            debug_assert!(holder.state.is_taken(), "who meets is joined");
            holder.apart.take()
        })
    }

    /// What becomes of a holder whose partner's seat was just freed.
    fn widow(&mut self, side: Side, after: &mut After<H>) {
        let Some(holder) = self.seat_mut(side) else { return };
        holder.state = match mem::replace(&mut holder.state, State::Reserved) {
            State::Host(handle) => State::Ready(handle),
            State::Guest(handle) => {
                after.handles.push(handle);
                State::Reserved
            }
            alone @ (State::Held | State::Reserved | State::Ready(_)) => alone,
        };
    }

    /// The holder is put off its seat, with its partner if they are joined.
    fn evict(&mut self, side: Side, cause: Cause, after: &mut After<H>) -> Option<Evicted<H>> {
        let holder = self.seat_mut(side).take()?;
        let partner = if holder.state.is_taken() { self.seat_mut(side.opposite()).take() } else { None };
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
        let holder = self.held_by(side, conn)?;
        if matches!(holder.state, State::Held) {
            if alone {
                return Some(Answer::Hold);
            }
            holder.state = State::Reserved;
        }
        Some(Answer::Go { subprotocol: holder.apart.as_ref()?.subprotocol.clone() })
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
        let Arrival { conn, side, subject, offers } = arrival;
        if [&self.client, &self.backend].into_iter().flatten().any(|holder| holder.conn == conn) {
            return Decision::Refused { cause: Cause::Internal, evicted: None };
        }
        // Judged as the newcomer found the channel: one that ends a pair is not the first to come.
        let backend_first = side == Side::Backend && self.client.is_none();
        let verdict = |holder: &Holder<H>| match verdict {
            Some((about, life)) if about == holder.conn => Some(life),
            _ => None,
        };
        let dead = |holder: &Holder<H>| holder.state.handle().is_some() && verdict(holder) == Some(Life::Dead);
        let mut evicted = if self.seat(side).is_some_and(dead) { self.evict(side, Cause::Dead, after) } else { None };
        if backend_first && rules.backend_first == BackendFirst::Reject {
            return Decision::Refused { cause: Cause::BackendFirst, evicted };
        }
        if let Some(holder) = self.seat(side) {
            let Some(life) = verdict(holder) else {
                return Decision::Occupied { holder: holder.conn, handle: holder.state.handle().cloned() };
            };
            let may_replace = rules.second(&side.role()) == Second::Replace && holder.subject == subject;
            if life != Life::Yields && !may_replace {
                return Decision::Refused { cause: Cause::SeatTaken, evicted };
            }
        }
        if let Some(partner) = self.seat(side.opposite())
            && !partner.state.is_taken()
            && let Opposite::Only(known) = opposite
            && known != Some(partner.conn)
        {
            return Decision::Opposite { holder: partner.conn };
        }
        // From here on a holder is replaced, and a leg that it is joined with will not be there to agree with.
        let offer = Offer::new(offers, rules);
        let partner = self.seat(side.opposite()).filter(|partner| !partner.state.is_taken());
        debug_assert!(partner.is_none_or(|partner| partner.apart.is_some()), "who has met is joined");
        let agreed = match partner.and_then(|partner| Some((&partner.state, partner.apart.as_ref()?))) {
            Some((State::Held, partner)) => Offer::together(&partner.offer, &offer),
            Some((_, partner)) => offer.second(partner.subprotocol.as_ref()).map(|chosen| (None, chosen)),
            None => Ok((None, offer.first())),
        };
        let Ok((partners, subprotocol)) = agreed else {
            return Decision::Refused { cause: Cause::SubprotocolMismatch, evicted };
        };
        if self.seat(side).is_some() {
            evicted = self.evict(side, Cause::Replaced, after);
        }
        if let Some(Holder { state: State::Held, apart: Some(partner), .. }) =
            self.seat_mut(side.opposite()).as_deref_mut()
        {
            partner.subprotocol = partners;
            after.bells.push(Arc::clone(&partner.bell));
        }
        let bell = Arc::new(Bell::default());
        let deadline = now.checked_add(rules.pairing_timeout).unwrap_or_else(|| now + FAR);
        let (state, settled) = match rules.accept {
            Accept::AtOnce => (State::Reserved, subprotocol.clone()),
            Accept::WhenPaired => (State::Held, None),
        };
        let apart = Some(Box::new(Apart { offer, subprotocol, deadline, bell: Arc::clone(&bell) }));
        *self.seat_mut(side) = Some(Box::new(Holder { conn, subject, state, apart }));
        Decision::Seated { bell, deadline, subprotocol: settled, evicted }
    }

    /// The 101 is flushed: wait, or be joined with a partner that waits.
    pub(super) fn ready(&mut self, side: Side, conn: ConnId, handle: &H) -> Option<Readied<H>> {
        let holder = self.held_by(side, conn)?;
        let deadline = holder.apart.as_ref()?.deadline;
        if matches!(holder.state, State::Held | State::Reserved) {
            if let Some((partner, session)) = self.seat_mut(side.opposite()).as_mut().and_then(|holder| holder.host()) {
                self.held_by(side, conn)?.state = State::Guest(session.clone());
                return Some(Readied::Join { partner, handle: session });
            }
            self.held_by(side, conn)?.state = State::Ready(handle.clone());
        }
        Some(Readied::Wait { deadline })
    }

    /// A guest found its host's session ended: the host's seat is free, if it was not yet, and the guest is ready again.
    pub(super) fn rejoin(&mut self, side: Side, conn: ConnId, handle: &H, after: &mut After<H>) -> Option<Readied<H>> {
        if matches!(self.held_by(side, conn)?.state, State::Guest(_)) {
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
        assert!(size_of::<Holder<Arc<()>>>() <= 48, "{}", size_of::<Holder<Arc<()>>>());
    }
}
