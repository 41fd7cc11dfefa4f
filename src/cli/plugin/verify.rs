//! `cordboard plugin verify FILE`: whether a component is signed by somebody who is trusted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{super::print, component, exit, failed};
use crate::{
    candidate::{self, Paths, beside},
    config::Problem,
    fetch,
    signature::{PublicKey, hex},
};

pub(super) fn verify(
    file: &Path,
    signature: Option<&Path>,
    keys: &[String],
    config: Option<PathBuf>,
    values: Option<PathBuf>,
) -> u8 {
    let trusted = match trusted(keys, config, values) {
        Ok(trusted) => trusted,
        Err(code) => return code,
    };
    let wasm = match component(file) {
        Ok(wasm) => wasm,
        Err(code) => return code,
    };
    let sha256 = fetch::sha256(&wasm);
    let path = signature.map_or_else(|| beside(file), Path::to_owned);
    let by = fetch::file_of_signature(&path).and_then(|text| fetch::verify(&text, &sha256, &trusted));
    match by {
        Ok(name) => print(&format!("{}: signed by {name}; sha256 {}\n", file.display(), hex(&sha256))),
        Err(why) => failed(file, why, exit::FAILURE),
    }
}

/// Whose signatures count.
fn trusted(
    keys: &[String],
    config: Option<PathBuf>,
    values: Option<PathBuf>,
) -> Result<Vec<(Arc<str>, PublicKey)>, u8> {
    let mut trusted = Vec::new();
    for text in keys {
        let key: PublicKey = text.parse().map_err(|why| {
            eprintln!("cordboard: {text} {why}");
            exit::USAGE
        })?;
        trusted.push((key.id().into(), key));
    }
    if let Some(config) = config {
        let config = candidate::parse(&Paths { config, values }).map_err(|problems| {
            eprintln!("{}", Problem::shown(&problems));
            exit::CONFIG
        })?;
        trusted.extend(config.trust.keys.iter().map(|(name, key)| (Arc::clone(name), *key)));
    }
    Ok(trusted)
}
