//! Who a connection is. Every authorizer of a route is asked: any rejection refuses, the first identity counts. One that
//! fails refuses, whatever the configuration says of failures: what cannot be asked has let nobody in.

use std::sync::Arc;

use super::{
    Asking, Refused, ask, broken,
    component::Plugin,
    context::{Call, Scene, now_ms},
    v0_1::{Answer, Question},
};
use crate::{
    error::Cause,
    model::{Identity, Refusal, Verdict},
};

/// Longest subject, in bytes.
const SUBJECT_BYTES: usize = 256;
/// Most roles.
const ROLES: usize = 64;
/// Most bytes of everything that an identity consists of.
const IDENTITY_BYTES: usize = 16 << 10;

impl Plugin {
    /// Whether it exports what says who somebody is.
    #[must_use]
    pub const fn authorizes(&self) -> bool {
        self.answers(Question::Authorize)
    }
}

/// Asks all of them.
pub(super) async fn authorize<'a>(
    plugins: &'a [Arc<Plugin>],
    call: &mut Arc<Call>,
    verdict: &mut Verdict,
    asking: &mut Asking<'a>,
) -> Result<(), Refused> {
    let mut first = None;
    for plugin in plugins {
        let Some(Answer::Identity(Some(identity))) = ask(plugin, Question::Authorize, call, asking).await? else {
            continue;
        };
        let named = bounded(&identity).and_then(|()| {
            // What does not count is looked at all the same, but leaves nothing.
            let mut next = Call::clone(call);
            next.add(&plugin.name(), identity.attributes.clone()).map(|()| next)
        });
        match named {
            Ok(next) if first.is_none() => first = Some((next, named_by(&plugin.name(), identity))),
            Ok(_) => {}
            Err(why) => broken(plugin, Question::Authorize, &Scene::about(call), why)?,
        }
    }
    let Some((next, identity)) = first else { return Ok(()) };
    if identity.expires_at_ms.is_some_and(|end| end <= now_ms()) {
        return Err(Refused::Failed(Refusal::new(Cause::Expired)));
    }
    let identity = Arc::new(identity);
    *call = Arc::new(Call { identity: Some(Arc::clone(&identity)), ..next });
    verdict.identity = Some(identity);
    Ok(())
}

/// Its attributes as others see them.
fn named_by(plugin: &str, identity: Identity) -> Identity {
    let attributes = identity.attributes.into_iter().map(|(name, value)| (format!("{plugin}/{name}"), value));
    Identity { attributes: attributes.collect(), ..identity }
}

/// Whether an identity is one that is carried through a session's life.
fn bounded(identity: &Identity) -> Result<(), String> {
    let Identity { subject, roles, token_id, attributes, expires_at_ms: _ } = identity;
    if let Some(subject) = subject
        && (subject.len() > SUBJECT_BYTES || subject.chars().any(char::is_control))
    {
        return Err(format!("named a subject of more than {SUBJECT_BYTES} bytes, or with control characters"));
    }
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let bytes = text(subject)
        + text(token_id)
        + roles.iter().map(String::len).sum::<usize>()
        + attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if roles.len() > ROLES || bytes > IDENTITY_BYTES {
        return Err(format!("named more than {ROLES} roles, or an identity of more than {IDENTITY_BYTES} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_bounds() {
        let with = |subject: String, roles: Vec<String>, token: String| Identity {
            subject: Some(subject),
            roles,
            token_id: Some(token),
            ..Identity::default()
        };
        let none = String::new;
        assert_eq!(bounded(&Identity::default()), Ok(()));
        assert_eq!(bounded(&with("x".repeat(256), vec!["r".to_owned(); 64], none())), Ok(()));
        assert_eq!(bounded(&with(none(), Vec::new(), "x".repeat(16 << 10))), Ok(()));
        assert!(bounded(&with("x".repeat(257), Vec::new(), none())).is_err());
        assert!(bounded(&with("a\nb".to_owned(), Vec::new(), none())).is_err());
        assert!(bounded(&with(none(), vec![none(); 65], none())).is_err());
        assert!(bounded(&with("x".to_owned(), Vec::new(), "x".repeat(16 << 10))).is_err());
        let attributes = vec![("n".to_owned(), "x".repeat(16 << 10))];
        assert!(bounded(&Identity { attributes, ..Identity::default() }).is_err());
    }
}
