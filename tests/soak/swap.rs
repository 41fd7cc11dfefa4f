//! Policies and configuration are swapped again and again under sessions of every kind, and nobody notices.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use cordboard::policy::builtin;
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};

use super::{figures, sessions, world::World};
use crate::{
    broken,
    support::{Proxy, Setup},
};

/// How much of it.
pub struct Scale {
    pub pairs: u64,
    pub routed: u64,
    pub swaps: usize,
    /// Sessions that wait, whose 101 waits, and that cross a swap: so many of each at a time.
    pub waiting: usize,
    /// Sessions that are dialled anew all the time.
    pub fresh: usize,
    /// Sessions whose handshakes are slow, dialled anew all the time.
    pub slow: usize,
    /// What becomes of sessions at a swap: then each has a message filter, which has a new version at each swap.
    pub filtered: Option<&'static str>,
}

impl Scale {
    pub const SMALL: Self = Self { pairs: 40, routed: 15, swaps: 15, waiting: 4, fresh: 3, slow: 3, filtered: None };
    pub const FULL: Self =
        Self { pairs: 300, routed: 100, swaps: 1000, waiting: 20, fresh: 8, slow: 4, filtered: None };

    /// The same with a message filter on every session.
    pub const fn filtered(self, sessions: &'static str) -> Self {
        Self { filtered: Some(sessions), ..self }
    }
}

/// A built-in policy that is another component for each `variant`: same code, another hash.
pub fn component(name: &str, variant: &str) -> Vec<u8> {
    let mut wasm = builtin(name).unwrap().to_vec();
    // A custom section: id 0, its size, the length of its name, its name (both below 128, one byte in LEB128).
    let length = u8::try_from(variant.len()).unwrap();
    assert!(length < 100);
    wasm.extend([0, length + 1, length]);
    wasm.extend(variant.bytes());
    wasm
}

/// The configuration after `swap` swaps. What differs touches no session that is there, as far as its owner can tell.
fn configuration(swap: usize, service: SocketAddr, filtered: Option<&str>) -> String {
    // It reads every text of at most 64 KiB and finds nothing in it.
    let rule = format!("{{id: marker, literal: 'of no message {swap}'}}");
    let guard = format!("guard: {{component: 'builtin:deny-list', config: {{oversize: pass, rules: [{rule}]}}}}");
    let (guard, also) = if filtered.is_some() { (guard.as_str(), ", guard") } else { ("", "") };
    let sessions = filtered.unwrap_or("pin");
    // From a file or from the binary: where a policy comes from is no affair of the sessions.
    let slow = if swap.is_multiple_of(3) { "builtin:rendezvous" } else { "rendezvous.wasm" };
    let (hold, message, timeout) = (32 + swap % 7, 1 + swap % 5, 600 + swap);
    let spare = if swap.is_multiple_of(2) { "spare: {endpoints: ['ws://127.0.0.1:9']}" } else { "" };
    let patience = "decision: 20s, init: 50s";
    // Who stops inside a frame until the next swap answers no Ping; on a busy machine that is compiled for long.
    let silence = "ping_every: 2m";
    let names = (0..100).map(|n| format!("no{n}, ")).collect::<Vec<_>>().concat();
    format!(
        "
listeners: [{{name: main, address: '127.0.0.1:0', establish: 2m}}]
admin: {{address: '127.0.0.1:0'}}
reload: {{quiet: 20ms, sessions: {sessions}}}
plugins:
  {guard}
  rendezvous: {{component: rendezvous.wasm, limits: {{{patience}, queue: {queue}}}}}
  slow:
    component: '{slow}'
    config: {{channelQuery: [{names}channelId]}}
    limits: {{{patience}, instances: 2, reuse: 3}}
  router:
    component: router.wasm
    config: {{pathPrefixService: {{/ws: talk, '/other/{swap}': talk}}}}
    limits: {{{patience}}}
routes:
  - {{name: other, match: {{path: /other}}, mode: router, plugins: [router], limits: {{message: {message}KiB}}}}
  - name: chat
    match: {{path: /chat}}
    mode: rendezvous
    plugins: [rendezvous{also}]
    rendezvous: {{pairing_timeout: {timeout}s, hold: {hold}KiB}}
    limits: {{{silence}}}
  - name: slow
    match: {{path: /slow}}
    mode: rendezvous
    plugins: [slow{also}]
    rendezvous: {{namespace: chat, pairing_timeout: {timeout}s}}
    limits: {{{silence}}}
  - name: patient
    match: {{path: /patient}}
    mode: rendezvous
    plugins: [rendezvous{also}]
    rendezvous: {{accept: when_paired, pairing_timeout: {timeout}s}}
    limits: {{{silence}}}
  - {{name: sockets, match: {{path: /ws}}, mode: router, plugins: [router{also}], limits: {{{silence}}}}}
  - {{name: swap-{swap}, match: {{path: /swap}}, mode: router, service: talk}}
services:
  talk: {{endpoints: ['ws://{service}']}}
  {spare}
",
        queue = 1024 + swap,
    )
}

/// Writes by rename or in place, in turns: deployers rename, people's editors do not always.
fn put(setup: &Setup, name: &str, content: &[u8], in_place: bool) {
    if in_place { fs::write(setup.file(name), content).unwrap() } else { setup.put(name, content) }
}

/// Whether the components of this swap were never seen before, and must be compiled.
fn is_new(swap: usize) -> bool {
    swap % 4 == 3
}

/// The swap of that number: both components and the configuration.
fn write(setup: &Setup, swap: usize, nonce: u128, service: SocketAddr, filtered: Option<&str>) {
    let variant = if is_new(swap) { format!("soak {nonce} {swap}") } else { format!("soak variant {}", swap % 2) };
    put(setup, "rendezvous.wasm", &component("rendezvous", &variant), swap % 3 == 1);
    put(setup, "router.wasm", &component("router", &variant), swap % 5 == 2);
    put(setup, "cordboard.yaml", configuration(swap, service, filtered).as_bytes(), swap % 4 == 2);
}

/// Whether this swap is what serves: its marker route is there, under other components than before.
fn published(proxy: &Proxy, swap: usize, before: &[String]) -> Option<(u64, Vec<String>)> {
    let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
    let marker = format!("swap-{swap}");
    let routes = page["routes"].as_array().unwrap();
    if !routes.iter().any(|route| route["name"] == marker.as_str()) {
        return None;
    }
    let identities: Vec<String> =
        page["plugins"].as_array().unwrap().iter().map(|plugin| plugin["identity"].to_string()).collect();
    for (name, was) in identities.iter().zip(before) {
        assert_ne!(name, was, "swap {swap} left a component as it was: {page}");
    }
    Some((page["generation"].as_u64().unwrap(), identities))
}

/// Whether the last candidate was refused.
fn refused(proxy: &Proxy) -> Option<()> {
    let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
    page["refused"].is_object().then_some(())
}

/// Runs sessions one after the other until the soak stops.
async fn again<S>(world: Arc<World>, session: impl Fn(Arc<World>, u64) -> S)
where
    S: Future<Output = Result<(), String>>,
{
    while !world.stopping() {
        let number = world.number();
        if let Err(error) = session(Arc::clone(&world), number).await {
            world.failed(error);
            return;
        }
    }
}

fn start(runtime: &Runtime, world: &Arc<World>, scale: &Scale) -> JoinSet<()> {
    let _runtime = runtime.enter();
    let mut tasks = JoinSet::new();
    for n in 0..scale.pairs + scale.routed {
        let (world, paired) = (Arc::clone(world), n < scale.pairs);
        let number = world.number();
        tasks.spawn(async move {
            let ended = if paired {
                sessions::lasting_pair(&world, number).await
            } else {
                sessions::lasting_routed(&world, number).await
            };
            ended.unwrap_or_else(|error| world.failed(error));
        });
    }
    for _ in 0..scale.waiting {
        tasks.spawn(again(Arc::clone(world), async |world, n| sessions::waiting(&world, n).await));
        tasks.spawn(again(Arc::clone(world), async |world, n| sessions::held_back(&world, n).await));
        tasks.spawn(again(Arc::clone(world), async |world, n| sessions::crossing(&world, n).await));
    }
    for _ in 0..scale.fresh {
        tasks.spawn(again(Arc::clone(world), async |world, n| sessions::fresh(&world, n).await));
    }
    for _ in 0..scale.slow {
        tasks.spawn(again(Arc::clone(world), async |world, n| sessions::slow(&world, n).await));
    }
    tasks
}

pub fn run(scale: &Scale) {
    let begun = Instant::now();
    let nonce = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let service = listener.local_addr().unwrap();
    let setup = Setup::new("");
    write(&setup, 0, nonce, service, scale.filtered);
    let proxy = setup.start();
    let world = Arc::new(World::new(proxy.address, scale.swaps));
    let serving = runtime.spawn({
        let world = Arc::clone(&world);
        async move { world.serve(listener).await }
    });
    let (rss, tasks_before) = (figures::resident(&proxy), figures::at_rest(&proxy, "cordboard_runtime_tasks"));
    let tasks = start(&runtime, &world, scale);

    let half = usize::try_from(scale.pairs + scale.routed).unwrap();
    let (mut generation, mut identities) = published(&proxy, 0, &[]).unwrap();
    let (mut took, mut trend, mut settled) = (Vec::new(), Vec::new(), 0);
    for swap in 1..=scale.swaps {
        world.until(&proxy, "half of the lasting legs to stop in the middle of a message", || {
            (world.halted[swap - 1].load(SeqCst) == half).then_some(())
        });
        // A broken save before every swap where there are many, all kinds in turn; some where there are few.
        if scale.swaps > 100 || swap % 3 == 2 {
            broken::save(&proxy, swap / 3 % broken::KINDS, &component("rendezvous", "cut in half"));
            world.until(&proxy, "the broken save to be refused", || refused(&proxy));
        }
        let written = Instant::now();
        write(&proxy.setup, swap, nonce, service, scale.filtered);
        // The first two are compiled once in the life of the cache.
        world.swapping.send_replace(swap > 1 && !is_new(swap));
        let (now, names) = world.until(&proxy, "the swap to be published", || published(&proxy, swap, &identities));
        assert!(now > generation, "generation {now} came after {generation}");
        (generation, identities) = (now, names);
        took.push(written.elapsed());
        if swap * 10 % scale.swaps < 10 {
            trend.push(figures::resident(&proxy) >> 20);
            settled = trend[0];
        }
        world.swapping.send_replace(false);
        world.swaps.send_replace(swap);
    }
    world.stop.store(true, SeqCst);
    world.swaps.send_replace(scale.swaps + 1);
    world.swapping.send_replace(true);
    let busy = figures::resident(&proxy);
    world.join(&proxy, "every session to end", tasks);
    verify(&proxy, &world, scale, tasks_before);
    if scale.swaps > 100 {
        // With as many sessions: what the first hundred swaps came to is what stays.
        assert!(
            busy >> 20 <= settled + settled / 10,
            "{} MiB after the swaps, {settled} MiB after a tenth; every tenth of them: {trend:?}",
            busy >> 20
        );
    }

    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(SeqCst);
    println!(
        "swap soak: {} pairs and {} routed sessions, {} swaps in {:.1?} ({:.0?} each, most {:.0?}), {} messages, {} MiB, \
         {} pings, {} sessions ended; handshakes: {}; slow ones: {}; {} crossed a swap, {} legs were joined under a later generation; \
         resident {} MiB idle, {trend:?} MiB \
         every tenth of the swaps, {} MiB after",
        scale.pairs,
        scale.routed,
        scale.swaps,
        begun.elapsed(),
        took.iter().sum::<Duration>() / u32::try_from(took.len()).unwrap(),
        took.iter().max().unwrap(),
        count(&world.messages),
        count(&world.bytes) >> 20,
        count(&world.pings),
        world.expected(("rendezvous", "paired")) + world.expected(("router", "routed")),
        figures::Latencies::of(&mut world.handshakes.lock().unwrap()),
        figures::Latencies::of(&mut world.slow.lock().unwrap()),
        count(&world.crossed),
        count(&world.joined_later),
        rss >> 20,
        figures::resident(&proxy) >> 20,
    );
    serving.abort();
}

/// What the proxy counted is what was done, and nothing is left.
fn verify(proxy: &Proxy, world: &World, scale: &Scale, tasks_before: f64) {
    for gauge in [
        "cordboard_sessions{mode=\"rendezvous\"}",
        "cordboard_sessions{mode=\"router\"}",
        "cordboard_connections",
        "cordboard_channels",
        "cordboard_legs_waiting",
        "cordboard_pairs",
        "cordboard_seats_reserved",
    ] {
        proxy.metric_becomes(gauge, 0.0);
    }
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
    proxy.metric_becomes("cordboard_runtime_tasks", tasks_before);
    figures::ended(proxy, |ended| world.expected(ended));
    if let Some(sessions) = scale.filtered {
        filters_were_asked(proxy, scale, sessions);
    }
    let waited = u64::try_from(scale.waiting).unwrap();
    assert!(world.joined_later.load(SeqCst) >= 2 * waited, "too few legs waited across a swap");
    let applied = proxy.metric("cordboard_reloads_total{result=\"applied\"}");
    assert!(applied >= scale.swaps as f64, "only {applied} candidates were applied");
    assert!(world.crossed.load(SeqCst) >= waited, "too few handshakes were in flight during a swap");
    assert!(world.expected(("rendezvous", "paired")) > scale.pairs + 3 * waited, "too few short sessions");
}

/// The filters saw messages, failed in nothing, and stayed or moved as they were told.
fn filters_were_asked(proxy: &Proxy, scale: &Scale, sessions: &str) {
    assert!(proxy.metric("cordboard_plugin_calls_total{plugin=\"guard\"}") > 0.0);
    assert!(proxy.metric("cordboard_plugin_failures_total{plugin=\"guard\"}") < 0.5, "a filter failed");
    let lasting = (scale.pairs * 2 + scale.routed) as f64;
    let (result, other) = if sessions == "migrate" { ("moved", "stayed") } else { ("stayed", "moved") };
    let count = |result| proxy.metric(&format!("cordboard_swept_legs_total{{result=\"{result}\"}}"));
    assert!(count(result) >= lasting * scale.swaps as f64, "{} {result}", count(result));
    assert!(count(other) < 0.5, "{} {other}", count(other));
}
