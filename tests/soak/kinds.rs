//! Every way in which connections come and go, one a cycle.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::{
    wire::{self, BINARY, CLOSE, PING, PONG, Reader, Refused, TEXT, Writer},
    world::{World, connect},
};
use crate::support::upgrade;

/// What a cycle does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pair; this side closes, with a code or without.
    Closed(usize, Option<u16>),
    /// A pair of which both close at once.
    ClosedByBoth,
    /// A pair; this side ends TCP without a Close.
    Ended(usize),
    /// A pair; this side resets TCP.
    Reset(usize),
    /// A pair whose client breaks the protocol.
    Violated,
    /// A client that waits, and closes.
    Lonely,
    /// A client that waits, and ends TCP in the middle of a frame.
    LonelyEnded,
    /// A client that waits, and resets TCP.
    LonelyReset,
    /// A second client on a channel.
    Second,
    /// A request that is refused with this status.
    Refused(u16, &'static str, &'static str),
    /// A request of which only a part comes.
    HalfHead,
    /// A client that leaves before its 101.
    Gone,
    /// Both close before they know of each other.
    Race,
    /// A routed session; this side closes.
    RoutedClosed(usize),
    /// A routed session; this side ends TCP without a Close.
    RoutedEnded(usize),
}

const KINDS: [Kind; 24] = [
    Kind::Closed(0, Some(1000)),
    Kind::Closed(1, Some(4321)),
    Kind::Closed(0, None),
    Kind::Closed(1, Some(1011)),
    Kind::ClosedByBoth,
    Kind::Ended(0),
    Kind::Ended(1),
    Kind::Reset(0),
    Kind::Reset(1),
    Kind::Violated,
    Kind::Lonely,
    Kind::LonelyEnded,
    Kind::LonelyReset,
    Kind::Second,
    Kind::Refused(400, "/chat", "rendezvous"),
    Kind::Refused(404, "/nowhere", "none"),
    Kind::Refused(502, "/ws/nobody", "router"),
    Kind::HalfHead,
    Kind::Gone,
    Kind::Race,
    Kind::RoutedClosed(0),
    Kind::RoutedClosed(1),
    Kind::RoutedEnded(0),
    Kind::RoutedEnded(1),
];

/// Pairs that end as most do: a Close of either side, or of both.
const PAIRS: [Kind; 4] =
    [Kind::Closed(0, Some(1000)), Kind::Closed(1, Some(4321)), Kind::Closed(0, None), Kind::ClosedByBoth];

const ROUTED: [Kind; 2] = [Kind::RoutedClosed(0), Kind::RoutedClosed(1)];

impl Kind {
    fn turn(kinds: &[Self], number: u64) -> Self {
        kinds[usize::try_from(number % kinds.len() as u64).unwrap()]
    }

    /// All kinds in turns.
    pub fn mixed(number: u64) -> Self {
        Self::turn(&KINDS, number)
    }

    /// Pairs that are closed.
    pub fn pair(number: u64) -> Self {
        Self::turn(&PAIRS, number)
    }

    /// Routed sessions that are closed.
    pub fn routed(number: u64) -> Self {
        Self::turn(&ROUTED, number)
    }
}

type Connection = (Reader, Writer);

async fn shake(world: &World, number: u64, target: &str) -> Result<Result<Connection, Refused>, String> {
    let stream = connect(world, number).await?;
    wire::shake(stream, upgrade(target, "").as_bytes()).await.map_err(|error| format!("handshake: {error}"))
}

async fn dial(world: &World, number: u64, target: &str) -> Result<Connection, String> {
    shake(world, number, target).await?.map_err(|refused| format!("a handshake failed: {refused}"))
}

async fn refused(world: &World, number: u64, target: &str, status: u16) -> Result<(), String> {
    match shake(world, number, target).await? {
        Err(refused) if refused.status == status => Ok(()),
        Err(refused) => Err(format!("not {status}: {refused}")),
        Ok(_) => Err(format!("not {status} but 101")),
    }
}

fn io<T>(result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Reads to the Close, which must be this one, and then to the end. None: the end comes without a Close.
async fn parting((reader, writer): &mut Connection, expected: Option<&[u8]>, reply: bool) -> Result<(), String> {
    let mut close = None;
    loop {
        // A reset is an end, too.
        let Ok(Some(frame)) = reader.frame().await else { break };
        if frame.opcode == CLOSE {
            if reply {
                io(writer.send(CLOSE, &frame.payload).await)?;
            }
            close = Some(frame.payload);
        } else if close.is_some() {
            return Err(format!("opcode {} after the Close", frame.opcode));
        }
    }
    if close.as_deref() == expected { Ok(()) } else { Err(format!("parted with {close:?} instead of {expected:?}")) }
}

/// A pair that has met: one message has passed.
async fn met(world: &World, number: u64) -> Result<[Connection; 2], String> {
    let mut client = dial(world, number, &format!("/chat?channelId={number}")).await?;
    let mut backend = dial(world, number, &format!("/chat/connect?channelId={number}")).await?;
    exchange(number, &mut client, &mut backend).await?;
    Ok([client, backend])
}

async fn routed(world: &World, number: u64) -> Result<[Connection; 2], String> {
    let upstream = world.upstream(number);
    let mut client = dial(world, number, &format!("/ws?session={number}")).await?;
    let mut service = upstream.await.map_err(|_| "the service was not dialled")?;
    exchange(number, &mut client, &mut service).await?;
    Ok([client, service])
}

async fn exchange(number: u64, one: &mut Connection, other: &mut Connection) -> Result<(), String> {
    let said = number.to_string().repeat(usize::try_from(number % 200).unwrap());
    io(one.1.send(TEXT, said.as_bytes()).await)?;
    match io(other.0.frame().await)? {
        Some(frame) if frame.opcode == TEXT && frame.payload == said.as_bytes() => Ok(()),
        other => Err(format!("another message: {:?}", other.map(|frame| frame.payload))),
    }
}

fn reset((_, writer): Connection) -> Result<(), String> {
    io(socket2::SockRef::from(writer.half.as_ref()).set_linger(Some(Duration::ZERO)))
}

/// One cycle, from the first connect to the last end.
///
/// # Errors
/// Whatever is not as this kind must go.
pub async fn cycle(world: &World, number: u64, kind: Kind) -> Result<(), String> {
    let expect = |mode, outcome| world.expect((mode, outcome), 1);
    let path = format!("/chat?channelId={number}");
    match kind {
        Kind::Closed(side, code) => {
            let mut pair = met(world, number).await?;
            let farewell = code.map_or_else(Vec::new, |code| wire::close(code, "enough"));
            io(pair[side].1.send(CLOSE, &farewell).await)?;
            parting(&mut pair[1 - side], Some(&farewell), true).await?;
            parting(&mut pair[side], Some(&farewell), false).await?;
            expect("rendezvous", "paired");
        }
        Kind::ClosedByBoth => {
            let mut pair = met(world, number).await?;
            let farewell = wire::close(1000, "");
            io(pair[0].1.send(CLOSE, &farewell).await)?;
            io(pair[1].1.send(CLOSE, &farewell).await)?;
            parting(&mut pair[0], Some(&farewell), false).await?;
            parting(&mut pair[1], Some(&farewell), false).await?;
            expect("rendezvous", "paired");
        }
        Kind::Ended(side) | Kind::RoutedEnded(side) => {
            let mode = if matches!(kind, Kind::Ended(_)) { "rendezvous" } else { "router" };
            let mut pair = if mode == "router" { routed(world, number).await? } else { met(world, number).await? };
            io(pair[side].1.half.shutdown().await)?;
            broken(&mut pair[1 - side], side, mode == "router" && side == 0).await?;
            while let Ok(Some(_)) = pair[side].0.frame().await {}
            expect(mode, "error");
        }
        Kind::Reset(side) => {
            let [client, backend] = met(world, number).await?;
            let (leaver, mut other) = if side == 0 { (client, backend) } else { (backend, client) };
            reset(leaver)?;
            broken(&mut other, side, false).await?;
            expect("rendezvous", "error");
        }
        Kind::Violated => {
            let mut pair = met(world, number).await?;
            // Reserved bits without an extension, RFC 6455 §5.2.
            io(pair[0].1.put(&[0xf1, 0x80, 0, 0, 0, 0]).await)?;
            parted_by(&mut pair[0], 1002).await?;
            parted_by(&mut pair[1], 1001).await?;
            expect("rendezvous", "error");
        }
        Kind::Lonely => {
            let mut client = dial(world, number, &path).await?;
            io(client.1.send(BINARY, &[7; 3_000]).await)?;
            let farewell = wire::close(1001, "nobody came");
            io(client.1.send(CLOSE, &farewell).await)?;
            // The proxy itself answers, with the code alone.
            parting(&mut client, Some(&farewell[..2]), false).await?;
            expect("rendezvous", "lonely");
        }
        Kind::LonelyEnded => {
            let mut client = dial(world, number, &path).await?;
            let frame = client.1.frame(false, TEXT, &[b'x'; 300]);
            io(client.1.put(&frame[..200]).await)?;
            io(client.1.half.shutdown().await)?;
            while let Ok(Some(_)) = client.0.frame().await {}
            expect("rendezvous", "lonely");
        }
        Kind::LonelyReset => {
            reset(dial(world, number, &path).await?)?;
            expect("rendezvous", "lonely");
        }
        Kind::Second => second(world, number, &path).await?,
        Kind::Refused(status, target, mode) => {
            refused(world, number, target, status).await?;
            expect(mode, "refused");
        }
        Kind::HalfHead => {
            let mut stream = connect(world, number).await?;
            io(stream.write_all(b"GET /chat?channelId=1 HTTP/1.1\r\nHost: te").await)?;
        }
        Kind::Gone => {
            let mut stream = connect(world, number).await?;
            io(stream.write_all(upgrade(&format!("/patient?channelId={number}"), "").as_bytes()).await)?;
        }
        Kind::Race => {
            let (client, backend) = (format!("/chat?channelId={number}"), format!("/chat/connect?channelId={number}"));
            tokio::try_join!(hasty(world, number, &client), hasty(world, number, &backend))?;
        }
        Kind::RoutedClosed(side) => {
            let mut pair = routed(world, number).await?;
            let farewell = wire::close(3000, "enough");
            io(pair[side].1.send(CLOSE, &farewell).await)?;
            let [client, service] = &mut pair;
            if side == 0 {
                service_part(service, &farewell, true).await?;
                parting(client, Some(&farewell), false).await?;
            } else {
                tokio::try_join!(service_part(service, &farewell, false), parting(client, Some(&farewell), true))?;
            }
            expect("router", "routed");
        }
    }
    Ok(())
}

/// A service sees the Close, answers it if it is not its own, and ends TCP first (RFC 6455 §7.1.1).
async fn service_part((reader, writer): &mut Connection, farewell: &[u8], reply: bool) -> Result<(), String> {
    match io(reader.frame().await)? {
        Some(frame) if frame.opcode == CLOSE && frame.payload == farewell => {}
        other => return Err(format!("instead of the Close: {:?}", other.map(|frame| frame.opcode))),
    }
    if reply {
        io(writer.send(CLOSE, farewell).await)?;
    }
    io(writer.half.shutdown().await)?;
    while let Ok(Some(_)) = reader.frame().await {}
    Ok(())
}

/// The other leg of one that broke: 1011 for a broken backend, 1001 for a broken client.
async fn broken(other: &mut Connection, side: usize, service: bool) -> Result<(), String> {
    let code = if side == 1 { 1011_u16 } else { 1001 };
    if !service {
        return parted_by(other, code).await;
    }
    match io(other.0.frame().await)? {
        Some(frame) if frame.opcode == CLOSE && frame.payload.starts_with(&code.to_be_bytes()) => {}
        seen => return Err(format!("instead of {code}: {:?}", seen.map(|frame| frame.payload))),
    }
    io(other.1.send(CLOSE, &code.to_be_bytes()).await)?;
    io(other.1.half.shutdown().await)?;
    while let Ok(Some(_)) = other.0.frame().await {}
    Ok(())
}

/// The proxy closes with this code.
async fn parted_by((reader, writer): &mut Connection, code: u16) -> Result<(), String> {
    loop {
        match io(reader.frame().await)? {
            Some(frame) if frame.opcode == CLOSE => {
                let given = frame.payload.get(..2);
                if given != Some(&code.to_be_bytes()[..]) {
                    return Err(format!("closed with {given:?} instead of {code}"));
                }
                // It may have ended TCP by now.
                let _ = writer.send(CLOSE, &code.to_be_bytes()).await;
                while let Ok(Some(_)) = reader.frame().await {}
                return Ok(());
            }
            Some(_) => {}
            None => return Err(format!("an end without a Close {code}")),
        }
    }
}

/// A second client is refused while the first shows life; then the first leaves.
async fn second(world: &World, number: u64, path: &str) -> Result<(), String> {
    let (mut reader, mut writer) = dial(world, number, path).await?;
    let alive = async {
        while let Some(frame) = io(reader.frame().await)? {
            if frame.opcode == PING {
                io(writer.send(PONG, &frame.payload).await)?;
            }
        }
        Err("the first client was sent away".to_owned())
    };
    tokio::select! {
        refused = refused(world, number, path, 409) => refused?,
        gone = alive => gone?,
    }
    let farewell = wire::close(1000, "");
    io(writer.send(CLOSE, &farewell).await)?;
    parting(&mut (reader, writer), Some(&farewell), false).await?;
    world.expect(("rendezvous", "refused"), 1);
    world.expect(("rendezvous", "lonely"), 1);
    Ok(())
}

/// Closes as soon as it may.
async fn hasty(world: &World, number: u64, path: &str) -> Result<(), String> {
    let mut leg = dial(world, number, path).await?;
    let farewell = wire::close(1000, "hasty");
    io(leg.1.send(CLOSE, &farewell).await)?;
    // From the partner as it was said; from the proxy, if there was none yet, with the code alone.
    let answer = parting(&mut leg, Some(&farewell), false).await;
    answer.or_else(|error| if error.starts_with("parted with Some([3, 232]) ") { Ok(()) } else { Err(error) })
}
