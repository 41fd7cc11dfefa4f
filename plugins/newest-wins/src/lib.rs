//! The built-in pairer `newest-wins`: whoever comes back takes the seat that it still holds.
//!
//! A phone that changed networks, a page that was loaded anew: the old connection looks alive for a while, and the
//! newcomer would be refused. With this policy the newcomer replaces the holder (which is closed with 4409) where both
//! have the same role and
//!
//! - `sameSubject` (default true): both are the same subject by their authorizer, or
//! - `anonymous` (default true): neither has a subject.
//!
//! In all other cases it has no opinion, so the next plugin and then the route's own rule decide. It never lets a
//! named client take an anonymous one's seat, or the reverse.
//!
//! ```yaml
//! plugins:
//!   newest-wins:
//!     component: builtin:newest-wins
//!     config: { anonymous: false }    # who has no name waits for the seat
//! ```

// See the SDK: a rejection is an HTTP answer, made once in a refused call.
#![allow(clippy::result_large_err)]

use cordboard_plugin_sdk::{
    Connection, Identity, Pairing, PairingDecision, Plugin, Rejection, Request, config::Object, export,
};

/// The policy with its configuration.
#[derive(Debug)]
pub struct NewestWins {
    same_subject: bool,
    anonymous: bool,
}

impl Plugin for NewestWins {
    const NAME: &'static str = "newest-wins";

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let same_subject = keys.take("sameSubject", true)?;
        let anonymous = keys.take("anonymous", true)?;
        keys.finish()?;
        Ok(Self { same_subject, anonymous })
    }
}

impl Pairing for NewestWins {
    fn decide(&self, request: &impl Request, holder: &impl Connection) -> Result<Option<PairingDecision>, Rejection> {
        if request.role() != Some(holder.role()) {
            return Ok(None);
        }
        let replaces = match (subject(request.identity()), subject(holder.identity())) {
            (Some(newcomer), Some(holder)) => self.same_subject && newcomer == holder,
            (None, None) => self.anonymous,
            _ => false,
        };
        Ok(replaces.then_some(PairingDecision::Replace))
    }
}

fn subject(identity: Option<Identity>) -> Option<String> {
    identity.and_then(|identity| identity.subject)
}

export!(NewestWins: Pairing; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
