//! What a policy implements: [`Plugin`], and a trait for each decision that it takes.
//!
//! Where silence is harmless it is the default: no opinion, no edits. What would let somebody in or a message through
//! because it was forgotten has none: `authorize`, `recheck`, `on_message`.

use crate::{
    Action, Channel, CloseFrame, Connection, Direction, Edit, Event, Identity, Interest, Message, MessageKind,
    OversizePolicy, PairingDecision, Rejection, Request, Resolution, Role,
};

/// The longest message that a filter sees which does not say itself what it wants.
const MESSAGE_BYTES: u32 = 65_536;

/// What every policy has.
///
/// ```
/// use cordboard_plugin_sdk::{Plugin, config::Object};
///
/// struct Rooms {
///     prefix: String,
/// }
///
/// impl Plugin for Rooms {
///     const NAME: &'static str = env!("CARGO_PKG_NAME");
///
///     fn init(config: &str) -> Result<Self, String> {
///         let mut keys = Object::parse(config)?;
///         let prefix = keys.text("prefix", "/room")?;
///         keys.finish()?;
///         Ok(Self { prefix })
///     }
/// }
///
/// assert_eq!(Rooms::init("{}").unwrap().prefix, "/room");
/// assert_eq!(Rooms::init(r#"{"prefix": 7}"#).err().unwrap(), "prefix must be a text");
/// assert_eq!(Rooms::init(r#"{"prefx": ""}"#).err().unwrap(), "unknown key \"prefx\"; the keys are prefix");
/// ```
pub trait Plugin: Sized + 'static {
    /// The policy's own name. The operator may load it under another.
    const NAME: &'static str;

    /// Makes the policy from its configuration, a JSON text (`{}` where there is none); see [`crate::config`]. Called
    /// once in every fresh instance, before anything else.
    ///
    /// # Errors
    /// The text is shown to the operator and refuses the new version; the running one stays.
    fn init(config: &str) -> Result<Self, String>;
}

/// Decides what a connection is on its route.
///
/// ```
/// # use cordboard_plugin_sdk::{Plugin, Rejection, Request, Role, RoleDetection, export, testing::TestRequest};
/// # struct Agents;
/// # impl Plugin for Agents {
/// #     const NAME: &'static str = "agents";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl RoleDetection for Agents {
///     fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection> {
///         match request.query_param("as").as_deref() {
///             Some("agent") => Ok(Some(Role::Backend)),
///             Some(_) => Err(Rejection::new(403, "unknown-role").with_body("There is no such role.\n")),
///             None => Ok(None), // no opinion: the next plugin of the route is asked
///         }
///     }
/// }
/// # fn main() {
/// assert_eq!(Agents.detect_role(&TestRequest::upgrade("/chat?as=agent")), Ok(Some(Role::Backend)));
/// assert_eq!(Agents.detect_role(&TestRequest::upgrade("/chat?as=king")).unwrap_err().status, 403);
/// # }
/// # export!(Agents: RoleDetection);
/// ```
pub trait RoleDetection: Plugin {
    /// The role, or none for "no opinion", which is the default.
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection> {
        let _ = request;
        Ok(None)
    }
}

/// Decides who a client is and whether it may in. Unlike in other decisions, every authorizer of the route is asked.
///
/// ```
/// # use cordboard_plugin_sdk::{Authorization, Identity, Plugin, Rejection, Request, export, testing::TestRequest};
/// # struct Keys;
/// # impl Plugin for Keys {
/// #     const NAME: &'static str = "keys";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl Authorization for Keys {
///     fn authorize(&self, request: &impl Request) -> Result<Option<Identity>, Rejection> {
///         match request.bearer_token().as_deref() {
///             Some("open-sesame") => Ok(Some(Identity::named("ali-baba").with_roles(["guest"]))),
///             Some(_) => Err(Rejection::new(403, "unknown-key")),
///             None => Err(Rejection::new(401, "no-key").with_header("www-authenticate", "Bearer")),
///         }
///     }
/// }
/// # fn main() {
/// let request = TestRequest::upgrade("/chat").with_header("authorization", "Bearer open-sesame");
/// assert!(Keys.authorize(&request).unwrap().unwrap().has_role("guest"));
/// assert_eq!(Keys.authorize(&TestRequest::upgrade("/chat")).unwrap_err().code, "no-key");
/// # }
/// # export!(Keys: Authorization);
/// ```
pub trait Authorization: Plugin {
    /// Who it is, or none for "no opinion". The first identity of the route's authorizers counts. Where none has an
    /// opinion the client is let in without an identity, so this has no default.
    ///
    /// # Errors
    /// A rejection refuses the upgrade, whatever the others say.
    fn authorize(&self, request: &impl Request) -> Result<Option<Identity>, Rejection>;
}

/// Decides whether an open session may go on: on an interval, on revocation, and after a reload where the
/// configuration asks for it.
///
/// ```
/// # use cordboard_plugin_sdk::{CloseFrame, Connection, Identity, Plugin, SessionAuthorization, export};
/// # use cordboard_plugin_sdk::testing::TestConnection;
/// # struct Guests { banned: Vec<String> }
/// # impl Plugin for Guests {
/// #     const NAME: &'static str = "guests";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self { banned: vec![] }) }
/// # }
/// impl SessionAuthorization for Guests {
///     fn recheck(&self, connection: &impl Connection) -> Result<(), CloseFrame> {
///         match connection.identity().and_then(|identity| identity.subject) {
///             Some(subject) if self.banned.contains(&subject) => Err(CloseFrame::new(4401, "banned")),
///             _ => Ok(()),
///         }
///     }
/// }
/// # fn main() {
/// let guests = Guests { banned: vec!["mallory".to_owned()] };
/// let connection = TestConnection::new().with_identity(Identity::named("mallory"));
/// assert_eq!(guests.recheck(&connection).unwrap_err().code, 4401);
/// # }
/// # export!(Guests: SessionAuthorization);
/// ```
pub trait SessionAuthorization: Plugin {
    /// Asked about a connection that some authorizer let in.
    ///
    /// # Errors
    /// The close frame ends the session; 4401 is the code for an identity that no longer holds.
    fn recheck(&self, connection: &impl Connection) -> Result<(), CloseFrame>;
}

/// Decides which channel a connection belongs to.
///
/// ```
/// # use cordboard_plugin_sdk::{Channel, ChannelExtraction, Plugin, Rejection, Request, export, testing::TestRequest};
/// # struct Rooms;
/// # impl Plugin for Rooms {
/// #     const NAME: &'static str = "rooms";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl ChannelExtraction for Rooms {
///     fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
///         let Some(room) = request.query_param("room") else { return Ok(None) };
///         let channel = Channel::new(room);
///         channel.map(Some).map_err(|why| Rejection::new(400, "bad-room").with_body(format!("The room {why}.\n")))
///     }
/// }
/// # fn main() {
/// let channel = Rooms.extract_channel(&TestRequest::upgrade("/chat?room=blue%20one")).unwrap().unwrap();
/// assert_eq!(channel.id, "blue one");
/// let rejection = Rooms.extract_channel(&TestRequest::upgrade("/chat?room=")).unwrap_err();
/// assert_eq!(rejection.body.as_deref(), Some("The room is empty.\n"));
/// # }
/// # export!(Rooms: ChannelExtraction);
/// ```
pub trait ChannelExtraction: Plugin {
    /// The channel, or none for "no opinion", which is the default.
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection> {
        let _ = request;
        Ok(None)
    }
}

/// Decides what a routed connection is joined to.
///
/// ```
/// # use cordboard_plugin_sdk::{Plugin, Rejection, Request, Resolution, ServiceRef, ServiceResolution, export};
/// # use cordboard_plugin_sdk::{Identity, testing::TestRequest};
/// # struct Canary;
/// # impl Plugin for Canary {
/// #     const NAME: &'static str = "canary";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl ServiceResolution for Canary {
///     fn resolve(&self, request: &impl Request) -> Result<Option<Resolution>, Rejection> {
///         let tests = request.identity().is_some_and(|identity| identity.has_role("tester"));
///         let service = ServiceRef::new("chat");
///         Ok(Some(if tests { service.with_env_tag("canary") } else { service }.into()))
///     }
/// }
/// # fn main() {
/// let request = TestRequest::upgrade("/ws").with_identity(Identity::named("ada").with_roles(["tester"]));
/// let canary = ServiceRef::new("chat").with_env_tag("canary").into();
/// assert_eq!(Canary.resolve(&request), Ok(Some(canary)));
/// assert_eq!(Canary.resolve(&TestRequest::upgrade("/ws")), Ok(Some(Resolution::service("chat"))));
/// # }
/// # export!(Canary: ServiceResolution);
/// ```
pub trait ServiceResolution: Plugin {
    /// The target, or none for "no opinion", which is the default.
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn resolve(&self, request: &impl Request) -> Result<Option<Resolution>, Rejection> {
        let _ = request;
        Ok(None)
    }
}

/// Decides what happens when a seat of the channel is already taken.
///
/// ```
/// # use cordboard_plugin_sdk::{Connection, Pairing, PairingDecision, Plugin, Rejection, Request, export};
/// # use cordboard_plugin_sdk::{Identity, Role, testing::{TestConnection, TestRequest}};
/// # struct Returning;
/// # impl Plugin for Returning {
/// #     const NAME: &'static str = "returning";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// /// Whoever comes back takes the seat that it still holds.
/// impl Pairing for Returning {
///     fn decide(&self, newcomer: &impl Request, holder: &impl Connection) -> Result<Option<PairingDecision>, Rejection> {
///         let same_role = newcomer.role() == Some(holder.role());
///         let same_one = newcomer.identity().is_some() && newcomer.identity() == holder.identity();
///         Ok((same_role && same_one).then_some(PairingDecision::Replace))
///     }
/// }
/// # fn main() {
/// let ada = TestRequest::upgrade("/chat").with_role(Role::Client).with_identity(Identity::named("ada"));
/// let holder = TestConnection::new().with_identity(Identity::named("ada"));
/// assert_eq!(Returning.decide(&ada, &holder), Ok(Some(PairingDecision::Replace)));
/// assert_eq!(Returning.decide(&ada, &TestConnection::new()), Ok(None));
/// # }
/// # export!(Returning: Pairing);
/// ```
pub trait Pairing: Plugin {
    /// The decision, or none for "no opinion", which is the default. The request is the newcomer's; the connection
    /// holds the seat.
    ///
    /// # Errors
    /// A rejection refuses the newcomer.
    fn decide(&self, request: &impl Request, holder: &impl Connection) -> Result<Option<PairingDecision>, Rejection> {
        let _ = (request, holder);
        Ok(None)
    }
}

/// Changes the header fields that go upstream.
///
/// ```
/// # use cordboard_plugin_sdk::{Edit, Identity, Plugin, Rejection, Request, RequestRewriting, export};
/// # use cordboard_plugin_sdk::testing::TestRequest;
/// # struct Introduce;
/// # impl Plugin for Introduce {
/// #     const NAME: &'static str = "introduce";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl RequestRewriting for Introduce {
///     fn rewrite_request(&self, request: &impl Request) -> Result<Vec<Edit>, Rejection> {
///         let subject = request.identity().and_then(|identity| identity.subject);
///         // Removed where nobody is known, so that no client names itself.
///         Ok(vec![Edit::remove("cookie"), subject.map_or(Edit::remove("x-user"), |who| Edit::set("x-user", who))])
///     }
/// }
/// # fn main() {
/// let request = TestRequest::upgrade("/ws").with_identity(Identity::named("ada"));
/// assert_eq!(Introduce.rewrite_request(&request), Ok(vec![Edit::remove("cookie"), Edit::set("x-user", "ada")]));
/// # }
/// # export!(Introduce: RequestRewriting);
/// ```
pub trait RequestRewriting: Plugin {
    /// The changes, in order; none by default. Those of later plugins win.
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn rewrite_request(&self, request: &impl Request) -> Result<Vec<Edit>, Rejection> {
        let _ = request;
        Ok(Vec::new())
    }
}

/// Changes the header fields of the answer to an upgrade, and of what a service answers to a plain request.
///
/// ```
/// # use cordboard_plugin_sdk::{Edit, Plugin, Rejection, Request, ResponseRewriting, export, testing::TestRequest};
/// # struct Discreet;
/// # impl Plugin for Discreet {
/// #     const NAME: &'static str = "discreet";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl ResponseRewriting for Discreet {
///     fn rewrite_response(
///         &self,
///         _: &impl Request,
///         status: u16,
///         headers: &[(String, String)],
///     ) -> Result<Vec<Edit>, Rejection> {
///         if status >= 500 {
///             return Err(Rejection::new(503, "service-error").with_header("retry-after", "30"));
///         }
///         let told = headers.iter().filter(|(name, _)| name.starts_with("x-debug-"));
///         Ok(told.map(|(name, _)| Edit::remove(name)).collect())
///     }
/// }
/// # fn main() {
/// let (request, headers) = (TestRequest::upgrade("/ws"), [("x-debug-host".to_owned(), "db7".to_owned())]);
/// assert_eq!(Discreet.rewrite_response(&request, 101, &headers), Ok(vec![Edit::remove("x-debug-host")]));
/// assert_eq!(Discreet.rewrite_response(&request, 500, &[]).unwrap_err().status, 503);
/// # }
/// # export!(Discreet: ResponseRewriting);
/// ```
pub trait ResponseRewriting: Plugin {
    /// The changes, in order; none by default. Those of later plugins win. Status and header fields are the answer's as
    /// it came.
    ///
    /// # Errors
    /// A rejection is sent in the answer's place.
    fn rewrite_response(
        &self,
        request: &impl Request,
        status: u16,
        headers: &[(String, String)],
    ) -> Result<Vec<Edit>, Rejection> {
        let _ = (request, status, headers);
        Ok(Vec::new())
    }
}

/// Decides what becomes of each message.
///
/// Messages of one direction come in order, one after the other.
///
/// ```
/// # use cordboard_plugin_sdk::{Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind};
/// # use cordboard_plugin_sdk::{OversizePolicy, Plugin, Request, export, testing::{Session, TestRequest}};
/// # struct Polite;
/// # impl Plugin for Polite {
/// #     const NAME: &'static str = "polite";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl MessageFiltering for Polite {
///     fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
///         interest.messages(Direction::ToClient, MessageKind::Text, 1024, OversizePolicy::Pass);
///     }
///
///     fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
///         match message.text() {
///             Some(text) if text.contains("damn") => vec![Action::emit_text(text.replace("damn", "d***"))],
///             _ => vec![Action::Forward],
///         }
///     }
/// }
/// # fn main() {
/// let mut session = Session::open(&Polite, &TestRequest::upgrade("/chat"));
/// assert_eq!(session.to_client("damn it"), [Action::emit_text("d*** it")]);
/// assert!(session.to_backend("damn it").is_unseen());
/// # }
/// # export!(Polite: MessageFiltering);
/// ```
pub trait MessageFiltering: Plugin {
    /// Says which messages are wanted, before the handshake ends. Only here there is a request to look at; what
    /// messages need of it goes into the connection's attachment.
    ///
    /// By default all of them up to 64 KiB, and longer ones end the session: what a filter has not seen goes nowhere. A
    /// filter that says what it needs costs less, for the rest passes untouched.
    fn open(&self, request: &impl Request, connection: &impl Connection, interest: &impl Interest) {
        let _ = (request, connection);
        for direction in Direction::ALL {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                interest.messages(direction, kind, MESSAGE_BYTES, OversizePolicy::Close);
            }
        }
    }

    /// What becomes of a message, in order; an empty list drops it. `vec![Action::Forward]` passes it on as it is.
    fn on_message(&self, message: &impl Message, connection: &impl Connection, interest: &impl Interest)
    -> Vec<Action>;
}

/// Takes over connections that were opened under another version of the policy.
///
/// ```
/// # use cordboard_plugin_sdk::{Action, Connection, FilterMigration, Interest, Message, MessageFiltering, Plugin};
/// # use cordboard_plugin_sdk::{export, testing::TestConnection};
/// # struct Count;
/// # impl Plugin for Count {
/// #     const NAME: &'static str = "count";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// # impl MessageFiltering for Count {
/// #     fn on_message(&self, _: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> { vec![] }
/// # }
/// /// This version keeps eight bytes; the one before kept one.
/// impl FilterMigration for Count {
///     fn migrate(&self, connection: &impl Connection, _: &str) -> Result<(), String> {
///         match *connection.attachment() {
///             [] => Ok(()),
///             [count] => connection.set_attachment(&u64::from(count).to_le_bytes()),
///             ref kept if kept.len() == 8 => Ok(()),
///             _ => Err("what was kept is of no version that is known".to_owned()),
///         }
///     }
/// }
/// # fn main() {
/// let connection = TestConnection::new().with_attachment([7]);
/// assert_eq!(Count.migrate(&connection, "count@0123456789ab"), Ok(()));
/// assert_eq!(connection.attachment(), 7u64.to_le_bytes());
/// # }
/// # export!(Count: MessageFiltering, FilterMigration);
/// ```
pub trait FilterMigration: Plugin {
    /// Carries the connection's attachment over, or resets it. By default it stays as it is.
    ///
    /// # Errors
    /// The connection stays with its old version; the text is logged.
    fn migrate(&self, connection: &impl Connection, from_version: &str) -> Result<(), String> {
        let _ = (connection, from_version);
        Ok(())
    }
}

/// Is told of what happens to connections.
///
/// ```
/// # use cordboard_plugin_sdk::{Connection, Event, Lifecycle, Plugin, export, log, testing::{self, TestConnection}};
/// # struct Broken;
/// # impl Plugin for Broken {
/// #     const NAME: &'static str = "broken";
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Self) }
/// # }
/// impl Lifecycle for Broken {
///     fn on_event(&self, connection: &impl Connection, event: &Event) {
///         if event.name == "closed" && event.attribute("code") == Some("1006") {
///             log::warn!("lost after {} ms", event.at_ms.saturating_sub(connection.opened_at_ms()));
///         }
///     }
/// }
/// # fn main() {
/// let connection = TestConnection::new().with_opened_at_ms(1_000);
/// Broken.on_event(&connection, &Event::new("paired", 1_500));
/// Broken.on_event(&connection, &Event::new("closed", 4_500).with_attribute("code", "1006"));
/// assert_eq!(testing::take_log(), ["warn lost after 3500 ms"]);
/// # }
/// # export!(Broken: Lifecycle);
/// ```
pub trait Lifecycle: Plugin {
    /// Something happened. Names are an open set: ignore those that you do not know. By default all are.
    fn on_event(&self, connection: &impl Connection, event: &Event) {
        let _ = (connection, event);
    }
}
