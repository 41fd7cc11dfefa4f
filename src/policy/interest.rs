//! Which messages a filter wants to see: one rule for each direction and kind, read for each message by the relay and
//! changed by the filter's calls.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    model::{Direction, MessageKind, Oversize},
    relay::Wanted,
};

/// A rule for one direction and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Longest message that is shown, in bytes.
    pub(super) max_bytes: u32,
    /// What becomes of longer ones.
    pub(super) oversize: Oversize,
}

/// The rules of one filter for one connection; none where nothing is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Interests([Option<Rule>; 4]);

const fn place(direction: Direction, kind: MessageKind) -> usize {
    2 * direction as usize + kind as usize
}

impl Interests {
    /// In all messages.
    pub(super) const fn everything() -> Self {
        Self([Some(Rule { max_bytes: u32::MAX, oversize: Oversize::Pass }); 4])
    }

    pub(super) const fn want(&mut self, direction: Direction, kind: MessageKind, rule: Rule) {
        self.0[place(direction, kind)] = Some(rule);
    }
}

/// The same, to be read without a lock.
#[derive(Debug, Default)]
pub(super) struct Declared {
    rules: [AtomicU64; 4],
    stands: Mutex<Stands>,
}

/// Who is told in which directions anything is wanted.
#[derive(Debug, Default)]
struct Stands {
    at: Option<Arc<Wanted>>,
    /// By [`Direction`]: whether it stands in the way of these messages, and whether it was said that it wants any.
    ways: [(bool, bool); 2],
}

/// Marks a rule; without it nothing is wanted.
const WANTED: u64 = 1 << 40;

impl Declared {
    pub(super) fn rule(&self, direction: Direction, kind: MessageKind) -> Option<Rule> {
        let packed = self.rules[place(direction, kind)].load(Ordering::Relaxed);
        let oversize = match packed >> 32 & 0xff {
            0 => Oversize::Pass,
            1 => Oversize::Drop,
            _ => Oversize::Close,
        };
        // The low half.
        #[allow(clippy::cast_possible_truncation)]
        (packed & WANTED != 0).then_some(Rule { max_bytes: packed as u32, oversize })
    }

    pub(super) fn all(&self) -> Interests {
        let mut all = Interests::default();
        for direction in Direction::ALL {
            for kind in MessageKind::ALL {
                all.0[place(direction, kind)] = self.rule(direction, kind);
            }
        }
        all
    }

    pub(super) fn any(&self, direction: Direction) -> bool {
        MessageKind::ALL.iter().any(|kind| self.rule(direction, *kind).is_some())
    }

    pub(super) fn set(&self, interests: Interests) {
        if self.all() == interests {
            return;
        }
        for (packed, rule) in self.rules.iter().zip(interests.0) {
            let value = rule.map_or(0, |rule| WANTED | (rule.oversize as u64) << 32 | u64::from(rule.max_bytes));
            packed.store(value, Ordering::Relaxed);
        }
        self.tell(&mut self.stands());
    }

    /// From now on it stands in these ways of messages and in no others, and this is where it says what it wants.
    pub(super) fn stand(&self, ways: [bool; 2], at: &Arc<Wanted>) {
        let mut stands = self.stands();
        *stands = Stands { at: Some(Arc::clone(at)), ways: ways.map(|stands| (stands, false)) };
        self.tell(&mut stands);
    }

    fn tell(&self, stands: &mut Stands) {
        let Stands { at: Some(at), ways } = stands else { return };
        for (direction, (stands, said)) in Direction::ALL.into_iter().zip(ways) {
            let wants = *stands && self.any(direction);
            if std::mem::replace(said, wants) != wants {
                at.change(direction, wants);
            }
        }
    }

    fn stands(&self) -> MutexGuard<'_, Stands> {
        // The lock is never held where something could panic half-way.
        self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stands_in_the_way_says_whether_it_wants_any() {
        let rule = Rule { max_bytes: 1, oversize: Oversize::Pass };
        let (declared, other) = (Declared::default(), Declared::default());
        let wanted = Arc::new(Wanted::default());
        let any = |wanted: &Wanted| Direction::ALL.map(|direction| wanted.any(direction));
        let [there, back] = Direction::ALL;
        declared.set(Interests::everything());
        declared.stand([true, false], &wanted);
        other.stand([true, true], &wanted);
        assert_eq!(any(&wanted), [true, false], "as it was before, in its way only");
        let mut interests = Interests::default();
        interests.want(back, MessageKind::Text, rule);
        other.set(interests);
        assert_eq!(any(&wanted), [true, true]);
        interests.want(there, MessageKind::Binary, rule);
        other.set(interests);
        declared.set(Interests::default());
        assert_eq!(any(&wanted), [true, true], "by the other");
        other.set(Interests::default());
        other.set(Interests::default());
        assert_eq!(any(&wanted), [false, false]);
        declared.set(Interests::everything());
        let elsewhere = Arc::new(Wanted::default());
        declared.stand([true, true], &elsewhere);
        assert_eq!(any(&elsewhere), [true, true]);
        declared.set(Interests::default());
        assert_eq!((any(&elsewhere), any(&wanted)), ([false, false], [true, false]), "nobody looks there any more");
    }

    #[test]
    fn what_is_declared_is_what_is_read() {
        let declared = Declared::default();
        assert_eq!(declared.all(), Interests::default());
        let mut interests = Interests::default();
        for (max_bytes, oversize) in [(0, Oversize::Pass), (1, Oversize::Drop), (u32::MAX, Oversize::Close)] {
            interests.want(Direction::ToClient, MessageKind::Text, Rule { max_bytes, oversize });
            declared.set(interests);
            assert_eq!(declared.all(), interests);
            assert_eq!(declared.rule(Direction::ToClient, MessageKind::Text), Some(Rule { max_bytes, oversize }));
            assert_eq!(declared.rule(Direction::ToBackend, MessageKind::Text), None);
            assert_eq!(declared.rule(Direction::ToClient, MessageKind::Binary), None);
        }
    }
}
