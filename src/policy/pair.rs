//! Who is joined with whom, where a seat is taken: asked of the newcomer's plugins about the connection that holds it. The
//! first opinion counts; without one the route's own rule does.

use std::sync::Arc;

use super::{
    Asking, Facts, Known, Plugin, Refused, answered, broken,
    context::Scene,
    trace::Trace,
    v0_1::{Answer, Question},
};
use crate::model::PairingDecision;

impl Plugin {
    /// Whether it exports what says who is joined with whom.
    #[must_use]
    pub const fn pairs(&self) -> bool {
        self.answers(Question::Pair)
    }
}

/// Asks about the holder of the newcomer's own seat, or, where `complementary`, of the one opposite.
///
/// # Errors
/// [`Refused`]: a plugin rejected the newcomer, or failed and is not `on_failure: open`.
pub async fn pair(
    plugins: &[Arc<Plugin>],
    known: &Known,
    holder: &Arc<Facts>,
    complementary: bool,
    trace: &mut Trace,
) -> Result<Option<PairingDecision>, Refused> {
    let mut asking = Asking::of(trace);
    for plugin in plugins.iter().filter(|plugin| plugin.pairs()) {
        let mut scene = Scene { live: Some(holder.live(&plugin.name())), ..Scene::about(&known.0) };
        let said = answered(plugin, Question::Pair, &mut scene, &mut asking).await?;
        let Some(Answer::Pairing(Some(decision))) = said else { continue };
        match (decision, complementary) {
            (PairingDecision::Join, true) | (PairingDecision::Replace, false) => return Ok(Some(decision)),
            (PairingDecision::Join, false) => {
                let why = "wants to join two of the same role; they may replace each other".to_owned();
                broken(plugin, Question::Pair, &scene, why)?;
            }
            (PairingDecision::Replace, true) => {
                let why = "wants to replace the holder of another role; the two may be joined".to_owned();
                broken(plugin, Question::Pair, &scene, why)?;
            }
        }
    }
    Ok(None)
}
