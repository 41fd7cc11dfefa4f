//! Who comes back takes the seat that it still holds, as after a page was loaded anew.
//!
//! | key | default | is |
//! |---|---|---|
//! | `patience` | 10 | seconds for which a seat is not taken again, so that two pages do not fight |
//!
//! Who is who says an authorizer of the same route. Of anybody else the route's own rule decides.

use std::time::Duration;

use cordboard_plugin_sdk::{
    Connection, Identity, Pairing, PairingDecision, Plugin, Rejection, Request, clock,
    config::Object, export,
};

struct Policy {
    patience: Duration,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let patience = Duration::from_secs(keys.whole("patience", 0..=3600, 10)?);
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(Self { patience })
    }
}

impl Pairing for Policy {
    fn decide(
        &self,
        newcomer: &impl Request,
        holder: &impl Connection,
    ) -> Result<Option<PairingDecision>, Rejection> {
        // Asked about the one on the other side as well, whom it is to be joined with.
        let same_seat = newcomer.role() == Some(holder.role());
        let who = subject(newcomer.identity());
        if !same_seat || who.is_none() || who != subject(holder.identity()) {
            return Ok(None); // no opinion: the next plugin is asked, and last the route's rule holds
        }
        let opened = Duration::from_millis(holder.opened_at_ms());
        if clock::now().saturating_sub(opened) < self.patience {
            let seconds = self.patience.as_secs().to_string();
            return Err(Rejection::new(429, "too-soon")
                .with_body("This seat was taken a moment ago.\n")
                .with_header("retry-after", seconds));
        }
        Ok(Some(PairingDecision::Replace))
    }
}

/// None is somebody without a name: two of them are not the same.
fn subject(identity: Option<Identity>) -> Option<String> {
    identity?.subject
}

export!(Policy: Pairing);

#[cfg(test)]
mod tests;
