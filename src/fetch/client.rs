//! Requests to web servers and registries: one connection each, over TLS where the URL says so, with everything bounded.
//!
//! An answer is read whole into memory, up to a bound that the caller names; redirects are followed within limits, and
//! what tells who we are goes to nobody but whom it is for. Every failure says at which step it came about and what would
//! be right. No task is spawned: whoever drops the future has ended the exchange. Certificates are read where blocking keeps
//! nobody waiting. How long it may take is the caller's to say.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    sync::OnceCell,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{config::Url, files::bounded};

/// Redirects followed for one answer.
const REDIRECTS: usize = 5;
/// Largest head of an answer, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Longest time for one address of a host, so that one that drops packets leaves time for the next.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are repeated in a message.
const SAID: usize = 200;
/// Most bytes that are read of an answer that says no; registries say why in a few.
const NO_BYTES: u64 = 16 << 10;
/// Largest file of certificates, in bytes.
const MAX_CERTIFICATES: u64 = 16 << 20;

/// What whoever asks can do about it, for messages.
pub(super) struct Hints {
    /// What names further certificates.
    ca_file: &'static str,
    /// What does without TLS.
    plain: &'static str,
    /// Where nobody said who we are.
    nobody: &'static str,
    /// Where somebody did.
    somebody: &'static str,
}

/// By the configuration.
pub(super) const FETCH: Hints = Hints {
    ca_file: "`fetch.ca_file`",
    plain: "a registry without it needs `plain_http: true` in `fetch.hosts`",
    nobody: "give a user and password for it in `fetch.hosts` or `fetch.docker_config`",
    somebody: "the user and password for it in `fetch` are not let in",
};
/// By the arguments of `cordboard plugin push`.
pub(super) const PUSH: Hints = Hints {
    ca_file: "`--ca-file`",
    plain: "a registry without it needs `--plain-http`",
    nobody: "name a user with `--username` and the password in `CORDBOARD_PASSWORD`, or log in with `docker login`",
    somebody: "this user and password are not let in, or may not write there",
};

/// Why there is no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody could be asked, or the answer did not come whole: it says nothing about what there is.
    #[error("{0}")]
    Unreachable(String),
    /// The answer is final.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    /// Says first whom it is about.
    pub(super) fn of(self, what: &dyn std::fmt::Display) -> Self {
        match self {
            Self::Unreachable(why) => Self::Unreachable(format!("{what}: {why}")),
            Self::Refused(why) => Self::Refused(format!("{what}: {why}")),
        }
    }
}

/// An answer, whole where it is a good one; of others the beginning.
pub(super) struct Answer {
    /// Who gave it, at the end of all redirects.
    pub(super) from: Url,
    /// Whether that is somebody else than who was asked.
    pub(super) elsewhere: bool,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    hints: &'static Hints,
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What its status means where it is not the one that was hoped for. `login` says whether we told who we are.
    pub(super) fn trouble(&self, login: bool) -> Trouble {
        let said = shown(&String::from_utf8_lossy(&self.body));
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        let (host, status) = (self.from.authority(), self.status);
        let hint = match status {
            // Who we are is said to nobody but whom we ask.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.elsewhere => "",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if login => self.hints.somebody,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.hints.nobody,
            StatusCode::NOT_FOUND => "there is no such thing there, or not for us",
            _ => "",
        };
        let between = if hint.is_empty() { "" } else { "; " };
        let led = if self.elsewhere { ", where that led," } else { "" };
        let text = format!("{host}{led} answers {status}{between}{hint}{said}");
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            Trouble::Unreachable(text)
        } else {
            Trouble::Refused(text)
        }
    }
}

/// What is asked.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Largest answer, in bytes.
    pub(super) most: u64,
}

impl Question {
    pub(super) fn get(url: &Url, most: u64) -> Self {
        Self { method: Method::GET, url: url.clone(), headers: HeaderMap::new(), body: Bytes::new(), most }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(name == header::AUTHORIZATION);
            self.headers.insert(name, value);
        }
        self
    }
}

/// A text of somebody else's, for a message.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A place that somebody else names, for a message: of a query, which may be a secret of theirs, only that it is there.
pub(super) fn place(location: &str) -> String {
    match location.split_once('?') {
        Some((path, _)) => format!("{}?…", shown(path)),
        None => shown(location),
    }
}

/// Asks.
pub(super) struct Client {
    ca_file: Option<PathBuf>,
    hints: &'static Hints,
    /// Made when it is needed first.
    tls: OnceCell<Result<Arc<ClientConfig>, String>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Client {
    pub(super) fn new(ca_file: Option<&Path>, hints: &'static Hints) -> Self {
        Self { ca_file: ca_file.map(Path::to_owned), hints, tls: OnceCell::new() }
    }

    /// Asks, and follows redirects of a GET.
    pub(super) async fn ask(&self, question: Question) -> Result<Answer, Trouble> {
        let Question { method, url, mut headers, body, most } = question;
        let (first, mut url) = (url.clone(), url);
        for _ in 0..=REDIRECTS {
            let mut answer = self.exchange(&method, &url, &headers, body.clone(), most).await?;
            answer.elsewhere = url.origin() != first.origin();
            let moved = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) && method == Method::GET;
            let Some(location) = answer.header(&header::LOCATION).filter(|_| moved) else { return Ok(answer) };
            let next = url.join(location).map_err(|why| {
                Trouble::Refused(format!("{} redirects to {}, which {why}", url.authority(), place(location)))
            })?;
            if url.secure && !next.secure {
                let text = format!("{} redirects to {next}, away from TLS", url.authority());
                return Err(Trouble::Refused(text));
            }
            if next.origin() != first.origin() {
                headers.remove(header::AUTHORIZATION);
            }
            url = next;
        }
        Err(Trouble::Refused(format!("{} redirects more than {REDIRECTS} times", first.authority())))
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: Bytes,
        most: u64,
    ) -> Result<Answer, Trouble> {
        let stream = self.connect(url).await?;
        let host = url.authority();
        let broken = |error: hyper::Error| {
            Trouble::Unreachable(format!("{host} does not answer as HTTP/1.1 asks for: {}", whole(&error)))
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() =
            url.target.parse().map_err(|error| Trouble::Refused(format!("{url} cannot be asked for: {error}")))?;
        *request.headers_mut() = headers.clone();
        let fields = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&host) {
            fields.insert(header::HOST, host);
        }
        let agent = HeaderValue::from_static(concat!("cordboard/", env!("CARGO_PKG_VERSION")));
        fields.insert(header::USER_AGENT, agent);
        // Of what is compressed neither the hash nor the length would be that of what is wanted.
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let (head, body) = response.into_parts();
            let body = if head.status.is_success() {
                read(body, &head.headers, most, &host).await?
            } else {
                // Its status counts, however long and however whole the page is that comes with it.
                beginning(body).await
            };
            let (status, headers) = (head.status, head.headers);
            Ok(Answer { from: url.clone(), elsewhere: false, status, headers, body, hints: self.hints })
        };
        let drive = async {
            // What it has read is still to be taken when it ends.
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            answer = exchange => answer,
            never = drive => never,
        }
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, Trouble> {
        let unreachable = |why: String| Trouble::Unreachable(why);
        let addresses = lookup_host((&*url.host, url.port)).await;
        let addresses = addresses.map_err(|error| unreachable(format!("`{}` has no address: {error}", url.host)))?;
        let mut refused = format!("`{}` has no address", url.host);
        let mut connected = None;
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    connected = Some(stream);
                    break;
                }
                Ok(Err(error)) => refused = format!("no connection to {} ({address}): {error}", url.authority()),
                Err(_) => refused = format!("no connection to {} ({address}) within {CONNECT:?}", url.authority()),
            }
        }
        let stream = connected.ok_or_else(|| unreachable(refused))?;
        let _ = stream.set_nodelay(true);
        if !url.secure {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.get_or_init(|| self.tls()).await.clone().map_err(Trouble::Refused)?;
        let name = ServerName::try_from(url.host.to_string())
            .map_err(|_| Trouble::Refused(format!("`{}` is no name that a certificate can have", url.host)))?;
        let secured = TlsConnector::from(tls).connect(name, stream).await;
        let secured =
            secured.map_err(|error| unreachable(format!("TLS with {}: {}", url.authority(), self.insecure(&error))))?;
        Ok(Box::new(secured))
    }

    /// What TLS is done with: the certificates of the system, and those of the file.
    async fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let (file, name) = (self.ca_file.clone(), self.hints.ca_file);
        let made = tokio::task::spawn_blocking(move || tls(file.as_deref(), name)).await;
        made.map_err(|error| error.to_string())?
    }

    /// What is wrong with the other end's TLS.
    fn insecure(&self, error: &io::Error) -> String {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let why = match tls {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => format!("nobody who is believed has signed its certificate; {} can name who has", self.hints.ca_file),
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => "its certificate has expired".to_owned(),
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => "its certificate is for another name".to_owned(),
            Some(rustls::Error::InvalidMessage(_)) => format!("it does not speak TLS; {}", self.hints.plain),
            _ => return error.to_string(),
        };
        format!("{why} ({error})")
    }
}

/// The beginning of a body that matters to nobody but whoever reads the message.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() as u64 >= NO_BYTES {
            break;
        }
    }
    bytes
}

/// The whole body, if it is not too long.
async fn read(mut body: Incoming, headers: &HeaderMap, most: u64, host: &str) -> Result<Vec<u8>, Trouble> {
    let too_large = |size: &str| Trouble::Refused(format!("{host} sends {size} bytes, and at most {most} are taken"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(size) = announced.filter(|size| *size > most) {
        return Err(too_large(&size.to_string()));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let of = announced.map(|size| format!(" of {size}")).unwrap_or_default();
            Trouble::Unreachable(format!(
                "{host}: the answer broke off after {}{of} bytes: {}",
                bytes.len(),
                whole(&error)
            ))
        })?;
        if let Ok(data) = frame.into_data() {
            if (bytes.len() + data.len()) as u64 > most {
                return Err(too_large(&format!("more than {most}")));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn tls(ca_file: Option<&Path>, name: &str) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in ca_file.map(|path| certificates(path, name)).transpose()?.unwrap_or_default() {
        roots.add(certificate).map_err(|error| format!("{name}: {error}"))?;
    }
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        let why = system.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let text = "the system has no certificates to believe; install them, or name a file in";
        return Err(format!("{text} {name}{why}"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn certificates(path: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &str| format!("{name} {}: {why}", path.display());
    let text = bounded(path, MAX_CERTIFICATES).map_err(|error| wrong(&error.to_string()))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| wrong(&format!("it is no PEM file: {error}")))?;
    if all.is_empty() { Err(wrong("there is no certificate in it")) } else { Ok(all) }
}

/// An error with what caused it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
