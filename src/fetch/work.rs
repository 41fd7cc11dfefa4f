//! One component on its way: which bytes, whether they are the right ones, who signed them, and what serves where nobody
//! can be asked.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime},
};

use http::{StatusCode, header};

use super::{
    Fetcher, Given, Look, MAX_COMPONENT, Trouble,
    cache::Note,
    client::{self, Client, Question},
    docker, file_of_signature,
    oci::{self, Registry},
    sha256, verify,
    wanted::{Demand, Place, Wanted},
};
use crate::{
    config::{Fetch, Login, Oci, Remote, Url},
    signature::{MAX_FILE, Signed, hex},
};

/// When it is tried again to reach somebody, where there is no copy.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];

/// One component, on its way.
pub(super) struct Work<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) client: &'a Client,
    pub(super) wanted: &'a Wanted,
    pub(super) fetch: &'a Fetch,
    pub(super) reference: String,
}

/// What was said of a component beside its bytes.
struct Brought {
    wasm: Vec<u8>,
    sha256: [u8; 32],
    /// What the annotation of an artifact says.
    annotation: Annotation,
    etag: Option<String>,
    /// Whether the bytes came over the network.
    fresh: bool,
}

/// The annotation of an artifact.
#[derive(Clone)]
enum Annotation {
    /// Nobody has looked, or it is no artifact.
    Unknown,
    Missing,
    Says(String),
}

impl From<Option<String>> for Annotation {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Missing, Self::Says)
    }
}

impl Work<'_> {
    fn cached(&self, sha256: [u8; 32]) -> Option<Vec<u8>> {
        self.fetcher.cache.as_ref()?.component(&sha256)
    }

    fn note(&self) -> Option<Note> {
        self.fetcher.cache.as_ref()?.note(&self.reference)
    }

    pub(super) async fn given(&self, look: Look) -> Result<Given, Trouble> {
        let begun = Instant::now();
        // What it hashes to, where that is certain or nobody wants to know better.
        let known = self.wanted.pin.or_else(|| {
            let note = self.note().filter(|_| look == Look::Known || !self.wanted.is_mutable());
            note.map(|note| note.sha256)
        });
        if let Some((sha256, wasm)) = known.and_then(|hash| Some((hash, self.cached(hash)?))) {
            let brought = Brought { wasm, sha256, annotation: Annotation::Unknown, etag: None, fresh: false };
            let signature = self.signature(&brought.sha256, &brought.annotation).await?;
            return Ok(self.done(brought, signature.as_deref(), None));
        }
        let brought = match self.bring_patiently().await {
            Ok(brought) => brought,
            Err(trouble) => return self.instead(trouble),
        };
        if let Some(pin) = self.wanted.pin.filter(|pin| *pin != brought.sha256) {
            return Err(other(&brought.sha256, &pin));
        }
        let signature = match self.signature(&brought.sha256, &brought.annotation).await {
            Ok(signature) => signature,
            Err(trouble) => return self.instead(trouble),
        };
        let counts = &self.fetcher.counts;
        if brought.fresh { &counts.fetched } else { &counts.unchanged }.fetch_add(1, Ordering::Relaxed);
        if self.fetcher.told().remove(&self.reference) {
            tracing::info!(component = %self.wanted.remote, "a component can be looked at again");
        }
        if brought.fresh {
            tracing::info!(
                component = %self.wanted.remote,
                sha256 = hex(&brought.sha256),
                bytes = brought.wasm.len(),
                took = ?begun.elapsed(),
                "a component was fetched"
            );
        }
        let note = Note { sha256: brought.sha256, looked: SystemTime::now(), etag: brought.etag.clone() };
        Ok(self.done(brought, signature.as_deref(), Some(&note)))
    }

    /// Keeps it.
    fn done(&self, brought: Brought, signature: Option<&str>, note: Option<&Note>) -> Given {
        if let (Some(cache), Some(note)) = (&self.fetcher.cache, note) {
            let shown = self.wanted.remote.to_string();
            cache.keep(&shown, &self.reference, &brought.wasm, signature, note);
        }
        Given { wasm: brought.wasm.into(), sha256: brought.sha256, copy: None }
    }

    /// The copy of the last time, where nobody could be asked.
    pub(super) fn instead(&self, trouble: Trouble) -> Result<Given, Trouble> {
        let Trouble::Unreachable(why) = &trouble else { return Err(trouble) };
        let copy = (|| {
            let note = self.note()?;
            if self.wanted.pin.is_some_and(|pin| pin != note.sha256) {
                return None;
            }
            let wasm = self.cached(note.sha256)?;
            // It may be that nobody trusts any more who signed it.
            let signed = match &self.wanted.signature {
                None => true,
                Some(demand) => {
                    let text = self.fetcher.cache.as_ref()?.signature(&note.sha256)?;
                    verify(&text, &note.sha256, &demand.by).is_ok()
                }
            };
            signed.then_some((wasm, note))
        })();
        let Some((wasm, note)) = copy else { return Err(trouble) };
        let date = httpdate::fmt_http_date(note.looked);
        let said = format!("{}: {why}; the copy of {date} serves", self.wanted.remote);
        self.fetcher.counts.copied.fetch_add(1, Ordering::Relaxed);
        if self.fetcher.told().insert(self.reference.clone()) {
            tracing::warn!(
                component = %self.wanted.remote,
                sha256 = hex(&note.sha256),
                copy_of = date,
                error = why,
                "a component could not be looked at; the cached copy serves"
            );
        }
        Ok(Given { wasm: wasm.into(), sha256: note.sha256, copy: Some(said) })
    }

    /// Tries again where nothing can serve instead.
    async fn bring_patiently(&self) -> Result<Brought, Trouble> {
        let mut tries = AGAIN.into_iter().filter(|_| self.note().is_none());
        loop {
            match (self.bring().await, tries.next()) {
                (Err(Trouble::Unreachable(why)), Some(wait)) => {
                    tracing::debug!(component = %self.wanted.remote, error = why, "a component is tried again");
                    tokio::time::sleep(wait).await;
                }
                (brought, _) => return brought,
            }
        }
    }

    async fn bring(&self) -> Result<Brought, Trouble> {
        match &self.wanted.remote {
            Remote::Url(url) => self.file(url).await,
            Remote::Oci(oci) => self.artifact(oci).await,
        }
    }

    async fn file(&self, url: &Url) -> Result<Brought, Trouble> {
        let copy = self.note().and_then(|note| Some((note.etag?, note.sha256, self.cached(note.sha256)?)));
        let login = self.login(url)?;
        let mut question = Question::get(url, MAX_COMPONENT);
        if let Some(login) = &login {
            question = question.with(header::AUTHORIZATION, &oci::basic(login));
        }
        if let Some((etag, ..)) = &copy {
            question = question.with(header::IF_NONE_MATCH, etag);
        }
        let answer = self.client.ask(question).await?;
        match (answer.status, copy) {
            (StatusCode::NOT_MODIFIED, Some((etag, sha256, wasm))) => {
                Ok(Brought { wasm, sha256, annotation: Annotation::Unknown, etag: Some(etag), fresh: false })
            }
            (StatusCode::OK, _) => {
                if !answer.body.starts_with(b"\0asm") {
                    let kind = client::shown(answer.header(&header::CONTENT_TYPE).unwrap_or("nothing in particular"));
                    let text = format!("what is there is no WebAssembly; the server calls it {kind}");
                    return Err(Trouble::Refused(text));
                }
                let etag = answer.header(&header::ETAG).filter(|etag| etag.len() <= 1024).map(ToOwned::to_owned);
                let sha256 = sha256(&answer.body);
                // A server that knows no versions sends again what it has sent.
                let fresh = self.note().is_none_or(|note| note.sha256 != sha256);
                Ok(Brought { sha256, wasm: answer.body, annotation: Annotation::Unknown, etag, fresh })
            }
            _ => Err(answer.trouble(url, login.is_some())),
        }
    }

    async fn artifact(&self, oci: &Oci) -> Result<Brought, Trouble> {
        let login = docker::login(self.fetch, &oci.registry).map_err(Trouble::Refused)?;
        let mut registry = self.registry(oci, login.as_ref());
        let found = registry.manifest().await?;
        if let Some(pin) = self.wanted.pin.filter(|pin| *pin != found.sha256) {
            return Err(other(&found.sha256, &pin));
        }
        let annotation = Annotation::from(found.signature.clone());
        // Before a layer is fetched that nobody may use.
        if self.wanted.signature.as_ref().is_some_and(|demand| demand.at == Place::Beside) {
            self.signature(&found.sha256, &annotation).await?;
        }
        let (wasm, fresh) = match self.cached(found.sha256) {
            Some(wasm) => (wasm, false),
            None => (registry.layer(&found).await?, true),
        };
        Ok(Brought { wasm, sha256: found.sha256, annotation, etag: None, fresh })
    }

    /// What the annotation says of a component that was in the cache.
    async fn annotation(&self, oci: &Oci, sha256: &[u8; 32]) -> Result<Annotation, Trouble> {
        let login = docker::login(self.fetch, &oci.registry).map_err(Trouble::Refused)?;
        let found = self.registry(oci, login.as_ref()).manifest().await?;
        Ok(found.signature.filter(|_| found.sha256 == *sha256).into())
    }

    fn registry<'a>(&'a self, oci: &'a Oci, login: Option<&'a Login>) -> Registry<'a> {
        let plain = self.fetch.hosts.get(&oci.registry).is_some_and(|host| host.plain_http);
        Registry { client: self.client, oci, login, plain, actions: "pull", authorization: None }
    }

    /// Who we are at a web server: said over TLS, or where it is wanted without.
    fn login(&self, url: &Url) -> Result<Option<Login>, Trouble> {
        let host = url.authority();
        let plain = self.fetch.hosts.get(&*host).is_some_and(|host| host.plain_http);
        if !url.secure && !plain {
            return Ok(None);
        }
        docker::login(self.fetch, &host).map_err(Trouble::Refused)
    }

    /// The text of a signature that counts; none where none is demanded.
    async fn signature(&self, sha256: &[u8; 32], annotation: &Annotation) -> Result<Option<String>, Trouble> {
        let Some(Demand { at, by: keys }) = &self.wanted.signature else { return Ok(None) };
        let known = self.fetcher.cache.as_ref().and_then(|cache| cache.signature(sha256));
        if let Some(known) = known.filter(|text| verify(text, sha256, keys).is_ok()) {
            return Ok(Some(known));
        }
        let text = match (at, &self.wanted.remote) {
            (Place::File(path), _) => file_of_signature(path).map_err(Trouble::Refused)?,
            (Place::Url(url), _) => self.text(url).await?,
            (Place::Beside, Remote::Url(url)) => {
                let (path, query) = url.target.split_once('?').map_or((&*url.target, None), |(p, q)| (p, Some(q)));
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                self.text(&Url { target: format!("{path}.sig{query}").into(), ..url.clone() }).await?
            }
            (Place::Beside, Remote::Oci(oci)) => {
                let annotation = match annotation {
                    Annotation::Unknown => self.annotation(oci, sha256).await?,
                    known => known.clone(),
                };
                let name = oci::SIGNATURE;
                let Annotation::Says(annotation) = annotation else {
                    let text = format!("it is not signed: the artifact has no annotation `{name}`");
                    let hint = "`cordboard plugin push` adds it, or name a file in `signature`";
                    return Err(Trouble::Refused(format!("{text}; {hint}")));
                };
                let signed = Signed::from_annotation(&annotation, *sha256);
                signed.map_err(|why| Trouble::Refused(format!("the annotation `{name}`: {why}")))?.to_string()
            }
        };
        verify(&text, sha256, keys).map_err(Trouble::Refused)?;
        Ok(Some(text))
    }

    async fn text(&self, url: &Url) -> Result<String, Trouble> {
        let what = format!("its signature {url}");
        let login = self.login(url)?;
        let mut question = Question::get(url, MAX_FILE as u64);
        if let Some(login) = &login {
            question = question.with(header::AUTHORIZATION, &oci::basic(login));
        }
        let answer = self.client.ask(question).await.map_err(|trouble| trouble.of(&what))?;
        if answer.status != StatusCode::OK {
            return Err(answer.trouble(url, login.is_some()).of(&what));
        }
        String::from_utf8(answer.body).map_err(|_| Trouble::Refused(format!("{what}: this is no text")))
    }
}

fn other(found: &[u8; 32], pin: &[u8; 32]) -> Trouble {
    Trouble::Refused(format!("it hashes to {}, but `sha256` pins {}", hex(found), hex(pin)))
}
