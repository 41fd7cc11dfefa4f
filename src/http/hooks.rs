//! What the plugins of a leg are asked and told while it lives, and the generation whose code they are.
//!
//! A leg whose plugins are those that serve counts for the generation that serves, so old generations are let go of. What
//! becomes of the others at a swap is `reload.sessions`: they stay, move, or, if it is their message filters that have
//! changed, are closed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Admitted, Refuse, Switchboard,
    session::{Observers, OneLeg, SessionHandle, Slots},
};
use crate::{
    config::{Oldest, OnSwap},
    error::Cause,
    generation::{Generation, Route},
    model::ConnId,
    policy::{
        Plugin,
        filter::{self, Filters, Followed},
    },
    relay::Screen,
    rendezvous::Side,
};

/// Legs that are looked at before others have their turn.
const BATCH: usize = 64;
/// Reasons for staying that are told in one line of the log.
const REASONS: usize = 4;

/// Of one leg.
pub(super) struct Hooks {
    filters: Option<Arc<Filters>>,
    /// Who is asked whether it may go on.
    pub(super) slots: Slots,
    /// Who is told of it.
    pub(super) observers: Option<Observers>,
    /// Counted as long as its code is in use.
    generation: Mutex<Arc<Generation>>,
    /// Number of the latest generation that it could have moved to.
    seen: AtomicU64,
}

impl Hooks {
    /// None where there is nobody to ask or tell: then no generation is kept.
    pub(super) fn of(filters: Option<Arc<Filters>>, route: &Route, generation: Arc<Generation>) -> Option<Box<Self>> {
        let needed = filters.is_some() || route.checks.is_some() || route.observers.is_some();
        needed.then(|| {
            Box::new(Self {
                filters,
                slots: route.checks.as_deref().map(Slots::of).unwrap_or_default(),
                observers: route.observers.clone().map(Observers::new),
                seen: AtomicU64::new(generation.number),
                generation: Mutex::new(generation),
            })
        })
    }

    /// Whether those that are asked and told of it, apart from its messages, are the versions that `current` names.
    fn is_on(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) -> bool {
        self.slots.are_on(current) && self.observers.as_ref().is_none_or(|observers| observers.are_on(current))
    }

    /// From now on they are, where those can be asked and told.
    fn follow(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) {
        self.slots.follow(current);
        if let Some(observers) = &self.observers {
            observers.follow(current);
        }
    }

    /// `name@identity` of each message filter; none if it has none.
    pub(super) fn labels(&self) -> Vec<String> {
        self.filters.as_ref().map_or_else(Vec::new, |filters| filters.labels())
    }

    /// The generation whose code it uses.
    pub(super) fn generation(&self) -> u64 {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner).number
    }

    /// Whether a generation has come that it has not been brought to.
    pub(super) fn is_behind(&self, current: &Generation) -> bool {
        self.seen.load(Ordering::Relaxed) < current.number
    }

    fn belongs_to(&self, generation: &Arc<Generation>) {
        let mut own = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *own, Arc::clone(generation));
        drop(own);
        // Perhaps the last one, which takes a while.
        drop(old);
    }
}

/// The plugin of that name on a route.
fn version(route: Option<&Route>, name: &str) -> Option<Arc<Plugin>> {
    route?.plugins.iter().find(|plugin| *plugin.name() == *name).cloned()
}

/// Opens the filters of a connection, before its 101.
pub(super) async fn open(admitted: &Admitted) -> Result<Option<Arc<Filters>>, Refuse> {
    match &admitted.facts {
        Some(facts) => Ok(filter::open(&admitted.route.plugins, &admitted.known, facts).await?),
        None => Ok(None),
    }
}

/// What looks at the messages of two legs of a rendezvous, of which one is on this side.
pub(super) fn screen(side: Side, own: &SessionHandle, partner: &SessionHandle) -> Option<Arc<dyn Screen>> {
    let [own, partner] = [own, partner].map(|leg| leg.hooks().and_then(|hooks| hooks.filters.as_ref()));
    match side {
        Side::Client => filter::screen(own, partner),
        Side::Backend => filter::screen(partner, own),
    }
}

/// What came of a sweep.
#[derive(Default)]
struct Swept {
    moved: usize,
    stay: usize,
    closing: Vec<(ConnId, Arc<OneLeg>)>,
    reasons: BTreeMap<String, usize>,
}

/// Brings the legs that have hooks to each generation that comes, as `reload.sessions` says; ends when we stop.
pub async fn follow(board: Arc<Switchboard>) {
    loop {
        tokio::select! {
            () = board.sessions.behind.notified() => {}
            () = board.drain.begun() => return,
        }
        let generation = board.current.load_full();
        let swept =
            sweep(&board, &generation, generation.config.reload.sessions, |hooks| hooks.is_behind(&generation)).await;
        tell(&board, &generation, swept);
    }
}

/// Makes room where there are as many generations as there may be, as `reload.oldest` says.
pub async fn make_room(board: &Arc<Switchboard>, how: Oldest) {
    let how = match how {
        Oldest::Wait => return,
        Oldest::Migrate => OnSwap::Migrate,
        Oldest::Close => OnSwap::Drain,
    };
    let generation = board.current.load_full();
    let Some(oldest) = board.sessions.oldest().filter(|oldest| *oldest < generation.number) else { return };
    // Which of them can move is not known before.
    let last = if how == OnSwap::Drain { oldest } else { generation.number - 1 };
    let swept = sweep(board, &generation, how, |hooks| hooks.generation() <= last).await;
    if !swept.closing.is_empty() {
        tracing::warn!(
            legs = swept.closing.len(),
            "sessions on generation {oldest} are closed, to make room (reload.oldest)"
        );
    }
    let code = Cause::Outdated.row().close;
    for (conn, leg) in &swept.closing {
        leg.drain(*conn, code, Cause::Outdated);
    }
    board.metrics.swept("closed", swept.closing.len());
    tell(board, &generation, Swept { closing: Vec::new(), ..swept });
}

async fn sweep(
    board: &Switchboard,
    generation: &Arc<Generation>,
    how: OnSwap,
    which: impl Fn(&Hooks) -> bool,
) -> Swept {
    let mut swept = Swept::default();
    let legs = board.sessions.with_hooks(which);
    for (n, (conn, leg)) in legs.iter().enumerate() {
        if n % BATCH == BATCH - 1 {
            tokio::task::yield_now().await;
        }
        let Some(hooks) = &leg.hooks else { continue };
        let route = generation.routes.iter().map(AsRef::as_ref).find(|route| route.config.name == leg.info.terms.route);
        hooks.seen.fetch_max(generation.number, Ordering::Relaxed);
        let current = |name: &str| version(route, name);
        let filters = hooks.filters.as_ref().filter(|filters| !filters.are_on(current));
        if how != OnSwap::Pin {
            hooks.follow(&current);
        }
        let Some(filters) = filters else {
            if hooks.is_on(&current) {
                hooks.belongs_to(generation);
            } else {
                swept.stay += 1;
            }
            continue;
        };
        match how {
            OnSwap::Pin => swept.stay += 1,
            OnSwap::Drain => swept.closing.push((*conn, Arc::clone(leg))),
            OnSwap::Migrate => match filters.follow(current).await {
                Followed::Moved => {
                    hooks.belongs_to(generation);
                    swept.moved += 1;
                }
                Followed::Stays(why) => {
                    swept.stay += 1;
                    if swept.reasons.len() < REASONS || swept.reasons.contains_key(&why) {
                        *swept.reasons.entry(why).or_default() += 1;
                    }
                }
            },
        }
    }
    swept
}

/// Says what became of the legs, and closes those that are to be closed, each in its turn.
fn tell(board: &Arc<Switchboard>, generation: &Generation, swept: Swept) {
    let Swept { moved, stay, mut closing, reasons } = swept;
    for (result, legs) in [("moved", moved), ("stayed", stay), ("closed", closing.len())] {
        board.metrics.swept(result, legs);
    }
    if moved + stay + closing.len() == 0 {
        return;
    }
    let reasons: Vec<_> = reasons.iter().map(|(why, legs)| format!("{why} ({legs})")).collect();
    tracing::info!(
        generation = generation.number,
        moved,
        stayed = stay,
        closed = closing.len(),
        reasons = (!reasons.is_empty()).then(|| reasons.join("; ")),
        "legs with plugins of an older version"
    );
    if closing.is_empty() {
        return;
    }
    closing.sort_by(|(one, _), (other, _)| one.fraction().total_cmp(&other.fraction()));
    let (spread, code) = (generation.config.drain.spread, generation.config.drain.close_code);
    let drain = board.drain.clone();
    board.drain.spawn(async move {
        let begun = tokio::time::Instant::now();
        for (conn, leg) in closing {
            tokio::select! {
                () = tokio::time::sleep_until(begun + spread.mul_f64(conn.fraction())) => {}
                // Then everybody is told by somebody else.
                () = drain.begun() => return,
            }
            leg.drain(conn, code, Cause::Outdated);
        }
    });
}
