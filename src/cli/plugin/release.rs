//! What the commands for releases have in common: reading a component, writing a file whole, saying why not.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::project::{Stop, Target};
use crate::{cli::exit, files::bounded};

/// Largest text, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// Says why it failed.
pub(super) fn failed(path: &Path, why: impl std::fmt::Display, code: u8) -> u8 {
    eprintln!("cordboard: {}: {why}", path.display());
    code
}

/// A component: its file, which a project's manifest names where its folder is given, and its bytes.
pub(super) fn component(path: &Path) -> Result<(PathBuf, Vec<u8>), u8> {
    let target = Target::of(path).map_err(Stop::say)?;
    let bytes = target.wasm().map_err(Stop::say)?;
    if bytes.starts_with(b"\0asm") {
        return Ok((target.component, bytes.to_vec()));
    }
    Err(failed(&target.component, "this is no WebAssembly", exit::FAILURE))
}

/// A small text file that somebody names.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let bytes = bounded(path, MAX_TEXT).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a file that is there whole or not at all.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
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
