//! Pure: which routes a request matches, and what is done with a connection once the policies have spoken.

use std::sync::Arc;

use crate::{
    config::Transport,
    error::Cause,
    generation::{Generation, Route, Service},
    head::matching::Subject,
    model::{ChannelId, Mode, Refusal, RendezvousRules, Resolution, Role, Verdict},
    rendezvous::{Key, Side},
};

/// What is done with a connection.
pub enum Plan {
    /// Takes a seat and is joined with another that dialled in.
    Pair {
        /// The channel.
        key: Key,
        /// Its seat.
        side: Side,
        /// The rules of its route.
        rules: Arc<RendezvousRules>,
    },
    /// Is joined with a service that we dial.
    Dial {
        /// Whom.
        service: Arc<Service>,
        /// As the resolver put it; the route's own service has no wishes.
        wishes: Wishes,
        /// Told to the client.
        channel: ChannelId,
    },
    /// A plain request is passed to a service that we dial, and its answer back.
    Forward {
        /// Whom.
        service: Arc<Service>,
        /// As the resolver put it; the route's own service has no wishes.
        wishes: Wishes,
    },
}

/// What a resolver may say beside the service.
#[derive(Default)]
pub struct Wishes {
    /// None selects untagged endpoints.
    pub env_tag: Option<String>,
    /// Counts only where the service has both.
    pub transport: Option<Transport>,
    /// None is the request's own.
    pub path_and_query: Option<String>,
    /// None is the service's.
    pub connect_timeout: Option<std::time::Duration>,
}

/// The routes that match, top to bottom.
pub fn matching<'a>(generation: &'a Generation, subject: &Subject<'_>) -> impl Iterator<Item = &'a Arc<Route>> {
    generation.routes.iter().filter(move |route| route.config.matching.matches(subject))
}

/// What follows from a verdict; none if nobody had an opinion, then the next matching route is asked.
///
/// # Errors
/// A verdict that cannot be carried out: no channel, no service, an unknown one.
pub fn plan(generation: &Generation, route: &Route, verdict: Verdict) -> Result<Option<Plan>, Refusal> {
    match &route.rendezvous {
        Some(rules) => pair(rules, &verdict),
        None => dial(generation, route, verdict),
    }
}

fn pair(rules: &Arc<RendezvousRules>, verdict: &Verdict) -> Result<Option<Plan>, Refusal> {
    let Some(role) = &verdict.role else { return Ok(None) };
    let side = Side::try_from(role).map_err(Refusal::new)?;
    let channel = verdict.channel.clone().ok_or_else(|| Refusal::new(Cause::NoChannel))?;
    Ok(Some(Plan::Pair { key: Key::of(rules, channel), side, rules: Arc::clone(rules) }))
}

fn dial(generation: &Generation, route: &Route, verdict: Verdict) -> Result<Option<Plan>, Refusal> {
    let (id, endpoint, wishes) = match (verdict.resolution, route.config.service()) {
        (Some(resolution), _) => {
            let Resolution { service, endpoint, scheme, env_tag, path_and_query, connect_timeout } = resolution;
            let transport = scheme.map(|scheme| match scheme.as_str() {
                "wss" | "https" => Transport::Tls,
                _ => Transport::Plain,
            });
            (service, endpoint, Wishes { env_tag, transport, path_and_query, connect_timeout })
        }
        (None, Some(service)) => (service.clone(), None, Wishes::default()),
        (None, None) if verdict.role == Some(Role::Routed) => return Err(Refusal::new(Cause::NoService)),
        (None, None) => return Ok(None),
    };
    let service =
        match endpoint {
            Some(authority) => Arc::new(Service::lone(id, authority)),
            None => Arc::clone(generation.services.get(&id).ok_or_else(|| {
                Refusal::new(Cause::UnknownService).with_detail(format!("service `{}`", id.as_str()))
            })?),
        };
    if route.mode() == Mode::Http {
        return Ok(Some(Plan::Forward { service, wishes }));
    }
    let channel = verdict.channel.unwrap_or_else(ChannelId::random);
    Ok(Some(Plan::Dial { service, wishes, channel }))
}

/// The refusal when no matching route's policies had an opinion; `mode` is that of the first that matched.
#[must_use]
pub fn no_opinion(mode: Option<Mode>) -> Refusal {
    Refusal::new(match mode {
        None => Cause::NoRoute,
        Some(Mode::Rendezvous) => Cause::NoRole,
        Some(Mode::Router | Mode::Http) => Cause::NoService,
    })
}
