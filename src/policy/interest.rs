//! Which messages a filter wants to see: one rule for each direction and kind, read for each message by the relay and
//! changed by the filter's calls.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Direction, MessageKind, Oversize};

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
pub(super) struct Declared([AtomicU64; 4]);

/// Marks a rule; without it nothing is wanted.
const WANTED: u64 = 1 << 40;

impl Declared {
    pub(super) fn rule(&self, direction: Direction, kind: MessageKind) -> Option<Rule> {
        let packed = self.0[place(direction, kind)].load(Ordering::Relaxed);
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

    pub(super) fn set(&self, interests: Interests) {
        for (packed, rule) in self.0.iter().zip(interests.0) {
            let value = rule.map_or(0, |rule| WANTED | (rule.oversize as u64) << 32 | u64::from(rule.max_bytes));
            packed.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
