//! `cordboard run --config FILE`: loads, listens, says where, and stops at SIGINT or SIGTERM.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use super::{descriptors, exit, refused};
use crate::{
    app::{App, Options},
    config::{self, Config, LogFormat},
    generation,
};

pub(super) fn run(config: PathBuf, code_cache: Option<PathBuf>) -> u8 {
    let parsed = match prepare(&config) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let (before, now) = descriptors::raise();
    println!("descriptor limit: {} (was {})", descriptors::shown(now), descriptors::shown(before));
    serve(parsed.workers, async {
        let app = App::start(Options { config, code_cache }).await.map_err(|error| refused(&error))?;
        print_addresses(&app);
        Ok((app, ()))
    })
}

/// Reads ahead what must be known before anything is started, and begins to log.
pub(super) fn prepare(config: &Path) -> Result<Config, u8> {
    match generation::parse(config) {
        Ok((_, parsed)) => {
            log_to_stderr(parsed.log);
            Ok(parsed)
        }
        Err(problems) => {
            eprintln!("{}", problems.join("\n"));
            Err(exit::CONFIG)
        }
    }
}

/// Events go to standard error; standard output is for what the command says.
fn log_to_stderr(log: config::Log) {
    let level = LevelFilter::from_level(log.level);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            use std::io::IsTerminal as _;
            builder.with_ansi(std::io::stderr().is_terminal()).init();
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
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
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
        let signal = next().await;
        tracing::info!(signal, "draining; a second signal ends at once");
        let clean = app
            .stop(async {
                let _ = next().await;
            })
            .await;
        tracing::info!(clean, "stopped");
        exit::OK
    });
    // What is still running was cut by decision: the grace is over.
    runtime.shutdown_background();
    code
}
