//! Upstreams to route to: one that does what the test says, one that is not there, one that never answers, one that does
//! so at once.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use super::{dial::within, wire::Wire};

/// An upstream whose every word is the test's.
pub struct Upstream {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Upstream {
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The next connection, with the head of its request.
    pub async fn accept(&self) -> Wire {
        let (stream, _) = within("a connection to the upstream", self.listener.accept()).await.unwrap();
        Wire::taken(stream).await
    }

    /// Whether nobody has dialled since.
    pub async fn is_left_alone(&self) -> bool {
        let accept = std::pin::pin!(self.listener.accept());
        tokio::select! { biased; _ = accept => false, () = tokio::task::yield_now() => true }
    }
}

/// An address that refuses every connection, and is nobody else's meanwhile.
pub struct Refusing {
    _socket: Socket,
    pub address: SocketAddr,
}

impl Refusing {
    pub fn bind() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // It does not listen, so the kernel answers with RST.
        Self { _socket: socket, address }
    }
}

/// Takes connections (the kernel does) and never says a word.
pub struct Mute {
    _listener: std::net::TcpListener,
    pub address: SocketAddr,
}

impl Mute {
    pub fn bind() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { _listener: listener, address }
    }
}

/// Answers every head in the moment in which it sees it, from a thread that does nothing else, and stays until the other
/// side ends.
pub struct Hasty {
    pub address: SocketAddr,
}

impl Hasty {
    pub fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                Self::converse(stream, &answer);
            }
        });
        Self { address }
    }

    fn converse(mut stream: std::net::TcpStream, answer: &impl Fn(&str) -> Vec<u8>) {
        use std::io::{Read as _, Write as _};
        stream.set_nodelay(true).unwrap();
        let mut head = Vec::new();
        let mut piece = [0; 4096];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut piece) {
                Ok(read @ 1..) => head.extend_from_slice(&piece[..read]),
                _ => return,
            }
        }
        let _ = stream.write_all(&answer(&String::from_utf8(head).unwrap()));
        // It ends the connection first, as a server does, once it has heard of the other end.
        let _ = stream.read(&mut piece);
    }
}
