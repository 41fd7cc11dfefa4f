//! How one request was decided, for the log of decisions: which routes do not match and why, which were tried, what each
//! plugin said, which route was taken; and in lines of their own, with the same `conn`, what plugins said later.

use std::fmt::Write as _;

use http::{StatusCode, request::Parts};

use super::{Refuse, judge::Judged};
use crate::{
    error::Cause,
    generation::{Generation, Route},
    head::matching::Subject,
    model::{ConnId, Handshake},
    policy::{Opinion, Trace},
};

/// Written to the log when it is dropped, also where nobody has waited for the end of it.
pub(super) struct Decision {
    conn: ConnId,
    method: String,
    /// Without the query, which may hold secrets.
    path: String,
    /// Each route that does not match, by its place in the file, with the condition that fails.
    misses: Vec<(usize, String)>,
    /// Places in the file of those that match.
    matching: Vec<usize>,
    /// How many of them were tried.
    tried: usize,
    names: String,
    opinions: String,
    route: Option<String>,
    subject: Option<String>,
    cause: Option<Cause>,
}

impl Decision {
    pub(super) fn about(conn: ConnId, head: &Parts) -> Self {
        Self {
            conn,
            method: head.method.to_string(),
            path: head.uri.path().escape_default().to_string(),
            misses: Vec::new(),
            matching: Vec::new(),
            tried: 0,
            names: String::new(),
            opinions: String::new(),
            route: None,
            subject: None,
            cause: None,
        }
    }

    pub(super) fn matching(&mut self, generation: &Generation, subject: &Subject<'_>) {
        for (place, route) in generation.routes.iter().enumerate() {
            match route.config.matching.miss(subject) {
                Some(miss) => self.misses.push((place, format!("{}: {miss}", route.config.name))),
                None => self.matching.push(place),
            }
        }
    }

    pub(super) fn on(&mut self, route: &Route) {
        let separator = if self.names.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(self.names, "{separator}{}", route.config.name);
        if !self.opinions.is_empty() {
            let _ = write!(self.opinions, "; then {}", route.config.name);
        }
        self.tried += 1;
    }

    pub(super) fn heard(&mut self, opinions: &[Opinion]) {
        for opinion in opinions {
            let separator = if self.opinions.is_empty() { "" } else { "; " };
            let _ = write!(self.opinions, "{separator}{opinion}");
        }
    }

    pub(super) fn made<P>(&mut self, judged: &Result<Judged<P>, Refuse>) {
        match judged {
            Ok(judged) => {
                self.route = Some(judged.route.config.name.to_string());
                let subject = judged.known.identity().and_then(|identity| identity.subject.as_deref());
                self.subject = subject.map(|subject| subject.escape_default().to_string());
            }
            Err(Refuse::Refusal(refusal)) => self.cause = Some(refusal.cause),
            Err(Refuse::Rejection { .. }) => self.cause = Some(Cause::Rejected),
            // Nobody was dialled yet.
            Err(Refuse::Upstream { .. }) => {}
        }
    }
}

/// What the plugins of a request that was let in are asked later, for the same log.
pub(super) struct Later<'a> {
    handshake: &'a Handshake,
    trace: Trace,
}

impl<'a> Later<'a> {
    /// Nothing is kept unless the log of decisions is on.
    pub(super) const fn of(handshake: &'a Handshake, wanted: bool) -> Self {
        Self { handshake, trace: Trace::new(wanted) }
    }

    /// What they say is kept here.
    pub(super) const fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// Writes what they said about a holder of its seat, or of the one opposite.
    pub(super) fn about_holder(self, holder: ConnId, complementary: bool) {
        let holder = holder.to_string();
        let (own, opposite) = if complementary { (None, Some(&*holder)) } else { (Some(&*holder), None) };
        self.write(own, opposite, None);
    }

    /// The same about the answer with this status.
    pub(super) fn about_answer(self, status: StatusCode) {
        self.write(None, None, Some(status.as_u16()));
    }

    fn write(mut self, holder: Option<&str>, opposite: Option<&str>, status: Option<u16>) {
        let Some(opinions) = self.trace.take().filter(|opinions| !opinions.is_empty()) else { return };
        let opinions: Vec<_> = opinions.iter().map(ToString::to_string).collect();
        tracing::info!(
            target: "cordboard::decision",
            conn = %self.handshake.id,
            route = &*self.handshake.route,
            holder,
            opposite,
            status,
            opinions = opinions.join("; "),
            "decided later"
        );
    }
}

impl Drop for Decision {
    /// What follows stands in the line of the session or the refusal, which has the same `conn`.
    fn drop(&mut self) {
        // Where all that match were asked in vain, those behind them failed, too.
        let in_vain = self.route.is_none() && self.tried == self.matching.len();
        let last = self.tried.checked_sub(1).and_then(|last| self.matching.get(last)).filter(|_| !in_vain);
        let misses: Vec<_> = self
            .misses
            .iter()
            .filter(|(place, _)| last.is_none_or(|last| place < last))
            .map(|(_, miss)| miss.as_str())
            .collect();
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let asked = if self.opinions.is_empty() { "nobody was asked" } else { &self.opinions };
        tracing::info!(
            target: "cordboard::decision",
            conn = %self.conn,
            method = self.method,
            path = self.path,
            route = self.route,
            subject = self.subject,
            cause = self.cause.map(Cause::label),
            misses = some(misses.join("; ")),
            tried = some(std::mem::take(&mut self.names)),
            opinions = asked,
            "decided"
        );
    }
}
