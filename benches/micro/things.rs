//! What is measured. A round of each does the same work every time.

use std::{
    hint::black_box,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use cordboard::{
    config::{Grants, OnFailure, PluginLimits},
    model::{ChannelId, Client, ConnId, Handshake, MessageKind, Mode, Payload, RendezvousRules},
    policy::{
        self, Plugin, PluginSpec, PolicyHost, Trace,
        micro::{Onlooker, Subject},
    },
    relay::micro,
    rendezvous::{Arrival, Key, Pair, Readied, Registry, Reservation, Seat, Side},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::clock::Clock;

/// One of them.
pub(crate) struct Thing {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Rounds that are timed together: more than one where one is too short for the clock.
    pub(crate) batch: u64,
    /// Rounds that are counted under callgrind; 0 where the code is not ours.
    pub(crate) counted: u64,
    /// Bytes that a round moves, where that is the point.
    pub(crate) bytes: usize,
    pub(crate) run: fn(&mut Clock),
}

pub(crate) const ALL: [Thing; 22] = [
    Thing {
        name: "header-parse",
        what: "a masked header of 6, 8 or 14 bytes, in turn",
        batch: 600,
        counted: 30_000,
        bytes: 0,
        run: headers,
    },
    moved("unmask-64B", "in place", 400, 20_000, 64, unmask::<64, 0>),
    moved("memcpy-64B", "to another place", 400, 0, 64, copy::<64>),
    moved("unmask-1KiB", "in place", 50, 5_000, 1 << 10, unmask::<1024, 0>),
    moved("unmask-down-1KiB", "and down by 4 bytes, over its mask", 50, 5_000, 1 << 10, unmask::<1024, 4>),
    moved("memcpy-1KiB", "to another place", 50, 0, 1 << 10, copy::<1024>),
    moved("unmask-16KiB", "in place", 4, 500, 16 << 10, unmask::<16384, 0>),
    moved("unmask-down-16KiB", "and down by 4 bytes, over its mask", 4, 500, 16 << 10, unmask::<16384, 4>),
    moved("memcpy-16KiB", "to another place", 4, 0, 16 << 10, copy::<16384>),
    moved("unmask-64KiB", "in place", 1, 0, 64 << 10, unmask::<65536, 0>),
    moved("memcpy-64KiB", "to another place", 1, 0, 64 << 10, copy::<65536>),
    decided("checkout", "an instance out of the pool and back", 20, 20_000, checkout),
    decided("decision-pooled", "the router's: the service", 1, 500, |clock| decision(clock, POOLED)),
    decided("decision-fresh", "the same on an instance made for it", 1, 100, |clock| decision(clock, FRESH)),
    decided("three-pooled", "role and channel by the rendezvous', service by the router's", 1, 300, |clock| {
        three(clock, POOLED);
    }),
    decided("three-fresh", "the same on an instance for each", 1, 50, |clock| three(clock, FRESH)),
    decided(
        "routed-pooled",
        "all that a handshake of a router's route is asked: channel, service, rewriting",
        1,
        300,
        routed,
    ),
    decided("paired-pooled", "all that one of a rendezvous is asked: role, channel", 1, 300, paired),
    moved("filter-64B", "a text is shown to a filter that reads it and lets it pass", 10, 2_000, 64, filter::<64>),
    moved("filter-1KiB", "the same", 5, 1_000, 1 << 10, filter::<1024>),
    moved("filter-64KiB", "the same", 1, 100, 64 << 10, filter::<65536>),
    decided("pair-unpair", "two legs take their seats, are joined and leave", 5, 3_000, pair_unpair),
];

const fn moved(
    name: &'static str,
    what: &'static str,
    batch: u64,
    counted: u64,
    bytes: usize,
    run: fn(&mut Clock),
) -> Thing {
    Thing { name, what, batch, counted, bytes, run }
}

const fn decided(name: &'static str, what: &'static str, batch: u64, counted: u64, run: fn(&mut Clock)) -> Thing {
    Thing { name, what, batch, counted, bytes: 0, run }
}

fn headers(clock: &mut Clock) {
    let long = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
    let turn: [(&[u8], _); 3] =
        [(&[0x82, 0xc0, 1, 2, 3, 4], (6, 64)), (&[0x82, 0xfe, 4, 0, 1, 2, 3, 4], (8, 1024)), (&long, (14, 65_536))];
    for (bytes, expected) in &turn {
        assert_eq!(micro::parse(bytes), Some(*expected));
    }
    let mut next = turn.iter().cycle();
    clock.rounds(|| {
        let (bytes, _) = next.next().expect("it is endless");
        black_box(micro::parse(black_box(bytes)));
    });
}

/// Behind a buffer's headroom and a header of 8 bytes.
const AT: usize = 144 + 8;

fn unmask<const LEN: usize, const DOWN: usize>(clock: &mut Clock) {
    let mut buffer = vec![0_u8; AT + LEN];
    let key = [0xa5, 0x01, 0xff, 0x3c];
    clock.rounds(|| micro::unmask(black_box(&mut buffer), AT, AT - DOWN, LEN, black_box(key)));
}

fn copy<const LEN: usize>(clock: &mut Clock) {
    let from = vec![1_u8; AT + LEN];
    let mut to = vec![0_u8; AT + LEN];
    clock.rounds(|| black_box(&mut to)[AT..].copy_from_slice(&black_box(&from)[AT..]));
}

/// Calls of an instance before it is thrown away.
type Reuse = u32;
/// More than are asked here.
const POOLED: Reuse = 1_000_000_000;
const FRESH: Reuse = 1;

/// The built-in policies, and a handshake of which each has something to say.
struct Policies {
    rendezvous: Arc<Plugin>,
    router: Arc<Plugin>,
    handshake: Arc<Handshake>,
}

impl Policies {
    async fn load(reuse: Reuse) -> Self {
        // Of the deadlines, only that nobody comes near them, be it under callgrind on a busy machine.
        let (decision, init) = (Duration::from_secs(30), Duration::from_mins(1));
        let limits = PluginLimits { reuse, decision, init, ..PluginLimits::default() };
        Self {
            rendezvous: Self::one("rendezvous", r#"{"enabled": true, "channelQuery": ["channelId"]}"#, limits).await,
            router: Self::one("router", r#"{"pathPrefixService": {"/ws/echo": "echo"}}"#, limits).await,
            handshake: Arc::new(handshake()),
        }
    }

    async fn one(name: &str, config: &str, limits: PluginLimits) -> Arc<Plugin> {
        let host = PolicyHost::start(Some(crate::cache())).expect("the engine starts");
        let spec = PluginSpec {
            name: name.into(),
            origin: format!("builtin:{name}"),
            wasm: policy::builtin(name).expect("it is built in").into(),
            config: config.to_owned(),
            grants: Grants::default(),
            limits,
            on_failure: OnFailure::Closed,
        };
        let plugin = host.load(spec).await.expect("it loads");
        policy::micro::run_on(&plugin);
        plugin
    }
}

/// As a browser sends it.
fn handshake() -> Handshake {
    let fields = [
        ("host", "board.example.com"),
        ("connection", "Upgrade"),
        ("pragma", "no-cache"),
        ("cache-control", "no-cache"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("upgrade", "websocket"),
        ("origin", "https://www.example.com"),
        ("sec-websocket-version", "13"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
    ];
    let headers: HeaderMap = fields
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let peer: SocketAddr = "192.0.2.7:40000".parse().expect("it is an address");
    Handshake {
        id: ConnId::from_raw(1),
        method: Method::GET,
        version: Version::HTTP_11,
        uri: "/ws/echo?channelId=7".parse().expect("it is a target"),
        authority: "board.example.com".to_owned(),
        segments: vec!["ws".to_owned(), "echo".to_owned()],
        headers,
        subprotocols: Vec::new(),
        peer,
        client: Client { remote: peer.ip(), tls: false, trusted: false },
        listener: "main".into(),
        route: "sockets".into(),
    }
}

/// On this thread alone, so that callgrind sees all of it.
fn block_on(work: impl Future<Output = ()>) {
    runtime().block_on(work);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn checkout(clock: &mut Clock) {
    block_on(async {
        let policies = Policies::load(POOLED).await;
        let router = Subject::new(&policies.router, &policies.handshake);
        clock.rounds_async(async || router.check_out().await.expect("there is one")).await;
    });
}

fn decision(clock: &mut Clock, reuse: Reuse) {
    block_on(async {
        let policies = Policies::load(reuse).await;
        let router = Subject::new(&policies.router, &policies.handshake);
        clock.rounds_async(async || assert!(router.service().await.expect("it answers"))).await;
    });
}

fn three(clock: &mut Clock, reuse: Reuse) {
    block_on(async {
        let policies = Policies::load(reuse).await;
        let rendezvous = Subject::new(&policies.rendezvous, &policies.handshake);
        let router = Subject::new(&policies.router, &policies.handshake);
        let round = async || {
            assert!(rendezvous.role().await.expect("it answers"));
            assert!(rendezvous.channel().await.expect("it answers"));
            assert!(router.service().await.expect("it answers"));
        };
        clock.rounds_async(round).await;
    });
}

fn routed(clock: &mut Clock) {
    block_on(async {
        let policies = Policies::load(POOLED).await;
        let plugins = [Arc::clone(&policies.router)];
        let round = async || {
            let ruling = policy::decide(&plugins, &policies.handshake, Mode::Router, &mut Trace::new(false)).await;
            assert!(ruling.expect("they answer").verdict.resolution.is_some());
        };
        clock.rounds_async(round).await;
    });
}

fn paired(clock: &mut Clock) {
    block_on(async {
        let policies = Policies::load(POOLED).await;
        let plugins = [Arc::clone(&policies.rendezvous)];
        let round = async || {
            let ruling = policy::decide(&plugins, &policies.handshake, Mode::Rendezvous, &mut Trace::new(false)).await;
            assert!(ruling.expect("they answer").verdict.channel.is_some());
        };
        clock.rounds_async(round).await;
    });
}

fn filter<const LEN: usize>(clock: &mut Clock) {
    let runtime = runtime();
    let filter = runtime.block_on(async {
        let limits = PluginLimits { reuse: POOLED, message: Duration::from_secs(30), ..PluginLimits::default() };
        let config = r#"{"rules": [{"id": "long", "longerThan": 65536}], "maxBytes": 100000}"#;
        let deny = Policies::one("deny-list", config, limits).await;
        Onlooker::open(&deny, &Arc::new(handshake())).await.expect("it looks at messages")
    });
    // Outside, like a thread of the relay: what runs in the runtime makes way now and then, and a message goes elsewhere.
    let mut message = Some(Payload { kind: MessageKind::Text, bytes: vec![b'x'; LEN] });
    clock.rounds(|| message = message.take().and_then(|message| filter.look(message)));
    assert!(message.is_some(), "it came back each time");
}

/// Channels on which somebody waits meanwhile.
const WAITING: u64 = 1000;

fn pair_unpair(clock: &mut Clock) {
    let registry = Arc::new(Registry::<Arc<()>>::default());
    let rules = RendezvousRules::new("chat");
    let session = Arc::new(());
    let now = Instant::now();
    let seat = |channel: u64, conn: u64, side| {
        let key = Key::of(&rules, ChannelId::new(&channel.to_string()).expect("it is an id"));
        let arrival = Arrival { conn: ConnId::from_raw(conn), side, identity: None, offers: Vec::new() };
        match registry.reserve(&key, arrival, &rules, None, now) {
            Reservation::Seated { seat, .. } => seat,
            other => panic!("the seat is free: {other:?}"),
        }
    };
    let waiting = |channel, conn, side| -> Seat<_> {
        let mut seat = seat(channel, conn, side);
        assert!(matches!(seat.ready(&session), Readied::Wait { .. }));
        seat
    };
    let others: Vec<_> = (1..=WAITING).map(|nth| waiting(nth, nth, Side::Client)).collect();
    // Another channel each time: where one lies in the registry, and behind how many, is chance.
    let mut channels = (WAITING + 1..10 * WAITING).cycle();
    clock.rounds(|| {
        let channel = channels.next().expect("it is endless");
        let client = waiting(channel, WAITING + 1, Side::Client);
        let mut backend = seat(channel, WAITING + 2, Side::Backend);
        assert!(matches!(backend.ready(&session), Readied::Join { .. }));
        let key = client.key().clone();
        let pair = Pair { side: client.side(), conns: [client.conn(), backend.conn()] };
        client.meet(backend);
        registry.part(black_box(&key), black_box(pair));
    });
    drop(others);
}
