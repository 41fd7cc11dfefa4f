//! Conversations that are closed while they go on: what was said before is heard, to the last message.

use std::{
    collections::HashMap,
    io::ErrorKind,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::{
    board, lines, pair, refuses, routed, sessions, stopped,
    support::{
        Proxy,
        dial::{Ws, dial},
        soon,
        upstream::Upstream,
        wire::{BINARY, CLOSE, Wire, bare, close, masked},
    },
};

/// Conversations of each kind; together they have more sockets than the kernel tells of at once.
const EACH: usize = 300;
/// Messages that each end has to say in a round.
const BURST: usize = 20;
/// Until accepting ends; what is said is said before.
const DELAY: Duration = Duration::from_secs(6);

/// How many messages one end has sent, and how many of the other's it has heard.
#[derive(Default)]
struct Count {
    sent: AtomicUsize,
    heard: AtomicUsize,
}

/// All ends by name: `c7` dialled in and talks with `b7`, which did too; `r7` dialled in and talks with the service `s7`.
#[derive(Default)]
struct Ends(Mutex<HashMap<String, Arc<Count>>>);

impl Ends {
    fn enter(&self, name: &str) -> Arc<Count> {
        let count = Arc::<Count>::default();
        self.0.lock().unwrap().insert(name.to_owned(), Arc::clone(&count));
        count
    }

    fn read(&self, what: fn(&Count) -> &AtomicUsize) -> HashMap<String, usize> {
        self.0.lock().unwrap().iter().map(|(name, count)| (name.clone(), what(count).load(SeqCst))).collect()
    }
}

fn partner(name: &str) -> String {
    let (kind, number) = name.split_at(1);
    let kind = match kind {
        "c" => "b",
        "b" => "c",
        "r" => "s",
        _ => "r",
    };
    format!("{kind}{number}")
}

/// A message that nobody else sends, of a length of its own; of every tenth end a round is more than is read at once.
fn message(name: &str, number: usize) -> String {
    let length = if name.ends_with('0') { 20_000 } else { number * 37 % 1500 };
    format!("{name} {number} {}", "x".repeat(length))
}

async fn say(name: &str, mut sink: SplitSink<Ws, Message>, count: &Count, mut rounds: watch::Receiver<usize>) {
    for number in 0.. {
        // Whoever has heard the Close has nothing to say any more.
        if number % BURST == 0 && rounds.wait_for(|rounds| *rounds * BURST > number).await.is_err() {
            return;
        }
        if sink.feed(Message::text(message(name, number))).await.is_err() {
            return;
        }
        if (number + 1) % BURST == 0 {
            if sink.flush().await.is_err() {
                return;
            }
            count.sent.store(number + 1, SeqCst);
        }
    }
}

async fn hear(name: &str, mut stream: SplitStream<Ws>, count: &Count) {
    let mut code = None;
    while let Some(Ok(heard)) = stream.next().await {
        match heard {
            Message::Text(text) => {
                let number = count.heard.fetch_add(1, SeqCst);
                assert_eq!(text.as_str(), message(&partner(name), number), "what {name} hears");
            }
            Message::Close(close) => code = close.map(|close| u16::from(close.code)),
            _ => {}
        }
    }
    assert_eq!(code, Some(1012), "how it ended for {name}");
}

async fn talk(name: String, ws: Ws, count: Arc<Count>, rounds: watch::Receiver<usize>) {
    let (sink, stream) = ws.split();
    let (mut said, mut heard) = (pin!(say(&name, sink, &count, rounds)), pin!(hear(&name, stream, &count)));
    tokio::select! {
        () = &mut said => heard.await,
        () = &mut heard => {}
    }
}

/// A service that learns from the first message with whom it talks.
async fn serve(mut ws: Ws, ends: Arc<Ends>, rounds: watch::Receiver<usize>) {
    let Some(Ok(Message::Text(first))) = ws.next().await else { panic!("a message was expected") };
    let caller = first.split(' ').next().unwrap();
    assert_eq!(first.as_str(), message(caller, 0));
    let name = partner(caller);
    let count = ends.enter(&name);
    count.heard.store(1, SeqCst);
    talk(name, ws, count, rounds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_six_hundred_conversations_nothing_is_lost_that_was_said_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut proxy = Proxy::with(&format!(
        "log: {{format: json}}
drain: {{delay: 6s, grace: 1m, spread: 0}}
plugins: {{rendezvous: {{component: 'builtin:rendezvous', limits: {{decision: 20s}}}}}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}
  - {{name: ws, match: {{path: /ws}}, mode: router, service: up}}
services: {{up: {{endpoints: ['ws://{}']}}}}
",
        listener.local_addr().unwrap()
    ));
    let ends = Arc::<Ends>::default();
    let (rounds, round) = watch::channel(1);
    let mut talking = JoinSet::new();
    for n in 0..EACH {
        for (name, path) in [
            (format!("c{n}"), format!("/chat?channelId={n}")),
            (format!("b{n}"), format!("/chat/connect?channelId={n}")),
        ] {
            let (ws, count) = (dial(&proxy, &path).await, ends.enter(&name));
            talking.spawn(talk(name, ws, count, round.clone()));
        }
        let (ws, dialled) = tokio::join!(dial(&proxy, "/ws"), async {
            accept_async(listener.accept().await.unwrap().0).await.unwrap()
        });
        let name = format!("r{n}");
        let count = ends.enter(&name);
        talking.spawn(talk(name, ws, count, round.clone()));
        talking.spawn(serve(dialled, Arc::clone(&ends), round.clone()));
    }
    let all = async |what: fn(&Count) -> &AtomicUsize, least: usize| {
        soon(&format!("{least} messages of everybody"), async || {
            let counts = ends.read(what);
            (counts.len() == 4 * EACH && counts.values().all(|count| *count >= least)).then_some(())
        })
        .await;
    };
    all(|count| &count.heard, BURST).await;
    // Everybody says something while the proxy sleeps: when it wakes up it is time to close, and nothing is read yet.
    proxy.signal("TERM");
    proxy.logged(&["draining; a second signal ends at once"]);
    let announced = Instant::now();
    proxy.signal("STOP");
    assert!(announced.elapsed() < DELAY, "this machine is too slow for {DELAY:?}");
    rounds.send_replace(2);
    all(|count| &count.sent, 2 * BURST).await;
    soon("the end of the delay", async || (announced.elapsed() > DELAY).then_some(())).await;
    let before = ends.read(|count| &count.sent);
    proxy.signal("CONT");
    // And goes on meanwhile.
    rounds.send_replace(3);
    // Each end asserts that it hears what the other said, in order and without a gap, and how it was told to end.
    while let Some(ended) = talking.join_next().await {
        ended.unwrap();
    }
    let heard = ends.read(|count| &count.heard);
    for (name, said) in &before {
        let heard = heard[&partner(name)];
        assert!(heard >= *said, "{name} had said {said} messages, {heard} were heard");
    }
    assert_eq!(stopped(&mut proxy), Some(0));
    let sessions = sessions(&proxy);
    assert_eq!(sessions.len(), 2 * EACH);
    assert!(sessions.iter().all(|line| line["outcome"] == "drained"), "{sessions:#?}");
    assert_eq!(lines(&proxy).last().unwrap()["clean"], true);
}

/// How one end writes a frame.
type Writes = fn(u8, &[u8]) -> Vec<u8>;

/// The payload of a big message that nobody else sends.
fn big(number: usize) -> Vec<u8> {
    (0..100_000_u32).map(|byte| (byte as usize + number).to_le_bytes()[0]).collect()
}

/// Sends big messages until the kernel takes no more. How many it has taken in whole, and what is left of the last one.
async fn fill(sender: &Wire, frame: Writes) -> (usize, Vec<u8>) {
    sender.stream.writable().await.unwrap();
    for number in 0.. {
        let message = frame(BINARY, &big(number));
        let mut sent = 0;
        while sent < message.len() {
            match sender.stream.try_write(&message[sent..]) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (number, message[sent..].to_vec()),
                Err(error) => panic!("{error}"),
            }
        }
    }
    unreachable!("some time it is full");
}

/// One that read nothing hears all of it, then the Close; the other is told meanwhile.
async fn hears_all(receiver: &mut Wire, frame: Writes, messages: usize) {
    for number in 0..messages {
        let heard = receiver.frame().await.expect("a message and not the end");
        assert!((heard.first, heard.payload) == (BINARY, big(number)), "message {number} of {messages}");
    }
    // The one whose end was still to be sent.
    receiver.expect(BINARY, &big(messages)).await;
    assert_eq!(receiver.expect_close().await.map(|(code, _)| code), Some(1012));
    receiver.write(&frame(CLOSE, &close(1012, ""))).await;
}

#[tokio::test]
async fn what_waits_behind_a_slow_reader_is_delivered_before_the_close() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("grace: 1m, spread: 0", "close: 20s", &upstream);
    let (mut client, mut backend) = pair(&proxy, "1").await;
    let (mut caller, mut service) = routed(&proxy, &upstream).await;
    let [(to_backend, rest_to_backend), (to_caller, rest_to_caller)] =
        [fill(&client, masked).await, fill(&service, bare).await];
    assert!(to_backend > 1 && to_caller > 1, "{to_backend} and {to_caller} messages are on their way");
    proxy.signal("TERM");
    refuses(&proxy);
    tokio::join!(
        client.write(&rest_to_backend),
        service.write(&rest_to_caller),
        hears_all(&mut backend, masked, to_backend),
        hears_all(&mut caller, masked, to_caller),
    );
    for leg in [&mut client, &mut service] {
        assert_eq!(leg.expect_close().await.map(|(code, _)| code), Some(1012));
    }
    client.write(&masked(CLOSE, &close(1012, ""))).await;
    service.write(&bare(CLOSE, &close(1012, ""))).await;
    drop((client, backend, caller, service));
    assert_eq!(stopped(&mut proxy), Some(0));
    proxy.logged(&["stopped", "\"clean\":true"]);
}
