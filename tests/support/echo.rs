//! A service that sends back every message, on a thread of its own. Its first message is its name.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// The running service; it ends when this is dropped.
pub struct Echo {
    pub address: SocketAddr,
    open: Arc<AtomicUsize>,
    _stop: oneshot::Sender<()>,
}

impl Echo {
    pub fn start(name: &str) -> Self {
        let (name, open) = (name.to_owned(), Arc::new(AtomicUsize::new(0)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let count = Arc::clone(&open);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! { _ = stopped => {}, () = serve(listener, name, count) => {} }
            });
        });
        Self { address, open, _stop: stop }
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, name: String, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (name, open) = (name.clone(), Arc::clone(&open));
        connections.spawn(async move {
            open.fetch_add(1, Ordering::Relaxed);
            converse(stream, name).await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Ends when the other side does, or breaks.
async fn converse(stream: TcpStream, name: String) {
    let Ok(mut ws) = accept_async(stream).await else { return };
    if ws.send(Message::text(name)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = ws.next().await {
        if (message.is_text() || message.is_binary()) && ws.send(message).await.is_err() {
            return;
        }
    }
}
