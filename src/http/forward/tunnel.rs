//! An upgrade, to whatever protocol, on a route for plain requests: if the service answers 101 the two sockets are joined
//! byte by byte, and nothing is looked at any more.
//!
//! The connection to the service is opened for this request and never kept for another.

use std::{io, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use socket2::SockRef;
use tokio::time::sleep;

use super::{
    super::{
        Answer, Refuse, Switchboard, bare,
        body::{Answered, Upload},
        session::{LegInfo, OnLine},
    },
    Exchange, Task,
};
use crate::{
    drain::beside,
    error::Cause,
    head::plain,
    metrics::routes::State,
    model::{ConnId, PoolRules},
    relay::{
        Party,
        raw::{self, End},
    },
    stream::Stream,
    upstream::pool::Lent,
};

/// Keeps none.
const ALONE: PoolRules = PoolRules { idle: 0, idle_timeout: Duration::ZERO };

pub(super) async fn answer(
    task: &Task<'_>,
    head: Request<()>,
    info: LegInfo,
    upgrade: OnUpgrade,
) -> Result<Answer, Refuse> {
    let (mut response, lent) = task.send(&head, None, false).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return task.passed_on(response, lent, ALONE).await;
    }
    let theirs = hyper::upgrade::on(&mut response);
    let mut ours = Response::new(Answered::from(http_body_util::Full::default()));
    *ours.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *ours.headers_mut() = plain::switching(response.headers());
    task.rewritten(ours.status(), ours.headers_mut()).await?;
    task.answered(response.status(), &lent);
    let (board, conn, exchange) = (Arc::clone(&task.connection.board), task.handshake.id, Arc::clone(&task.exchange));
    task.connection.board.drain.spawn(async move {
        tunnel(&board, conn, info, &exchange, upgrade, theirs, lent).await;
    });
    Ok(ours)
}

async fn tunnel(
    board: &Arc<Switchboard>,
    conn: ConnId,
    info: LegInfo,
    exchange: &Exchange,
    ours: OnUpgrade,
    theirs: OnUpgrade,
    lent: Lent<Upload>,
) {
    let service = match theirs.await {
        Ok(upgraded) => bare(upgraded),
        Err(error) => return exchange.fail(Cause::BackendBroken, error.to_string()),
    };
    // Its task has ended with the upgrade.
    drop(lent);
    let client = match ours.await {
        Ok(upgraded) => bare(upgraded),
        Err(error) => return exchange.fail(Cause::ClientGone, error.to_string()),
    };
    let (line, _) = OnLine::enter_beside(board, conn, info);
    // Nothing is known of Closes, so there is no closing that could be waited for.
    let turn = std::pin::pin!(beside(async {
        tokio::select! {
            _ = board.drain.turn(conn.fraction()) => {}
            _ = board.drain.cut_off() => {}
        }
    }));
    let end = |(stream, early): (Stream, _)| Ok::<_, io::Error>(End { stream: stream.into_runtime()?, early });
    let (client, service) = match end(client).and_then(|client| Ok((client, end(service)?))) {
        Ok(ends) => ends,
        Err(error) => return exchange.fail(Cause::Internal, error.to_string()),
    };
    let moved = |sender, length| match sender {
        Party::Client => drop(exchange.received(length)),
        Party::Backend => exchange.sent(length),
    };
    tokio::select! {
        ended = raw::join(&client, &service, moved) => {
            if let Err((broken, error)) = ended {
                let (cause, other) = match broken {
                    Party::Client => (Cause::ClientBroken, &service),
                    Party::Backend => (Cause::BackendBroken, &client),
                };
                exchange.fail(cause, error.to_string());
                // Lest the other take it for an orderly end.
                let _ = SockRef::from(&other.stream).set_linger(Some(Duration::ZERO));
            }
        }
        cause = line.sealed() => exchange.fail(cause, ""),
        () = idle(exchange) => exchange.fail(Cause::Idle, ""),
        () = turn => exchange.fail(Cause::Draining, ""),
    }
    exchange.place().presence.to(State::Closing);
}

/// Waits until nothing has passed for `idle`.
async fn idle(exchange: &Exchange) {
    if exchange.rules.idle.is_zero() {
        return std::future::pending().await;
    }
    loop {
        let remaining = exchange.rules.idle.saturating_sub(exchange.silence());
        if remaining.is_zero() {
            return;
        }
        sleep(remaining).await;
    }
}
