//! Artifacts of OCI registries: a manifest, and the one layer of it that is a component.
//!
//! What is read are the artifacts of the CNCF's "Wasm OCI Artifact layout" and the older forms of a layer with a
//! WebAssembly media type. Nothing is believed that does not hash to what it was asked for by. Three requests at most beside
//! the one for a token: manifest, token where the registry asks for one, layer.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    MAX_COMPONENT,
    client::{Answer, Client, Question, Trouble, place, shown},
    hashed, sha256,
};
use crate::{
    config::{Login, Oci, Url, digest_text},
    signature::unhex,
};

/// A manifest (OCI image specification).
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What may come in its place, and is of no use.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// What a layer is that is a component; the first is today's.
pub(super) const LAYERS: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];
/// The annotation, of the layer or of the manifest, that holds signatures.
pub(super) const SIGNATURE: &str = "vnd.cordboard.signature";
/// Largest manifest, in bytes (the specification asks registries to take so much).
const MAX_MANIFEST: u64 = 4 << 20;
/// Largest answer with a token.
const MAX_TOKEN: u64 = 256 << 10;

/// A registry, and what it was told about us.
pub(super) struct Registry<'a> {
    pub(super) client: &'a Client,
    pub(super) oci: &'a Oci,
    pub(super) login: Option<&'a Login>,
    /// Without TLS.
    pub(super) plain: bool,
    /// What is asked for: `pull`, or `pull,push`.
    pub(super) actions: &'static str,
    /// What it wants to hear.
    pub(super) authorization: Option<String>,
}

/// What a manifest says.
pub(super) struct Found {
    /// What the component hashes to.
    pub(super) sha256: [u8; 32],
    pub(super) size: u64,
    /// What its annotation says.
    pub(super) signature: Option<String>,
}

impl Registry<'_> {
    /// A place at this registry.
    pub(super) fn url(&self, path: &str) -> Result<Url, Trouble> {
        // Docker Hub is served under another name than it has.
        let registry = if &*self.oci.registry == "docker.io" { "registry-1.docker.io" } else { &*self.oci.registry };
        let scheme = if self.plain { "http" } else { "https" };
        let url = Url::parse(&format!("{scheme}://{registry}/v2/{}/{path}", self.oci.repository));
        url.map_err(|why| Trouble::Refused(format!("{} {why}", self.oci)))
    }

    /// Asks, and says who we are if the registry asks for that, and nobody whom it leads to.
    pub(super) async fn ask(&mut self, question: Question) -> Result<Answer, Trouble> {
        let asked = |authorization: &Option<String>| match authorization {
            Some(value) => question.clone().with(header::AUTHORIZATION, value),
            None => question.clone(),
        };
        let answer = self.client.ask(asked(&self.authorization)).await?;
        // A token may be good for reading only; a password is good for everything or nothing.
        let said = self.authorization.as_ref().is_some_and(|said| said.starts_with("Basic "));
        let ours = answer.from.origin() == question.url.origin();
        if answer.status != StatusCode::UNAUTHORIZED || said || !ours {
            return Ok(answer);
        }
        let challenges =
            answer.headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<_> = challenges.map(ToOwned::to_owned).collect();
        match self.authorize(&challenges, &question.url).await? {
            Some(authorization) => self.authorization = Some(authorization),
            None => return Ok(answer),
        }
        self.client.ask(asked(&self.authorization)).await
    }

    /// What a registry wants to hear that says 401.
    async fn authorize(&self, challenges: &[String], url: &Url) -> Result<Option<String>, Trouble> {
        let of = |scheme: &str| challenges.iter().find_map(|challenge| parameters(challenge, scheme));
        let basic = self.login.map(basic);
        let Some(bearer) = of("bearer") else {
            return Ok(basic.filter(|_| of("basic").is_some()));
        };
        let value = |name: &str| bearer.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let realm = value("realm").unwrap_or_default();
        let mut realm = Url::parse(realm).map_err(|why| {
            Trouble::Refused(format!("{} wants a token from {}, which {why}", url.authority(), place(realm)))
        })?;
        if url.secure && !realm.secure {
            let text = format!("{} wants a token from {realm}, which is without TLS", url.authority());
            return Err(Trouble::Refused(text));
        }
        let scope = format!("repository:{}:{}", self.oci.repository, self.actions);
        let scope = value("scope").filter(|scope| scope.len() < 1024).unwrap_or(&scope);
        let mut query = format!("scope={}", utf8_percent_encode(scope, NON_ALPHANUMERIC));
        if let Some(service) = value("service") {
            query = format!("service={}&{query}", utf8_percent_encode(service, NON_ALPHANUMERIC));
        }
        let between = if realm.target.contains('?') { '&' } else { '?' };
        realm.target = format!("{}{between}{query}", realm.target).into();
        let mut question = Question::get(&realm, MAX_TOKEN);
        if let Some(basic) = &basic {
            question = question.with(header::AUTHORIZATION, basic);
        }
        let answer = self.client.ask(question).await.map_err(|trouble| trouble.of(&"the token"))?;
        if answer.status != StatusCode::OK {
            return Err(answer.trouble(basic.is_some()).of(&"the token"));
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = ["token", "access_token"].into_iter().find_map(|key| said[key].as_str());
        let token = token.ok_or_else(|| Trouble::Refused(format!("the token: {realm} gives none")))?;
        Ok(Some(format!("Bearer {token}")))
    }

    /// What is wrong where a registry says so.
    pub(super) fn trouble(&self, mut answer: Answer) -> Trouble {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let error = &said["errors"][0];
        if let Some(code) = error["code"].as_str() {
            answer.body = format!("{code}: {}", error["message"].as_str().unwrap_or_default()).into_bytes();
        }
        answer.trouble(self.login.is_some())
    }

    /// Which component it is.
    pub(super) async fn manifest(&mut self) -> Result<Found, Trouble> {
        let url = self.url(&format!("manifests/{}", self.oci.wanted()))?;
        let accept = format!("{MANIFEST}, {}", INDEXES.join(", "));
        let answer = self.ask(Question::get(&url, MAX_MANIFEST).with(header::ACCEPT, &accept)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.trouble(answer));
        }
        if let Some(digest) = self.oci.digest
            && sha256(&answer.body) != digest
        {
            let found = digest_text(&sha256(&answer.body));
            return Err(Trouble::Refused(format!("the manifest hashes to {found}, not to what the reference says")));
        }
        read(&answer.body).map_err(Trouble::Refused)
    }

    /// The component itself.
    pub(super) async fn layer(&mut self, found: &Found) -> Result<Arc<[u8]>, Trouble> {
        let digest = digest_text(&found.sha256);
        let url = self.url(&format!("blobs/{digest}"))?;
        let answer = self.ask(Question::get(&url, found.size)).await?;
        if answer.status != StatusCode::OK {
            return Err(self.trouble(answer));
        }
        let (body, hash) = hashed(answer.body).await?;
        if hash != found.sha256 {
            let text = format!("the layer hashes to {}, but the manifest names {digest}", digest_text(&hash));
            return Err(Trouble::Refused(text));
        }
        Ok(body)
    }
}

/// User and password, as they are sent (RFC 7617).
pub(super) fn basic(login: &Login) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", login.username, login.password)))
}

fn read(body: &[u8]) -> Result<Found, String> {
    let manifest: Value = serde_json::from_slice(body).map_err(|_| "what is there is no manifest".to_owned())?;
    let kind = manifest["mediaType"].as_str().unwrap_or(MANIFEST);
    if INDEXES.contains(&kind) || manifest["manifests"].is_array() {
        return Err("this is an index of several artifacts; name one of them by its digest".to_owned());
    }
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = |layer: &Value| layer["mediaType"].as_str().unwrap_or_default().to_owned();
    let components: Vec<_> = layers.iter().filter(|layer| LAYERS.contains(&&*kind(layer))).collect();
    let [layer] = components[..] else {
        let kinds: Vec<_> = layers.iter().map(|layer| shown(&kind(layer))).collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        return Err(format!(
            "of the artifact's layers one must be a component ({}); there are {}",
            LAYERS[0],
            shown(&kinds)
        ));
    };
    let hash = layer["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).and_then(unhex);
    let size = layer["size"].as_u64().unwrap_or_default();
    if size > MAX_COMPONENT {
        return Err(format!("the component has {size} bytes, and at most {MAX_COMPONENT} are taken"));
    }
    let signature = [layer, &manifest].into_iter().find_map(|of| of["annotations"][SIGNATURE].as_str());
    Ok(Found {
        sha256: hash.ok_or("the layer is not named by a SHA-256")?,
        size,
        signature: signature.map(ToOwned::to_owned),
    })
}

/// The parameters of a challenge of this scheme (RFC 9110 §11.6.1), names in lower case.
fn parameters(challenge: &str, scheme: &str) -> Option<Vec<(String, String)>> {
    let (first, mut rest) = challenge.trim().split_once(' ').unwrap_or((challenge.trim(), ""));
    if !first.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let mut all = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        all.push((name.trim().trim_start_matches(',').trim().to_ascii_lowercase(), value.to_owned()));
        rest = after;
    }
    Some(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn challenges_are_taken_apart() {
        let said =
            r#"Bearer realm="https://auth.example/token",service="r, x", Scope="repository:a:pull,push",error=x"#;
        let all = parameters(said, "bearer").unwrap();
        let expected = [
            ("realm", "https://auth.example/token"),
            ("service", "r, x"),
            ("scope", "repository:a:pull,push"),
            ("error", "x"),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(parameters(said, "basic").is_none());
        assert_eq!(parameters("Basic", "basic"), Some(Vec::new()));
    }

    #[test]
    fn of_a_manifest_the_one_layer_counts_that_is_a_component() {
        let digest = digest_text(&[7; 32]);
        let layer = |kind: &str, size: u64| json!({ "mediaType": kind, "digest": digest, "size": size });
        let read =
            |layers: Value| read(json!({ "layers": layers, "annotations": { SIGNATURE: "s" } }).to_string().as_bytes());
        let found = read(json!([layer("text/plain", 1), layer(LAYERS[0], 5)])).ok().unwrap();
        assert_eq!((found.sha256, found.size, found.signature.as_deref()), ([7; 32], 5, Some("s")));
        for (layers, why) in [
            (json!([]), "there are none"),
            (json!([layer("application/vnd.oci.image.layer.v1.tar+gzip", 5)]), "image.layer.v1.tar+gzip"),
            (json!([layer(LAYERS[0], 5), layer(LAYERS[1], 5)]), "one must be"),
            (json!([layer(LAYERS[0], MAX_COMPONENT + 1)]), "at most"),
            (json!([{ "mediaType": LAYERS[0], "digest": "sha512:00" }]), "not named by a SHA-256"),
        ] {
            let said = read(layers).err().unwrap();
            assert!(said.contains(why), "{said}");
        }
        assert!(super::read(br#"{"manifests":[]}"#).err().unwrap().contains("index"));
        assert!(super::read(b"<html>").err().unwrap().contains("no manifest"));
    }
}
