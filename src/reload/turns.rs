//! Orders, one at a time: to look at the files, to go back, to go on.
//!
//! A turn ends where there is something to wait for: whoever waits takes another one then, and reads the files anew. So a
//! wait keeps no other order and no later save from serving.

use std::{sync::Arc, time::SystemTime};

use tokio::time::{Instant, sleep};

use super::{
    Control, NoRollback, Refused, Reloaded, Why, in_one_field,
    waits::{COMPLETE_WITHIN, For, Wait},
};
use crate::{
    candidate::{Candidate, supply_for},
    config::{Oldest, Reload},
    fetch::{Look, Supply},
    generation::Generation,
    http::hooks,
};

/// Why nothing came of a candidate.
pub(super) enum Unbuilt {
    /// Something is wrong with it.
    Wrong(Vec<String>),
    /// There are as many generations as there may be.
    NoRoom(NoRoom),
}

/// Why a look at the files came to nothing.
enum NotYet {
    /// What is there does not fit together, or is not what was announced.
    Unfit {
        hash: Option<String>,
        problems: Vec<String>,
    },
    NoRoom(NoRoom),
    /// A component that is to be fetched.
    Unfetched,
}

/// There are as many generations as there may be.
#[derive(Clone, Copy)]
pub(super) struct NoRoom {
    most: usize,
    /// What is done about it.
    oldest: Oldest,
}

impl NoRoom {
    pub(super) const fn of(rules: &Reload) -> Self {
        Self { most: rules.generations, oldest: rules.oldest }
    }
}

impl Control {
    /// Reads the files and, if they differ from what serves, builds a generation beside it and publishes it. With `hash`
    /// only what has a hash that begins so; until the files do, they are read again for ten seconds.
    pub async fn reload(&self, why: Why, hash: Option<&str>) -> Reloaded {
        self.take_turns(why, hash).await.0
    }

    /// Takes the pin away; what the files say serves again. Tells also whether there was a pin.
    pub async fn resume(&self) -> (Reloaded, bool) {
        self.take_turns(Why::Resume, None).await
    }

    async fn take_turns(&self, why: Why, hash: Option<&str>) -> (Reloaded, bool) {
        let served = self.board.current.load().number;
        let mut wait = self.waits.begin();
        let mut unpinned = None;
        // Until when what was found first is waited for.
        let mut limit: Option<(Instant, Option<String>)> = None;
        // What is fetched counts for this order, whatever it takes to carry it out: nobody is asked twice.
        let (mut look, mut supply) = (why.look(), Arc::new(self.supply(why)));
        // Which generation served by then.
        let mut before = served;
        let reloaded = loop {
            // While it is not its turn, so that nobody waits for the network but this order.
            if let Some(supply) = Arc::get_mut(&mut supply) {
                supply_for(&self.paths, &self.fetcher, look, supply).await;
            }
            let one = self.reloading.lock().await;
            let now = self.board.current.load().number;
            if now != before && !supply.is_empty() {
                // That one may be made of something newer, which this order is not to take back. What was refused to it
                // stays refused.
                let again = self.supply(why).with_refusals_of(&supply);
                (before, look, supply) = (now, Look::Known, Arc::new(again));
                continue;
            }
            // Once: it may be pinned again while it waits.
            if unpinned.is_none() {
                unpinned = Some(why == Why::Resume && self.unpin());
            }
            let (found, problems) = match self.look(why, hash, &supply).await {
                Ok(reloaded) => break reloaded,
                Err(NotYet::NoRoom(full)) => {
                    drop(one);
                    self.wait_for_room(full, &mut wait).await;
                    limit = None;
                    continue;
                }
                Err(NotYet::Unfetched) => continue,
                Err(NotYet::Unfit { hash, problems }) => (hash, problems),
            };
            let now = Instant::now();
            let (end, known) = limit.get_or_insert_with(|| (now + COMPLETE_WITHIN, found.clone()));
            if hash.is_none() && *known != found {
                (*end, *known) = (now + COMPLETE_WITHIN, found);
            }
            let quiet = self.board.current.load().config.reload.quiet;
            if now + quiet >= *end || self.board.drain.is_announced() || self.was_waited_for(why, &problems) {
                break match hash {
                    None => self.refuse(None, problems),
                    Some(_) => unfulfilled(problems),
                };
            }
            if why == Why::Resume && self.waits.there_is(For::Pins) {
                break Reloaded::Waits(problems);
            }
            drop(one);
            wait.says(if hash.is_some() { For::Announced } else { For::Pins }, &problems);
            sleep(quiet).await;
        };
        let current = self.board.current.load().number;
        let reloaded = match reloaded {
            // Whoever looked at the files first published it.
            Reloaded::Unchanged if hash.is_some() && current > served => Reloaded::Applied(current),
            reloaded => reloaded,
        };
        (reloaded, unpinned == Some(true))
    }

    /// What need not be fetched for an order: whoever saves a file did not ask for another component than the one that
    /// serves. Unless something was refused: it may be the configuration for a newer one that is mended.
    fn supply(&self, why: Why) -> Supply {
        let mends = self.state().refused.is_some();
        if why == Why::Files && !mends { self.board.current.load().candidate.supply() } else { Supply::default() }
    }

    /// Looks at the files once.
    async fn look(&self, why: Why, hash: Option<&str>, supply: &Arc<Supply>) -> Result<Reloaded, NotYet> {
        let reloaded = match self.read(supply).await {
            Ok(candidate) if candidate.is_unfetched() => return Err(NotYet::Unfetched),
            Ok(candidate) if candidate.is_incomplete() => {
                let problems = super::texts(candidate.unread());
                return Err(NotYet::Unfit { hash: Some(candidate.hash().to_owned()), problems });
            }
            Ok(candidate) if hash.is_some_and(|hash| !candidate.hash().starts_with(hash)) => {
                let problem = format!(
                    "{}: the files hash to {}, not to {}",
                    self.paths.config.display(),
                    candidate.hash(),
                    hash.unwrap_or_default()
                );
                return Err(NotYet::Unfit { hash: Some(candidate.hash().to_owned()), problems: vec![problem] });
            }
            Ok(candidate) => match self.take_up(candidate, why).await {
                Ok(reloaded) => reloaded,
                Err(full) => return Err(NotYet::NoRoom(full)),
            },
            // That is not what was announced, whatever it is.
            Err(problems) if hash.is_some() => return Err(NotYet::Unfit { hash: None, problems }),
            Err(problems) => self.refuse(None, problems),
        };
        self.count(&reloaded);
        Ok(reloaded)
    }

    /// Whether it was refused after it had been waited for, and nobody has said since that it comes now.
    fn was_waited_for(&self, why: Why, problems: &[String]) -> bool {
        let refused = self.state().refused.clone();
        matches!(why, Why::Files | Why::Resume) && refused.is_some_and(|refused| refused.problems == problems)
    }

    fn unpin(&self) -> bool {
        let mut state = self.state();
        state.pending = None;
        let pinned = std::mem::take(&mut state.pinned);
        if pinned {
            tracing::info!("the pin of the rollback is taken away");
        }
        pinned
    }

    /// Publishes again what served under `number`, by default what served before, and pins it. Tells also under which
    /// number it served. What served before is a matter of when the order was given, whatever is published until it is
    /// its turn.
    ///
    /// # Errors
    /// [`NoRollback`]; nothing has changed then.
    pub async fn rollback(&self, number: Option<u64>) -> Result<(Reloaded, u64), NoRollback> {
        let (number, candidate) = self.target(number)?;
        let mut wait = self.waits.begin();
        let reloaded = loop {
            let one = self.reloading.lock().await;
            let current = self.board.current.load_full();
            if candidate.hash() == current.hash() {
                return Err(NoRollback::Serves(number));
            }
            match self.go_back(number, &candidate, &current).await {
                Ok(reloaded) => break reloaded,
                Err(full) => {
                    drop(one);
                    self.wait_for_room(full, &mut wait).await;
                }
            }
        };
        self.count(&reloaded);
        Ok((reloaded, number))
    }

    fn target(&self, number: Option<u64>) -> Result<(u64, Arc<Candidate>), NoRollback> {
        let state = self.state();
        let record = match number {
            Some(number) => state.history.get(number).ok_or_else(|| {
                let known: Vec<_> = state.history.records().map(|record| record.number.to_string()).collect();
                NoRollback::Unknown(number, known.join(", "))
            })?,
            None => state.history.before().ok_or_else(|| NoRollback::Nothing(self.board.current.load().number))?,
        };
        Ok((record.number, Arc::clone(&record.candidate)))
    }

    /// The error: there are as many generations as there may be.
    async fn go_back(&self, number: u64, candidate: &Arc<Candidate>, current: &Generation) -> Result<Reloaded, NoRoom> {
        let changes = candidate.changes(&current.candidate);
        match self.build(Arc::clone(candidate), current, &changes).await {
            Ok((generation, prepared)) => {
                let serves = generation.number;
                self.publish(generation, prepared, Why::Rollback(number), changes);
                {
                    let mut state = self.state();
                    state.pinned = true;
                    state.pending = None;
                }
                self.prune().await;
                tracing::warn!(
                    generation = serves,
                    "rolled back to generation {number}; changes of the files do not serve before a resume"
                );
                Ok(Reloaded::Applied(serves))
            }
            Err(Unbuilt::NoRoom(full)) => Err(full),
            // Of what the files say nothing is known by that.
            Err(Unbuilt::Wrong(problems)) => {
                self.let_go();
                self.board.metrics.reloaded("refused");
                tracing::error!(
                    generation = current.number,
                    "generation {number} cannot serve again: {}",
                    in_one_field(&problems)
                );
                let hash = Some(candidate.hash().to_owned());
                Ok(Reloaded::Refused(Arc::new(Refused { since: SystemTime::now(), hash, problems })))
            }
        }
    }

    /// Waits until there are fewer generations, or we stop.
    async fn wait_for_room(&self, NoRoom { most, oldest }: NoRoom, wait: &mut Wait<'_>) {
        wait.says(For::Room, &[]);
        hooks::make_room(&self.board, oldest).await;
        tokio::select! {
            () = self.population.fewer_than(most) => {}
            () = self.board.drain.begun() => {}
        }
        wait.ends();
    }
}

/// An order whose files did not come. No candidate was refused by that.
fn unfulfilled(problems: Vec<String>) -> Reloaded {
    tracing::warn!(problems = in_one_field(&problems), "files that were announced did not come");
    Reloaded::Unfulfilled(problems)
}
