//! What becomes of what is read: what was not carried over, and what is not quite the same.

use super::document::Place;

/// Kept while the files are read.
#[derive(Debug, Default)]
pub(super) struct Report {
    lost: Vec<String>,
    differs: Vec<String>,
}

impl Report {
    /// Something has no counterpart, or cannot be known from the files.
    pub(super) fn lost(&mut self, place: &Place, text: impl AsRef<str>) {
        self.lost.push(format!("{place}: {}", text.as_ref()));
    }

    /// The same of something that stands nowhere.
    pub(super) fn missing(&mut self, text: impl Into<String>) {
        self.lost.push(text.into());
    }

    /// Something does the same here without being written down.
    pub(super) fn differs(&mut self, text: impl Into<String>) {
        self.differs.push(text.into());
    }

    /// What was not carried over, a line each.
    pub(super) fn all_lost(&self) -> &[String] {
        &self.lost
    }

    /// What needs nothing.
    pub(super) fn all_different(&self) -> &[String] {
        &self.differs
    }
}
