//! What one would write by hand with tokio-tungstenite, in its default settings: a server towards the client, a client
//! towards the service, and each message read whole before it is sent on.

use std::{convert::Infallible, io};

use futures_util::{StreamExt as _, future};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::JoinSet,
};
use tokio_tungstenite::{accept_async, client_async, tungstenite::Error};

use super::{Ways, tell};

pub(super) fn run(ways: Ways) -> io::Result<Infallible> {
    runtime::Builder::new_multi_thread().worker_threads(ways.workers).enable_io().build()?.block_on(async {
        let listener = TcpListener::bind(ways.listen).await?;
        tell(listener.local_addr()?)?;
        let mut connections = JoinSet::new();
        loop {
            let (from, _) = listener.accept().await?;
            connections.spawn(relay(from, ways));
            while connections.try_join_next().is_some() {}
        }
    })
}

async fn relay(from: TcpStream, ways: Ways) -> Result<(), Error> {
    from.set_nodelay(true)?;
    let to = TcpStream::connect(ways.to).await?;
    to.set_nodelay(true)?;
    let (to, _) = client_async(format!("ws://{}/", ways.to), to).await?;
    let (from_sink, from_stream) = accept_async(from).await?.split();
    let (to_sink, to_stream) = to.split();
    // Each side's Close is passed on, and the other side's answer to it ends both.
    let there = from_stream.forward(to_sink);
    let back = to_stream.forward(from_sink);
    future::join(there, back).await.1
}
