//! A small web site for a page in a browser: it serves the page, echoes bodies, sends a body piece by piece, and takes
//! the page's result.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
};

/// What a request was.
struct Request {
    method: String,
    path: String,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// The running site. Its threads end with the process.
pub struct Site {
    pub address: SocketAddr,
    results: mpsc::Receiver<String>,
}

impl Site {
    /// `page` is what `/web/page` shows.
    pub fn start(page: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, results) = mpsc::channel();
        let (more, read) = mpsc::channel();
        let read = Arc::new(Mutex::new(read));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, more, read) = (sender.clone(), more.clone(), Arc::clone(&read));
                thread::spawn(move || converse(stream, page, &sender, &more, &read));
            }
        });
        Self { address, results }
    }

    /// What the page said.
    pub fn result(&self) -> Option<String> {
        self.results.try_recv().ok()
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut fields = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = fields.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, fields, body })
}

fn converse(
    stream: TcpStream,
    page: &str,
    result: &mpsc::Sender<String>,
    more: &mpsc::Sender<()>,
    read: &Mutex<mpsc::Receiver<()>>,
) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = request(&mut reader) {
        let path = request.path.split('?').next().unwrap_or_default();
        let answered = match (request.method.as_str(), path) {
            ("GET", "/web/page") => answer(&mut writer, "text/html; charset=utf-8", page.as_bytes()),
            ("POST", "/web/echo") if request.fields.get("x-page").is_some_and(|value| value == "yes") => {
                answer(&mut writer, "application/octet-stream", &request.body)
            }
            ("GET", "/web/stream") => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
                writer.write_all(head).and_then(|()| {
                    // Whoever held the first piece back would wait here for ever.
                    let _ = read.lock().unwrap().recv();
                    writer.write_all(b"6\r\nsecond\r\n0\r\n\r\n")
                })
            }
            ("POST", "/web/more") => {
                let _ = more.send(());
                answer(&mut writer, "text/plain", b"")
            }
            ("POST", "/web/result") => {
                let _ = result.send(String::from_utf8_lossy(&request.body).into_owned());
                answer(&mut writer, "text/plain", b"")
            }
            _ => answer(&mut writer, "text/plain", b"no such page"),
        };
        if answered.is_err() {
            return;
        }
    }
}

fn answer(writer: &mut TcpStream, kind: &str, body: &[u8]) -> std::io::Result<()> {
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    writer.write_all(body)
}
