//! `cordboard run --config FILE`: loads, listens, says where, reloads at SIGHUP, and stops at SIGINT or SIGTERM.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    descriptors, exit, refused,
    supervisor::{Supervisor, Told},
};
use crate::{
    app::{App, Options},
    candidate::{self, Paths},
    config::{self, Config, Problem},
    handover::Sockets,
    log,
    reload::{self, Why},
};

/// Longest time that the last inputs of failed calls may take to be written.
const LAST_FILES: Duration = Duration::from_secs(2);

pub(super) fn run(paths: Paths, code_cache: Option<PathBuf>) -> u8 {
    // While there is no other thread.
    let handed_over = Sockets::take_over();
    let parsed = match prepare(&paths) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let handed_over = match handed_over {
        Ok(sockets) => sockets,
        Err(problems) => {
            eprintln!("{}", problems.join("\n"));
            return exit::CONFIG;
        }
    };
    let (before, now) = descriptors::raise();
    println!("descriptor limit: {} (was {})", descriptors::shown(now), descriptors::shown(before));
    serve(parsed.workers, async {
        let app = App::start(Options { paths, code_cache, handed_over }).await.map_err(|error| refused(&error))?;
        print_addresses(&app);
        Ok((app, ()))
    })
}

/// Reads ahead what must be known before anything is started, and begins to log.
pub(super) fn prepare(paths: &Paths) -> Result<Config, u8> {
    match candidate::parse(paths) {
        Ok(parsed) => {
            log::to_stderr(parsed.log);
            Ok(parsed)
        }
        Err(problems) => {
            eprintln!("{}", Problem::shown(&problems));
            Err(exit::CONFIG)
        }
    }
}

fn print_addresses(app: &App) {
    for (name, address) in app.addresses() {
        println!("listening on {address} ({name})");
    }
    if let Some(address) = app.admin() {
        println!("admin on http://{address} (/readyz /metrics /generation)");
    }
}

/// The first line of the log: what serves, and where.
fn say_started(app: &App) {
    let generation = app.control().board.current.load();
    let listeners: Vec<_> = app.addresses().iter().map(|(name, address)| format!("{name}={address}")).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        generation = generation.number,
        hash = reload::short(generation.hash()),
        listeners = listeners.join(" "),
        admin = app.admin().map(|address| address.to_string()),
        "started"
    );
}

/// Runs what `start` starts until a signal comes, then drains; a second signal ends at once. What is given beside the
/// proxy lives as long as it does.
pub(super) fn serve<T>(workers: usize, start: impl Future<Output = Result<(App, T), u8>>) -> u8 {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cordboard: the runtime could not be started: {error}");
            return exit::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let catch = |kind| signal(kind);
        let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
            (catch(SignalKind::interrupt()), catch(SignalKind::terminate()), catch(SignalKind::hangup()))
        else {
            eprintln!("cordboard: signals cannot be caught");
            return exit::FAILURE;
        };
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            }
        };
        let (app, _beside) = tokio::select! {
            started = start => match started {
                Ok(started) => started,
                Err(code) => return code,
            },
            signal = next() => {
                tracing::info!(signal, "stopped before everything was started");
                return exit::OK;
            }
        };
        say_started(&app);
        let control = Arc::clone(app.control());
        let manager = Supervisor::find();
        manager.ready(&control).await;
        let _accompanied = control.board.drain.spawn_beside(manager.clone().accompany(Arc::clone(&control)));
        let signal = loop {
            tokio::select! {
                signal = next() => break signal,
                // By custom it asks for a reload; a closing terminal sends it, too, and ends nothing.
                Some(()) = hangup.recv() => {
                    let (control, manager) = (Arc::clone(&control), manager.clone());
                    app.control().board.drain.spawn(async move {
                        manager.tell(Told::Reloading).await;
                        let what = control.reload(Why::Signal, None).await;
                        tracing::info!(signal = "SIGHUP", what = what.name(), "the files were read again");
                        // Also where they were refused: what served, serves.
                        manager.ready(&control).await;
                    });
                }
            }
        };
        let config::Drain { delay, grace, .. } = control.board.current.load().config.drain;
        let legs = control.board.sessions.len();
        let [shown_delay, shown_grace, all] = [delay, grace, delay + grace].map(config::shown_duration);
        tracing::info!(
            signal,
            legs,
            delay = shown_delay,
            grace = shown_grace,
            "draining; a second signal ends at once"
        );
        let status = format!("draining: {legs} legs, to be cut after {all}");
        manager.tell(Told::Stopping { within: delay + grace, status }).await;
        let cut = app
            .stop(async {
                let signal = next().await;
                tracing::warn!(signal, "a second signal: ending at once");
            })
            .await;
        // What failed at last is to be looked at, too; a disk that hangs holds nobody up.
        let _ = tokio::time::timeout(LAST_FILES, control.host.finish_dumps()).await;
        match cut {
            None => tracing::info!(clean = true, "stopped"),
            Some(cut) => tracing::warn!(clean = false, cut, "stopped"),
        }
        exit::OK
    });
    // What is still running was cut by decision: the grace is over.
    runtime.shutdown_background();
    code
}
