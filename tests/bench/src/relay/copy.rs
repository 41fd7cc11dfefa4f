//! A plain tokio relay: `copy_bidirectional` with its default buffers, which each connection holds while it lives.

use std::{convert::Infallible, io};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime,
    task::JoinSet,
};

use super::{Ways, tell};

pub(super) fn run(ways: Ways) -> io::Result<Infallible> {
    runtime::Builder::new_multi_thread().worker_threads(ways.workers).enable_io().build()?.block_on(async {
        let listener = TcpListener::bind(ways.listen).await?;
        tell(listener.local_addr()?)?;
        let mut connections = JoinSet::new();
        loop {
            let (mut from, _) = listener.accept().await?;
            connections.spawn(async move {
                from.set_nodelay(true)?;
                let mut to = TcpStream::connect(ways.to).await?;
                to.set_nodelay(true)?;
                copy_bidirectional(&mut from, &mut to).await
            });
            // Those that ended; how is the client's affair.
            while connections.try_join_next().is_some() {}
        }
    })
}
