//! How an answer reads: the edits of its header that a route's plugins make before it goes out. All of them see the answer
//! as it was; their edits add up, later ones win.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::{
    Asking, Known, Plugin, Refused, answer, answered, broken,
    context::Scene,
    trace::Trace,
    v0_1::{Answer, Question},
};
use crate::{head::headers, model::CheckedEdit};

/// Tells a client the channel it is on, which is not a plugin's to say.
const CHANNEL: &str = "x-channel-id";

impl Plugin {
    /// Whether it exports what edits answers.
    #[must_use]
    pub const fn rewrites_answers(&self) -> bool {
        self.answers(Question::Response(0, &[]))
    }
}

/// Asks about an answer, and edits its header. Fields whose value is not UTF-8 are not shown, and stay unless their name is
/// edited.
///
/// # Errors
/// [`Refused`]: a plugin rejected what was to be answered, or failed and is not `on_failure: open`.
pub async fn rewrite_answer(
    plugins: &[Arc<Plugin>],
    known: &Known,
    status: StatusCode,
    headers: &mut HeaderMap,
    trace: &mut Trace,
) -> Result<(), Refused> {
    if !plugins.iter().any(|plugin| plugin.rewrites_answers()) {
        return Ok(());
    }
    let shown: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), std::str::from_utf8(value.as_bytes()).ok()?.to_owned()))
        })
        .collect();
    let mut all = Vec::new();
    let mut asking = Asking::of(trace);
    for plugin in plugins.iter().filter(|plugin| plugin.rewrites_answers()) {
        let question = Question::Response(status.as_u16(), &shown);
        let mut scene = Scene::about(&known.0);
        let said = answered(plugin, question, &mut scene, &mut asking).await?;
        let Some(Answer::Rewrite(edits)) = said else { continue };
        match answer::edits(&edits).and_then(not_the_channel) {
            Ok(checked) => all.extend(checked),
            Err(why) => broken(plugin, question, &scene, why)?,
        }
    }
    headers::apply_edits(headers, &all);
    Ok(())
}

fn not_the_channel(edits: Vec<CheckedEdit>) -> Result<Vec<CheckedEdit>, String> {
    let named = |edit: &CheckedEdit| match edit {
        CheckedEdit::Set(name, _) | CheckedEdit::Append(name, _) | CheckedEdit::Remove(name) => name == CHANNEL,
    };
    if edits.iter().any(named) {
        return Err(format!("the header {CHANNEL} is the proxy's own and may not be edited"));
    }
    Ok(edits)
}
