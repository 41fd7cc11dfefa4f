//! Puts a component into a registry, as the CNCF's "Wasm OCI Artifact layout" has it, its signature in an annotation.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::json;

use super::{
    client::{Client, PUSH, Question, Trouble, place},
    docker,
    oci::{LAYERS, MANIFEST, Registry, SIGNATURE},
    sha256,
};
use crate::{
    config::{Login, Oci, digest_text},
    signature::Signed,
};

/// What the configuration of such an artifact is.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Largest answer that is read.
const MOST: u64 = 1 << 20;
/// When: never mind, so that the same component is the same artifact.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Where to, and how.
pub(crate) struct Order {
    /// With a tag.
    pub(crate) oci: Oci,
    pub(crate) plain_http: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) login: Option<Login>,
}

/// Pushes; gives the digest of the manifest.
pub(crate) async fn push(order: &Order, wasm: Vec<u8>, signed: Option<&Signed>) -> Result<[u8; 32], Trouble> {
    let client = Client::new(order.ca_file.as_deref(), &PUSH);
    let login = match (&order.login, docker::usual()) {
        (Some(login), _) => Some(login.clone()),
        (None, Some(path)) => docker::of_file(&path, &order.oci.registry)
            .map_err(|why| Trouble::Refused(format!("{}: {why}; `--username` does without it", path.display())))?,
        (None, None) => None,
    };
    let mut registry = Registry {
        client: &client,
        oci: &order.oci,
        login: login.as_ref(),
        plain: order.plain_http,
        actions: "pull,push",
        authorization: None,
    };
    let layer = sha256(&wasm);
    let size = wasm.len();
    let config = json!({
        "created": CREATED,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [digest_text(&layer)],
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": digest_text(&sha256(&config)), "size": config.len() },
        "layers": [{ "mediaType": LAYERS[0], "digest": digest_text(&layer), "size": size }],
        "annotations": signed.map(|signed| json!({ SIGNATURE: signed.annotation() })).unwrap_or(json!({})),
    });
    blob(&mut registry, wasm).await?;
    blob(&mut registry, config).await?;
    let manifest = manifest.to_string().into_bytes();
    let digest = sha256(&manifest);
    let name = order.oci.tag.as_deref().map_or_else(|| digest_text(&digest), ToOwned::to_owned);
    let url = registry.url(&format!("manifests/{name}"))?;
    let question = Question { method: Method::PUT, body: manifest.into(), ..Question::get(&url, MOST) };
    let answer = registry.ask(question.with(header::CONTENT_TYPE, MANIFEST)).await?;
    if answer.status != StatusCode::CREATED {
        return Err(registry.trouble(answer));
    }
    Ok(digest)
}

/// Uploads what the registry does not have.
async fn blob(registry: &mut Registry<'_>, bytes: Vec<u8>) -> Result<(), Trouble> {
    let digest = digest_text(&sha256(&bytes));
    let url = registry.url(&format!("blobs/{digest}"))?;
    // Its answer tells the length of what it does not send.
    let there = Question { method: Method::HEAD, ..Question::get(&url, u64::MAX) };
    if registry.ask(there).await?.status == StatusCode::OK {
        return Ok(());
    }
    let url = registry.url("blobs/uploads/")?;
    let begin = Question { method: Method::POST, ..Question::get(&url, MOST) };
    let answer = registry.ask(begin).await?;
    let location = answer.header(&header::LOCATION).map(ToOwned::to_owned);
    let (StatusCode::ACCEPTED, Some(location)) = (answer.status, location) else {
        return Err(registry.trouble(answer));
    };
    let wants = |to: &str| format!("{} wants it sent to {to}", url.authority());
    let to = url.join(&location);
    let mut to = to.map_err(|why| Trouble::Refused(format!("{}, which {why}", wants(&place(&location)))))?;
    if url.secure && !to.secure {
        return Err(Trouble::Refused(format!("{}, away from TLS", wants(&to.to_string()))));
    }
    let between = if to.target.contains('?') { '&' } else { '?' };
    to.target = format!("{}{between}digest={digest}", to.target).into();
    let question = Question { method: Method::PUT, body: Bytes::from(bytes), ..Question::get(&to, MOST) };
    let question = question.with(header::CONTENT_TYPE, "application/octet-stream");
    // Whoever stores it for the registry need not know who we are there.
    let elsewhere = to.origin() != url.origin();
    let mut answer = if elsewhere { registry.client.ask(question).await? } else { registry.ask(question).await? };
    answer.elsewhere |= elsewhere;
    if answer.status == StatusCode::CREATED { Ok(()) } else { Err(registry.trouble(answer)) }
}
