//! Message filters: what the plugins of a connection's route want to see of its messages, and what they make of them.
//!
//! A filter is opened before the 101, so that compression can be left out of the handshake where messages are to be
//! read. In each direction the filters of the leg that sends are asked, in the order of its route, then those of the leg
//! that receives that are not among them: a plugin that stands on both legs' routes is asked once a message.
//!
//! A call that ends at once, as nearly all do, runs on the thread of the relay that has the message: going to another
//! one and back would take longer than the call. One that waits, or runs into a tick of the epoch, goes on elsewhere and
//! its session is told later; so no guest holds up a thread of the relay for longer than a tick.
//!
//! A filter stays with the version that opened it until somebody [moves](Filters::follow) it to another, between two
//! messages.
//!
//! Of one connection a filter is asked one thing at a time. What it makes of one message is bounded by `limits.actions`
//! and `limits.output`, over all that the filters before it made of it.

use std::{
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Mutex};

use super::{
    Known, Plugin, Refused,
    context::{Facts, Message, Scene},
    failure::Failure,
    interest::{Declared, Interests, Rule},
    refused, report,
    user::User,
    v0_1::{Action, Answer, Question},
};
use crate::{
    config::OnFailure,
    error::Cause,
    model::{CloseFrame, Direction, MessageKind, Oversize, Payload},
    relay::{Passed, Reply, Screen, Screened, Wanted, is_allowed},
};

/// A look that takes longer is a long one. One alone may be the machine's doing.
const LONG: Duration = Duration::from_micros(500);
/// So many of them in a row, and the next do not begin on a thread of the relay.
const IN_A_ROW: u32 = 4;
/// So many begin elsewhere then.
const DETOURS: u32 = 64;

/// One filter of one connection.
pub(super) struct Filter {
    /// Of the plugin, in the configuration.
    name: Arc<str>,
    /// `name@identity` of the version that it is on.
    label: RwLock<Arc<str>>,
    facts: Arc<Facts>,
    pub(super) declared: Declared,
    /// The version that it is on. Held while that is asked.
    plugin: Mutex<User>,
}

/// What came of moving filters to other versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// They are on the versions that were named.
    Moved,
    /// One stays where it is, for this reason.
    Stays(String),
}

/// The filters of one connection, in the order of its route.
pub struct Filters {
    pub(super) filters: Vec<Arc<Filter>>,
}

/// Opens the filters among these plugins; none if there is none.
///
/// # Errors
/// [`Refused`]: one failed and is not `on_failure: open`.
pub async fn open(plugins: &[Arc<Plugin>], known: &Known, facts: &Arc<Facts>) -> Result<Option<Arc<Filters>>, Refused> {
    let mut filters = Vec::new();
    for plugin in plugins.iter().filter(|plugin| plugin.filters()) {
        let mut scene = Scene {
            call: Some(Arc::clone(&known.0)),
            live: Some(facts.live(&plugin.name())),
            interests: Some(Interests::default()),
            message: None,
        };
        if let Err(failure) = plugin.ask_about(Question::Open, &mut scene).await {
            refused(plugin, Question::Open, &scene, &failure)?;
            continue;
        }
        scene.keep(&plugin.name());
        filters.push(Filter::of(plugin, facts, scene.interests.unwrap_or_default()));
    }
    Ok((!filters.is_empty()).then(|| Arc::new(Filters { filters })))
}

/// A filter that was opened already, and wants to see all there is.
#[must_use]
pub fn opened(plugin: &Arc<Plugin>, facts: &Arc<Facts>) -> Filters {
    Filters { filters: vec![Filter::of(plugin, facts, Interests::everything())] }
}

/// What a call of a filter is about, apart from a message.
pub(super) fn scene(facts: &Arc<Facts>, plugin: &str, interests: Interests) -> Scene {
    Scene { call: None, live: Some(facts.live(plugin)), message: None, interests: Some(interests) }
}

impl Filters {
    /// Whether any message is wanted, so that there must be no compression.
    #[must_use]
    pub fn want_any(&self) -> bool {
        self.filters.iter().any(|filter| Direction::ALL.into_iter().any(|direction| filter.declared.any(direction)))
    }

    /// `name@identity` of each.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.filters.iter().map(|filter| filter.label().to_string()).collect()
    }

    /// Whether all of them are on the versions that `current` names.
    pub fn are_on(&self, current: impl Fn(&str) -> Option<Arc<Plugin>>) -> bool {
        self.filters.iter().all(|filter| current(&filter.name).is_some_and(|plugin| filter.label() == plugin.label()))
    }

    /// Moves each to the version that `current` names, if there is one and it agrees: by `filter-migration`, or without
    /// it where nothing is kept of the connection. A message that is being looked at is waited for.
    pub async fn follow(&self, current: impl Fn(&str) -> Option<Arc<Plugin>>) -> Followed {
        let mut all = Followed::Moved;
        for filter in &self.filters {
            let moved = match current(&filter.name) {
                Some(plugin) => filter.follow(&plugin).await,
                None => Err(format!("`{}` does not stand on its route any more", filter.name)),
            };
            if let Err(why) = moved {
                all = Followed::Stays(why);
            }
        }
        all
    }
}

/// What looks at the messages of a session: the filters of the one that asked and those of the one that serves. None
/// where neither has any.
#[must_use]
pub fn screen(client: Option<&Arc<Filters>>, backend: Option<&Arc<Filters>>) -> Option<Arc<dyn Screen>> {
    screen_of(client, backend, LONG)
}

/// The same, for which looks that take longer than `long` are long ones.
pub(super) fn screen_of(
    client: Option<&Arc<Filters>>,
    backend: Option<&Arc<Filters>>,
    long: Duration,
) -> Option<Arc<dyn Screen>> {
    let of = |filters: Option<&Arc<Filters>>| filters.map_or_else(Vec::new, |filters| filters.filters.clone());
    let (client, backend) = (of(client), of(backend));
    if client.is_empty() && backend.is_empty() {
        return None;
    }
    let chain = |sender: &[Arc<Filter>], receiver: &[Arc<Filter>]| -> Arc<[Arc<Filter>]> {
        let stands = |filter: &&Arc<Filter>| !sender.iter().any(|other| other.name == filter.name);
        sender.iter().chain(receiver.iter().filter(stands)).cloned().collect()
    };
    let ways = [chain(&client, &backend), chain(&backend, &client)];
    let wanted = Arc::new(Wanted::default());
    for filter in client.iter().chain(&backend) {
        let stands = |way: &Arc<[Arc<Filter>]>| way.iter().any(|other| Arc::ptr_eq(other, filter));
        filter.declared.stand([stands(&ways[0]), stands(&ways[1])], &wanted);
    }
    Some(Arc::new(Chains {
        ways,
        wanted,
        runtime: Handle::current(),
        patience: long,
        long: AtomicU32::new(0),
        detours: AtomicU32::new(0),
    }))
}

/// The filters of both directions.
struct Chains {
    /// By [`Direction`].
    ways: [Arc<[Arc<Filter>]>; 2],
    wanted: Arc<Wanted>,
    runtime: Handle,
    /// Looks that take longer are long ones.
    patience: Duration,
    /// Long looks in a row, until now.
    long: AtomicU32,
    /// Looks that are still to begin elsewhere.
    detours: AtomicU32,
}

impl Chains {
    fn chain(&self, direction: Direction) -> &Arc<[Arc<Filter>]> {
        &self.ways[direction as usize]
    }

    fn rules(&self, direction: Direction, kind: MessageKind) -> impl Iterator<Item = Rule> {
        self.chain(direction).iter().filter_map(move |filter| filter.declared.rule(direction, kind))
    }
}

impl Screen for Chains {
    fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted)
    }

    fn wants(&self, direction: Direction, kind: MessageKind) -> Option<u32> {
        self.rules(direction, kind).map(|rule| rule.max_bytes).max()
    }

    fn oversize(&self, direction: Direction, kind: MessageKind) -> Oversize {
        // That nobody sees it all filters agree on; the first that has something against it decides.
        let stops = self.rules(direction, kind).map(|rule| rule.oversize).find(|oversize| *oversize != Oversize::Pass);
        stops.unwrap_or_default()
    }

    fn look(&self, direction: Direction, message: Payload, reply: &Reply) -> Option<Screened> {
        let mut work: Pin<Box<dyn Future<Output = Screened> + Send>> =
            Box::pin(look(Arc::clone(self.chain(direction)), direction, message));
        let detours = self.detours.load(Ordering::Relaxed);
        if detours == 0 {
            // Timers are made in it.
            let _runtime = self.runtime.enter();
            let begun = Instant::now();
            let looked = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if begun.elapsed() <= self.patience {
                self.long.store(0, Ordering::Relaxed);
            } else if self.long.fetch_add(1, Ordering::Relaxed) + 1 >= IN_A_ROW {
                self.long.store(0, Ordering::Relaxed);
                self.detours.store(DETOURS, Ordering::Relaxed);
            }
            if let Poll::Ready(screened) = looked {
                return Some(screened);
            }
        } else {
            self.detours.store(detours - 1, Ordering::Relaxed);
        }
        let promise = reply.promise();
        // It ends by the deadlines of its calls; a session that is gone is told in vain.
        #[allow(clippy::disallowed_methods)]
        self.runtime.spawn(async move { promise.keep(work.await) });
        None
    }
}

/// What has become of a message so far.
#[derive(Default)]
struct Made {
    replies: Vec<Payload>,
    close: Option<(Cause, CloseFrame)>,
}

/// Shows a message to each filter in turn, and what they make of it to those behind.
pub(super) async fn look(chain: Arc<[Arc<Filter>]>, direction: Direction, message: Payload) -> Screened {
    let mut messages = vec![Passed::Unchanged(message)];
    let mut made = Made::default();
    for filter in &*chain {
        let mut budget = Budget::default();
        let mut next = Vec::with_capacity(messages.len());
        let closing = made.close.is_some();
        for message in messages {
            let kind = message.payload().kind;
            let Some(rule) = filter.declared.rule(direction, kind) else {
                next.push(message);
                continue;
            };
            if message.payload().bytes.len() as u64 > u64::from(rule.max_bytes) {
                match rule.oversize {
                    Oversize::Pass => next.push(message),
                    Oversize::Drop => {}
                    Oversize::Close => made.end(close(Cause::MessageTooBig)),
                }
            } else {
                filter.show(direction, message, &mut budget, &mut next, &mut made).await;
            }
            // What it let pass before that is still for the filters behind it to see.
            if made.close.is_some() && !closing {
                break;
            }
        }
        messages = next;
        if messages.is_empty() {
            break;
        }
    }
    Screened { passed: messages, replies: made.replies, close: made.close }
}

impl Made {
    /// The session ends: the first word on that counts.
    fn end(&mut self, close: (Cause, CloseFrame)) {
        self.close.get_or_insert(close);
    }
}

fn close(cause: Cause) -> (Cause, CloseFrame) {
    let row = cause.row();
    (cause, CloseFrame { code: row.close, reason: row.reason.to_owned() })
}

/// What a filter has made of one message, in all its parts.
#[derive(Default)]
struct Budget {
    seen: usize,
    actions: usize,
    bytes: usize,
}

impl Filter {
    fn of(plugin: &Arc<Plugin>, facts: &Arc<Facts>, interests: Interests) -> Arc<Self> {
        let declared = Declared::default();
        declared.set(interests);
        Arc::new(Self {
            name: plugin.name(),
            label: RwLock::new(plugin.label()),
            facts: Arc::clone(facts),
            declared,
            plugin: Mutex::new(User::of(plugin)),
        })
    }

    /// Shows it a message, and carries out what it says.
    async fn show(
        &self,
        direction: Direction,
        message: Passed,
        budget: &mut Budget,
        next: &mut Vec<Passed>,
        made: &mut Made,
    ) {
        let (payload, unchanged) = message.into_parts();
        let again = |payload| if unchanged { Passed::Unchanged(payload) } else { Passed::Made(payload) };
        let plugin = self.plugin.lock().await;
        let mut scene = self.scene();
        let (kind, size) = (payload.kind, payload.bytes.len());
        scene.message = Some(Message { direction, payload });
        let said = plugin.ask_about(Question::Message, &mut scene).await;
        let said = said.and_then(|answer| match answer {
            Answer::Actions(actions) => budget.take(&plugin, size, actions),
            // Nothing else answers this question.
            _ => Ok(vec![Action::Forward]),
        });
        if let Err(failure) = &said {
            report(&plugin, Question::Message, &scene, failure);
        }
        let payload = scene.message.take().map_or(Payload { kind, bytes: Vec::new() }, |message| message.payload);
        let Ok(actions) = said else {
            return match plugin.spec().on_failure {
                OnFailure::Open => next.push(again(payload)),
                OnFailure::Closed => made.end(close(Cause::FilterFailed)),
            };
        };
        self.keep(scene);
        let forwards = actions.iter().filter(|action| matches!(action, Action::Forward)).count();
        let mut payload = Some(payload);
        let mut left = forwards;
        for action in actions {
            match action {
                Action::Forward => {
                    left -= 1;
                    // The last one needs no copy.
                    next.extend(if left == 0 { payload.take() } else { payload.clone() }.map(again));
                }
                Action::Emit(payload) => next.push(Passed::Made(payload)),
                Action::Reply(payload) => made.replies.push(payload),
                Action::Close(frame) => {
                    tracing::info!(
                        conn = %self.facts.id,
                        route = %self.facts.route,
                        plugin = %self.name,
                        version = %plugin.identity(),
                        code = frame.code,
                        reason = %super::output::one_line(&frame.reason, CLOSE_REASON),
                        "closed by a message filter"
                    );
                    made.end((Cause::Filtered, frame));
                    return;
                }
            }
        }
    }

    fn scene(&self) -> Scene {
        scene(&self.facts, &self.name, self.declared.all())
    }

    /// A call has succeeded: what it has changed counts.
    fn keep(&self, mut scene: Scene) {
        scene.keep(&self.name);
        if let Some(interests) = scene.interests {
            self.declared.set(interests);
        }
    }

    fn label(&self) -> Arc<str> {
        Arc::clone(&self.label.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Moves it to another version.
    async fn follow(&self, plugin: &Arc<Plugin>) -> Result<(), String> {
        let mut own = self.plugin.lock().await;
        if Arc::ptr_eq(&own, plugin) {
            return Ok(());
        }
        let (from, to) = (self.label(), plugin.label());
        if !plugin.filters() {
            return Err(format!("{to} looks at no messages"));
        }
        if plugin.answers(Question::Migrate("")) {
            let mut scene = self.scene();
            match plugin.ask_about(Question::Migrate(&from), &mut scene).await {
                Ok(Answer::Migrated(Err(why))) => {
                    return Err(format!("{to} refused: {}", super::output::one_line(&why, REFUSAL)));
                }
                Ok(_) => self.keep(scene),
                Err(failure) => {
                    report(plugin, Question::Migrate(&from), &scene, &failure);
                    return Err(format!("{to} failed: {failure}"));
                }
            }
        } else if !self.facts.live(&self.name).attachment.is_empty() {
            return Err(format!("{to} exports no `filter-migration` to take over what {from} has kept"));
        }
        *own = User::of(plugin);
        *self.label.write().unwrap_or_else(PoisonError::into_inner) = to;
        Ok(())
    }
}

impl Budget {
    /// Takes a filter's actions, if its bounds are kept.
    fn take(&mut self, plugin: &Plugin, size: usize, actions: Vec<Action>) -> Result<Vec<Action>, Failure> {
        let (limits, budget) = (&plugin.spec().limits, self);
        budget.seen = budget.seen.saturating_add(size);
        budget.actions = budget.actions.saturating_add(actions.len());
        for action in &actions {
            budget.bytes = budget.bytes.saturating_add(match action {
                Action::Forward => size,
                Action::Emit(payload) | Action::Reply(payload) => payload.bytes.len(),
                Action::Close(_) => 0,
            });
        }
        let broken = if budget.actions > limits.actions {
            format!("took {} actions on one message; limits.actions is {}", budget.actions, limits.actions)
        } else if budget.bytes > limits.output.most(budget.seen) {
            let most = limits.output.most(budget.seen);
            format!("made {} bytes of {}; limits.output allows {most}", budget.bytes, budget.seen)
        } else if let Some(code) = actions.iter().find_map(|action| match action {
            Action::Close(frame) if !is_allowed(frame.code) => Some(frame.code),
            _ => None,
        }) {
            format!("closes with {code}, which may not be sent (RFC 6455 §7.4)")
        } else {
            return Ok(actions);
        };
        let failure = Failure::Contract(broken);
        plugin.failed(&failure);
        Err(failure)
    }
}

/// Most of a Close's reason that is logged, in bytes; as much as a Close can carry.
const CLOSE_REASON: usize = 123;
/// Most of the text with which a version refuses to take over, in bytes.
const REFUSAL: usize = 256;

impl Passed {
    const fn payload(&self) -> &Payload {
        match self {
            Self::Unchanged(payload) | Self::Made(payload) => payload,
        }
    }

    fn into_parts(self) -> (Payload, bool) {
        match self {
            Self::Unchanged(payload) => (payload, true),
            Self::Made(payload) => (payload, false),
        }
    }
}
