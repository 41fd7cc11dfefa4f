//! Permissions that are taken back by order: those whom it names are asked again at once, or closed.
//!
//! A handshake may be under way while its client is named. So orders are remembered, and who comes on the line looks for
//! one that came later than itself: connections are numbered in the order in which they come.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};

use super::{
    LegInfo, OneLeg, Sessions,
    recheck::{AT_ONCE, Why},
};
use crate::{
    error::Cause,
    http::{Switchboard, Watch, forward::Exchange},
    model::ConnId,
};

/// Orders that are remembered. A handshake that takes longer than so many of them may miss one.
const REMEMBERED: usize = 1024;

/// Whose permission is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Of every leg whose identity has this token.
    Token(String),
    /// Of every leg whose identity has this subject.
    Subject(String),
    /// Of this one, whatever its plugins say.
    Connection(ConnId),
}

impl Whom {
    fn is(&self, conn: ConnId, info: &LegInfo) -> bool {
        let identity = info.identity.as_ref();
        match self {
            Self::Token(token) => identity.is_some_and(|identity| identity.token_id.as_ref() == Some(token)),
            Self::Subject(subject) => identity.is_some_and(|identity| identity.subject.as_ref() == Some(subject)),
            Self::Connection(wanted) => *wanted == conn,
        }
    }

    /// For the log: escaped, because a caller has a say in it.
    fn shown(&self) -> String {
        match self {
            Self::Token(token) => format!("token {}", token.escape_default()),
            Self::Subject(subject) => format!("subject {}", subject.escape_default()),
            Self::Connection(conn) => format!("connection {conn}"),
        }
    }
}

/// What became of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Legs that it named.
    pub sessions: usize,
    /// Of them, those that were closed.
    pub closed: usize,
}

/// The latest orders, each with the number of the first connection that comes behind it.
#[derive(Default)]
pub(super) struct Orders {
    latest: AtomicU64,
    all: Mutex<VecDeque<(ConnId, Whom)>>,
}

impl Orders {
    fn all(&self) -> MutexGuard<'_, VecDeque<(ConnId, Whom)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, whom: &Whom) {
        let mut all = self.all();
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        let mark = ConnId::next();
        all.push_back((mark, whom.clone()));
        self.latest.store(mark.raw(), Ordering::SeqCst);
    }

    /// The first order that names this one, if it came later than that.
    fn naming(&self, conn: ConnId, info: &LegInfo) -> Option<Whom> {
        if self.latest.load(Ordering::SeqCst) < conn.raw() {
            return None;
        }
        let all = self.all();
        all.iter().find(|(mark, whom)| *mark > conn && whom.is(conn, info)).map(|(_, whom)| whom.clone())
    }
}

impl Sessions {
    /// Takes the permission of some legs back: their plugins are asked at once, and those are closed of whom one says no or
    /// nobody can say anything. Through when all of them were asked. Answers to plain requests are cut off: there nobody is
    /// asked again.
    pub(crate) async fn revoke(&self, whom: &Whom) -> Revoked {
        // First, so that who comes on the line meanwhile finds it.
        self.orders.keep(whom);
        let named: Vec<_> = match whom {
            Whom::Connection(conn) => self.legs.get(conn).map(|leg| (*conn, Arc::clone(&leg))).into_iter().collect(),
            _ => self
                .legs
                .iter()
                .filter(|leg| whom.is(*leg.key(), &leg.info))
                .map(|leg| (*leg.key(), Arc::clone(leg.value())))
                .collect(),
        };
        // Looked at behind that: one that ends just then leaves the map.
        let answers: Vec<_> = self.answers.iter().map(|entry| entry.value().clone()).collect();
        let answers = answers.into_iter().filter_map(|(exchange, watch)| {
            let exchange = exchange.upgrade().filter(|exchange| whom.is(exchange.conn(), exchange.info()))?;
            Some((exchange, watch.upgrade()?))
        });
        let answers: Vec<_> = answers.collect();
        let (sessions, closed) = (named.len() + answers.len(), AtomicUsize::new(answers.len()));
        tracing::info!(sessions, whom = whom.shown(), "sessions are asked again");
        for (exchange, watch) in answers {
            self.cut_off(&exchange, &watch);
        }
        stream::iter(named)
            .for_each_concurrent(AT_ONCE, |(conn, leg)| {
                let closed = &closed;
                async move {
                    if self.revoke_one(conn, &leg, whom).await {
                        closed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
            .await;
        Revoked { sessions, closed: closed.into_inner() }
    }

    fn cut_off(&self, exchange: &Arc<Exchange>, watch: &Watch) {
        self.rounds.counts.closed.inc();
        let (conn, route, why) = (exchange.conn(), &exchange.info().terms.route, Why::Order.name());
        tracing::info!(conn = %conn, route = %route, why, "an answer was cut off");
        watch.revoke(exchange);
    }

    /// A leg that is on the line by now may have been on its way when an order named it.
    pub(super) fn meets_orders(board: &Arc<Switchboard>, conn: ConnId, leg: &Arc<OneLeg>) {
        if let Some(whom) = board.sessions.orders.naming(conn, &leg.info) {
            let (board, leg) = (Arc::clone(board), Arc::clone(leg));
            board.drain.clone().spawn(async move {
                board.sessions.revoke_one(conn, &leg, &whom).await;
            });
        }
    }

    /// The same of an answer to a plain request.
    pub(super) fn answer_meets_orders(&self, exchange: &Arc<Exchange>, watch: &Watch) {
        if self.orders.naming(exchange.conn(), exchange.info()).is_some() {
            self.cut_off(exchange, watch);
        }
    }

    async fn revoke_one(&self, conn: ConnId, leg: &OneLeg, whom: &Whom) -> bool {
        let plugins = if matches!(whom, Whom::Connection(_)) { 0 } else { leg.slots().map_or(0, |slots| slots.len()) };
        for at in 0..plugins {
            if self.rounds.ask(&self.legs, conn, leg, at, Why::Order).await == Some(true) {
                return true;
            }
        }
        if plugins > 0 {
            return false;
        }
        self.rounds.counts.closed.inc();
        let why = Why::Order.name();
        tracing::info!(conn = %conn, route = %leg.info.terms.route, why, "a session was revoked");
        self.close(conn, &Cause::Revoked.into())
    }
}
