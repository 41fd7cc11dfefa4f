//! `cordboard-bench`: see the library.

use std::{net::SocketAddr, process::ExitCode};

use clap::{Parser, Subcommand};
use cordboard_bench::relay::{self, Kind, Ways};

/// What the proxy costs, beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One of the relays that the proxy is compared with; it runs until it is killed
    Relay {
        /// Which
        kind: Kind,
        /// Where it listens; the address is printed
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Whom it dials for each connection
        #[arg(long)]
        to: SocketAddr,
        /// Threads
        #[arg(long, default_value_t = 2)]
        workers: usize,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Relay { kind, listen, to, workers } => {
            relay::run(kind, Ways { listen, to, workers }).map(|never| match never {})
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
