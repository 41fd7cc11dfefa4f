//! The way into a document that is changed while it is walked, and what was found on it.

use std::collections::HashSet;

use super::{
    diagnose::{Problem, escaped},
    tree::Position,
};

/// Where a walk is, and the problems that it has found.
#[derive(Default)]
pub(super) struct Trail {
    problems: Vec<Problem>,
    path: String,
    /// What an alias repeats is wrong once.
    said: HashSet<(usize, usize, String)>,
}

impl Trail {
    /// Reports a problem with what the walk is at.
    pub(super) fn report(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        let message = message.into();
        if self.said.insert((at.line, at.column, message.clone())) {
            let mut problem = Problem::new(at, self.path.clone(), message);
            problem.hint = hint;
            self.problems.push(problem);
        }
    }

    /// One step further, behind a key, and back again.
    pub(super) fn key(&mut self, key: &str, then: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.step(&format!("{dot}{}", escaped(key)), then);
    }

    /// One step further, to an item, and back again.
    pub(super) fn index(&mut self, index: usize, then: impl FnOnce(&mut Self)) {
        self.step(&format!("[{index}]"), then);
    }

    fn step(&mut self, step: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        then(self);
        self.path.truncate(length);
    }

    /// What was found.
    pub(super) fn problems(self) -> Vec<Problem> {
        self.problems
    }
}
