//! Connections come and go in every way there is, and nothing of them stays: no seat, no task, no descriptor, no memory.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet, time::timeout};

use super::{
    figures,
    kinds::{Kind, cycle},
    world::{STUCK, World},
};
use crate::support::{Proxy, Setup};

/// How much of it: all kinds in turns, then pairs that are closed, then routed sessions that are closed.
pub struct Scale {
    /// A third of it each.
    warm_up: u64,
    mixed: u64,
    pairs: u64,
    routed: u64,
}

impl Scale {
    pub const SMALL: Self = Self { warm_up: 300, mixed: 600, pairs: 200, routed: 200 };
    pub const FULL: Self = Self { warm_up: 9_000, mixed: 10_000, pairs: 100_000, routed: 100_000 };

    /// Without the warm-up.
    const fn cycles(&self) -> u64 {
        self.mixed + self.pairs + self.routed
    }

    fn kind(&self, number: u64) -> Kind {
        let (number, mixed, pairs) = match number.checked_sub(self.warm_up) {
            None => (number, self.warm_up / 3, self.warm_up / 3),
            Some(number) => (number, self.mixed, self.pairs),
        };
        match number {
            number if number < mixed => Kind::mixed(number),
            number if number < mixed + pairs => Kind::pair(number),
            number => Kind::routed(number),
        }
    }
}

/// Cycles at a time.
const AT_ONCE: u64 = 50;
/// Resident memory afterwards, in percent of that after the warm-up.
const MOST: u64 = 110;

fn configuration(service: SocketAddr, nobody: SocketAddr) -> String {
    let limits = "limits: {decision: 20s}";
    format!(
        "
plugins:
  rendezvous: {{component: 'builtin:rendezvous', {limits}}}
  router:
    component: 'builtin:router'
    config: {{pathPrefixService: {{/ws: talk, /ws/nobody: nobody}}}}
    {limits}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}
  - name: patient
    match: {{path: /patient}}
    mode: rendezvous
    plugins: [rendezvous]
    rendezvous: {{accept: when_paired}}
  - {{name: sockets, match: {{path: /ws}}, mode: router, plugins: [router]}}
services:
  talk: {{endpoints: ['ws://{service}']}}
  nobody: {{endpoints: ['ws://{nobody}']}}
"
    )
}

/// Runs cycles `first..last`, some at a time.
fn run_cycles(runtime: &Runtime, proxy: &Proxy, world: &Arc<World>, scale: &'static Scale, first: u64, last: u64) {
    let _runtime = runtime.enter();
    let next = Arc::new(AtomicU64::new(first));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (world, next) = (Arc::clone(world), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, SeqCst);
                if number >= last {
                    return;
                }
                let kind = scale.kind(number);
                let ended = timeout(STUCK, cycle(&world, number, kind)).await;
                if let Err(error) = ended.unwrap_or_else(|_| Err("stuck".to_owned())) {
                    world.failed(format!("cycle {number}, {kind:?}: {error}"));
                }
            }
        });
    }
    world.join(proxy, "the cycles to end", tasks);
}

/// Descriptors and tasks of a proxy without connections.
struct Rest {
    descriptors: f64,
    tasks: f64,
}

impl Rest {
    fn of(proxy: &Proxy) -> Self {
        Self {
            descriptors: figures::at_rest(proxy, "cordboard_open_descriptors"),
            tasks: figures::at_rest(proxy, "cordboard_runtime_tasks"),
        }
    }

    /// Waits until nothing is left of any connection.
    fn returns(&self, proxy: &Proxy) {
        for gauge in ["connections", "channels", "legs_waiting", "pairs", "seats_reserved"] {
            proxy.metric_becomes(&format!("cordboard_{gauge}"), 0.0);
        }
        for mode in ["rendezvous", "router"] {
            proxy.metric_becomes(&format!("cordboard_sessions{{mode=\"{mode}\"}}"), 0.0);
        }
        proxy.metric_becomes("cordboard_runtime_tasks", self.tasks);
        // Fewer where the connection of the look before was there at each look.
        proxy.metric_falls_to("cordboard_open_descriptors", self.descriptors);
    }
}

pub fn run(scale: &'static Scale) {
    let begun = Instant::now();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let service = listener.local_addr().unwrap();
    // Bound and not listening: a dial is refused for as long as this lives.
    let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nobody.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let nobody_at = nobody.local_addr().unwrap().as_socket().unwrap();
    let proxy = Setup::new(&configuration(service, nobody_at)).start();
    let world = Arc::new(World::new(proxy.address, 0));
    let serving = runtime.spawn({
        let world = Arc::clone(&world);
        async move { world.serve(listener).await }
    });
    let rest = Rest::of(&proxy);
    let idle = figures::resident(&proxy);
    run_cycles(&runtime, &proxy, &world, scale, 0, scale.warm_up);
    rest.returns(&proxy);
    let (warm, cpu) = (figures::resident(&proxy), figures::processor(&proxy));
    let mut trend = Vec::new();
    for part in 0..10 {
        let at = |part: u64| scale.warm_up + scale.cycles() * part / 10;
        run_cycles(&runtime, &proxy, &world, scale, at(part), at(part + 1));
        trend.push(figures::resident(&proxy) >> 10);
    }
    rest.returns(&proxy);
    let after = figures::resident(&proxy);
    verify(&proxy, &world, scale);
    println!(
        "leak cycles: {} in {:.1?}, {:.2?} of the proxy's processor time each; resident {} KiB at start, {} KiB after {} \
         cycles of warm-up, {} KiB after all ({:+.1} %; every tenth: {trend:?}); {} descriptors and {} tasks at rest",
        scale.cycles(),
        begun.elapsed(),
        (figures::processor(&proxy) - cpu) / u32::try_from(scale.cycles()).unwrap(),
        idle >> 10,
        warm >> 10,
        scale.warm_up,
        after >> 10,
        (after as f64 / warm as f64 - 1.0) * 100.0,
        rest.descriptors,
        rest.tasks,
    );
    assert!(
        after * 100 <= warm * MOST,
        "resident memory grew from {warm} to {after} bytes; every tenth: {trend:?} KiB"
    );
    serving.abort();
}

fn verify(proxy: &Proxy, world: &World, scale: &Scale) {
    let all = 0..scale.warm_up + scale.cycles();
    let of_kind = |kind: Kind| all.clone().filter(|number| scale.kind(*number) == kind).count() as f64;
    // Who leaves before its 101 may have left before its request was looked at, which nobody counts then.
    let gone = proxy.metric("cordboard_causes_total{cause=\"client-gone\"}");
    assert!(gone <= of_kind(Kind::Gone), "{gone} left before their 101");
    world.expect(("rendezvous", "refused"), gone as u64);
    // Two that close at once were joined before, or each was alone.
    let races = of_kind(Kind::Race) as u64;
    let paired = proxy.metric("cordboard_sessions_ended_total{mode=\"rendezvous\",outcome=\"paired\"}") as u64;
    let joined = paired - world.expected(("rendezvous", "paired"));
    assert!(joined <= races, "{joined} of {races} hasty pairs were joined");
    world.expect(("rendezvous", "paired"), joined);
    world.expect(("rendezvous", "lonely"), 2 * (races - joined));
    figures::ended(proxy, |ended| world.expected(ended));
}
