//! A web server whose behaviour a test chooses, with TLS by a certificate authority of its own.
//!
//! Every answer is written by hand, so that it can be cut off, endless or silent; each connection serves one request, as
//! the proxy asks for.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// A request, as far as tests look at it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, String>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This one, once it may go.
    Held(Arc<Notify>, Box<Self>),
    /// Head lines after the status, and the body.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// Says that it is longer than it is.
    CutOff(Vec<u8>),
    /// Bytes without end, in chunks.
    Endless,
    /// Nothing at all; the connection stays.
    Silent,
}

impl Answer {
    pub fn ok(body: &[u8]) -> Self {
        Self::Whole(200, Vec::new(), body.to_vec())
    }

    pub fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), Vec::new())
    }

    pub fn with(self, name: &str, value: &str) -> Self {
        match self {
            Self::Whole(status, mut head, body) => {
                head.push((name.to_owned(), value.to_owned()));
                Self::Whole(status, head, body)
            }
            other => other,
        }
    }
}

type Say = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A running server; it ends when it is dropped.
pub struct Files {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    say: Arc<Mutex<Box<Say>>>,
    tls: bool,
    task: JoinHandle<()>,
}

impl Drop for Files {
    fn drop(&mut self) {
        self.task.abort();
    }
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // One that is found by its name and is not the one would be told in another way.
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.pem).unwrap();
    }

    /// Certificate and key of a server with these names, in PEM.
    pub fn server(&self, names: &[&str]) -> (String, String) {
        self.server_until(names, 2100)
    }

    /// The same, valid until that year begins.
    pub fn server_until(&self, names: &[&str], year: i32) -> (String, String) {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn acceptor((certificate, key): (String, String)) -> TlsAcceptor {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

impl Files {
    /// Without TLS.
    pub async fn plain() -> Self {
        Self::start(None).await
    }

    /// With a certificate for 127.0.0.1.
    pub async fn secure(authority: &Authority) -> Self {
        Self::with(authority.server(&["127.0.0.1"])).await
    }

    /// With this certificate and key.
    pub async fn with(identity: (String, String)) -> Self {
        Self::start(Some(acceptor(identity))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let nothing: Box<Say> = Box::new(|_| Answer::status(404));
        let say = Arc::new(Mutex::new(nothing));
        let secure = tls.is_some();
        let (seen, answers) = (Arc::clone(&asked), Arc::clone(&say));
        #[allow(clippy::disallowed_methods)] // it ends with the server
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = socket.accept().await else { return };
                let (tls, seen, answers) = (tls.clone(), Arc::clone(&seen), Arc::clone(&answers));
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &seen, &answers).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, &seen, &answers).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, asked, say, tls: secure, task }
    }

    /// What is answered from now on.
    pub fn say(&self, say: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
        *self.say.lock().unwrap() = Box::new(say);
    }

    /// Files by path from now on; 404 for all else.
    pub fn serve(&self, files: &[(&str, &[u8])]) {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(path, body)| ((*path).to_owned(), body.to_vec())).collect();
        self.say(move |asked| files.get(&asked.target).map_or(Answer::status(404), |body| Answer::ok(body)));
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Mutex<Vec<Asked>>, say: &Mutex<Box<Say>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            // Whoever speaks TLS to one that does not.
            Ok(1) if head.is_empty() && byte[0] == 0x16 => {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                return;
            }
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(ToOwned::to_owned);
    let fields = lines.filter_map(|line| line.split_once(": "));
    let asked = Asked {
        method: first.next().unwrap_or_default(),
        target: first.next().unwrap_or_default(),
        headers: fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
    };
    let answer = say.lock().unwrap()(&asked);
    seen.lock().unwrap().push(asked);
    let answer = match answer {
        Answer::Held(gate, inner) => {
            gate.notified().await;
            *inner
        }
        other => other,
    };
    let bytes = match answer {
        Answer::Held(..) => unreachable!("held once"),
        Answer::Whole(status, head, body) => {
            let fields = head.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
            let head = format!("HTTP/1.1 {status} Whatever\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), &body].concat()
        }
        Answer::CutOff(body) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 1000);
            [head.as_bytes(), &body].concat()
        }
        Answer::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let chunk = [b"10000\r\n\0asm".as_slice(), &vec![0; 0x1_0000 - 4], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
            return;
        }
        Answer::Silent => {
            // Until the other end goes.
            let mut rest = [0; 64];
            while matches!(stream.read(&mut rest).await, Ok(read) if read > 0) {}
            return;
        }
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}
