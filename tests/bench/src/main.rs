//! `cordboard-bench`: see the library.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use cordboard_bench::{
    network,
    peer::{Peer, Tools},
    relay::{self, Kind, Ways},
    report,
    results::Results,
    row::{self, Work},
    run::{self, Options},
};

/// How long a glance looks at a row.
const QUICK: Duration = Duration::from_millis(300);

/// What the proxy costs, beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the comparison
    Run(Comparison),
    /// Writes the document of a run anew
    Report {
        /// What the run found: `results.json`
        results: PathBuf,
        /// The folder for the document
        #[arg(long)]
        docs: PathBuf,
    },
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

#[derive(Debug, clap::Args)]
struct Comparison {
    /// The proxy's binary, as it is released
    #[arg(long)]
    cordboard: PathBuf,
    /// The component of the router's policy, for the rows of swaps
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The component of the message filter, for the rows of messages
    #[arg(long)]
    filter: Option<PathBuf>,
    /// Where the programs of the peers were put
    #[arg(long, default_value = "target/tools/peers")]
    tools: PathBuf,
    /// A folder for what the run needs and what it found
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The folder for the document [default: that of `--work`]
    #[arg(long)]
    docs: Option<PathBuf>,
    /// Only these rows, or groups of them, such as routed-64B,idle
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Only these peers, such as cordboard,nginx
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Repetitions of each row
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Milliseconds that each is measured for
    #[arg(long, default_value_t = 800)]
    milliseconds: u64,
    /// Idle sessions
    #[arg(long, default_value_t = 9000)]
    sessions: usize,
    /// A glance: each row once and briefly, none of those under valgrind
    #[arg(long)]
    quick: bool,
}

impl Comparison {
    fn run(&self) -> io::Result<()> {
        let mut options = Options {
            rows: row::chosen(&self.rows).map_err(io::Error::other)?,
            peers: Peer::chosen(&self.peers).map_err(io::Error::other)?,
            repetitions: self.repetitions.max(1),
            time: Duration::from_millis(self.milliseconds),
            sessions: self.sessions,
            policy: self.policy.clone(),
        };
        if self.quick {
            options.rows.retain(|row| !matches!(row.work, Work::Callgrind(_)));
            (options.repetitions, options.time) = (1, QUICK);
            options.sessions = options.sessions.min(1000);
        }
        let tools = Tools::new(&self.cordboard, &self.tools, &self.work, self.filter.as_deref())?;
        let results = run::run(&options, &tools)?;
        results.write(&self.work.join("results.json"))?;
        report::write(&results, self.docs.as_ref().unwrap_or(&self.work))
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(comparison) => {
            network::enter();
            comparison.run()
        }
        Command::Report { results, docs } => Results::read(&results).and_then(|results| report::write(&results, &docs)),
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
