//! Whether a session may go on: asked of a plugin while the session lives.

use std::{sync::Arc, time::Duration};

use tokio::{sync::SemaphorePermit, time::sleep};

use super::{
    Facts, Failure, Plugin,
    context::Scene,
    output::one_line,
    report,
    v0_1::{Answer, Question},
};
use crate::{config::OnFailure, error::Cause, model::CloseFrame};

/// How often a plugin is asked that has no instance to spare, and how long lies between.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// Longest reason of a Close (RFC 6455 §5.5), in bytes; the rest is cut.
const REASON_BYTES: usize = 123;

/// What a plugin says of a session.
#[derive(Debug)]
pub enum Rechecked {
    /// It goes on.
    Goes,
    /// It ends, with this Close. Whether its code may be sent is the caller's to see to.
    Ends(CloseFrame),
    /// The plugin failed: the cause for which the session ends, none where it goes on all the same.
    Failed(Option<Cause>),
}

impl Plugin {
    /// Whether it exports what says whether a session may go on.
    #[must_use]
    pub const fn rechecks(&self) -> bool {
        self.answers(Question::Recheck)
    }
}

/// Asks about one session. Handshakes go first: of the instances only a part is taken for this, over all callers.
pub async fn recheck(plugin: &Arc<Plugin>, facts: &Arc<Facts>) -> Rechecked {
    let Ok(_turn): Result<SemaphorePermit<'_>, _> = plugin.rechecks.acquire().await else { return Rechecked::Goes };
    let mut failure = None;
    for _ in 0..TRIES {
        let mut scene = Scene { live: Some(facts.live(&plugin.name())), ..Scene::default() };
        match plugin.ask_about(Question::Recheck, &mut scene).await {
            Ok(answer) => {
                scene.keep(&plugin.name());
                return match answer {
                    Answer::Checked(Err(CloseFrame { code, reason })) => {
                        Rechecked::Ends(CloseFrame { code, reason: one_line(&reason, REASON_BYTES).into_owned() })
                    }
                    _ => Rechecked::Goes,
                };
            }
            Err(Failure::Busy(why)) => {
                failure = Some((Failure::Busy(why), scene));
                sleep(PAUSE).await;
            }
            Err(other) => {
                failure = Some((other, scene));
                break;
            }
        }
    }
    let Some((failure, scene)) = failure else { return Rechecked::Goes };
    report(plugin, Question::Recheck, &scene, &failure);
    Rechecked::Failed(match plugin.spec().on_failure {
        OnFailure::Open => None,
        OnFailure::Closed => Some(failure.cause()),
    })
}
