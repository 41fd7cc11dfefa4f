//! Two that are joined in either mode, one of whom is about to be rude, and the account of how that went.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, sync::Mutex};

use super::{
    Proxy, soon,
    upstream::Upstream,
    wire::{CLOSE, Frame, PING, PONG, TEXT, Wire, bare, close, masked},
};

/// How the two are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Rendezvous,
    Router,
}

/// One of the two: the one that asked, or the one that serves (a backend that dials in, or a service that is dialled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Client,
    Backend,
}

/// Every place in which somebody can be rude.
pub const EVERYWHERE: [(Mode, Who); 4] = [
    (Mode::Rendezvous, Who::Client),
    (Mode::Rendezvous, Who::Backend),
    (Mode::Router, Who::Client),
    (Mode::Router, Who::Backend),
];

/// Plays a scene in every place at once.
pub async fn everywhere(scene: impl AsyncFn((Mode, Who))) {
    join_all(EVERYWHERE.iter().map(|place| scene(*place))).await;
}

impl Who {
    /// The code that the other leg gets when this one breaks or breaks a rule.
    pub const fn broken(self) -> u16 {
        match self {
            Self::Client => 1001,
            Self::Backend => 1011,
        }
    }

    /// What that is called.
    pub const fn broken_cause(self) -> &'static str {
        match self {
            Self::Client => "client-broken",
            Self::Backend => "backend-broken",
        }
    }
}

/// One end of a pair, with its place.
pub struct Leg {
    pub wire: Wire,
    pub mode: Mode,
    pub who: Who,
}

impl Deref for Leg {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Leg {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl Leg {
    /// Whether it must mask its frames: everybody that dialled in.
    pub fn masks(&self) -> bool {
        (self.mode, self.who) != (Mode::Router, Who::Backend)
    }

    /// A frame as this leg sends it.
    pub fn frame_of(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        if self.masks() { masked(first, payload) } else { bare(first, payload) }
    }

    pub async fn say(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame_of(first, payload);
        self.write(&frame).await;
    }

    /// The next frame that is no Ping; Pings are answered. None at the end.
    pub async fn hear(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.first != PING {
                return Some(frame);
            }
            self.say(PONG, &frame.payload).await;
        }
    }

    /// The next frame but for Pings must be this one.
    pub async fn hears(&mut self, first: u8, payload: &[u8]) {
        let frame = self.hear().await.expect("a frame and not the end");
        assert_eq!((frame.first, &*frame.payload), (first, payload), "{:?}", String::from_utf8_lossy(&frame.payload));
    }

    /// Code and reason of the Close that must come next but for Pings; none if it has no code.
    pub async fn hears_close(&mut self) -> Option<(u16, String)> {
        let Frame { first, payload, .. } = self.hear().await.expect("a Close and not the end");
        assert_eq!(first, CLOSE, "a Close was expected and {} bytes came", payload.len());
        let (code, reason) = payload.split_first_chunk::<2>()?;
        Some((u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap()))
    }

    /// The same, of which only the code is of interest.
    pub async fn hears_code(&mut self) -> Option<u16> {
        self.hears_close().await.map(|(code, _)| code)
    }

    /// Both Closes have passed: the end of TCP comes, which a service that was dialled makes itself (RFC 6455 §7.1.1).
    pub async fn parts(&mut self) {
        if !self.masks() {
            let _ = self.wire.stream.shutdown().await;
        }
        self.expect_end().await;
    }

    /// Answers a Close, and parts.
    pub async fn leaves(&mut self, code: u16) {
        self.say(CLOSE, &close(code, "")).await;
        self.parts().await;
    }
}

/// A proxy with a route of each mode, on which nobody meets anybody but who is meant to.
pub struct Board {
    pub proxy: Proxy,
    /// One dials at a time, so that it is known who was dialled for whom.
    upstream: Mutex<Upstream>,
    ids: Cell<u32>,
    tasks: f64,
    /// Sessions that have ended, by cause.
    ended: RefCell<BTreeMap<String, u32>>,
}

impl Board {
    /// With these limits, the inside of a YAML flow map.
    pub async fn with(limits: &str) -> Self {
        Self::with_rendezvous("", limits).await
    }

    /// With settings of the rendezvous route too.
    pub async fn with_rendezvous(rendezvous: &str, limits: &str) -> Self {
        let upstream = Upstream::bind().await;
        let proxy = Proxy::with(&format!(
            "log: {{format: json}}
plugins: {{rendezvous: {{component: 'builtin:rendezvous'}}}}
routes:
  - name: chat
    match: {{path: /chat}}
    mode: rendezvous
    plugins: [rendezvous]
    rendezvous: {{{rendezvous}}}
    limits: &limits {{{limits}}}
  - {{name: ws, match: {{path: /ws}}, mode: router, service: talk, limits: *limits}}
services: {{talk: {{endpoints: ['ws://{}']}}}}
",
            upstream.address
        ));
        // A look at the gauge is itself a connection, and the one before it may not be gone.
        let tasks = (0..10).map(|_| proxy.metric("cordboard_tasks")).fold(f64::INFINITY, f64::min);
        Self { proxy, upstream: Mutex::new(upstream), ids: Cell::new(0), tasks, ended: RefCell::default() }
    }

    /// A channel id that nobody has used.
    pub fn fresh_id(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("channel-{}", self.ids.get())
    }

    /// A rendezvous leg of this channel, right after its 101.
    pub async fn dials_in(&self, who: Who, id: &str) -> Leg {
        let path = match who {
            Who::Client => format!("/chat?channelId={id}"),
            Who::Backend => format!("/chat/connect?channelId={id}"),
        };
        Leg { wire: Wire::open(self.proxy.address, &path).await, mode: Mode::Rendezvous, who }
    }

    /// A client and a service that are joined.
    async fn routed(&self) -> (Leg, Leg) {
        let upstream = self.upstream.lock().await;
        let (client, dialled) = tokio::join!(Wire::open(self.proxy.address, "/ws"), async {
            let mut dialled = upstream.accept().await;
            dialled.switch("", b"").await;
            dialled
        });
        let leg = |wire, who| Leg { wire, mode: Mode::Router, who };
        (leg(client, Who::Client), leg(dialled, Who::Backend))
    }

    /// Two that have talked once in each direction: they are joined for certain, and nothing else is on its way.
    pub async fn pair(&self, mode: Mode, id: &str) -> (Leg, Leg) {
        let (mut client, mut backend) = match mode {
            Mode::Rendezvous => (self.dials_in(Who::Client, id).await, self.dials_in(Who::Backend, id).await),
            Mode::Router => self.routed().await,
        };
        client.say(TEXT, b"there").await;
        backend.hears(TEXT, b"there").await;
        backend.say(TEXT, b"back").await;
        client.hears(TEXT, b"back").await;
        (client, backend)
    }

    /// A pair of which one is about to be rude.
    pub async fn call(&self, (mode, who): (Mode, Who)) -> Call<'_> {
        let id = self.fresh_id();
        let (client, backend) = self.pair(mode, &id).await;
        let (rude, other) = if who == Who::Client { (client, backend) } else { (backend, client) };
        let client = if who == Who::Client { &rude } else { &other };
        let peer = client.stream.local_addr().unwrap().to_string();
        Call { record: Record { board: self, id, peer, mode, rude: who }, rude, other }
    }

    /// Notes that a session has ended by this cause.
    pub fn expect_end(&self, cause: &str) {
        *self.ended.borrow_mut().entry(cause.to_owned()).or_default() += 1;
    }

    /// What the metrics say of the ends of sessions.
    fn causes(&self) -> BTreeMap<String, u32> {
        let page = self.proxy.get("/metrics");
        let lines = page.lines().filter_map(|line| line.strip_prefix("cordboard_causes_total{cause=\""));
        lines
            .filter_map(|line| line.split_once("\"} "))
            .map(|(cause, n)| (cause.to_owned(), n.parse().unwrap()))
            .collect()
    }

    /// The line of the session in which the leg with this address of its own was.
    pub async fn line_of(&self, peer: &str) -> Value {
        soon(&format!("the line of the session with {peer}"), async || {
            let lines = self.proxy.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
            lines
                .filter(|line| line["message"] == "session ended")
                .find(|line| line["peer"] == peer || line["partner_peer"] == peer)
        })
        .await
    }

    /// Nobody is left, every gauge says so, and each end was counted once, under its cause.
    pub fn is_at_rest(&self) {
        for gauge in [
            "cordboard_sessions{mode=\"rendezvous\"}",
            "cordboard_sessions{mode=\"router\"}",
            "cordboard_legs_waiting",
            "cordboard_seats_reserved",
            "cordboard_pairs",
            "cordboard_channels",
            "cordboard_connections",
        ] {
            self.proxy.metric_becomes(gauge, 0.0);
        }
        self.proxy.metric_becomes("cordboard_tasks", self.tasks);
        assert_eq!(self.causes(), *self.ended.borrow());
    }
}

/// Two that are joined, one of whom is about to be rude.
pub struct Call<'a> {
    pub record: Record<'a>,
    pub rude: Leg,
    pub other: Leg,
}

/// What the operator can be asked about a session.
pub struct Record<'a> {
    board: &'a Board,
    /// The channel, of a rendezvous.
    id: String,
    /// The client's address.
    peer: String,
    mode: Mode,
    rude: Who,
}

/// Codes of the Closes of one leg: the one that it sent, and the one that it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codes {
    pub received: Option<u16>,
    pub sent: Option<u16>,
}

/// What the operator must be told of the end of a session.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    pub cause: &'a str,
    pub detail: Option<&'a str>,
    /// Whether the rude one ended it (`true`), the other (`false`), or neither.
    pub by_rude: Option<bool>,
    pub rude: Codes,
    pub other: Codes,
}

/// Codes of a leg that sent the first and was sent the second.
pub fn codes(received: impl Into<Option<u16>>, sent: impl Into<Option<u16>>) -> Codes {
    Codes { received: received.into(), sent: sent.into() }
}

impl Call<'_> {
    /// Nobody is rude: one closes, the other answers.
    pub async fn ends_well(mut self) {
        self.rude.say(CLOSE, &close(1000, "")).await;
        assert_eq!(self.other.hears_code().await, Some(1000));
        self.other.leaves(1000).await;
        assert_eq!(self.rude.hears_code().await, Some(1000));
        self.rude.parts().await;
        let account = Account {
            cause: "closed",
            by_rude: Some(true),
            rude: codes(1000, 1000),
            other: codes(1000, 1000),
            detail: None,
        };
        self.ends(&account).await;
    }

    /// What is left of the two goes away, and the operator is told this.
    pub async fn ends(self, account: &Account<'_>) -> Value {
        let Self { record, rude, other, .. } = self;
        drop((rude, other));
        record.shows(account).await
    }
}

impl Record<'_> {
    /// The id of the channel.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next two on the same channel are joined at once, whatever is left of this session.
    pub async fn its_seat_is_free(&self) {
        if self.mode == Mode::Router {
            // A routed pair has no seat.
            return;
        }
        let (mut client, mut backend) = self.board.pair(Mode::Rendezvous, &self.id).await;
        client.say(CLOSE, &close(4999, "a probe of the seat")).await;
        assert_eq!(backend.hears_code().await, Some(4999));
        backend.leaves(4999).await;
        assert_eq!(client.hears_code().await, Some(4999));
        client.expect_end().await;
        self.board.expect_end("closed");
    }

    /// Waits for the line of the session, which must say this.
    pub async fn shows(&self, account: &Account<'_>) -> Value {
        let line = self.board.line_of(&self.peer).await;
        let rude_first = (line["peer"] == *self.peer) == (self.rude == Who::Client);
        let (first, second) = if rude_first { (account.rude, account.other) } else { (account.other, account.rude) };
        let by = account.by_rude.map(|rude| if rude == rude_first { "conn" } else { "partner" });
        let outcome = match (account.cause, self.mode) {
            ("closed" | "idle" | "lifetime", Mode::Rendezvous) => "paired",
            ("closed" | "idle" | "lifetime", Mode::Router) => "routed",
            ("replaced", _) => "replaced",
            _ => "error",
        };
        for (field, expected) in [
            ("cause", Some(account.cause.into())),
            ("detail", account.detail.map(Value::from)),
            ("outcome", Some(outcome.into())),
            ("ended_by", by.map(|leg| line[leg].clone())),
            ("close_received", first.received.map(Value::from)),
            ("close_sent", first.sent.map(Value::from)),
            ("partner_close_received", second.received.map(Value::from)),
            ("partner_close_sent", second.sent.map(Value::from)),
        ] {
            assert_eq!(line.get(field), expected.as_ref(), "{field}, {:?} {:?}: {line:#}", self.mode, self.rude);
        }
        self.board.expect_end(account.cause);
        line
    }
}
