//! A routed leg: its service is dialled before the client's 101, so that every failure is an HTTP status; then the two
//! are joined until one ends.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::{
    Admitted, Answer, Answered, Refuse, Switchboard, channel_header, leg_of,
    session::{self, OnLine},
};
use crate::{
    config::Transport,
    error::Cause,
    head::{
        headers::{Changes, upstream_request},
        upgrade,
    },
    metrics::routes::State,
    model::ConnId,
    relay::{self, End, Leg, Party},
    route::Plan,
    upstream::{self, Dial, DialError},
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
    admitted.place.presence.mark().to(State::Dialing);
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
    let service = Leg {
        id: ConnId::next(),
        stream: connected.stream,
        early: connected.early,
        end: End::Client,
        party: Party::Backend,
        limits: Arc::clone(&info.limits),
        extensions: !connected.extensions.is_empty(),
    };
    let line = OnLine::enter(board, admitted.handshake.id, info, admitted.into_place());
    board.drain.spawn(joined(line, upgrade, service));
    Ok(response)
}

/// From the 101 to the end. It lives as long as the session, so it holds nothing of the handshake.
async fn joined(line: OnLine, upgrade: OnUpgrade, service: Leg) {
    let opened = Instant::now();
    let client = match leg_of(upgrade, line.conn(), Party::Client, &service.limits).await {
        Ok(leg) => Leg { extensions: service.extensions, ..leg },
        Err(error) => return session::unanswered(&line, Party::Client, opened, &error),
    };
    line.mark().to(State::Open);
    let (handle, mailbox) = relay::mailbox();
    let mark = line.mark().clone();
    let run = line.relay().run_pair(client, service, mailbox, move |_| mark.to(State::Closing));
    session::run(&line, opened, &handle, || false, run).await;
}
