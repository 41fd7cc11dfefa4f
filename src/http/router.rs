//! A routed leg: its service is dialled before the client's 101, so that every failure is an HTTP status; then the two
//! are joined until one ends.

use std::{pin::pin, sync::Arc};

use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::{
    Admitted, Answer, Answered, Refuse, Switchboard, channel_header, leg_of,
    session::{self, LegInfo, OnLine},
};
use crate::{
    admission::Permit,
    config::Transport,
    error::Cause,
    head::{
        headers::{Changes, upstream_request},
        upgrade,
    },
    model::{ConnId, Mode, Outcome},
    relay::{self, End, Leg, Party},
    route::Plan,
    upstream::{self, Connected, Dial, DialError},
};

pub(super) async fn answer(
    board: &Arc<Switchboard>,
    admitted: Admitted,
    upgrade: OnUpgrade,
    deadline: Instant,
) -> Result<Answer, Refuse> {
    let (Plan::Dial { service, wishes, channel }, Some(asked)) = (&admitted.plan, &admitted.request) else {
        return Err(Cause::Internal.into());
    };
    let route = &admitted.route.config;
    let captured = route.matching.captures(&admitted.handshake.segments);
    let changes = Changes {
        path_and_query: wishes.path_and_query.as_deref(),
        edits: &admitted.edits,
        rewrite: Some(&route.rewrite),
        captured: captured.as_ref(),
    };
    let request = upstream_request(&admitted.handshake, &changes)?;
    let mut candidates = Vec::new();
    for endpoint in service.candidates(wishes.env_tag.as_deref(), wishes.transport.unwrap_or(Transport::Plain)) {
        candidates.push(upstream::Endpoint { address: endpoint.authority().into() });
    }
    let dial = Dial {
        request: &request,
        host: admitted.route.config.host,
        connect_timeout: wishes.connect_timeout.unwrap_or(service.config.connect_timeout),
        deadline,
        user_timeout: upstream::user_timeout(admitted.info.limits.stall),
    };
    let connected = upstream::connect(candidates, &dial).await.map_err(|error| match error {
        DialError::Answer(answer) => Refuse::Upstream { answer },
        other => other.refusal().into(),
    })?;
    let mut response = upgrade::switching_protocols(
        &asked.key,
        connected.subprotocol.as_deref(),
        &connected.extensions,
        &connected.headers,
    )
    .map(Answered::from);
    channel_header(&mut response, channel.as_str());
    let mut info = admitted.info.clone();
    info.upstream = Some(format!("{} {}", service.config.id.as_str(), connected.endpoint.address));
    let (conn, shared) = (admitted.handshake.id, Arc::clone(board));
    board.drain.spawn(async move {
        let permit = admitted.into_permit();
        joined(&shared, conn, info, upgrade, connected, permit).await;
    });
    Ok(response)
}

async fn joined(
    board: &Arc<Switchboard>,
    conn: ConnId,
    info: LegInfo,
    upgrade: OnUpgrade,
    connected: Connected,
    permit: Permit,
) {
    let extensions = !connected.extensions.is_empty();
    let limits = Arc::clone(&info.limits);
    let client = match leg_of(upgrade, conn, Party::Client, &limits).await {
        Ok(leg) => Leg { extensions, ..leg },
        Err(error) => {
            board.metrics.ended(Some(Mode::Router), Outcome::Lonely, Cause::ClientGone);
            tracing::info!(target: "cordboard::session", %conn, route = %info.route, %error, "left before its 101 was written");
            return;
        }
    };
    let service = Leg {
        id: ConnId::next(),
        stream: connected.stream,
        early: connected.early,
        end: End::Client,
        party: Party::Backend,
        limits,
        extensions,
    };
    let opened = Instant::now();
    let _line = OnLine::enter(board, conn, info, permit);
    let (handle, mailbox) = relay::mailbox();
    let mut run = pin!(relay::run_pair(client, service, mailbox, |_| {}));
    let mut drained = pin!(session::drained(board, conn, || false));
    let report = tokio::select! {
        report = &mut run => report,
        () = &mut drained => {
            handle.drain(session::close_code(board));
            run.await
        }
    };
    session::ended(board, Mode::Router, &report, opened);
}
