//! What a plugin can be asked.

/// A question to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// What a connection is.
    Role,
    /// Who it is.
    Authorize,
    /// Which channel it is on.
    Channel,
    /// Which service is dialled.
    Service,
    /// How the request is changed on its way there.
    Rewrite,
    /// Whether who sits on the channel is joined, or replaced.
    Pair,
    /// How an answer is changed.
    Response,
    /// Which messages are to be seen.
    Open,
    /// What becomes of a message.
    Message,
    /// Whether a connection of another version is taken over.
    Migrate,
    /// Whether a session may go on.
    Recheck,
    /// Nothing: it is told what happened to a connection.
    Event,
}

impl Hook {
    /// Every question, in the order in which a connection meets them.
    pub const ALL: [Self; 12] = [
        Self::Role,
        Self::Authorize,
        Self::Channel,
        Self::Service,
        Self::Rewrite,
        Self::Pair,
        Self::Response,
        Self::Open,
        Self::Message,
        Self::Migrate,
        Self::Recheck,
        Self::Event,
    ];

    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Authorize => "authorize",
            Self::Channel => "channel",
            Self::Service => "service",
            Self::Rewrite => "rewrite",
            Self::Pair => "pair",
            Self::Response => "response",
            Self::Open => "open",
            Self::Message => "message",
            Self::Migrate => "migrate",
            Self::Recheck => "recheck",
            Self::Event => "event",
        }
    }
}
