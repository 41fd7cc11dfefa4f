//! `cordboard plugin`: what authors of plugins and those who release them need.

mod keygen;
mod push;
mod sign;
mod verify;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::exit;
use crate::{fetch::MAX_COMPONENT, files::bounded};

#[derive(Subcommand)]
pub(super) enum Plugin {
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
        /// The component
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
        /// The component
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The signature [default: FILE.sig]
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
        /// A public key in base64; may be given several times
        #[arg(long, value_name = "BASE64", required_unless_present = "config")]
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

pub(super) fn plugin(command: Plugin) -> u8 {
    match command {
        Plugin::Keygen { key, show, name } => keygen::keygen(&key, show, &name),
        Plugin::Sign { file, key, output } => sign::sign(&file, &key, output.as_deref()),
        Plugin::Verify { file, signature, key, config, values } => {
            verify::verify(&file, signature.as_deref(), &key, config, values)
        }
        Plugin::Push(push) => push::push(push),
    }
}

/// Says why it failed.
fn failed(path: &Path, why: impl std::fmt::Display, code: u8) -> u8 {
    eprintln!("cordboard: {}: {why}", path.display());
    code
}

/// The bytes of a component.
fn component(path: &Path) -> Result<Vec<u8>, u8> {
    let bytes = bounded(path, MAX_COMPONENT).map_err(|error| failed(path, error, exit::FAILURE))?;
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    Err(failed(path, "this is no WebAssembly", exit::FAILURE))
}

/// Writes a file that is there whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}
