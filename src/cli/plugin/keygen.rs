//! `cordboard plugin keygen KEY`: a private key for its owner alone, and the line that makes others trust it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::{super::print, exit, failed, text};
use crate::{config::no_name, signature::PrivateKey};

pub(super) fn keygen(path: &Path, show: bool, name: &str) -> u8 {
    if let Some(why) = no_name(name) {
        eprintln!("cordboard: --name: {why}");
        return exit::USAGE;
    }
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
    let written = file.and_then(|mut file| {
        let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
        // Half a key is none, and would be in the way of the next attempt.
        written.inspect_err(|_| drop(fs::remove_file(path)))
    });
    match written {
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
    PrivateKey::from_pem(&text(path)?)
}

fn say(key: &PrivateKey, name: &str) -> u8 {
    let public = key.public();
    print(&format!(
        "public key {public}\nid         {}\n\nIn the configuration of whoever trusts it:\n\ntrust:\n  keys:\n    {name}: {public}\n",
        public.id()
    ))
}
