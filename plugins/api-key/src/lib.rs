//! The built-in authorizer `api-key`: clients are known by a key that they bring along.
//!
//! - The key is the value of the header field `header` (default `x-api-key`; empty: none), else of the query parameter
//!   `query` (default empty: none, because addresses end up in logs). Blank ones count as absent.
//! - `keys` lists those that are good: `id`, `sha256` (of the key, in hexadecimal: the configuration holds no secret),
//!   `subject` (default: the id), `roles` and `expires` (RFC 3339, for example `2027-06-30T12:00:00Z`). Keys should be
//!   long and random; a digest does not hide a short one.
//! - A key that is not listed or has expired → 401 with `WWW-Authenticate: ApiKey`. No key at all → 401 too, or with
//!   `missing: no-opinion` the next authorizer is asked.
//! - An open session is closed with 4401 when its key expires, and at its next re-check when its id is listed no more.
//!   Sessions that another authorizer let in are left alone.
//! - `realm` (default `api-key`) stands in the challenge and before the id in the token id (`api-key/ada-laptop`), which
//!   revocations and logs name. Where two of these policies serve a route, each needs its own.
//!
//! Digests are compared in constant time, each with all of them.
//!
//! ```yaml
//! plugins:
//!   api-key:
//!     component: builtin:api-key
//!     config:
//!       keys:
//!         - id: ada-laptop
//!           sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08   # printf %s KEY | sha256sum
//!           subject: ada
//!           roles: [operator]
//!           expires: "2027-06-30T12:00:00Z"
//! ```

// See the SDK: a rejection is an HTTP answer, made once in a refused call.
#![allow(clippy::result_large_err)]

mod config;
mod time;

use config::{Config, Key};
use cordboard_plugin_sdk::{
    Authorization, CloseFrame, Connection, Identity, Plugin, Rejection, Request, SessionAuthorization, clock, export,
    query,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The policy with its configuration.
#[derive(Debug)]
pub struct ApiKey {
    config: Config,
}

impl Plugin for ApiKey {
    const NAME: &'static str = "api-key";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl Authorization for ApiKey {
    fn authorize(&self, request: &impl Request) -> Result<Option<Identity>, Rejection> {
        let Some(presented) = self.presented(request) else {
            return if self.config.refuse_missing { Err(self.refusal("no-key")) } else { Ok(None) };
        };
        let Some(key) = self.known(&presented) else { return Err(self.refusal("unknown-key")) };
        if key.has_expired(clock::now()) {
            return Err(self.refusal("expired-key").with_reason(format!("the key {:?} has expired", key.id)));
        }
        let identity = Identity::named(&key.subject).with_roles(&key.roles).with_token_id(self.token_id(key));
        Ok(Some(match key.expires {
            Some(at) => identity.with_expiry(at),
            None => identity,
        }))
    }
}

impl SessionAuthorization for ApiKey {
    fn recheck(&self, connection: &impl Connection) -> Result<(), CloseFrame> {
        let token_id = connection.identity().and_then(|identity| identity.token_id).unwrap_or_default();
        let Some(id) = token_id.strip_prefix(self.config.realm.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
            return Ok(());
        };
        match self.config.keys.iter().find(|key| key.id == id) {
            Some(key) if !key.has_expired(clock::now()) => Ok(()),
            Some(_) => Err(CloseFrame::new(4401, "the key has expired")),
            None => Err(CloseFrame::new(4401, "the key is no longer valid")),
        }
    }
}

impl ApiKey {
    /// The key that the client brought along. One that is no text is there, but nobody's.
    fn presented(&self, request: &impl Request) -> Option<String> {
        let Config { header, query, .. } = &self.config;
        let in_header = if header.is_empty() { None } else { request.header(header) };
        let given = |key: &String| !key.trim().is_empty();
        in_header.filter(given).or_else(|| {
            let raw = if query.is_empty() { None } else { request.query() }?;
            query::values(&raw, query).map(|key| key.unwrap_or_else(|_| "\u{fffd}".to_owned())).find(given)
        })
    }

    /// The listed key with this digest. All are compared, so that the time does not tell which.
    fn known(&self, presented: &str) -> Option<&Key> {
        let digest = Sha256::digest(presented.trim().as_bytes());
        let mut known = None;
        for key in &self.config.keys {
            if bool::from(key.sha256.as_slice().ct_eq(digest.as_slice())) {
                known = Some(key);
            }
        }
        known
    }

    fn token_id(&self, key: &Key) -> String {
        format!("{}/{}", self.config.realm, key.id)
    }

    /// One answer for all reasons; the code, for logs and metrics, tells them apart.
    fn refusal(&self, code: &str) -> Rejection {
        Rejection::new(401, code)
            .with_header("www-authenticate", format!("ApiKey realm=\"{}\"", self.config.realm))
            .with_body("a valid key is needed\n")
    }
}

export!(ApiKey: Authorization, SessionAuthorization; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
