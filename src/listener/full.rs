//! Connections for which there is no place: told so without being read, and closed.

use std::{
    fmt::Write as _,
    io,
    net::{SocketAddr, TcpStream as Bare},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    error::Cause,
    head::upgrade,
    http::Switchboard,
    model::{Outcome, Refusal},
    places::Full,
};

/// Most connections that were refused and whose peers are given time to read it; further ones are cut.
const MOST_REFUSED: usize = 64;

/// Those of one listener.
#[derive(Debug)]
pub(super) struct TurnedAway {
    room: Arc<Semaphore>,
    said: Mutex<Seldom>,
}

impl Default for TurnedAway {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(MOST_REFUSED)), said: Mutex::default() }
    }
}

impl TurnedAway {
    /// Refuses a connection, without reading what it wants.
    pub(super) fn tell(
        &self,
        board: &Arc<Switchboard>,
        listener: &Arc<str>,
        (stream, peer): (Bare, SocketAddr),
        why: Full,
        linger: Duration,
    ) {
        let cause = match why {
            Full::Listener => Cause::ListenerFull,
            Full::Address => Cause::AddressFull,
        };
        board.metrics.ended(None, Outcome::Refused, cause);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).say();
        if let Some(times) = said {
            let cause = cause.label();
            tracing::warn!(%listener, %peer, cause, times, "connections are refused: there is no place");
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else { return };
        // One that nobody can watch is not told.
        let Ok(mut stream) = TcpStream::from_std(stream) else { return };
        let answer = refusal(cause);
        board.drain.spawn(async move {
            let _permit = permit;
            let _ = timeout(linger, async {
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await?;
                // A socket that is closed with unread bytes is reset, and the answer may be lost.
                let mut scrap = [0; 1024];
                while stream.read(&mut scrap).await? > 0 {}
                io::Result::Ok(())
            })
            .await;
        });
    }
}

/// Says something at most once a second.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    said: Option<Instant>,
    times: u64,
}

impl Seldom {
    /// Counts; gives how often it was since it was last said, if it is time to say it again.
    pub(super) fn say(&mut self) -> Option<u64> {
        self.times += 1;
        if self.said.is_some_and(|said| said.elapsed() < Duration::from_secs(1)) {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}

/// An answer to a request that was not read.
fn refusal(cause: Cause) -> String {
    let (head, _) = upgrade::refusal(&Refusal::new(cause)).into_parts();
    let body = cause.row().reason;
    let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n", head.status, body.len() + 1);
    for (name, value) in &head.headers {
        let _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    text + "\r\n" + body + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_is_told_why_and_when_to_come_back() {
        let answer = refusal(Cause::AddressFull);
        assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
        assert!(answer.contains("\r\nretry-after: ") && answer.contains("\r\nx-cordboard-error: address-full\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
        assert!(refusal(Cause::ListenerFull).starts_with("HTTP/1.1 503 "));
    }

    #[test]
    fn what_happens_often_is_said_seldom_and_counted() {
        let mut seldom = Seldom::default();
        assert_eq!((seldom.say(), seldom.say(), seldom.say()), (Some(1), None, None));
        seldom.said = Instant::now().checked_sub(Duration::from_secs(1));
        assert_eq!(seldom.say(), Some(3));
    }
}
