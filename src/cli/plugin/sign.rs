//! `cordboard plugin sign FILE --key KEY`: a signature beside the component.
//!
//! Signatures of the same bytes by other keys stay in the file; a signature of other bytes is replaced, for the component
//! was built anew. A file that is no signature is not written over.

use std::path::Path;

use super::{super::print, component, exit, failed, keygen};
use crate::{
    candidate::beside,
    fetch,
    files::{self, bounded},
    signature::{MAX_FILE, Signed, hex},
};

pub(super) fn sign(file: &Path, key: &Path, output: Option<&Path>) -> u8 {
    let (file, wasm) = match component(file) {
        Ok(component) => component,
        Err(code) => return code,
    };
    let private = match keygen::read(key) {
        Ok(private) => private,
        Err(why) => return failed(key, why, exit::FAILURE),
    };
    let sha256 = fetch::sha256(&wasm);
    let output = output.map_or_else(|| beside(&file), Path::to_owned);
    let mut signed = Signed { sha256, signatures: Vec::new() };
    if output.exists() {
        let text = bounded(&output, MAX_FILE as u64).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match text.map_err(|error| error.to_string()).and_then(|text| text.parse::<Signed>().map_err(|e| e.to_string()))
        {
            Ok(there) if there.sha256 == sha256 => signed.signatures = there.signatures,
            Ok(_) => {}
            Err(why) => return failed(&output, format!("{why}; it is not written over"), exit::CANNOT_CREATE),
        }
    }
    let signature = private.sign(sha256);
    signed.signatures.retain(|other| other.key() != signature.key());
    signed.signatures.push(signature);
    if let Err(error) = files::replace(&output, signed.to_string().as_bytes(), 0o644) {
        return failed(&output, error, exit::CANNOT_CREATE);
    }
    print(&format!("{}: signed with the key {}; sha256 {}\n", output.display(), private.public().id(), hex(&sha256)))
}
