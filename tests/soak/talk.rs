//! One leg of a session: says the messages of its lane and checks those of the other, at once, to the agreed end.

use std::{
    io,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    content::{self, Dice, Lane},
    wire::{BINARY, CLOSE, CONTINUATION, PING, PONG, Reader, TEXT, Writer},
    world::{STUCK, World},
};

/// How a leg speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// At its own pace until the soak stops.
    Flowing,
    /// Stops in the middle of a message until the next swap, again and again.
    Halting,
    /// So many messages without a pause.
    Brief(u64),
    /// So many messages: the first stops until the next swap, the last but one until the partner has said something, so
    /// that the two are joined in the middle of it.
    Hesitant(u64),
}

/// What both legs of a session know of each other; the test sees both ends.
pub struct Line {
    pub session: u64,
    /// Who closes, and with which payload.
    pub closer: usize,
    pub farewell: Vec<u8>,
    /// How many messages each says in all, once that is known.
    said: [watch::Sender<Option<u64>>; 2],
    /// How many messages of each were heard.
    heard: [watch::Sender<u64>; 2],
    /// Number of the last Ping of each, and of the last Pong that came back to it. Pings may be answered together (RFC
    /// 6455 §5.5.3), which the proxy does for a leg that waits.
    pinged: [watch::Sender<u64>; 2],
    ponged: [watch::Sender<u64>; 2],
}

impl Line {
    pub fn new(session: u64) -> Arc<Self> {
        let mut dice = Dice::new(&[session, 77]);
        let codes = [1000, 1001, 1011, 3000, 4999];
        let farewell = match dice.below(4) {
            0 => Vec::new(),
            _ => super::wire::close(codes[dice.index(codes.len())], &format!("done {session}")),
        };
        Arc::new(Self {
            session,
            closer: dice.index(2),
            farewell,
            said: Default::default(),
            heard: Default::default(),
            pinged: Default::default(),
            ponged: Default::default(),
        })
    }

    /// Waits until everything that both say was heard, and every Ping answered.
    async fn complete(&self) {
        for side in 0..2 {
            let total = self.said[side].subscribe().wait_for(Option::is_some).await.unwrap().unwrap();
            // More than said is found by the listener.
            self.heard[side].subscribe().wait_for(|heard| *heard >= total).await.unwrap();
            let pings = *self.pinged[side].borrow();
            self.ponged[side].subscribe().wait_for(|pongs| *pongs >= pings).await.unwrap();
        }
    }

    /// How far each lane is.
    pub fn account(&self) -> String {
        let shown = |side: usize| {
            format!(
                "said {:?}, heard {:?}, pinged {:?}, ponged {:?}",
                self.said[side].borrow(),
                self.heard[side].borrow(),
                self.pinged[side].borrow(),
                self.ponged[side].borrow()
            )
        };
        format!("session {}, client: {}; backend: {}", self.session, shown(0), shown(1))
    }
}

/// What a listener asks of the speaker of its leg.
enum Control {
    Pong(Vec<u8>),
    Close(Vec<u8>),
}

/// One leg.
pub struct Leg {
    pub world: Arc<World>,
    pub line: Arc<Line>,
    /// 0 the client, 1 the backend or the service.
    pub side: usize,
    pub temper: Temper,
    /// It ends TCP itself after its Close: it is a server.
    pub ends: bool,
}

impl Leg {
    /// To the end of the connection.
    ///
    /// # Errors
    /// Anything that the other leg did not do.
    pub async fn run(self, reader: Reader, writer: Writer) -> Result<(), String> {
        let (ask, asked) = mpsc::unbounded_channel();
        let speaking = async { self.speak(writer, asked).await.map_err(|error| format!("speaking: {error}")) };
        let both = async { tokio::try_join!(self.listen(reader, ask), speaking) };
        both.await
            .map(drop)
            .map_err(|error| format!("side {} {:?}: {error}; {}", self.side, self.temper, self.line.account()))
    }

    async fn listen(&self, mut reader: Reader, ask: mpsc::UnboundedSender<Control>) -> Result<(), String> {
        let theirs = 1 - self.side;
        let lane = Lane { session: self.line.session, direction: theirs };
        let mut number = 0;
        let mut message: Option<(bool, Vec<u8>)> = None;
        loop {
            let frame = reader.frame().await.map_err(|error| format!("listening: {error}"))?;
            let frame = frame.ok_or("the connection ended without a Close")?;
            match (frame.opcode, &mut message) {
                (PING, _) => drop(ask.send(Control::Pong(frame.payload))),
                (PONG, _) => self.ponged(&frame.payload)?,
                (CLOSE, _) => {
                    if frame.payload != self.line.farewell {
                        return Err(format!("closed with {:?}", String::from_utf8_lossy(&frame.payload)));
                    }
                    if *self.line.said[theirs].borrow() != Some(number) || message.is_some() {
                        return Err(format!("closed after {number} messages"));
                    }
                    // The closer's speaker has ended, and with it who would listen.
                    let _ = ask.send(Control::Close(frame.payload));
                    break;
                }
                (CONTINUATION, Some((_, body))) => body.extend_from_slice(&frame.payload),
                (TEXT | BINARY, None) => message = Some((frame.opcode == TEXT, frame.payload)),
                (opcode, _) => return Err(format!("opcode {opcode} at message {number}")),
            }
            if frame.opcode < CLOSE && frame.fin {
                let (text, body) = message.take().unwrap();
                if let Some(difference) = content::difference(&lane.message(number), text, &body) {
                    return Err(format!("message {number}: {difference}"));
                }
                number += 1;
                self.world.messages.fetch_add(1, SeqCst);
                self.world.bytes.fetch_add(body.len() as u64, SeqCst);
                self.line.heard[theirs].send_replace(number);
            }
        }
        match timeout(STUCK, reader.frame()).await {
            Ok(Ok(None)) => Ok(()),
            // A socket that was closed with unread bytes; both Closes have passed.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset && self.ends => Ok(()),
            Ok(Ok(Some(frame))) => Err(format!("opcode {} after the Close", frame.opcode)),
            Ok(Err(error)) => Err(format!("after the Close: {error}")),
            Err(_) => Err("no end of the connection after the Close".to_owned()),
        }
    }

    async fn speak(&self, mut writer: Writer, mut asked: mpsc::UnboundedReceiver<Control>) -> io::Result<()> {
        let lane = Lane { session: self.line.session, direction: self.side };
        let mut seen = self.world.swaps.subscribe();
        let mut number = 0;
        let mut burst = 0;
        loop {
            let over = match self.temper {
                Temper::Brief(messages) | Temper::Hesitant(messages) => number == messages,
                Temper::Flowing | Temper::Halting => self.world.stopping(),
            };
            if over {
                break;
            }
            let mut dice = lane.dice(number);
            dice.next();
            let frames = Self::frames(&mut writer, lane, number, &mut dice);
            let halts = match self.temper {
                Temper::Halting => burst == 0,
                Temper::Hesitant(messages) => number == 0 || number + 2 == messages,
                Temper::Flowing | Temper::Brief(_) => false,
            };
            if halts {
                self.halting(&mut writer, &mut asked, &mut seen, number, &frames, &mut dice).await?;
                burst = 1 + dice.below(3);
            } else {
                for (n, frame) in frames.iter().enumerate() {
                    writer.put(frame).await?;
                    if n + 1 < frames.len() && dice.percent(20) {
                        self.ping(&mut writer).await?;
                    }
                }
                burst = burst.saturating_sub(1);
            }
            number += 1;
            while let Ok(control) = asked.try_recv() {
                self.obey(&mut writer, control).await?;
            }
            if self.temper == Temper::Flowing {
                sleep(Duration::from_millis(20 + dice.below(400))).await;
            }
        }
        self.line.said[self.side].send_replace(Some(number));
        self.finish(writer, asked).await
    }

    /// Answers until it is time to close, or until the other leg has closed; keeps the connection to its end.
    async fn finish(&self, mut writer: Writer, mut asked: mpsc::UnboundedReceiver<Control>) -> io::Result<()> {
        let closing = async {
            if self.line.closer == self.side { self.line.complete().await } else { std::future::pending().await }
        };
        let mut closing = std::pin::pin!(closing);
        let mut closed = false;
        loop {
            tokio::select! {
                () = &mut closing, if !closed => {
                    writer.send(CLOSE, &self.line.farewell).await?;
                    closed = true;
                }
                control = asked.recv() => match control {
                    // The listener has seen the end.
                    None => return Ok(()),
                    Some(Control::Close(payload)) => {
                        if !closed {
                            writer.send(CLOSE, &payload).await?;
                            closed = true;
                        }
                        if self.ends {
                            writer.half.shutdown().await?;
                        }
                    }
                    Some(control) => self.obey(&mut writer, control).await?,
                },
            }
        }
    }

    async fn obey(&self, writer: &mut Writer, control: Control) -> io::Result<()> {
        match control {
            Control::Pong(payload) => writer.send(PONG, &payload).await,
            Control::Close(_) => Err(io::Error::other("closed while this leg still spoke")),
        }
    }

    async fn ping(&self, writer: &mut Writer) -> io::Result<()> {
        self.line.pinged[self.side].send_modify(|pings| *pings += 1);
        self.world.pings.fetch_add(1, SeqCst);
        let number = *self.line.pinged[self.side].borrow();
        writer.send(PING, self.ping_payload(number).as_bytes()).await
    }

    fn ping_payload(&self, number: u64) -> String {
        format!("session {} side {} ping {number}", self.line.session, self.side)
    }

    /// Each Pong belongs to a Ping of this leg, and to a later one than the Pong before it.
    fn ponged(&self, payload: &[u8]) -> Result<(), String> {
        let (last, sent) = (*self.line.ponged[self.side].borrow(), *self.line.pinged[self.side].borrow());
        let number = (last + 1..=sent).find(|number| self.ping_payload(*number).as_bytes() == payload);
        let number =
            number.ok_or_else(|| format!("a Pong {:?} after number {last}", String::from_utf8_lossy(payload)))?;
        self.line.ponged[self.side].send_replace(number);
        Ok(())
    }

    /// The frames of a message: one, or up to five of which some may be empty.
    fn frames(writer: &mut Writer, lane: Lane, number: u64, dice: &mut Dice) -> Vec<Vec<u8>> {
        let message = lane.message(number);
        let fragments = if dice.percent(30) { 2 + dice.index(4) } else { 1 };
        let mut cuts: Vec<usize> = (1..fragments).map(|_| dice.index(message.body.len() + 1)).collect();
        cuts.extend([0, message.body.len()]);
        cuts.sort_unstable();
        let opcode = |n| match (n, message.text) {
            (0, true) => TEXT,
            (0, false) => BINARY,
            _ => CONTINUATION,
        };
        cuts.windows(2)
            .enumerate()
            .map(|(n, cut)| writer.frame(n + 1 == fragments, opcode(n), &message.body[cut[0]..cut[1]]))
            .collect()
    }

    /// When a message that has stopped goes on.
    async fn resumes(&self, seen: &mut watch::Receiver<usize>, number: u64) {
        if matches!(self.temper, Temper::Hesitant(_)) && number > 0 {
            // The sender lives in `self`.
            self.line.heard[1 - self.side].subscribe().wait_for(|heard| *heard > 0).await.unwrap();
        } else if !self.world.stopping() {
            // The end of the soak is said before the last change of the count is. The sender lives in the world.
            seen.changed().await.unwrap();
        }
    }

    /// Says a message with a stop: inside a header, inside a payload or between two fragments.
    async fn halting(
        &self,
        writer: &mut Writer,
        asked: &mut mpsc::UnboundedReceiver<Control>,
        seen: &mut watch::Receiver<usize>,
        number: u64,
        frames: &[Vec<u8>],
        dice: &mut Dice,
    ) -> io::Result<()> {
        let halt = dice.index(frames.len());
        for (n, frame) in frames.iter().enumerate() {
            if n != halt {
                writer.put(frame).await?;
                continue;
            }
            let between = n > 0 && dice.percent(40);
            let cut = match between {
                true => 0,
                false if dice.percent(40) => 1 + dice.index(frame.len().min(14) - 1),
                false => 1 + dice.index(frame.len() - 1),
            };
            writer.put(&frame[..cut]).await?;
            if between {
                self.ping(writer).await?;
            }
            let swaps = *seen.borrow_and_update();
            if self.temper == Temper::Halting {
                self.world.halted[swaps].fetch_add(1, SeqCst);
            }
            let mut resumes = std::pin::pin!(self.resumes(seen, number));
            loop {
                tokio::select! {
                    () = &mut resumes => break,
                    // Between two fragments control frames may stand (RFC 6455 §5.4), inside a frame they may not.
                    Some(control) = asked.recv(), if between => self.obey(writer, control).await?,
                }
            }
            writer.put(&frame[cut..]).await?;
        }
        Ok(())
    }
}
