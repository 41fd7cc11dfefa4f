//! `cordboard plugin`: what the author of a plugin works with, and who releases one; one file a command.
//!
//! A project is a folder with a manifest (`plugin.yaml`). What is tried is tried on the proxy's own policy host, so that
//! a plugin says on the bench what it will say in the proxy.

mod bench;
mod bindings;
mod build;
mod check;
mod component;
mod embedded;
mod heard;
mod keygen;
mod new;
mod project;
mod push;
mod release;
mod sign;
mod test;
mod trial;
mod verify;
mod watch;
mod wit;
mod world;

use std::path::PathBuf;

use clap::Subcommand;

use self::release::{component, failed, text};
use super::exit;

/// What to do.
#[derive(Subcommand)]
pub(super) enum Plugin {
    /// Begins a project, which builds and passes its tests at once
    New(new::New),
    /// Builds a project's component
    Build(build::Build),
    /// Says whether a proxy would take a component, and what to change
    Check(check::Check),
    /// Runs the test cases of a project against its component
    Test(test::Test),
    /// Measures what each call costs, beside the build before
    Bench(bench::Bench),
    /// Builds, tests and swaps a project into a running proxy at each save
    Watch(watch::Watch),
    /// Says what a component is: what it decides, imports and needs
    Inspect(check::Check),
    /// Prints the contract, or writes it for toolchains that make bindings of it
    Wit(wit::Wit),
    /// Makes a component of the core module that a compiler left
    Component(component::Component),
    /// Writes the bindings of a world, for languages without a tool of their own for that
    Bindings(bindings::Bindings),
    /// Makes a key to sign components with, and says what to put into the configuration
    Keygen {
        /// The private key's file (PEM); it must not be there yet
        #[arg(value_name = "KEY")]
        key: PathBuf,
        /// Makes none, but says it of the key that is there
        #[arg(long)]
        show: bool,
        /// What the key is called in the configuration
        #[arg(long, value_name = "NAME", default_value = "release")]
        name: String,
    },
    /// Signs a component
    Sign {
        /// The component, or the folder of its project
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The private key (PEM), of `keygen` or of `openssl genpkey -algorithm ed25519`
        #[arg(long, value_name = "KEY")]
        key: PathBuf,
        /// Where the signature goes; signatures of the same component that are there stay [default: FILE.sig]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Checks the signature of a component
    Verify {
        /// The component, or the folder of its project
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The signature [default: FILE.sig]
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        /// A public key in base64, or a file of it (PEM); may be given several times
        #[arg(long, value_name = "KEY", required_unless_present = "config")]
        key: Vec<String>,
        /// The keys in `trust` of this configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// What placeholders in it stand for
        #[arg(long, value_name = "FILE", requires = "config")]
        values: Option<PathBuf>,
    },
    /// Puts a component into a registry, with its signature if there is one
    Push(push::Push),
}

/// Does it.
pub(super) fn plugin(command: Plugin) -> u8 {
    match command {
        Plugin::New(asked) => new::new(&asked),
        Plugin::Build(asked) => build::build(&asked),
        Plugin::Check(asked) => check::check(&asked),
        Plugin::Test(asked) => test::test(&asked),
        Plugin::Bench(asked) => bench::bench(&asked),
        Plugin::Watch(asked) => watch::watch(&asked),
        Plugin::Inspect(asked) => check::inspect(&asked),
        Plugin::Wit(asked) => wit::wit(&asked),
        Plugin::Component(asked) => component::component(&asked),
        Plugin::Bindings(asked) => bindings::bindings(&asked),
        Plugin::Keygen { key, show, name } => keygen::keygen(&key, show, &name),
        Plugin::Sign { file, key, output } => sign::sign(&file, &key, output.as_deref()),
        Plugin::Verify { file, signature, key, config, values } => {
            verify::verify(&file, signature.as_deref(), &key, config, values)
        }
        Plugin::Push(push) => push::push(push),
    }
}
