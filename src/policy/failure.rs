//! What goes wrong with a plugin: while it is loaded, and in a call.

use std::{sync::Arc, time::Duration};

use crate::error::Cause;

/// Why a version was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` ({origin}): {reason}")]
pub struct LoadError {
    /// Name in the configuration.
    pub plugin: Arc<str>,
    /// Where the component came from.
    pub origin: String,
    /// What is wrong and what would be right.
    pub reason: String,
    /// The key of the plugin that is to be mended: `component`, `config` or `grants`.
    pub key: &'static str,
}

/// Why a call failed; each harms that one call only.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// All instances are busy and the queue is full.
    #[error("{0}")]
    Busy(String),
    /// The deadline passed, which this key sets.
    #[error("did not answer within {0:?} ({1})")]
    Deadline(Duration, &'static str),
    /// A trap, a broken bound, or an instance that could not be made.
    #[error("{0}")]
    Trap(String),
    /// `init` refused the configuration, which it had taken before if this happens in a call.
    #[error("`init` refused the configuration: {0}")]
    Configuration(String),
    /// An answer that breaks the contract.
    #[error("broke the contract: {0}")]
    Contract(String),
}

impl Failure {
    /// Label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Busy(_) => "busy",
            Self::Deadline(..) => "deadline",
            Self::Trap(_) | Self::Configuration(_) => "trap",
            Self::Contract(_) => "contract",
        }
    }

    /// What it means for the connection that the call was about, unless the plugin may fail.
    pub(super) const fn cause(&self) -> Cause {
        match self {
            Self::Busy(_) => Cause::PluginBusy,
            Self::Deadline(..) => Cause::PluginDeadline,
            Self::Trap(_) | Self::Configuration(_) | Self::Contract(_) => Cause::PluginFailed,
        }
    }
}
