//! The account of what is over: counters, and the one line in the log.

use std::{
    borrow::Cow,
    error::Error,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{LegInfo, OnLine, OneLeg};
use crate::{
    drain::Cut,
    error::Cause,
    http::{hooks::Hooks, pair::Seated},
    log,
    model::{Mode, Outcome},
    policy::now_ms,
    relay::{LegReport, Party, Report},
};

/// Sessions accounted for before others have their turn.
const BATCH: usize = 64;

/// A session that is over.
pub(super) struct Over {
    pub(super) line: OnLine,
    pub(super) report: Report,
    /// On the line until the account is written.
    pub(super) guest: Option<Box<Seated>>,
}

impl Over {
    /// Whether accounting for it waits for nothing.
    pub(super) fn is_brief(&self) -> bool {
        (!self.is_logged() || log::is_queued()) && !self.has_hooks()
    }

    fn is_logged(&self) -> bool {
        self.line.board.current.load().config.log.sessions
    }

    fn has_hooks(&self) -> bool {
        let mut lines = std::iter::once(&self.line).chain(self.guest.as_deref().map(|guest| &guest.line));
        lines.any(|line| line.leg.hooks.is_some())
    }

    /// Accounts for it.
    pub(super) fn account(self) {
        let outcome = outcome(&self.line, &self.report);
        count(&self.line, &self.report, outcome);
        if self.is_logged() || self.has_hooks() {
            let cut = self.line.board.drain.is_cut().filter(|_| self.report.cut);
            tell(&self.line, &self.report, outcome, cut);
        }
    }
}

/// Accounts for what is over. There is one message for each session that lived, so their number is bounded by that.
pub(super) async fn account(mut over: UnboundedReceiver<Over>) {
    let mut batch = Vec::new();
    while over.recv_many(&mut batch, BATCH).await > 0 {
        batch.drain(..).for_each(Over::account);
    }
}

/// Accounts for a leg whose 101 could not be written.
pub(crate) fn unanswered(line: &OnLine, party: Party, error: &(dyn Error + 'static)) {
    let cut = line.board.drain.is_cut();
    tracing::debug!(conn = %line.conn, error, "a 101 could not be written");
    let report = Report {
        cause: if cut.is_some() { Cause::Draining } else { Cause::ClientGone },
        detail: Some("left before its 101 was written"),
        ended_by: cut.is_none().then_some(line.conn),
        joined: false,
        cut: cut.is_some(),
        duration: Duration::ZERO,
        legs: vec![LegReport::new(line.conn, party)],
    };
    let outcome = outcome(line, &report);
    count(line, &report, outcome);
    tell(line, &report, outcome, cut);
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts a session's end, on the line of its first leg.
fn count(line: &OnLine, report: &Report, outcome: Outcome) {
    let board = &line.board;
    board.metrics.ended(Some(&line.leg.info.terms.account), outcome, report.cause);
    for leg in &report.legs {
        board.metrics.bytes.inc_by(leg.bytes_in);
        board.metrics.messages.inc_by(leg.messages_in);
        board.metrics.holds_filled.inc_by(leg.hold_filled.into());
        board.metrics.closes_overdue.inc_by(leg.overdue.into());
    }
}

/// Tells the plugins that listen, and the log.
fn tell(line: &OnLine, report: &Report, outcome: Outcome, cut: Option<Cut>) {
    let board = &line.board;
    let known: Vec<Option<Arc<OneLeg>>> =
        report.legs.iter().map(|leg| board.sessions.legs.get(&leg.conn).map(|leg| Arc::clone(&leg))).collect();
    for (leg, own) in known.iter().zip(&report.legs) {
        if let Some(leg) = leg {
            board.sessions.crier.closed(leg, report, own);
        }
    }
    if !board.current.load().config.log.sessions {
        return;
    }
    let filters = |n: usize| {
        let hooks = known.get(n).and_then(Option::as_ref).and_then(|leg| leg.hooks.as_deref());
        hooks.map(Hooks::labels).filter(|labels| !labels.is_empty()).map(|labels| labels.join(","))
    };
    let filters = [filters(0), filters(1)];
    let known = |n: usize| known.get(n).and_then(Option::as_ref).map(|leg| &leg.info);
    let leg = |n: usize| Shown { report: report.legs.get(n), info: known(n) };
    let (first, second) = (leg(0), leg(1));
    // Whose limit it is: that of the sender, a service that was dialled having those of its route.
    let sender = report.legs.iter().position(|leg| Some(leg.conn) == report.ended_by);
    let limits = sender.and_then(known).or(known(0)).map(|info| &info.terms.limits);
    let detail = match (report.cause, limits) {
        (Cause::MessageTooBig, Some(limits)) => {
            Some(format!("a message of more than {} bytes (limits.message)", limits.message).into())
        }
        (Cause::TooManyFragments, Some(limits)) => {
            Some(format!("a message of more than {} frames (limits.fragments)", limits.fragments).into())
        }
        _ => report.detail.map(Cow::Borrowed),
    };
    let row = report.cause.row();
    macro_rules! line {
        ($level:ident) => {
            tracing::event!(
                target: "cordboard::session",
                tracing::Level::$level,
                outcome = outcome.label(),
                cause = row.label,
                detail = cut.map(Cut::why).map(Cow::Borrowed).or(detail).as_deref(),
                ended_by = report.ended_by.map(|conn| conn.to_string()),
                route = first.route(),
                channel = first.channel(),
                conn = first.conn(),
                role = first.role(),
                peer = first.peer(),
                client = first.client(),
                subject = first.subject(),
                policy = first.policy(),
                filters = filters[0].as_deref(),
                generation = first.generation(),
                close_received = first.received(),
                close_sent = first.sent(),
                bytes_in = first.bytes(),
                messages_in = first.messages(),
                partner = second.conn(),
                partner_role = second.role(),
                partner_peer = second.peer(),
                partner_route = second.route(),
                partner_generation = second.generation(),
                partner_client = second.client(),
                partner_subject = second.subject(),
                partner_policy = second.policy(),
                partner_filters = filters[1].as_deref(),
                partner_close_received = second.received(),
                partner_close_sent = second.sent(),
                partner_bytes_in = second.bytes(),
                partner_messages_in = second.messages(),
                upstream = first.upstream(),
                duration_ms = lasted(line, report),
                "session ended"
            )
        };
    }
    match row.level {
        tracing::Level::ERROR => line!(ERROR),
        tracing::Level::WARN => line!(WARN),
        _ if cut.is_some() => line!(WARN),
        _ => line!(INFO),
    }
}

/// One leg's fields; absent ones are left out of the line.
struct Shown<'a> {
    report: Option<&'a LegReport>,
    info: Option<&'a LegInfo>,
}

impl Shown<'_> {
    fn conn(&self) -> Option<String> {
        self.report.map(|leg| leg.conn.to_string())
    }

    fn route(&self) -> Option<&str> {
        self.info.map(|info| &*info.terms.route)
    }

    fn channel(&self) -> Option<String> {
        self.info.and_then(LegInfo::shown_channel)
    }

    fn role(&self) -> Option<&str> {
        self.info.and_then(LegInfo::role)
    }

    fn peer(&self) -> Option<String> {
        self.info.map(|info| info.peer().to_string())
    }

    fn client(&self) -> Option<String> {
        self.info.and_then(LegInfo::client).map(|client| client.to_string())
    }

    fn subject(&self) -> Option<String> {
        self.info.and_then(LegInfo::shown_subject)
    }

    fn policy(&self) -> Option<&str> {
        self.info.map(|info| &*info.policy).filter(|policy| !policy.is_empty())
    }

    fn generation(&self) -> Option<u64> {
        self.info.map(LegInfo::generation)
    }

    fn upstream(&self) -> Option<String> {
        let upstream = self.info?.upstream.as_ref()?;
        Some(format!("{} {}", upstream.service.id.as_str(), upstream.endpoint))
    }

    fn received(&self) -> Option<u16> {
        self.report.and_then(|leg| leg.close_received)
    }

    fn sent(&self) -> Option<u16> {
        self.report.and_then(|leg| leg.close_sent)
    }

    fn bytes(&self) -> Option<u64> {
        self.report.map(|leg| leg.bytes_in)
    }

    fn messages(&self) -> Option<u64> {
        self.report.map(|leg| leg.messages_in)
    }
}

/// Milliseconds. Of a session that panicked nobody has told how long it lasted, so the wall clock does.
fn lasted(line: &OnLine, report: &Report) -> u64 {
    if report.legs.is_empty() {
        return now_ms().saturating_sub(line.leg.opened_at.load(Ordering::Relaxed));
    }
    milliseconds(report.duration)
}

fn outcome(line: &OnLine, report: &Report) -> Outcome {
    match report.cause {
        Cause::NoPartner => Outcome::Timeout,
        Cause::Replaced | Cause::Dead => Outcome::Replaced,
        Cause::Draining | Cause::Outdated => Outcome::Drained,
        Cause::Closed
        | Cause::ClientBroken
        | Cause::BackendBroken
        | Cause::ClientGone
        | Cause::Expired
        | Cause::Revoked
            if !report.joined =>
        {
            Outcome::Lonely
        }
        Cause::Closed | Cause::Idle | Cause::Lifetime | Cause::Expired | Cause::Revoked => {
            match line.leg.info.terms.mode {
                Mode::Rendezvous => Outcome::Paired,
                Mode::Router | Mode::Http => Outcome::Routed,
            }
        }
        _ => Outcome::Error,
    }
}
