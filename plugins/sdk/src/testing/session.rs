//! A session that shows its messages to a filter as the host does.

use super::{TestConnection, TestInterest, TestMessage, TestRequest};
use crate::{Action, Direction, Message, MessageFiltering, OversizePolicy, Payload};

/// The host's defaults of `limits.actions` and `limits.output`.
const ACTIONS: usize = 16;
const OUTPUT: (usize, usize) = (4, 64 << 10);

/// What came of a message.
///
/// It equals the actions that were taken: `assert_eq!(session.to_client("hello"), [Action::Forward])`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The filter did not ask for it, or said that longer ones may pass: it passed as it was.
    Unseen,
    /// It was longer than wanted, and dropped.
    Dropped,
    /// It was longer than wanted, and ended the session with 1009.
    TooLarge,
    /// The filter saw it, and did this.
    Acted(Vec<Action>),
}

impl Seen {
    /// Whether it passed without a look.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        *self == Self::Unseen
    }
}

impl<const N: usize> PartialEq<[Action; N]> for Seen {
    fn eq(&self, actions: &[Action; N]) -> bool {
        matches!(self, Self::Acted(taken) if taken == actions)
    }
}

/// A connection whose messages a filter sees if it asked for them, and as long as it has not closed it.
///
/// ```
/// use cordboard_plugin_sdk::{
///     Action, Connection, Interest, Message, MessageFiltering, Plugin, config, export,
///     testing::{Session, TestRequest},
/// };
///
/// /// Two messages, then no more.
/// struct Two;
///
/// impl Plugin for Two {
///     const NAME: &'static str = "two";
///
///     fn init(config: &str) -> Result<Self, String> {
///         config::nothing(config).map(|()| Self)
///     }
/// }
///
/// impl MessageFiltering for Two {
///     fn on_message(&self, _: &impl Message, connection: &impl Connection, _: &impl Interest) -> Vec<Action> {
///         match connection.attachment().len() {
///             2 => vec![Action::close(1008, "two messages are enough")],
///             said => connection.set_attachment(&vec![0; said + 1]).map_or(vec![], |()| vec![Action::Forward]),
///         }
///     }
/// }
///
/// export!(Two: MessageFiltering);
///
/// # fn main() {
/// let mut session = Session::open(&Two, &TestRequest::upgrade("/chat"));
/// assert_eq!(session.to_backend("one"), [Action::Forward]);
/// assert_eq!(session.to_client("two"), [Action::Forward]);
/// assert_eq!(session.to_backend("three"), [Action::close(1008, "two messages are enough")]);
/// assert!(session.is_closed());
/// # }
/// ```
#[derive(Debug)]
pub struct Session<'p, P> {
    policy: &'p P,
    connection: TestConnection,
    interest: TestInterest,
    closed: bool,
}

impl<'p, P: MessageFiltering> Session<'p, P> {
    /// Opens it for a request, of which it has id, role, identity, channel and attributes.
    #[must_use]
    pub fn open(policy: &'p P, request: &TestRequest) -> Self {
        Self::open_with(policy, request, TestConnection::of(request))
    }

    /// Opens it with a connection of the test's own, for example one with a limit of its attachment.
    #[must_use]
    pub fn open_with(policy: &'p P, request: &TestRequest, connection: TestConnection) -> Self {
        let interest = TestInterest::new();
        policy.open(request, &connection, &interest);
        Self { policy, connection, interest, closed: false }
    }

    /// The connection, with what the filter keeps of it.
    #[must_use]
    pub const fn connection(&self) -> &TestConnection {
        &self.connection
    }

    /// What the filter wants to see now.
    #[must_use]
    pub const fn interest(&self) -> &TestInterest {
        &self.interest
    }

    /// Whether a message has ended it.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// A text message for the client.
    ///
    /// # Panics
    /// As [`say`](Self::say).
    #[track_caller]
    pub fn to_client(&mut self, text: &str) -> Seen {
        self.say(&TestMessage::text(Direction::ToClient, text))
    }

    /// A text message for the backend.
    ///
    /// # Panics
    /// As [`say`](Self::say).
    #[track_caller]
    pub fn to_backend(&mut self, text: &str) -> Seen {
        self.say(&TestMessage::text(Direction::ToBackend, text))
    }

    /// A message.
    ///
    /// # Panics
    /// The session is closed; or the filter did what the host counts as a failure: more than 16 actions, or more output
    /// than four times the message and 64 KiB.
    #[track_caller]
    pub fn say(&mut self, message: &TestMessage) -> Seen {
        assert!(!self.closed, "the session is closed");
        let (direction, kind, size) = (message.direction(), message.kind(), message.size());
        let wanted =
            self.interest.wanted().into_iter().find(|wanted| (wanted.direction, wanted.kind) == (direction, kind));
        let Some(wanted) = wanted else { return Seen::Unseen };
        if size > wanted.max_bytes {
            self.closed = wanted.oversize == OversizePolicy::Close;
            return match wanted.oversize {
                OversizePolicy::Pass => Seen::Unseen,
                OversizePolicy::Drop => Seen::Dropped,
                OversizePolicy::Close => Seen::TooLarge,
            };
        }
        let actions = self.policy.on_message(message, &self.connection, &self.interest);
        assert!(actions.len() <= ACTIONS, "took {} actions on one message; {ACTIONS} are the most", actions.len());
        let size = message.bytes().len();
        let made: usize = actions.iter().map(|action| made(action, size)).sum();
        let most = size * OUTPUT.0 + OUTPUT.1;
        assert!(made <= most, "made {made} bytes of {size}; {most} are the most");
        self.closed = actions.iter().any(|action| matches!(action, Action::Close(_)));
        Seen::Acted(actions)
    }
}

/// The bytes that an action passes on or sends back.
fn made(action: &Action, size: usize) -> usize {
    match action {
        Action::Forward => size,
        Action::Emit(Payload::Text(text)) | Action::Reply(Payload::Text(text)) => text.len(),
        Action::Emit(Payload::Binary(bytes)) | Action::Reply(Payload::Binary(bytes)) => bytes.len(),
        Action::Close(_) => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Connection, Interest, MessageKind, Plugin, Request};

    /// Says what the message asks for.
    struct Script;

    impl Plugin for Script {
        const NAME: &'static str = "script";

        fn init(_: &str) -> Result<Self, String> {
            Ok(Self)
        }
    }

    impl MessageFiltering for Script {
        fn open(&self, request: &impl Request, connection: &impl Connection, interest: &impl Interest) {
            assert_eq!(request.identity(), connection.identity());
            interest.messages(Direction::ToClient, MessageKind::Text, 10, OversizePolicy::Drop);
            interest.messages(Direction::ToClient, MessageKind::Binary, 10, OversizePolicy::Pass);
            interest.messages(Direction::ToBackend, MessageKind::Text, 10, OversizePolicy::Close);
        }

        fn on_message(&self, message: &impl Message, _: &impl Connection, interest: &impl Interest) -> Vec<Action> {
            match message.text().as_deref() {
                Some("no more") => {
                    interest.nothing();
                    vec![]
                }
                Some("often") => vec![Action::Forward; ACTIONS + 1],
                Some("much") => vec![Action::emit_binary(vec![0; OUTPUT.1 + 4 * OUTPUT.0 + 1])],
                _ => vec![Action::Forward],
            }
        }
    }

    fn session() -> Session<'static, Script> {
        let ada = crate::Identity::named("ada");
        Session::open(&Script, &TestRequest::upgrade("/").with_identity(ada))
    }

    #[test]
    fn a_filter_sees_what_it_asked_for_and_the_rest_goes_as_it_said() {
        let mut session = session();
        assert_eq!(session.to_client("0123456789"), [Action::Forward]);
        assert_eq!(session.to_client("0123456789a"), Seen::Dropped);
        assert!(session.say(&TestMessage::binary(Direction::ToClient, [0; 11])).is_unseen());
        assert!(session.say(&TestMessage::binary(Direction::ToBackend, [0])).is_unseen());
        assert_eq!(session.to_client("no more"), []);
        assert!(session.to_client("0123456789").is_unseen() && !session.is_closed());
    }

    #[test]
    fn a_message_that_is_too_long_may_end_the_session() {
        let mut session = session();
        assert_eq!(session.to_backend("0123456789a"), Seen::TooLarge);
        assert!(session.is_closed());
    }

    #[test]
    #[should_panic(expected = "took 17 actions on one message; 16 are the most")]
    fn more_actions_than_the_host_takes_stop_the_test() {
        session().to_client("often");
    }

    #[test]
    #[should_panic(expected = "made 65553 bytes of 4; 65552 are the most")]
    fn more_output_than_the_host_takes_stops_the_test() {
        session().to_client("much");
    }
}
