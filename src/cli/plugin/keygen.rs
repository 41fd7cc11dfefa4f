//! `cordboard plugin keygen KEY`: a private key for its owner alone, and the line that makes others trust it.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::{super::print, exit, failed};
use crate::{files::bounded, signature::PrivateKey};

/// Largest key file that is read.
const MAX_KEY: u64 = 64 << 10;

pub(super) fn keygen(path: &Path, show: bool, name: &str) -> u8 {
    if show {
        return match read(path) {
            Ok(key) => say(&key, name),
            Err(why) => failed(path, why, exit::FAILURE),
        };
    }
    let (key, pem) = match PrivateKey::generate() {
        Ok(made) => made,
        Err(why) => return failed(path, why, exit::FAILURE),
    };
    // Never over a key that is there: what it signed could not be signed again.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    match file.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all())) {
        Ok(()) => {
            eprintln!("{}: keep this file; whoever has it can sign in your name", path.display());
            say(&key, name)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let why = "this file exists, and none is written over; `--show` says what its public key is";
            failed(path, why, exit::CANNOT_CREATE)
        }
        Err(error) => failed(path, error, exit::CANNOT_CREATE),
    }
}

/// Reads a private key.
pub(super) fn read(path: &Path) -> Result<PrivateKey, String> {
    let bytes = bounded(path, MAX_KEY).map_err(|error| error.to_string())?;
    PrivateKey::from_pem(&String::from_utf8_lossy(&bytes))
}

fn say(key: &PrivateKey, name: &str) -> u8 {
    let public = key.public();
    print(&format!(
        "public key {public}\nid         {}\n\nIn the configuration of whoever trusts it:\n\ntrust:\n  keys:\n    {name}: {public}\n",
        public.id()
    ))
}
