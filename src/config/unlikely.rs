//! What is legal and probably not meant: said as warnings, each with its place and what to do.

use std::collections::BTreeSet;

use super::{Config, Route, check::Check, tree::At};
use crate::model::{Mode, Second};

/// Looks at a configuration as a whole.
pub(super) fn warn(check: &mut Check, at: &At<'_>, config: &Config) {
    plugins(check, &at.key("plugins"), config);
    services(check, &at.key("services"), config);
    routes(check, &at.key("routes"), config);
    for (index, listener) in config.listeners.iter().enumerate() {
        if listener.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
            let at = at.key("listeners");
            let (at, hint) = (at.index(index), "name the networks of your own proxies");
            let message = "everybody is trusted: any client can claim any address in `X-Forwarded-For`";
            check.unlikely(&at.key("trusted_proxies"), message, hint);
        }
    }
}

fn plugins(check: &mut Check, at: &At<'_>, config: &Config) {
    let used: BTreeSet<&str> = config.routes.iter().flat_map(|route| &route.plugins).map(AsRef::as_ref).collect();
    for name in config.plugins.keys().filter(|name| !used.contains(&***name)) {
        let hint = "name it in the `plugins` of a route, or remove it";
        check.unlikely(&at.key(name), "no route uses this plugin", hint);
    }
}

fn services(check: &mut Check, at: &At<'_>, config: &Config) {
    // A resolver may name any service, whatever stands in its configuration.
    let resolved = config.routes.iter().any(|route| route.mode() != Mode::Rendezvous && !route.plugins.is_empty());
    let named: BTreeSet<_> = config.routes.iter().filter_map(|route| route.service()).collect();
    for (id, service) in &config.services {
        let service_at = at.key(id.as_str());
        if !resolved && !named.contains(id) {
            let hint = "name it in the `service` of a route, or remove it";
            check.unlikely(&service_at, "nobody names this service", hint);
        }
        let untagged = service.endpoints.iter().any(|endpoint| endpoint.env_tag.is_none());
        if named.contains(id) && !untagged {
            let message = "a route names this service, but asks for endpoints without an `env_tag`, and it has none";
            let hint = "add an endpoint without `env_tag`, or let a plugin name service and tag";
            check.unlikely(&service_at.key("endpoints"), message, hint);
        }
    }
}

fn routes(check: &mut Check, at: &At<'_>, config: &Config) {
    if config.routes.is_empty() {
        check.unlikely(at, "there are no routes: every request is answered with 404", "add one under `routes`");
    }
    for (index, route) in config.routes.iter().enumerate() {
        let at = at.index(index);
        let earlier = config.routes.get(..index).unwrap_or_default();
        if let Some(first) = earlier.iter().find(|first| decides_all_of(first, route)) {
            let message = format!("never used: the route `{}` before it takes all of its requests", first.name);
            check.unlikely(&at.key("match"), message, "put it before that one, or remove it");
        } else if let Some(first) = earlier.iter().find(|first| refuses_all_plain_of(first, route)) {
            let message =
                format!("plain requests never come here: the route `{}` before it answers them with 426", first.name);
            check.unlikely(&at.key("match"), message, "put it before that one");
        }
        let Some(rules) = route.rendezvous() else { continue };
        let at = at.key("rendezvous");
        for (key, rule) in [("second_client", rules.second_client), ("second_backend", rules.second_backend)] {
            if rule == Second::Replace {
                let message = "whoever knows the channel's id can take this seat, unless a plugin of this route says who \
                               is who: two without an identity count as the same";
                let hint =
                    "add a plugin that exports `authorization`, or one that rejects strangers; or leave it at `reject`";
                check.unlikely(&at.key(key), message, hint);
            }
        }
    }
}

/// Whether the first route has the last word on every request that the second one matches.
fn decides_all_of(first: &Route, second: &Route) -> bool {
    first.service().is_some() && first.matching.covers(&second.matching)
}

/// Whether no plain request comes past the first route, which is for upgrades, to the second, which is for both.
fn refuses_all_plain_of(first: &Route, second: &Route) -> bool {
    first.mode() != Mode::Http && second.mode() == Mode::Http && first.matching.covers(&second.matching)
}
