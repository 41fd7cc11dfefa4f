//! One component on its way: which bytes, whether they are the right ones, who signed them, and what serves where nobody
//! can be asked.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use http::{StatusCode, header};

use super::{
    Fetcher, Given, Look, MAX_COMPONENT, Trouble,
    cache::{Cache, Note},
    client::{self, Client, Question},
    docker, hashed,
    oci::{self, Registry},
    verify,
    wanted::{Demand, Place, Wanted},
};
use crate::{
    config::{Fetch, Login, Oci, Remote, Secrets, Url},
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
    pub(super) secrets: &'a Secrets,
    pub(super) reference: String,
    /// The component, as logs show it.
    pub(super) shown: String,
}

/// What was said of a component beside its bytes.
struct Brought {
    wasm: Arc<[u8]>,
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
    /// What the cache says, on a thread that may block.
    async fn cache<T: Send + 'static>(&self, ask: impl FnOnce(&Cache) -> T + Send + 'static) -> Option<T> {
        let cache = Arc::clone(self.fetcher.cache.as_ref()?);
        tokio::task::spawn_blocking(move || ask(&cache)).await.ok()
    }

    async fn cached(&self, sha256: [u8; 32]) -> Option<Arc<[u8]>> {
        self.cache(move |cache| cache.component(&sha256).map(Into::into)).await?
    }

    async fn note(&self) -> Option<Note> {
        let reference = self.reference.clone();
        self.cache(move |cache| cache.note(&reference)).await?
    }

    pub(super) async fn given(&self, look: Look) -> Result<Given, Trouble> {
        let begun = Instant::now();
        // What it hashes to, where that is certain or nobody wants to know better.
        let known = match self.wanted.pin {
            Some(pin) => Some(pin),
            None if look == Look::Known || !self.wanted.is_mutable() => self.note().await.map(|note| note.sha256),
            None => None,
        };
        if let Some(sha256) = known
            && let Some(wasm) = self.cached(sha256).await
        {
            // It may be that a signature is demanded since it was fetched.
            if let Some(signature) = self.patiently(|| self.signature(&sha256, &Annotation::Unknown)).await? {
                self.cache(move |cache| cache.keep_signature(&sha256, &signature)).await;
            }
            return Ok(Given { wasm, sha256, copy: None });
        }
        let brought = match self.patiently(|| self.bring()).await {
            Ok(brought) => brought,
            Err(trouble) => return self.instead(trouble).await,
        };
        if let Some(pin) = self.wanted.pin.filter(|pin| *pin != brought.sha256) {
            return Err(other(&brought.sha256, &pin));
        }
        let signature = match self.patiently(|| self.signature(&brought.sha256, &brought.annotation)).await {
            Ok(signature) => signature,
            Err(trouble) => return self.instead(trouble).await,
        };
        let counts = &self.fetcher.counts;
        if brought.fresh { &counts.fetched } else { &counts.unchanged }.fetch_add(1, Ordering::Relaxed);
        if self.fetcher.told().remove(&self.reference) {
            tracing::info!(component = self.shown, "a component can be looked at again");
        }
        if brought.fresh {
            tracing::info!(
                component = self.shown,
                sha256 = hex(&brought.sha256),
                bytes = brought.wasm.len(),
                took = ?begun.elapsed(),
                "a component was fetched"
            );
        }
        Ok(self.done(brought, signature).await)
    }

    /// Keeps it.
    async fn done(&self, brought: Brought, signature: Option<String>) -> Given {
        let Brought { wasm, sha256, etag, .. } = brought;
        let (shown, reference, bytes) = (self.shown.clone(), self.reference.clone(), Arc::clone(&wasm));
        let note = Note { sha256, looked: SystemTime::now(), etag };
        self.cache(move |cache| cache.keep(&shown, &reference, &bytes, signature.as_deref(), &note)).await;
        Given { wasm, sha256, copy: None }
    }

    /// What was fetched the last time, if it still counts.
    async fn copy(&self) -> Option<(Arc<[u8]>, Note)> {
        let note = self.note().await?;
        if self.wanted.pin.is_some_and(|pin| pin != note.sha256) {
            return None;
        }
        let wasm = self.cached(note.sha256).await?;
        // It may be that nobody trusts any more who signed it.
        if let Some(demand) = &self.wanted.signature {
            let hash = note.sha256;
            let text = self.cache(move |cache| cache.signature(&hash)).await??;
            verify(&text, &hash, &demand.by).ok()?;
        }
        Some((wasm, note))
    }

    /// The copy of the last time, where nobody could be asked.
    pub(super) async fn instead(&self, trouble: Trouble) -> Result<Given, Trouble> {
        let Trouble::Unreachable(why) = &trouble else { return Err(trouble) };
        let Some((wasm, note)) = self.copy().await else { return Err(trouble) };
        let date = httpdate::fmt_http_date(note.looked);
        let said = format!("{}: {why}; the copy of {date} serves", self.wanted.remote);
        self.fetcher.counts.copied.fetch_add(1, Ordering::Relaxed);
        if self.fetcher.told().insert(self.reference.clone()) {
            tracing::warn!(
                component = self.shown,
                sha256 = hex(&note.sha256),
                copy_of = date,
                error = self.secrets.hide(why),
                "a component could not be looked at; the cached copy serves"
            );
        }
        Ok(Given { wasm, sha256: note.sha256, copy: Some(said) })
    }

    /// Asks again where nobody could be asked and nothing can serve instead.
    async fn patiently<T, F: Future<Output = Result<T, Trouble>>>(&self, ask: impl Fn() -> F) -> Result<T, Trouble> {
        for wait in AGAIN {
            match ask().await {
                Err(Trouble::Unreachable(why)) if self.copy().await.is_none() => {
                    let error = self.secrets.hide(&why);
                    tracing::debug!(component = self.shown, error, "a component is tried again");
                    tokio::time::sleep(wait).await;
                }
                answer => return answer,
            }
        }
        ask().await
    }

    async fn bring(&self) -> Result<Brought, Trouble> {
        match &self.wanted.remote {
            Remote::Url(url) => self.file(url).await,
            Remote::Oci(oci) => self.artifact(oci).await,
        }
    }

    async fn file(&self, url: &Url) -> Result<Brought, Trouble> {
        let note = self.note().await;
        let copy = match &note {
            Some(Note { etag: Some(etag), sha256, .. }) => {
                self.cached(*sha256).await.map(|wasm| (etag.clone(), *sha256, wasm))
            }
            _ => None,
        };
        let login = self.login(url).await?;
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
                let (wasm, sha256) = hashed(answer.body).await?;
                // A server that knows no versions sends again what it has sent.
                let fresh = note.is_none_or(|note| note.sha256 != sha256);
                Ok(Brought { sha256, wasm, annotation: Annotation::Unknown, etag, fresh })
            }
            _ => Err(answer.trouble(login.is_some())),
        }
    }

    async fn artifact(&self, oci: &Oci) -> Result<Brought, Trouble> {
        let login = docker::login(self.fetch, &oci.registry).await.map_err(Trouble::Refused)?;
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
        let (wasm, fresh) = match self.cached(found.sha256).await {
            Some(wasm) => (wasm, false),
            None => (registry.layer(&found).await?, true),
        };
        Ok(Brought { wasm, sha256: found.sha256, annotation, etag: None, fresh })
    }

    /// What the annotation says of a component that was in the cache.
    async fn annotation(&self, oci: &Oci, sha256: &[u8; 32]) -> Result<Annotation, Trouble> {
        let login = docker::login(self.fetch, &oci.registry).await.map_err(Trouble::Refused)?;
        let found = self.registry(oci, login.as_ref()).manifest().await?;
        Ok(found.signature.filter(|_| found.sha256 == *sha256).into())
    }

    fn registry<'a>(&'a self, oci: &'a Oci, login: Option<&'a Login>) -> Registry<'a> {
        let plain = self.fetch.host(&oci.registry).is_some_and(|host| host.plain_http);
        Registry { client: self.client, oci, login, plain, actions: "pull", authorization: None }
    }

    /// Who we are at a web server: said over TLS, or where it is wanted without.
    async fn login(&self, url: &Url) -> Result<Option<Login>, Trouble> {
        let host = url.authority();
        let plain = self.fetch.host(&host).is_some_and(|host| host.plain_http);
        if !url.secure && !plain {
            return Ok(None);
        }
        docker::login(self.fetch, &host).await.map_err(Trouble::Refused)
    }

    /// The text of a signature that counts and is not in the cache; none where that one counts, or none is demanded.
    async fn signature(&self, sha256: &[u8; 32], annotation: &Annotation) -> Result<Option<String>, Trouble> {
        let Some(Demand { at, by: keys }) = &self.wanted.signature else { return Ok(None) };
        let hash = *sha256;
        let known = self.cache(move |cache| cache.signature(&hash)).await.flatten();
        if known.is_some_and(|text| verify(&text, sha256, keys).is_ok()) {
            return Ok(None);
        }
        let text = match (at, &self.wanted.remote) {
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
        let login = self.login(url).await?;
        let mut question = Question::get(url, MAX_FILE as u64);
        if let Some(login) = &login {
            question = question.with(header::AUTHORIZATION, &oci::basic(login));
        }
        let answer = self.client.ask(question).await.map_err(|trouble| trouble.of(&what))?;
        if answer.status != StatusCode::OK {
            return Err(answer.trouble(login.is_some()).of(&what));
        }
        String::from_utf8(answer.body).map_err(|_| Trouble::Refused(format!("{what}: this is no text")))
    }
}

fn other(found: &[u8; 32], pin: &[u8; 32]) -> Trouble {
    Trouble::Refused(format!("it hashes to {}, but `sha256` pins {}", hex(found), hex(pin)))
}
