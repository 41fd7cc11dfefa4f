//! What the commands for releases have in common: reading a component, writing a file whole, saying why not.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{cli::exit, fetch::MAX_COMPONENT, files::bounded};

/// Says why it failed.
pub(super) fn failed(path: &Path, why: impl std::fmt::Display, code: u8) -> u8 {
    eprintln!("cordboard: {}: {why}", path.display());
    code
}

/// The bytes of a component.
pub(super) fn component(path: &Path) -> Result<Vec<u8>, u8> {
    let bytes = bounded(path, MAX_COMPONENT).map_err(|error| failed(path, error, exit::FAILURE))?;
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    Err(failed(path, "this is no WebAssembly", exit::FAILURE))
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
