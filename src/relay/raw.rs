//! Two sockets joined byte by byte, whatever they speak: what one sends the other gets, an end included.
//!
//! No buffer is owned while nothing moves, at most one of 64 KiB for each direction otherwise. The end of one direction
//! is passed on as such (`shutdown`), and the other direction goes on until its own. Nothing here has a deadline: the
//! caller drops the future.

use std::{io, net::Shutdown};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{Party, buffer::Buffer};

/// One of the two.
pub struct End {
    /// The socket.
    pub stream: TcpStream,
    /// What was read from it already.
    pub early: Bytes,
}

/// Joins them until both directions have ended. `moved` is told of each piece: who sent it, and how long it is.
///
/// # Errors
/// Who broke, and how.
pub async fn join(client: &End, service: &End, moved: impl Fn(Party, usize)) -> Result<(), (Party, io::Error)> {
    let there = one_way(client, service, Party::Client, &moved);
    let back = one_way(service, client, Party::Backend, &moved);
    tokio::try_join!(there, back).map(|_| ())
}

async fn one_way(from: &End, to: &End, sender: Party, moved: &impl Fn(Party, usize)) -> Result<(), (Party, io::Error)> {
    let receiver = if sender == Party::Client { Party::Backend } else { Party::Client };
    let read_failed = |error| (sender, error);
    let write_failed = |error| (receiver, error);
    write(&to.stream, &from.early, |length| moved(sender, length)).await.map_err(write_failed)?;
    loop {
        from.stream.readable().await.map_err(read_failed)?;
        let mut buffer = Buffer::take();
        match from.stream.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                write(&to.stream, bytes, |length| moved(sender, length)).await.map_err(write_failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(read_failed(error)),
        }
    }
    match SockRef::from(&to.stream).shutdown(Shutdown::Write) {
        // It has ended the other direction, and with it the socket.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        ended => ended.map_err(write_failed),
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8], moved: impl Fn(usize)) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(length) => {
                moved(length);
                bytes = bytes.get(length..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
