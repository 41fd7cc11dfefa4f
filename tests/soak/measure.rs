//! Handshakes through policies, with and without swaps: how many, how soon, at what cost. Nothing is asserted but that
//! all succeed; the figures are for people.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};

use super::{
    figures::{self, Latencies},
    swap,
    wire::{self, CLOSE},
    world::{World, connect},
};
use crate::support::{Proxy, Setup, upgrade};

/// How much of it: at least so many sessions, and so many swaps where there are any.
pub struct Scale {
    sessions: u64,
    swaps: u64,
}

impl Scale {
    pub const SMALL: Self = Self { sessions: 300, swaps: 2 };
    pub const FULL: Self = Self { sessions: 10_000, swaps: 20 };
}

/// Handshakes at a time.
const AT_ONCE: usize = 4;

fn configuration(swap: u64, service: std::net::SocketAddr) -> String {
    let limits = "limits: {decision: 20s, init: 50s}";
    format!(
        "
plugins:
  rendezvous: {{component: rendezvous.wasm, {limits}}}
  router: {{component: router.wasm, config: {{pathPrefixService: {{/ws: talk, /swap/{swap}: talk}}}}, {limits}}}
log: {{sessions: false}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}
  - {{name: sockets, match: {{path: /ws}}, mode: router, plugins: [router]}}
services:
  talk: {{endpoints: ['ws://{service}']}}
"
    )
}

async fn handshake(world: &World, number: u64, target: &str) -> Result<(wire::Reader, wire::Writer), String> {
    let begun = Instant::now();
    let stream = connect(world, number).await?;
    let shaken = wire::shake(stream, upgrade(target, "").as_bytes()).await.map_err(|error| error.to_string())?;
    let connection = shaken.map_err(|refused| refused.to_string())?;
    world.shook(begun.elapsed());
    Ok(connection)
}

/// Two handshakes of a pair, or one that is routed, and their end.
async fn session(world: &World, routed: bool) -> Result<(), String> {
    let number = world.number();
    let (mut client, mut other) = if routed {
        let upstream = world.upstream(number);
        let client = handshake(world, number, &format!("/ws?session={number}")).await?;
        (client, upstream.await.map_err(|error| error.to_string())?)
    } else {
        let client = handshake(world, number, &format!("/chat?channelId={number}")).await?;
        (client, handshake(world, number, &format!("/chat/connect?channelId={number}")).await?)
    };
    client.1.send(CLOSE, &[]).await.map_err(|error| error.to_string())?;
    if routed {
        while let Ok(Some(frame)) = other.0.frame().await {
            if frame.opcode == CLOSE {
                other.1.send(CLOSE, &[]).await.map_err(|error| error.to_string())?;
                break;
            }
        }
    } else {
        other.1.send(CLOSE, &[]).await.map_err(|error| error.to_string())?;
    }
    drop(other.1);
    while let Ok(Some(_)) = client.0.frame().await {}
    Ok(())
}

/// Runs sessions until `enough` says so of their number; it is asked again and again, and may swap meanwhile.
fn phase(
    runtime: &Runtime,
    proxy: &Proxy,
    world: &Arc<World>,
    routed: bool,
    mut enough: impl FnMut(u64) -> bool,
) -> String {
    let (begun, cpu) = (Instant::now(), figures::processor(proxy));
    world.handshakes.lock().unwrap().clear();
    world.stop.store(false, SeqCst);
    let done = Arc::new(AtomicU64::new(0));
    let _runtime = runtime.enter();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (world, done) = (Arc::clone(world), Arc::clone(&done));
        tasks.spawn(async move {
            while !world.stopping() {
                session(&world, routed).await.unwrap_or_else(|error| world.failed(error));
                done.fetch_add(1, SeqCst);
            }
        });
    }
    world.until(proxy, "enough handshakes", || enough(done.load(SeqCst)).then_some(()));
    world.stop.store(true, SeqCst);
    runtime.block_on(tasks.join_all());
    let took = begun.elapsed();
    let latencies = Latencies::of(&mut world.handshakes.lock().unwrap());
    let handshakes = u32::try_from(latencies.count.max(1)).unwrap();
    format!(
        "{latencies}; {:.0} a second, {:.0?} of the proxy's processor time each",
        f64::from(handshakes) / took.as_secs_f64(),
        (figures::processor(proxy) - cpu) / handshakes,
    )
}

pub fn run(scale: &Scale) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let service = listener.local_addr().unwrap();
    let setup = Setup::new(&configuration(0, service));
    let put = |setup: &Setup, variant: u64| {
        for name in ["rendezvous", "router"] {
            setup.put(&format!("{name}.wasm"), &swap::component(name, &format!("measure {}", variant % 2)));
        }
    };
    put(&setup, 0);
    let proxy = setup.start();
    let world = Arc::new(World::new(proxy.address, 0));
    let serving = runtime.spawn({
        let world = Arc::clone(&world);
        async move { world.serve(listener).await }
    });
    // Counts on from phase to phase: what is put must differ from what is there.
    let mut variant = 0;
    for (name, routed) in [("rendezvous", false), ("router", true)] {
        phase(&runtime, &proxy, &world, routed, |done| done * 10 >= scale.sessions);
        let resting = phase(&runtime, &proxy, &world, routed, |done| done >= scale.sessions);
        println!("{name}, no swaps: {resting}");
        let (mut swaps, mut generation) = (0, proxy.generation());
        variant += 1;
        put(&proxy.setup, variant);
        let swapping = phase(&runtime, &proxy, &world, routed, |done| {
            let serves = proxy.generation();
            if serves > generation {
                (swaps, generation) = (swaps + 1, serves);
                variant += 1;
                put(&proxy.setup, variant);
                proxy.setup.write(&configuration(swaps, service));
            }
            done >= scale.sessions && swaps >= scale.swaps
        });
        println!("{name}, {swaps} swaps meanwhile: {swapping}");
    }
    world.check(&proxy);
    serving.abort();
}
