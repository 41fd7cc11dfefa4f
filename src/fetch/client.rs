//! Requests to web servers and registries: one connection each, over TLS where the URL says so, with everything bounded.
//!
//! An answer is read whole into memory, up to a bound that the caller names; redirects are followed within limits, and
//! what tells who we are goes to nobody but whom it is for. Every failure says at which step it came about and what would
//! be right. Nothing is spawned: whoever drops the future has ended the exchange. How long it may take is the caller's to
//! say.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
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
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::config::Url;

/// Redirects followed for one answer.
const REDIRECTS: usize = 5;
/// Largest head of an answer, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Longest time for one address of a host, so that one that drops packets leaves time for the next.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are repeated in a message.
const SAID: usize = 200;

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

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What its status means where it is not the one that was hoped for. `login` says whether we told who we are.
    pub(super) fn trouble(&self, from: &Url, login: bool) -> Trouble {
        let said = shown(&String::from_utf8_lossy(&self.body));
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        let (host, status) = (from.authority(), self.status);
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if login => {
                "; the user and password for it in `fetch` are not let in"
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; give a user and password for it in `fetch.hosts` or `fetch.docker_config`"
            }
            StatusCode::NOT_FOUND => "; there is no such thing there, or not for us",
            _ => "",
        };
        let text = format!("{host} answers {status}{hint}{said}");
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

/// Asks.
pub(super) struct Client {
    ca_file: Option<PathBuf>,
    /// Made when it is needed first.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Client {
    pub(super) fn new(ca_file: Option<&Path>) -> Self {
        Self { ca_file: ca_file.map(Path::to_owned), tls: OnceLock::new() }
    }

    /// Asks, and follows redirects of a GET.
    pub(super) async fn ask(&self, question: Question) -> Result<Answer, Trouble> {
        let Question { method, url, mut headers, body, most } = question;
        let (first, mut url) = (url.clone(), url);
        for _ in 0..=REDIRECTS {
            let answer = self.exchange(&method, &url, &headers, body.clone(), most).await?;
            let moved = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) && method == Method::GET;
            let Some(location) = answer.header(&header::LOCATION).filter(|_| moved) else { return Ok(answer) };
            let next = url.join(location).map_err(|why| {
                Trouble::Refused(format!("{} redirects to {}, which {why}", url.authority(), shown(location)))
            })?;
            if url.secure && !next.secure {
                let text = format!("{} redirects to {next}, away from TLS", url.authority());
                return Err(Trouble::Refused(text));
            }
            if (next.secure, &next.host, next.port) != (first.secure, &first.host, first.port) {
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
            let body = read(body, &head.headers, most, &host).await?;
            Ok(Answer { status: head.status, headers: head.headers, body })
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
        let tls = self.tls.get_or_init(|| tls(self.ca_file.as_deref())).clone().map_err(Trouble::Refused)?;
        let name = ServerName::try_from(url.host.to_string())
            .map_err(|_| Trouble::Refused(format!("`{}` is no name that a certificate can have", url.host)))?;
        let secured = TlsConnector::from(tls).connect(name, stream).await;
        let secured =
            secured.map_err(|error| unreachable(format!("TLS with {}: {}", url.authority(), insecure(&error))))?;
        Ok(Box::new(secured))
    }
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

/// What TLS is done with: the certificates of the system, and those of `ca_file`.
fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in ca_file.map(certificates).transpose()?.unwrap_or_default() {
        roots.add(certificate).map_err(|error| format!("`fetch.ca_file`: {error}"))?;
    }
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        let why = system.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let text = "the system has no certificates to believe; install them, or name a file in `fetch.ca_file`";
        return Err(format!("{text}{why}"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &str| format!("`fetch.ca_file` {}: {why}", path.display());
    let text = fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| wrong(&format!("it is no PEM file: {error}")))?;
    if all.is_empty() { Err(wrong("there is no certificate in it")) } else { Ok(all) }
}

/// What is wrong with the other end's TLS.
fn insecure(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let why = match tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "nobody who is believed has signed its certificate; `fetch.ca_file` can name who has"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "its certificate has expired",
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "its certificate is for another name",
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS; a registry without it needs `plain_http: true` in `fetch.hosts`"
        }
        _ => "",
    };
    if why.is_empty() { error.to_string() } else { format!("{why} ({error})") }
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
