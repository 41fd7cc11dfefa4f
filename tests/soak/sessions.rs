//! The sessions of the soak: those that last, those that wait, and handshakes without end.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};

use super::{
    content::Dice,
    talk::{Leg, Line, Temper},
    wire::{self, Reader, Writer},
    world::{STUCK, World, connect},
};
use crate::support::upgrade;

type Connection = (Reader, Writer);

/// The path of a channel on a rendezvous route, for a client or a backend.
fn path(route: &str, session: u64, backend: bool) -> String {
    let connect = if backend { "/connect" } else { "" };
    format!("/{route}{connect}?channelId={session}")
}

/// The same on the route whose policy is slow: it looks for a hundred names in a long query before the right one.
fn slow_path(session: u64, backend: bool) -> String {
    let filler: String = (0..1_000).map(|n| format!("&f{n}")).collect::<Vec<_>>().concat();
    path("slow", session, backend) + &filler
}

async fn dial(world: &World, session: u64, target: &str) -> Result<Connection, String> {
    let begun = Instant::now();
    let connection = finish_dial(connect(world, session).await?, &upgrade(target, "")).await?;
    world.shook(begun.elapsed());
    Ok(connection)
}

async fn finish_dial(stream: tokio::net::TcpStream, request: &str) -> Result<Connection, String> {
    let shaken = timeout(STUCK, wire::shake(stream, request.as_bytes())).await;
    let answer = shaken.map_err(|_| "a handshake without an answer")?.map_err(|error| format!("handshake: {error}"))?;
    answer.map_err(|refused| format!("a handshake failed: {refused}"))
}

/// A handshake whose head is half sent while a swap takes place.
async fn dial_across(world: &World, session: u64, target: &str) -> Result<Connection, String> {
    let mut stream = connect(world, session).await?;
    let request = upgrade(target, "");
    let (one, other) = request.split_at(1 + Dice::new(&[session]).index(request.len() - 1));
    stream.write_all(one.as_bytes()).await.map_err(|error| format!("half a head: {error}"))?;
    let swaps = world.swapped(1).await;
    let connection = finish_dial(stream, other).await?;
    world.crossed.fetch_add(u64::from(swaps > 0), SeqCst);
    Ok(connection)
}

async fn dial_routed(world: &World, session: u64) -> Result<(Connection, Connection), String> {
    let upstream = world.upstream(session);
    let client = dial(world, session, &format!("/ws/some/path?session={session}")).await?;
    let service = timeout(STUCK, upstream).await.ok().and_then(Result::ok).ok_or("the service was not dialled")?;
    Ok((client, service))
}

struct Talk {
    world: Arc<World>,
    line: Arc<Line>,
    /// The mode and outcome that the proxy must count.
    ended: (&'static str, &'static str),
}

impl Talk {
    fn new(world: &Arc<World>, session: u64, ended: (&'static str, &'static str)) -> Self {
        let line = Line::new(session);
        world.watch(&line);
        Self { world: Arc::clone(world), line, ended }
    }

    fn paired(world: &Arc<World>, session: u64) -> Self {
        Self::new(world, session, ("rendezvous", "paired"))
    }

    fn routed(world: &Arc<World>, session: u64) -> Self {
        Self::new(world, session, ("router", "routed"))
    }

    async fn leg(&self, side: usize, temper: Temper, (reader, writer): Connection) -> Result<(), String> {
        let ends = side == 1 && self.ended.0 == "router";
        Leg { world: Arc::clone(&self.world), line: Arc::clone(&self.line), side, temper, ends }
            .run(reader, writer)
            .await
    }

    async fn both(&self, tempers: [Temper; 2], client: Connection, backend: Connection) -> Result<(), String> {
        tokio::try_join!(self.leg(0, tempers[0], client), self.leg(1, tempers[1], backend))?;
        self.world.expect(self.ended, 1);
        Ok(())
    }
}

/// One leg of a lasting session halts, the other flows.
fn tempers(session: u64) -> [Temper; 2] {
    if session.is_multiple_of(2) { [Temper::Halting, Temper::Flowing] } else { [Temper::Flowing, Temper::Halting] }
}

/// A pair from the beginning to the end of the soak.
pub async fn lasting_pair(world: &Arc<World>, session: u64) -> Result<(), String> {
    let client = dial(world, session, &path("chat", session, false)).await?;
    let backend = dial(world, session, &path("chat", session, true)).await?;
    Talk::paired(world, session).both(tempers(session), client, backend).await
}

/// A routed session from the beginning to the end of the soak.
pub async fn lasting_routed(world: &Arc<World>, session: u64) -> Result<(), String> {
    let (client, service) = dial_routed(world, session).await?;
    Talk::routed(world, session).both(tempers(session), client, service).await
}

/// A client that speaks, waits across swaps, and is joined by a backend that comes under a later generation.
pub async fn waiting(world: &Arc<World>, session: u64) -> Result<(), String> {
    let mut dice = Dice::new(&[session, 5]);
    let talk = Talk::paired(world, session);
    let client = dial(world, session, &path("chat", session, false)).await?;
    let late = async {
        let swaps = world.swapped(2 + dice.index(3)).await;
        let backend = dial(world, session, &path("chat", session, true)).await?;
        world.joined_later.fetch_add(u64::from(swaps > 0), SeqCst);
        talk.leg(1, Temper::Brief(5), backend).await
    };
    tokio::try_join!(talk.leg(0, Temper::Hesitant(5), client), late)?;
    world.expect(talk.ended, 1);
    Ok(())
}

/// A client whose 101 is held back until its backend comes, some swaps later.
pub async fn held_back(world: &Arc<World>, session: u64) -> Result<(), String> {
    let mut dice = Dice::new(&[session, 6]);
    let request = upgrade(&path("patient", session, false), "");
    let stream = connect(world, session).await?;
    let late = async {
        let swaps = world.swapped(1 + dice.index(3)).await;
        let backend = dial(world, session, &path("patient", session, true)).await?;
        world.joined_later.fetch_add(u64::from(swaps > 0), SeqCst);
        Ok(backend)
    };
    let (client, backend) = tokio::try_join!(finish_dial(stream, &request), late)?;
    Talk::paired(world, session).both([Temper::Brief(2); 2], client, backend).await
}

/// A short session whose handshakes are in flight while a swap takes place.
pub async fn crossing(world: &Arc<World>, session: u64) -> Result<(), String> {
    let brief = [Temper::Brief(2); 2];
    if session.is_multiple_of(3) {
        let upstream = world.upstream(session);
        let client = dial_across(world, session, &format!("/ws?session={session}")).await?;
        let service = timeout(STUCK, upstream).await.ok().and_then(Result::ok).ok_or("the service was not dialled")?;
        return Talk::routed(world, session).both(brief, client, service).await;
    }
    let (client_path, backend_path) = (path("chat", session, false), slow_path(session, true));
    let (client, backend) =
        tokio::try_join!(dial_across(world, session, &client_path), dial_across(world, session, &backend_path))?;
    Talk::paired(world, session).both(brief, client, backend).await
}

/// A short session of new handshakes.
pub async fn fresh(world: &Arc<World>, session: u64) -> Result<(), String> {
    let mut dice = Dice::new(&[session, 7]);
    sleep(Duration::from_millis(dice.below(40))).await;
    let brief = [Temper::Brief(1 + dice.below(2)), Temper::Brief(dice.below(3))];
    match dice.below(3) {
        0 => strangers(world, session).await,
        1 => {
            let (client, service) = dial_routed(world, session).await?;
            Talk::routed(world, session).both(brief, client, service).await
        }
        _ => {
            let (client_path, backend_path) = (path("chat", session, false), path("chat", session, true));
            let (client, backend) =
                tokio::try_join!(dial(world, session, &client_path), dial(world, session, &backend_path))?;
            Talk::paired(world, session).both(brief, client, backend).await
        }
    }
}

/// A short session whose handshakes spend their time in a policy, in its queue and in its calls.
pub async fn slow(world: &Arc<World>, session: u64) -> Result<(), String> {
    // Only around the moment of a swap, for they cost the processor time that compiling needs. The sender is the world's.
    world.swapping.subscribe().wait_for(|now| *now).await.unwrap();
    let begun = *world.swaps.borrow();
    let shake =
        async |backend| finish_dial(connect(world, session).await?, &upgrade(&slow_path(session, backend), "")).await;
    let shook = Instant::now();
    let (backend, client) = tokio::try_join!(shake(true), shake(false))?;
    world.slow.lock().unwrap().push(shook.elapsed());
    world.crossed.fetch_add(2 * u64::from(*world.swaps.borrow() > begun), SeqCst);
    Talk::paired(world, session).both([Temper::Brief(1); 2], client, backend).await
}

/// A pair of peers of another make.
async fn strangers(world: &Arc<World>, session: u64) -> Result<(), String> {
    async fn dial(world: &World, session: u64, path: &str) -> Result<WebSocketStream<tokio::net::TcpStream>, String> {
        let begun = Instant::now();
        let stream = connect(world, session).await?;
        let dialled = client_async(format!("ws://{}{path}", world.proxy), stream).await;
        world.shook(begun.elapsed());
        dialled.map(|(stream, _)| stream).map_err(|error| format!("a handshake failed: {error}"))
    }
    let mut client = dial(world, session, &path("chat", session, false)).await?;
    let told = Message::text(format!("to the backend of {session}"));
    client.send(told.clone()).await.map_err(|error| error.to_string())?;
    let mut backend = dial(world, session, &path("chat", session, true)).await?;
    let answer = Message::binary(session.to_be_bytes().repeat(10_000));
    backend.send(answer.clone()).await.map_err(|error| error.to_string())?;
    let farewell = CloseFrame { code: 4000.into(), reason: session.to_string().into() };
    let talk = async {
        let (heard, answered) = (backend.next().await, client.next().await);
        let (Some(Ok(heard)), Some(Ok(answered))) = (heard, answered) else { return Err("no message".to_owned()) };
        if heard != told || answered != answer {
            return Err("another message".to_owned());
        }
        client.close(Some(farewell.clone())).await.map_err(|error| error.to_string())?;
        match backend.next().await {
            Some(Ok(Message::Close(Some(close)))) if close == farewell => {}
            other => return Err(format!("instead of the Close: {other:?}")),
        }
        // Both run to the end of the stream, which sends the answer to the Close.
        while backend.next().await.is_some_and(|message| message.is_ok()) {}
        while client.next().await.is_some_and(|message| message.is_ok()) {}
        Ok(())
    };
    timeout(STUCK, talk)
        .await
        .unwrap_or_else(|_| Err("stuck".to_owned()))
        .map_err(|error| format!("session {session} of other peers: {error}"))?;
    world.messages.fetch_add(2, SeqCst);
    world.expect(("rendezvous", "paired"), 1);
    Ok(())
}
