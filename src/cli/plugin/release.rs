//! What the commands for releases have in common: a component and its file, a small text, saying why not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::project::{Stop, Target};
use crate::files::bounded;

/// Largest text, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// Says why it failed.
pub(super) fn failed(path: &Path, why: impl std::fmt::Display, code: u8) -> u8 {
    eprintln!("cordboard: {}: {why}", path.display());
    code
}

/// A component: its file, which a project's manifest names where its folder is given, and its bytes.
pub(super) fn component(path: &Path) -> Result<(PathBuf, Arc<[u8]>), u8> {
    let target = Target::of(path).map_err(Stop::say)?;
    let bytes = target.wasm().map_err(Stop::say)?;
    Ok((target.component, bytes))
}

/// A small text file that somebody names.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let bytes = bounded(path, MAX_TEXT).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
