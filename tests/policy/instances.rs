//! Who waits for whom: slots, queues, the pool, workers, and what is left of a version that nobody uses.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use cordboard::{
    config::{Grants, OnFailure, PluginLimits},
    model::{Client, ConnId, Handshake, Mode},
    policy::{self, Plugin, PluginSpec, PolicyHost, Trace},
};

use tokio::task::JoinSet;

use super::{
    failures,
    guests::{Guest, ROLES, SILENT, crammed, detect_role, puppet},
    handshake, identity, is_well, setup,
    support::{Proxy, eventually, upgrade},
    wasi, with_puppet, yaml,
};

/// A client whose handshake is under way; it reads nothing.
fn begin(proxy: &Proxy, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.write_all(upgrade(target, "").as_bytes()).unwrap();
    stream
}

fn is_unanswered(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn others_are_served_while_a_guest_spins(workers: &str) {
    let proxy = with_puppet(", limits: {decision: 4s}", workers);
    let mut spinning = begin(&proxy, "/told?L-");
    proxy.metric_becomes("cordboard_connections", 1.0);
    thread::scope(|scope| {
        for n in 0..20 {
            let proxy = &proxy;
            scope.spawn(move || {
                for round in 0..40 {
                    assert_eq!(handshake(proxy, &format!("/chat?channelId={n}-{round}")).status, 101);
                }
            });
        }
    });
    assert!(is_unanswered(&mut spinning), "the others had to wait for the guest");
    drop(spinning);
    is_well(&proxy);
}

#[test]
fn handshakes_pass_a_guest_that_spins() {
    others_are_served_while_a_guest_spins("");
}

#[test]
fn handshakes_pass_a_guest_that_spins_on_the_only_worker() {
    others_are_served_while_a_guest_spins("workers: 1\n");
}

#[test]
fn a_call_too_many_is_refused_and_a_client_that_leaves_frees_its_slot() {
    let proxy = with_puppet(", limits: {decision: 20s, instances: 1, queue: 0}", "");
    let begun = Instant::now();
    let mut spinning = begin(&proxy, "/told?L-");
    let mut n = 0;
    let mut ask = |wanted: u16| {
        n += 1;
        Some(handshake(&proxy, &format!("/told?c-{n}"))).filter(|answer| answer.status == wanted)
    };
    let refused = eventually("the call that spins to have the slot", || {
        let refused = ask(503);
        // It may have come while one of ours had the slot, and been refused itself.
        if refused.is_none() && !is_unanswered(&mut spinning) {
            spinning = begin(&proxy, "/told?L-");
        }
        refused
    });
    assert_eq!(refused.cause(), "plugin-busy");
    assert!(failures(&proxy, "busy") >= 1.0);
    let line = proxy.logged(&["a policy failed", "plugin=puppet", "failure=busy", "route=told", "conn="]);
    assert!(line.contains("WARN") && line.contains("limits.instances, limits.queue"), "{line}");
    drop(spinning);
    eventually("the slot", || ask(101));
    assert!(begun.elapsed() < Duration::from_secs(20), "it was the deadline that freed the slot");
    proxy.logged(&["handshake refused", "client-gone", "route=told"]);
    is_well(&proxy);
}

#[test]
fn a_call_that_waits_in_the_queue_is_answered() {
    let proxy = with_puppet(", limits: {decision: 300ms, instances: 1, queue: 8}", "");
    thread::scope(|scope| {
        let spinning = scope.spawn(|| handshake(&proxy, "/told?L-").status);
        let waiting: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn({
                    let proxy = &proxy;
                    move || handshake(proxy, &format!("/told?c-{n}")).status
                })
            })
            .collect();
        assert_eq!(spinning.join().unwrap(), 503);
        assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap() == 101));
    });
}

#[test]
fn an_instance_is_retired_after_so_many_calls_and_sees_only_the_request_of_its_call() {
    let proxy = with_puppet(", limits: {instances: 1, reuse: 3}", "");
    let counts: Vec<_> = (0..7).map(|_| handshake(&proxy, "/told?k").body).collect();
    assert_eq!(counts, ["1", "2", "3", "1", "2", "3", "1"]);
    for query in ["q-one", "q", "q-another"] {
        assert_eq!(handshake(&proxy, &format!("/told?{query}")).body, query);
    }
}

#[test]
fn an_instance_that_failed_is_not_used_again() {
    let proxy = with_puppet(", limits: {instances: 1}", "");
    assert_eq!(handshake(&proxy, "/told?k").body, "1");
    assert_eq!(handshake(&proxy, "/told?k").body, "2");
    for bad in ["/told?T", "/told?L", "/told?H", "/told?A"] {
        assert_eq!(handshake(&proxy, bad).status, 503, "{bad}");
        assert_eq!(handshake(&proxy, "/told?k").body, "1", "after {bad}");
    }
}

#[test]
fn a_swap_leaves_nothing_of_the_version_before() {
    const SWAPS: u64 = 50;
    let version = |n| {
        let body = format!("(drop (i32.const {n}))");
        Guest::of(ROLES).build(&format!("(module {SILENT} {})", detect_role(&body)))
    };
    // Without the code cache: the other tests' code is not to be pushed out of theirs.
    let proxy = Proxy::start(setup(&version(0), "", ""), &[("XDG_CACHE_HOME", "/dev/null")]);
    let idle: Vec<_> = (0..3).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    let waiting: Vec<_> = (0..3).map(|n| begin(&proxy, &format!("/chat?channelId={n}"))).collect();
    proxy.metric_becomes("cordboard_legs_waiting", 3.0);
    for n in 1..=SWAPS {
        assert_eq!(handshake(&proxy, "/told").cause(), "no-role");
        let before = proxy.generation();
        proxy.setup.put("puppet.wasm", &version(n));
        proxy.reloaded(before);
    }
    proxy.metric_becomes("cordboard_generation", (SWAPS + 1) as f64);
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
    let metrics = proxy.get("/metrics");
    let series: Vec<_> = metrics.lines().filter(|line| line.starts_with("cordboard_plugin_calls_total{")).collect();
    assert_eq!(series.len(), 2, "{series:#?}");
    drop((idle, waiting));
}

fn spec(name: &str, wasm: &[u8], limits: PluginLimits) -> PluginSpec {
    PluginSpec {
        name: name.into(),
        origin: format!("{name}.wasm"),
        wasm: wasm.into(),
        config: "{}".to_owned(),
        grants: Grants::default(),
        limits,
        on_failure: OnFailure::Closed,
    }
}

fn request(query: &str) -> Arc<Handshake> {
    Arc::new(Handshake {
        id: ConnId::next(),
        method: http::Method::GET,
        version: http::Version::HTTP_11,
        uri: format!("/told?{query}").parse().unwrap(),
        authority: "test".to_owned(),
        segments: vec!["told".to_owned()],
        headers: http::HeaderMap::new(),
        subprotocols: Vec::new(),
        peer: ([127, 0, 0, 1], 1).into(),
        client: Client { remote: [127, 0, 0, 1].into(), tls: false, trusted: false },
        listener: "main".into(),
        route: "told".into(),
    })
}

async fn ask(plugin: &Arc<Plugin>, query: &str) -> bool {
    policy::decide(std::slice::from_ref(plugin), &request(query), Mode::Rendezvous, &mut Trace::new(false))
        .await
        .is_ok()
}

/// How many of so many calls at once are answered.
async fn answered(plugin: &Arc<Plugin>, calls: usize) -> usize {
    let mut asked = JoinSet::new();
    for _ in 0..calls {
        let plugin = Arc::clone(plugin);
        asked.spawn(async move { ask(&plugin, "c-1").await });
    }
    asked.join_all().await.into_iter().filter(|answered| *answered).count()
}

#[tokio::test]
async fn no_more_instances_are_kept_than_there_may_be_calls() {
    let host = PolicyHost::start(None).unwrap();
    let limits = PluginLimits { instances: 4, decision: Duration::from_secs(10), ..PluginLimits::default() };
    let plugin = host.load(spec("sleeper", &wasi::sleeper(5_000_000), limits)).await.unwrap();
    assert_eq!(answered(&plugin, 50).await, 50);
    assert_eq!((plugin.idle(), plugin.stats().instances.load(Ordering::Relaxed)), (4, 4));
    host.in_use(&[]);
    assert_eq!(plugin.idle(), 0);
    // A handshake that began before the swap is still answered; its instance goes with the call.
    assert!(ask(&plugin, "c-1").await);
    assert_eq!(plugin.idle(), 0);
}

/// One is asked for role and channel; with one slot and no queue the second question finds either the instance of the first
/// or the slot that this has given back.
#[tokio::test]
async fn the_questions_of_a_handshake_share_an_instance_as_often_as_it_may_be_used() {
    let host = PolicyHost::start(None).unwrap();
    // Uses, and after one handshake and after two: instances that were made, and those in the pool.
    for (reuse, after) in [(1, [(2, 0), (4, 0)]), (2, [(1, 0), (2, 0)]), (3, [(1, 1), (2, 1)]), (4, [(1, 1), (1, 0)])] {
        let limits = PluginLimits { reuse, instances: 1, queue: 0, ..PluginLimits::default() };
        let rendezvous = policy::builtin("rendezvous").unwrap();
        let plugin = host.load(spec("rendezvous", rendezvous, limits)).await.unwrap();
        for (n, expected) in after.into_iter().enumerate() {
            assert!(ask(&plugin, "channelId=1").await, "{reuse} {n}");
            assert_eq!((plugin.stats().instances.load(Ordering::Relaxed), plugin.idle()), expected, "{reuse} {n}");
        }
    }
}

#[tokio::test]
async fn idle_instances_make_way_where_the_process_has_no_room_for_another() {
    let host = PolicyHost::start(None).unwrap();
    let limits = PluginLimits { instances: 200, decision: Duration::from_secs(10), ..PluginLimits::default() };
    // Each takes more than 15 of the 1024 core instances that the process has room for.
    let sleeper = crammed(&wasi::sleeper(1_000_000_000), "(module (memory 1))", 15);
    let greedy = host.load(spec("greedy", &sleeper, limits)).await.unwrap();
    let served = answered(&greedy, 80).await;
    assert!((1..80).contains(&served), "{served} calls fitted into the process");
    assert_eq!(greedy.idle(), served);
    let modest = host.load(spec("modest", puppet(), PluginLimits::default())).await.unwrap();
    assert!(ask(&modest, "c-1").await);
    assert!(greedy.idle() < served);
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_its_instance_with_it() {
    let host = PolicyHost::start(None).unwrap();
    let limits = PluginLimits { instances: 1, decision: Duration::from_secs(20), ..PluginLimits::default() };
    let plugin = host.load(spec("puppet", puppet(), limits)).await.unwrap();
    assert_eq!(plugin.idle(), 1);
    let dropped = tokio::time::timeout(Duration::from_millis(50), ask(&plugin, "L")).await;
    assert!(dropped.is_err());
    assert_eq!(plugin.idle(), 0);
    assert!(ask(&plugin, "c-1").await);
    assert_eq!(plugin.idle(), 1);
}

#[test]
fn what_a_version_failed_at_is_counted_on_when_the_version_is_gone() {
    let proxy = with_puppet("", "");
    let total = || proxy.metric("cordboard_plugin_failures_total{plugin=\"puppet\",failure=\"trap\"}") as u64;
    assert_eq!(handshake(&proxy, "/told?T").status, 503);
    assert_eq!(handshake(&proxy, "/told?T").status, 503);
    // Nobody looks at the metrics before the swap.
    let failed = identity(&proxy, "puppet");
    proxy.setup.write(&yaml(", config: {version: 2}", ""));
    proxy.reloaded(1);
    assert_ne!(identity(&proxy, "puppet"), failed);
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
    eventually("the end of the version that failed", || (!proxy.get("/metrics").contains(&failed)).then_some(()));
    assert_eq!((total(), failures(&proxy, "trap") as u64), (2, 0));
    assert_eq!(handshake(&proxy, "/told?T").status, 503);
    assert_eq!((total(), failures(&proxy, "trap") as u64), (3, 1));
}

#[test]
fn each_version_counts_its_calls_their_time_and_its_instances() {
    let proxy = with_puppet(", limits: {instances: 2}", "");
    let of = |name: &str| proxy.metric(&format!("cordboard_plugin_{name}")) as u64;
    let puppet = |name: &str| of(&format!("{name}{{plugin=\"puppet\"}}"));
    let calls = puppet("calls_total");
    // Two opinions, a rejection and a trap.
    for query in ["c-1", "k", "T"] {
        handshake(&proxy, &format!("/told?{query}"));
    }
    assert_eq!((puppet("calls_total") - calls, puppet("opinions_total"), puppet("rejections_total")), (4, 2, 1));
    assert_eq!(puppet("call_seconds_count"), 4);
    assert_eq!(of("call_seconds_bucket{plugin=\"puppet\",le=\"+Inf\"}"), 4);
    // The first page of 64 KiB and another.
    assert_eq!(puppet("instance_memory_bytes"), 2 * 65536);
    proxy.metric_becomes("cordboard_plugin_instances_alive{plugin=\"puppet\"}", 0.0);
    is_well(&proxy);
    proxy.metric_becomes("cordboard_plugin_instances_alive{plugin=\"puppet\"}", 1.0);
    assert_eq!(puppet("queued_nanoseconds_total"), 0);
}
