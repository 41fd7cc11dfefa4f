//! From a head to what is decided about it: which routes match, what their policies say, what follows from that. The
//! requests of clients go this way, and those that are only [asked about](super::explain).

use std::{net::SocketAddr, sync::Arc};

use http::request::Parts;
use ipnet::IpNet;

use super::{Admitted, Connection, Place, Refuse, attempt::Attempt, decision::Decision, session::LegInfo};
use crate::{
    admission::{Permit, Turned},
    error::Cause,
    generation::{Generation, Route},
    head::{
        forwarded,
        matching::Subject,
        plain, target,
        upgrade::{self, Asked, UpgradeRequest},
    },
    model::{CheckedEdit, Client, ConnId, Handshake, Mode, Refusal, Role},
    policy::{self, Known, Opinion, Ruling, Trace},
    route::{self, Plan},
};

/// Where a request came in.
pub(super) struct Origin<'a> {
    pub(super) id: ConnId,
    pub(super) peer: SocketAddr,
    pub(super) listener: &'a Arc<str>,
    pub(super) trusted_proxies: &'a [IpNet],
}

/// Who looks on, and may stop it.
pub(super) trait Onlooker {
    /// What holds a place on a route.
    type Permit;

    /// It is known who the client is.
    fn client(&mut self, client: Client);

    /// The routes are about to be matched.
    fn matching(&mut self, _: &Generation, _: &Subject<'_>) {}

    /// The request fulfils the conditions of this route, which is next.
    fn on(&mut self, route: &Route);

    /// A place on the route, before anything is spent on the request.
    fn enter(&mut self, route: &Route, upgrade: bool) -> Result<Self::Permit, Refusal>;

    /// Whether it wants to know what the policies say.
    fn listens(&self) -> bool;

    /// What those of a route said, if it does.
    fn heard(&mut self, handshake: &Handshake, opinions: &[Opinion]);
}

/// What was decided.
pub(super) struct Judged<P> {
    pub(super) handshake: Arc<Handshake>,
    pub(super) route: Arc<Route>,
    pub(super) plan: Plan,
    pub(super) edits: Vec<CheckedEdit>,
    /// What later questions are about.
    pub(super) known: Known,
    /// Who decided.
    pub(super) policy: Option<Arc<str>>,
    /// None where the request is forwarded, whatever it asks for.
    pub(super) request: Option<UpgradeRequest>,
    pub(super) permit: P,
}

/// Everything up to the plan.
pub(super) async fn judge<O: Onlooker>(
    generation: &Generation,
    origin: Origin<'_>,
    head: Parts,
    onlooker: &mut O,
) -> Result<Judged<O::Permit>, Refuse> {
    let authority = target::check_head(&head)?;
    let client = forwarded::client(origin.peer.ip(), false, &head.headers, origin.trusted_proxies);
    onlooker.client(client);
    let segments = target::segments(head.uri.path())?;
    let subject = subject(&head, &authority, &segments);
    onlooker.matching(generation, &subject);
    let routes: Vec<_> = route::matching(generation, &subject).cloned().collect();
    let first = routes.first().ok_or(Cause::NoRoute)?;
    let first_mode = first.mode();
    // What a forwarded request asks for is the service's to judge.
    let asked = upgrade::inspect(&head);
    let offers = match &asked {
        Ok(Asked::Upgrade(request)) => request.subprotocols.clone(),
        _ => Vec::new(),
    };
    let mut handshake = Arc::new(Handshake {
        id: origin.id,
        method: head.method,
        version: head.version,
        uri: head.uri,
        authority,
        segments,
        headers: head.headers,
        subprotocols: offers,
        peer: origin.peer,
        client,
        listener: Arc::clone(origin.listener),
        route: Arc::clone(&first.config.name),
    });
    let mut trace = Trace::new(onlooker.listens());
    for route in routes {
        onlooker.on(&route);
        let request = match &asked {
            _ if route.mode() == Mode::Http => None,
            Ok(Asked::Upgrade(request)) => Some(request.clone()),
            Ok(Asked::Plain) => return Err(Cause::NotAnUpgrade.into()),
            Err(refusal) => return Err(refusal.clone().into()),
        };
        if handshake.route != route.config.name {
            // No plugin keeps a handshake beyond its call, so this changes the one we have.
            if let Some(handshake) = Arc::get_mut(&mut handshake) {
                handshake.route = Arc::clone(&route.config.name);
            }
        }
        let permit = onlooker.enter(&route, request.is_some() || plain::upgrade_asked(&handshake).is_some())?;
        let ruling = policy::decide(&route.plugins, &handshake, route.mode(), &mut trace).await;
        if let Some(opinions) = trace.take() {
            onlooker.heard(&handshake, &opinions);
        }
        let Ruling { mut verdict, known } = ruling?;
        let edits = std::mem::take(&mut verdict.checked_edits);
        let policy = verdict.policy.clone();
        let plan = route::plan(generation, &route, verdict);
        let plan = plan.map_err(|refusal| Refusal { policy: policy.clone(), ..refusal })?;
        if let Some(plan) = plan {
            return Ok(Judged { handshake, route, plan, edits, known, policy, request, permit });
        }
    }
    Err(route::no_opinion(Some(first_mode)).into())
}

/// What of a request routes are matched on.
pub(super) fn subject<'a>(head: &'a Parts, authority: &'a str, segments: &'a [String]) -> Subject<'a> {
    Subject { method: &head.method, authority, segments, query: head.uri.query(), headers: &head.headers }
}

/// A request of a client: noted for the log and the counters, and let in where there is a place.
struct Received<'a> {
    attempt: &'a mut Attempt,
    /// None where nobody wants to know.
    decision: Option<Box<Decision>>,
}

impl Onlooker for Received<'_> {
    type Permit = Permit;

    fn client(&mut self, client: Client) {
        self.attempt.client = client.trusted.then_some(client.remote);
    }

    fn matching(&mut self, generation: &Generation, subject: &Subject<'_>) {
        if let Some(decision) = &mut self.decision {
            decision.matching(generation, subject);
        }
    }

    fn on(&mut self, route: &Route) {
        self.attempt.on(route);
        if let Some(decision) = &mut self.decision {
            decision.on(route);
        }
    }

    fn enter(&mut self, route: &Route, upgrade: bool) -> Result<Permit, Refusal> {
        route.gate.enter(upgrade).map_err(|Turned { cause, limit, after }| {
            let detail = match cause {
                Cause::TooManyUpgrades => format!("more than {limit} within a second (limits.upgrades_per_second)"),
                _ => format!("{limit} are here (limits.connections)"),
            };
            Refusal { retry_after: after, ..Refusal::new(cause).with_detail(detail) }
        })
    }

    fn listens(&self) -> bool {
        self.decision.is_some()
    }

    fn heard(&mut self, _: &Handshake, opinions: &[Opinion]) {
        if let Some(decision) = &mut self.decision {
            decision.heard(opinions);
        }
    }
}

/// Judges a client's request by the generation that serves.
pub(super) async fn admit(connection: &Connection, attempt: &mut Attempt, head: Parts) -> Result<Admitted, Refuse> {
    let generation = connection.board.current.load_full();
    let origin = Origin {
        id: attempt.id,
        peer: connection.peer,
        listener: &connection.listener,
        trusted_proxies: &connection.trusted_proxies,
    };
    let decision = generation.config.log.decisions.then(|| Box::new(Decision::about(attempt.id, &head)));
    let mut received = Received { attempt, decision };
    let judged = judge(&generation, origin, head, &mut received).await;
    if let Some(decision) = &mut received.decision {
        decision.made(&judged);
    }
    let judged = judged?;
    let Judged { handshake, route, plan, edits, known, policy, request, permit } = judged;
    let facts = match &plan {
        // Whoever comes later may have a plugin that asks about it.
        Plan::Pair { key, side, .. } => Some(known.facts(side.role(), key.channel.clone())),
        Plan::Dial { channel, .. } => route.asks_later().then(|| known.facts(Role::Routed, channel.clone())),
        Plan::Forward { .. } => None,
    };
    let info = LegInfo::new(&handshake, &known, &route, &plan, policy, generation.number);
    attempt.info = Some(info.clone());
    attempt.service = match &plan {
        Plan::Pair { .. } => None,
        Plan::Dial { service, .. } | Plan::Forward { service, .. } => Some(service.config.id.clone()),
    };
    let presence = attempt.presence.take().unwrap_or_else(|| Attempt::enter(&route));
    let place = Place { presence, permit, held: connection.place.clone() };
    Ok(Admitted { handshake, generation, route, plan, edits, known, info, facts, request, place })
}
