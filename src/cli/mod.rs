//! The command line; one file a command.

mod check;
mod curl;
mod demo;
mod descriptors;
mod explain;
mod generate;
mod import;
mod load;
mod plugin;
mod remote;
mod run;
mod schema;
mod supervisor;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{app::StartError, candidate::Paths, config::DEFAULT_ADMIN, log};

/// Exit codes (sysexits.h, but for the first four).
pub mod exit {
    /// Stopped as asked.
    pub const OK: u8 = 0;
    /// Something failed.
    pub const FAILURE: u8 = 1;
    /// The command line is wrong; clap uses the same.
    pub const USAGE: u8 = 2;
    /// Something was imported, and not all of it has a counterpart.
    pub const PARTLY: u8 = 3;
    /// What is to be imported cannot be read.
    pub const DATA: u8 = 65;
    /// An address cannot be bound.
    pub const UNAVAILABLE: u8 = 69;
    /// An output cannot be written; a file that is there is never written over.
    pub const CANNOT_CREATE: u8 = 73;
    /// The configuration is refused.
    pub const CONFIG: u8 = 78;

    /// Every one, for the documents.
    pub const ALL: [u8; 8] = [OK, FAILURE, USAGE, PARTLY, DATA, UNAVAILABLE, CANNOT_CREATE, CONFIG];
}

/// A WebSocket switchboard whose operator is a WebAssembly component.
#[derive(Parser)]
#[command(name = "cordboard", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy until SIGINT or SIGTERM
    Run {
        /// The configuration file; it and the components it names are watched
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What placeholders in it stand for, before the environment: a map of names to values; it is watched too
        #[arg(long, value_name = "FILE")]
        values: Option<PathBuf>,
        /// Where compiled policies and fetched components are kept [default: cordboard/ in the user's cache folder]
        #[arg(long, value_name = "DIR")]
        code_cache: Option<PathBuf>,
    },
    /// Checks a configuration and loads its policies, without listening
    Check {
        /// The configuration file
        #[arg(value_name = "FILE")]
        config: PathBuf,
        /// What placeholders in it stand for, before the environment
        #[arg(long, value_name = "FILE")]
        values: Option<PathBuf>,
        /// Prints what is found as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Lists the generations that served a running proxy, and why, with what each changed
    Generations {
        #[command(flatten)]
        remote: remote::Remote,
    },
    /// Has a running proxy read its files again, and says what became of them
    Reload {
        #[command(flatten)]
        remote: remote::Remote,
        /// Only what hashes to this (`check` and `/generation` show it, its first 12 digits are enough); waited for up to
        /// ten seconds
        #[arg(long, value_name = "SHA256")]
        hash: Option<String>,
    },
    /// Has a running proxy serve again what served before, and pins that
    Rollback {
        #[command(flatten)]
        remote: remote::Remote,
        /// The generation to go back to [default: the one before]
        #[arg(value_name = "GENERATION")]
        generation: Option<u64>,
    },
    /// Takes the pin of a rollback away: what the files say serves again
    Resume {
        #[command(flatten)]
        remote: remote::Remote,
    },
    /// Has a running proxy ask its policies again whether sessions may go on, and close those that may not
    Revoke {
        #[command(flatten)]
        remote: remote::Remote,
        #[command(flatten)]
        whom: remote::Whom,
    },
    /// Says what would be done with a request, and why: which routes match, what each policy says, what follows
    Explain(explain::Explain),
    /// Prints the JSON Schema of the configuration, with which editors complete and check it
    Schema,
    /// Runs the proxy with an echo service and a rendezvous backend to try it with
    Demo {
        /// A configuration of one's own instead of the built-in one
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// What placeholders in it stand for
        #[arg(long, value_name = "FILE", requires = "config")]
        values: Option<PathBuf>,
    },
    /// Asks a running proxy whether it is ready; for probes
    Health {
        /// The admin address of the running proxy
        #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADMIN, value_parser = remote::address)]
        admin: SocketAddr,
        /// Only whether it lives: a proxy that drains is not ready, and lives
        #[arg(long)]
        live: bool,
    },
    /// Turns another system's configuration into one of Cordboard's
    Import {
        #[command(subcommand)]
        from: Import,
    },
    /// What the author of a plugin works with
    Plugin {
        #[command(subcommand)]
        command: plugin::Plugin,
    },
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints a manual page
    Man {
        /// The command whose page it is, such as `import light4j` [default: that of all of them]
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Import {
    /// From light-4j: handler.yml, websocket-rendezvous.yml, websocket-router.yml, values.yml and others, in any order
    #[command(name = "light4j")]
    Light4j {
        /// The files, known by their names or their keys
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Where to write to; a file that is there is left as it is [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Arguments::parse().command {
        Command::Run { config, values, code_cache } => {
            run::run(Paths { config, values }, code_cache.or_else(code_cache_dir))
        }
        Command::Check { config, values, json } => check::check(&Paths { config, values }, json),
        Command::Schema => schema::schema(),
        Command::Generations { remote } => remote::generations(remote),
        Command::Reload { remote, hash } => remote::reload(remote, hash.as_deref()),
        Command::Rollback { remote, generation } => remote::rollback(remote, generation),
        Command::Resume { remote } => remote::resume(remote),
        Command::Revoke { remote, whom } => remote::revoke(remote, &whom),
        Command::Explain(asked) => explain::explain(&asked),
        Command::Demo { config, values } => demo::demo(config, values),
        Command::Import { from: Import::Light4j { files, output } } => import::light4j(&files, output.as_deref()),
        Command::Health { admin, live } => remote::health(admin, live),
        Command::Plugin { command } => plugin::plugin(command),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { command } => generate::man(&command),
    };
    log::finish();
    ExitCode::from(code)
}

/// `$XDG_CACHE_HOME/cordboard` or `~/.cache/cordboard`.
fn code_cache_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|dir| dir.join("cordboard"))
}

/// Writes to standard output. A reader that has enough of it is no failure.
fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => {
            eprintln!("cordboard: standard output: {error}");
            exit::FAILURE
        }
    }
}

/// Says why the proxy did not start, and the code to exit with.
fn refused(error: &StartError) -> u8 {
    eprintln!("cordboard: {error}");
    match error {
        StartError::Configuration(_) => exit::CONFIG,
        StartError::Bind(_) => exit::UNAVAILABLE,
        StartError::Engine(_) | StartError::Relay(_) => exit::FAILURE,
    }
}
