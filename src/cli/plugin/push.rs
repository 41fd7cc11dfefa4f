//! `cordboard plugin push FILE oci://…`: puts a component into a registry, signed if `FILE.sig` is there.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{super::print, component, exit, failed};
use crate::{
    candidate::beside,
    config::{Login, Oci, digest_text},
    fetch::{
        self, Trouble,
        push::{Order, push as send},
    },
    signature::Signed,
};

/// Longest time that a push may take.
const PATIENCE: Duration = Duration::from_mins(10);

#[derive(Args)]
pub(in super::super) struct Push {
    /// The component, or the folder of its project
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to: `oci://REGISTRY/REPOSITORY:TAG`
    #[arg(value_name = "REFERENCE")]
    to: String,
    /// Its signature [default: FILE.sig, if it is there]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The registry is without TLS
    #[arg(long)]
    plain_http: bool,
    /// Certificates (PEM) that are believed beside those of the system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The user there; the password comes from `CORDBOARD_PASSWORD` [default: what `docker login` has left]
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
}

pub(super) fn push(push: Push) -> u8 {
    let oci = match Oci::parse(&push.to) {
        Ok(oci) if oci.digest.is_none() => oci,
        Ok(_) => return refused("names a digest, and what is pushed has its own; name a tag", &push.to),
        Err(why) => return refused(why, &push.to),
    };
    let login = match login(push.username) {
        Ok(login) => login,
        Err(code) => return code,
    };
    let (file, wasm) = match component(&push.file) {
        Ok(component) => component,
        Err(code) => return code,
    };
    let beside = beside(&file);
    let path = push.signature.or_else(|| Some(beside).filter(|path| path.exists()));
    let signed = path.map(|path| {
        let signed: Signed =
            fetch::file_of_signature(&path)?.parse().map_err(|why| format!("{}: {why}", path.display()))?;
        if signed.sha256 == fetch::sha256(&wasm) {
            return Ok(signed);
        }
        Err(format!("{} is the signature of other bytes; sign it again", path.display()))
    });
    let signed = match signed.transpose() {
        Ok(signed) => signed,
        Err(why) => return failed(&file, why, exit::FAILURE),
    };
    let order = Order { plain_http: push.plain_http, ca_file: push.ca_file, login, oci };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&file, error, exit::FAILURE),
    };
    let pushed =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, send(&order, wasm.to_vec(), signed.as_ref())).await });
    match pushed.unwrap_or_else(|_| Err(Trouble::Unreachable(format!("not done within {PATIENCE:?}")))) {
        Ok(digest) => {
            let digested = Oci { digest: Some(digest), ..order.oci };
            let how = if signed.is_some() { "signed" } else { "not signed" };
            print(&format!("{digested}\n{how}; the manifest is {}\n", digest_text(&digest)))
        }
        Err(trouble) => {
            eprintln!("cordboard: {}: {trouble}", order.oci);
            exit::FAILURE
        }
    }
}

/// The user, and the password of the environment.
fn login(username: Option<String>) -> Result<Option<Login>, u8> {
    let Some(username) = username else { return Ok(None) };
    match std::env::var("CORDBOARD_PASSWORD") {
        Ok(password) if !password.is_empty() => {
            Ok(Some(Login { username: username.into(), password: password.into() }))
        }
        _ => {
            eprintln!("cordboard: the password of `--username {username}` is to be in the variable CORDBOARD_PASSWORD");
            Err(exit::USAGE)
        }
    }
}

fn refused(why: &str, reference: &str) -> u8 {
    eprintln!("cordboard: {reference} {why}");
    exit::USAGE
}
