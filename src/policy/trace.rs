//! What each plugin was asked and what it said, for whoever wants to know: the decision log, and an explanation.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    answer::SHOWN_BYTES,
    component::Plugin,
    failure::Failure,
    output,
    v0_1::{Answer, Question, Target},
};
use crate::model::{Edit, PairingDecision};

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// The identity of its version.
    pub version: Arc<str>,
    /// What it was asked: `role`, `authorize`, `channel`, `service`, `rewrite`.
    pub question: &'static str,
    /// What it said, in one line. Values of header fields are not repeated.
    pub answer: String,
    /// How long that took, the wait for an instance included.
    pub took: Duration,
}

impl fmt::Display for Opinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, version, question, answer, took } = self;
        write!(f, "{plugin}@{version} {question}: {answer} ({} us)", took.as_micros())
    }
}

/// Keeps opinions, or does not.
#[derive(Debug)]
pub struct Trace(Option<Vec<Opinion>>);

impl Trace {
    /// Keeps them if that is wanted.
    #[must_use]
    pub const fn new(wanted: bool) -> Self {
        Self(if wanted { Some(Vec::new()) } else { None })
    }

    /// What was kept since the last time; none if nothing is.
    pub fn take(&mut self) -> Option<Vec<Opinion>> {
        self.0.as_mut().map(std::mem::take)
    }

    /// When a question is asked; the clock is not looked at for nobody.
    pub(super) fn asking(&self) -> Option<Instant> {
        self.0.is_some().then(Instant::now)
    }

    /// Keeps what was said to a question that was asked then.
    pub(super) fn note(
        &mut self,
        plugin: &Plugin,
        question: Question<'_>,
        said: &Result<Answer, Failure>,
        asked: Option<Instant>,
    ) {
        let Some((opinions, asked)) = self.0.as_mut().zip(asked) else { return };
        opinions.push(Opinion {
            plugin: plugin.name(),
            version: Arc::clone(plugin.identity()),
            question: question.hook().name(),
            answer: output::one_line(&shown(said), SHOWN_BYTES).into_owned(),
            took: asked.elapsed(),
        });
    }
}

fn shown(said: &Result<Answer, Failure>) -> String {
    match said {
        Err(failure) => format!("failed: {failure}"),
        Ok(Answer::Rejected(rejection)) => {
            let why = if rejection.log_reason.is_empty() { "" } else { ": " };
            format!("rejected with {} {}{why}{}", rejection.status, rejection.code, rejection.log_reason)
        }
        Ok(Answer::Role(Some(role))) => role.name().to_owned(),
        Ok(Answer::Channel(Some((id, _)))) => id.clone(),
        Ok(Answer::Service(Some((Target::Service(wanted) | Target::Endpoint(wanted), _)))) => {
            let more = [
                wanted.scheme.as_ref().map(|scheme| format!("scheme {scheme}")),
                wanted.env_tag.as_ref().map(|tag| format!("tag {tag}")),
                wanted.path_and_query.as_ref().map(|path| format!("path {path}")),
                wanted.connect_timeout.map(|timeout| format!("connect timeout {timeout:?}")),
            ];
            let more: Vec<_> = more.into_iter().flatten().collect();
            if more.is_empty() { wanted.id.clone() } else { format!("{} ({})", wanted.id, more.join(", ")) }
        }
        Ok(Answer::Rewrite(edits)) if !edits.is_empty() => {
            let edit = |edit: &Edit| match edit {
                Edit::Set(name, _) => format!("sets {name}"),
                Edit::Append(name, _) => format!("adds {name}"),
                Edit::Remove(name) => format!("removes {name}"),
            };
            edits.iter().map(edit).collect::<Vec<_>>().join(", ")
        }
        Ok(Answer::Identity(Some(identity))) => match &identity.subject {
            Some(subject) => subject.clone(),
            None => "anonymous".to_owned(),
        },
        Ok(Answer::Pairing(Some(PairingDecision::Join))) => "join".to_owned(),
        Ok(Answer::Pairing(Some(PairingDecision::Replace))) => "replace".to_owned(),
        Ok(_) => "no opinion".to_owned(),
    }
}
