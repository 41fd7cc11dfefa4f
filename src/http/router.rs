//! A routed leg: its service is dialled before the client's 101, so that every failure is an HTTP status; then the two
//! are joined until one ends.

use std::{sync::Arc, time::Duration};

use http::header;
use tokio::time::Instant;

use super::{
    Admitted, Answered, Freed, Refuse, Step, Switchboard, Switched, channel_header,
    hooks::{self, Hooks},
    leg_of, rewritten,
    session::{self, OnLine, Upstream},
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
    policy::filter,
    relay::{self, End, Leg, Party, Report},
    route::Plan,
    stream::Stream,
    upstream::{self, Dial, DialError},
};

pub(super) async fn answer(board: &Arc<Switchboard>, admitted: Admitted, deadline: Instant) -> Result<Step, Refuse> {
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
    let mut request = upstream_request(&admitted.handshake, &changes)?;
    let filters = hooks::open(&admitted).await?;
    if filters.as_ref().is_some_and(|filters| filters.want_any()) {
        // A compressed message cannot be read.
        request.headers_mut().remove(header::SEC_WEBSOCKET_EXTENSIONS);
    }
    let mut candidates = Vec::new();
    for endpoint in service.candidates(wishes.env_tag.as_deref(), wishes.transport.unwrap_or(Transport::Plain)) {
        candidates.push(upstream::Endpoint { address: Arc::clone(&endpoint.authority) });
    }
    let dial = Dial {
        request: &request,
        host: admitted.route.config.host,
        connect_timeout: wishes.connect_timeout.unwrap_or(service.config.connect_timeout),
        deadline,
    };
    admitted.place.presence.to(State::Dialing);
    let connected = upstream::connect(candidates, &dial).await.map_err(|error| match error {
        DialError::Answer(answer) => Refuse::Upstream { answer },
        other => other.refusal().into(),
    })?;
    // What follows may fail, or the client may leave meanwhile.
    let dialled =
        Taken { board: Arc::clone(board), limit: admitted.info.terms.limits.close, stream: Some(connected.stream) };
    let mut response = upgrade::switching_protocols(
        &asked.key,
        connected.subprotocol.as_deref(),
        &connected.extensions,
        &connected.headers,
    )
    .map(Answered::from);
    channel_header(&mut response, channel.as_str());
    rewritten(&admitted, &mut response, deadline).await?;
    let Some(stream) = dialled.keep() else { return Err(Cause::Internal.into()) };
    let mut info = admitted.info.clone();
    info.upstream =
        Some(Arc::new(Upstream { service: Arc::clone(&service.config), endpoint: connected.endpoint.address }));
    let service = Leg {
        id: ConnId::next(),
        stream,
        early: connected.early,
        end: End::Client,
        party: Party::Backend,
        limits: Arc::clone(&info.terms.limits),
        extensions: !connected.extensions.is_empty(),
        screen: filters
            .as_ref()
            .filter(|_| connected.extensions.is_empty())
            .and_then(|it| filter::screen(Some(it), None)),
    };
    let conn = admitted.handshake.id;
    let Admitted { facts, generation, route, place, .. } = admitted;
    let hooks = Hooks::of(filters, &route, generation);
    let (line, mailbox) = OnLine::enter(board, conn, info, facts, place, hooks);
    Ok(Step::Switch(
        response,
        Switched::Dial(Box::new(Dialled { line, mailbox, service, subprotocol: connected.subprotocol })),
    ))
}

/// The socket of a service that has answered, of which leave is taken if nobody keeps it.
struct Taken {
    board: Arc<Switchboard>,
    /// How long that may last.
    limit: Duration,
    stream: Option<Stream>,
}

impl Taken {
    fn keep(mut self) -> Option<Stream> {
        self.stream.take()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.board.drain.spawn(relay::leave(stream, Cause::PartnerGone, self.limit));
        }
    }
}

/// A client that gets its 101, and the service it is joined to then.
pub struct Dialled {
    line: OnLine,
    mailbox: relay::Mailbox,
    service: Leg,
    subprotocol: Option<String>,
}

impl Dialled {
    pub(super) fn go(self, freed: Freed) {
        let Self { line, mailbox, service, subprotocol } = self;
        let freed = match freed {
            Ok(freed) => freed,
            Err(error) => return session::unanswered(&line, Party::Client, &*error),
        };
        let client = leg_of(freed, line.conn(), Party::Client, &service.limits);
        line.opened(subprotocol.as_deref(), Some(service.id));
        let client = Leg { extensions: service.extensions, ..client };
        line.to(State::Open);
        let board = Arc::clone(line.board());
        board.relay.run_pair(client, service, mailbox, Box::new(Routed { line }));
    }
}

/// Whom a routed session belongs to.
struct Routed {
    line: OnLine,
}

impl relay::Owner for Routed {
    fn ending(&mut self, _: bool) {
        self.line.to(State::Closing);
    }

    fn ended(self: Box<Self>, report: Report) {
        self.line.over(report, None);
    }
}
