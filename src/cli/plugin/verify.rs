//! `cordboard plugin verify FILE`: whether a component is signed by somebody who is trusted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{super::print, component, exit, failed, text};
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
    let (file, wasm) = match component(file) {
        Ok(component) => component,
        Err(code) => return code,
    };
    let sha256 = fetch::sha256(&wasm);
    let path = signature.map_or_else(|| beside(&file), Path::to_owned);
    if !path.exists() {
        let why = format!("its signature {} is not there", path.display());
        let hint = format!("sign it: `cordboard plugin sign {} --key KEY`", file.display());
        return failed(&file, format!("{why}; {hint}"), exit::FAILURE);
    }
    let by = fetch::file_of_signature(&path).and_then(|text| fetch::verify(&text, &sha256, &trusted));
    match by {
        Ok(name) => print(&format!("{}: signed by {name}; sha256 {}\n", file.display(), hex(&sha256))),
        Err(why) => failed(&file, why, exit::FAILURE),
    }
}

/// Whose signatures count.
fn trusted(
    keys: &[String],
    config: Option<PathBuf>,
    values: Option<PathBuf>,
) -> Result<Vec<(Arc<str>, PublicKey)>, u8> {
    let mut trusted = Vec::new();
    for given in keys {
        let key = match given.parse::<PublicKey>() {
            Ok(key) => key,
            Err(why) if !Path::new(given).exists() => {
                eprintln!("cordboard: {given} {why}, nor the name of a file");
                return Err(exit::USAGE);
            }
            Err(_) => {
                let key = text(Path::new(given)).and_then(|pem| PublicKey::from_pem(&pem));
                key.map_err(|why| failed(Path::new(given), why, exit::FAILURE))?
            }
        };
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
