//! What calls of a plugin cost: the time of each, or the instructions that the guest executed. For benches only: a proxy
//! measures nothing here, and has its counters in [`Stats`](super::Stats).

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use wasmtime::Store;

use super::{host::State, v0_1::Question};

/// What instances are measured under.
pub const INSTANCE: &str = "init";
/// So much fuel is there before a call: more than any deadline lets a guest burn.
const FULL: u64 = u64::MAX / 2;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing, as in a proxy.
    Nothing,
    /// The time of each call, on code as a proxy has it.
    Time,
    /// The instructions of WebAssembly in each call; the code is another than a proxy has, and slower.
    Instructions,
}

/// By question, and under [`INSTANCE`] what it took to make an instance.
pub type Measured = BTreeMap<&'static str, Spent>;

/// What calls of one kind took.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// Of each call, the wait for an instance included.
    pub times: Vec<Duration>,
    /// Instructions of all calls that were answered; 0 where they are not counted.
    pub instructions: u64,
    /// How many these were.
    pub counted: u64,
}

/// Keeps what was measured of one version.
pub(super) struct Meter {
    measured: Mutex<Measured>,
    /// Instructions are counted. Who asks an engine for fuel that has none gets an error that takes longer than the call.
    counts: bool,
}

impl Meter {
    /// For this; none where nothing is measured.
    pub(super) fn of(measure: Measure) -> Option<Box<Self>> {
        let counts = measure == Measure::Instructions;
        (measure != Measure::Nothing).then(|| Box::new(Self { measured: Mutex::default(), counts }))
    }

    /// Before a call that is measured.
    pub(super) fn fill(&self, store: &mut Store<State>) {
        if self.counts {
            let _ = store.set_fuel(FULL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn took(&self, question: Question<'_>, time: Duration) {
        self.lock().entry(question.hook().name()).or_default().times.push(time);
    }

    /// A call has been answered that began with [`Meter::fill`].
    pub(super) fn left(&self, question: Question<'_>, store: &mut Store<State>) {
        self.spent(question.hook().name(), store);
    }

    /// An instance was made.
    pub(super) fn made(&self, time: Duration, store: &mut Store<State>) {
        self.lock().entry(INSTANCE).or_default().times.push(time);
        self.spent(INSTANCE, store);
    }

    fn spent(&self, name: &'static str, store: &mut Store<State>) {
        let Some(left) = self.counts.then(|| store.get_fuel().ok()).flatten() else { return };
        let mut all = self.lock();
        let spent = all.entry(name).or_default();
        spent.instructions += FULL.saturating_sub(left);
        spent.counted += 1;
    }

    pub(super) fn take(&self) -> Measured {
        std::mem::take(&mut *self.lock())
    }
}
