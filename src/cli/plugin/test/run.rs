//! Running one case: the questions that a route would ask, in its order, and what came of them as JSON.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    super::{
        heard::{Heard, Line},
        project::Stop,
        trial::{Trial, unloadable},
    },
    compare,
    request::{channel, handshake, header_map, known, recall},
    shown::{actions, closes, edit, fields, identity, service},
};
use crate::{
    config::author::{Case, Message},
    error::Cause,
    model::{ChannelId, Hook, Mode, Oversize, Role, Verdict},
    policy::{
        self, Facts, Known, Opinion, Plugin, Rechecked, Refused, Ruling, Trace,
        trial::{self, Seen},
    },
};

/// What came of a case.
pub(in crate::cli::plugin) struct Ran {
    /// What is not as expected; nothing if all is.
    pub(super) failures: Vec<String>,
    /// What was logged meanwhile.
    pub(super) logged: Vec<Line>,
    pub(super) took: Duration,
}

/// What was seen of a plugin.
#[derive(Default)]
pub(in crate::cli::plugin) struct Observed {
    said: Map<String, Value>,
    messages: Vec<Value>,
    /// Calls that failed.
    failed: Vec<String>,
    refused: Option<String>,
}

/// Runs a case.
///
/// # Errors
/// The component cannot be loaded, whatever the case is.
pub(in crate::cli::plugin) async fn run(trial: &mut Trial, heard: &Heard, case: &Case) -> Result<Ran, Stop> {
    heard.take();
    let begun = Instant::now();
    let mut seen = Observed::default();
    let config = case.config.as_ref().map(Value::to_string);
    let problem = match trial.load(config.as_deref(), case.limits).await {
        Ok(plugin) => ask(&plugin, case, &mut seen).await.err(),
        Err(error) if error.key == "config" => {
            seen.refused = Some(error.reason);
            None
        }
        Err(error) => return Err(unloadable(&error)),
    };
    let took = begun.elapsed();
    let logged = heard.take();
    seen.hear(&logged);
    let mut failures: Vec<String> = problem.into_iter().collect();
    if failures.is_empty() {
        judge(case, &seen, &logged, &mut failures);
    }
    Ok(Ran { failures, logged, took })
}

/// What is not as expected.
fn judge(case: &Case, seen: &Observed, logged: &[Line], failures: &mut Vec<String>) {
    let expect = &case.expect;
    match (&expect.refused, &seen.refused) {
        (Some(words), Some(why)) if why.contains(words.as_str()) => return,
        (Some(words), Some(why)) => {
            return failures.push(format!("refused: expected {words:?}, but `init` said: {why}"));
        }
        (Some(words), None) => {
            return failures.push(format!("refused: expected {words:?}, but the configuration was taken"));
        }
        (None, Some(why)) => return failures.push(format!("the configuration was refused: {why}")),
        (None, None) => {}
    }
    match &expect.failed {
        Some(words) if seen.failed.iter().any(|why| why.contains(words.as_str())) => {
            let others = seen.failed.iter().filter(|why| !why.contains(words.as_str()));
            failures.extend(others.map(|why| format!("another call failed: {why}")));
        }
        Some(words) if seen.failed.is_empty() => {
            failures.push(format!("failed: expected {words:?}, but no call failed"));
        }
        Some(words) => failures.push(format!("failed: expected {words:?}, but: {}", seen.failed.join("; "))),
        None => failures.extend(seen.failed.iter().map(|why| format!("a call failed: {}", said_first(why)))),
    }
    let wants = |key: &str| expect.said.iter().any(|(known, _)| *known == key);
    let unexpected = !wants("rejected") && !expect.only_no_failure;
    if let Some(rejection) = seen.said.get("rejected").filter(|said| !said.is_null() && unexpected) {
        failures.push(format!("rejected: {rejection}"));
    }
    if let Some(status) = seen.said.get("rejected").and_then(|said| said["status"].as_u64())
        && !(300..=599).contains(&status)
    {
        failures.push(format!("rejected.status: {status} is not 300 to 599; the proxy would answer 500"));
    }
    for (key, expected) in &expect.said {
        match seen.said.get(*key) {
            Some(actual) => failures.extend(compare::mismatch(key, expected, actual)),
            // Something failed before, which has been said.
            None if !seen.failed.is_empty() => {}
            None => {
                let why = unasked(case, key);
                failures.push(format!("{key}: expected {expected}, but it was not asked: {why}"));
            }
        }
    }
    for (index, (message, actual)) in case.messages.iter().zip(&seen.messages).enumerate() {
        if let Some(expected) = &message.expect {
            failures.extend(compare::actions(&format!("messages[{index}]"), expected, actual));
        }
    }
    if seen.messages.len() < case.messages.len() && seen.failed.is_empty() && !expect.only_no_failure {
        let (at, all) = (seen.messages.len(), case.messages.len());
        let why = if at == 0 { "the request was rejected" } else { "the session was closed" };
        failures.push(format!("messages[{at}]: expected to be shown, like all {all}, but {why} before"));
    }
    for words in &expect.logs {
        if !logged.iter().any(|line| line.own && line.text.contains(words.as_str())) {
            failures.push(format!("logs: expected a line with {words:?}"));
        }
    }
}

/// A failure with what the plugin said of it before where it happened.
fn said_first(why: &str) -> String {
    let why = why.strip_prefix("a policy failed: ").unwrap_or(why);
    match why.split_once("; it said: ") {
        Some((trap, said)) => format!("{said}\n        {trap}"),
        None => why.to_owned(),
    }
}

/// Why a question was not asked.
fn unasked(case: &Case, key: &str) -> &'static str {
    match key {
        _ if case.ask.is_some() => "`ask` of the case names another question",
        "migrate" => "the case has no `migrate`, or the plugin does not export `filter-migration`",
        "pair" => "the case has no `holder`, or the plugin does not export `pairing`",
        "answer" => "the case has no `answer`, or the plugin does not export `response-rewriting`",
        "recheck" => "the plugin does not export `session-authorization`",
        "role" | "channel" => "the request was rejected before, or the route's `mode` has no such question",
        _ => "the request was rejected before, or the route's `mode` has no such question (`mode: router` has all)",
    }
}

/// The kind of route that a plugin is for.
fn mode_of(plugin: &Plugin) -> Mode {
    if plugin.decides(Mode::Rendezvous) && !plugin.decides(Mode::Router) { Mode::Rendezvous } else { Mode::Router }
}

/// Asks all that there is to ask, or what the case names.
///
/// # Errors
/// The case cannot be run.
pub(in crate::cli::plugin) async fn ask(plugin: &Arc<Plugin>, case: &Case, seen: &mut Observed) -> Result<(), String> {
    if let Some(hook) = case.ask.filter(|hook| !plugin.is_asked(*hook)) {
        return Err(format!("ask: the plugin exports nothing that `{}` is asked of", hook.name()));
    }
    let plugins = [Arc::clone(plugin)];
    let handshake = Arc::new(handshake(case, &case.given)?);
    let mode = case.mode.unwrap_or_else(|| mode_of(plugin));
    let known = known(&handshake, &case.given)?;
    let mut trace = Trace::new(true);
    let ruled = match case.ask {
        None => trial::decide(&plugins, &known, mode, &mut trace).await,
        Some(hook) => trial::decide_one(&plugins, &known, hook, mode, &mut trace).await,
    };
    let opinions = trace.take().unwrap_or_default();
    let Ruling { verdict, known } = match ruled {
        Ok(ruling) => ruling,
        Err(refused) => {
            seen.refused_by(refused, &opinions);
            return Ok(());
        }
    };
    seen.decided(case, mode, &verdict);
    let own = format!("{}/", plugin.name());
    let left = known.attributes().filter_map(|(name, value)| Some((name.strip_prefix(&own)?.to_owned(), value.into())));
    seen.said.insert("attributes".to_owned(), Value::Object(left.collect()));

    let role = verdict.role.or_else(|| case.given.role.clone()).unwrap_or(match mode {
        Mode::Rendezvous => Role::Client,
        Mode::Router | Mode::Http => Role::Routed,
    });
    let given = case.given.channel.as_deref().map(channel).transpose()?;
    let channel = verdict.channel.or(given).unwrap_or_else(ChannelId::random);
    if let Some(holder) = case.holder.as_ref().filter(|_| plugin.pairs() && asks(case, Hook::Pair)) {
        let other = Arc::new(self::handshake(case, holder)?);
        let other_role = holder.role.clone().unwrap_or_else(|| role.clone());
        let complementary = other_role != role;
        let facts = self::known(&other, holder)?.facts(other_role, channel.clone());
        recall(&facts, plugin, holder);
        match policy::pair(&plugins, &known, &facts, complementary, &mut trace).await {
            Ok(decision) => {
                let word = decision.map(|decision| format!("{decision:?}").to_lowercase());
                seen.said.insert("pair".to_owned(), word.into());
            }
            Err(refused) => return seen.refused_at(refused, &mut trace),
        }
    }
    let answer = case.answer.as_ref().filter(|_| plugin.rewrites_answers() && asks(case, Hook::Response));
    if let Some((status, headers)) = answer {
        let status = StatusCode::from_u16(*status).map_err(|error| format!("answer.status: {error}"))?;
        let mut headers = header_map(headers)?;
        match policy::rewrite_answer(&plugins, &known, status, &mut headers, &mut trace).await {
            Ok(()) => drop(seen.said.insert("answer".to_owned(), json!({ "headers": fields(&headers) }))),
            Err(refused) => return seen.refused_at(refused, &mut trace),
        }
    }
    let facts = known.facts(role, channel);
    recall(&facts, plugin, &case.given);
    if let Err(refused) = show_messages(plugin, case, &known, &facts, seen).await? {
        return seen.refused_at(refused, &mut trace);
    }
    ask_of_session(plugin, case, &facts, seen).await
}

/// Whether a case asks this, or all that a route would.
fn asks(case: &Case, hook: Hook) -> bool {
    case.ask.is_none_or(|only| only == hook)
}

/// What the filter makes of the messages of a case.
async fn show_messages(
    plugin: &Arc<Plugin>,
    case: &Case,
    known: &Known,
    facts: &Arc<Facts>,
    seen: &mut Observed,
) -> Result<Result<(), Refused>, String> {
    let opens = asks(case, Hook::Open) && (case.ask.is_some() || !case.messages.is_empty());
    let shows = asks(case, Hook::Message) && !case.messages.is_empty();
    if (opens || shows) && !plugin.filters() {
        return Err("messages: the plugin does not export `message-filtering`".to_owned());
    }
    let filters = if opens {
        match policy::filter::open(&[Arc::clone(plugin)], known, facts).await {
            Ok(filters) => filters,
            Err(refused) => return Ok(Err(refused)),
        }
    } else {
        shows.then(|| Arc::new(policy::filter::opened(plugin, facts)))
    };
    if shows {
        show(filters.as_deref(), &case.messages, seen).await;
    }
    Ok(Ok(()))
}

/// What is asked of a session, and told, apart from its messages.
async fn ask_of_session(
    plugin: &Arc<Plugin>,
    case: &Case,
    facts: &Arc<Facts>,
    seen: &mut Observed,
) -> Result<(), String> {
    if let Some(from) = case.migrate.as_deref().filter(|_| plugin.takes_over() && asks(case, Hook::Migrate)) {
        match plugin.migrate_now(facts, from).await {
            Ok(Ok(())) => drop(seen.said.insert("migrate".to_owned(), "moves".into())),
            Ok(Err(why)) => drop(seen.said.insert("migrate".to_owned(), json!({ "stays": why }))),
            Err(failure) => seen.failed.push(failure.to_string()),
        }
    }
    let wanted = case.ask == Some(Hook::Recheck) || case.expect.said.iter().any(|(key, _)| *key == "recheck");
    if plugin.rechecks() && asks(case, Hook::Recheck) && wanted {
        match policy::recheck(plugin, facts).await {
            Rechecked::Goes => drop(seen.said.insert("recheck".to_owned(), "goes".into())),
            Rechecked::Ends(frame) => {
                let frame = json!({ "code": frame.code, "reason": frame.reason });
                seen.said.insert("recheck".to_owned(), frame);
            }
            // What failed is in the log.
            Rechecked::Failed(_) => {}
        }
    }
    if !case.events.is_empty() && !plugin.observes() {
        return Err("events: the plugin does not export `lifecycle`".to_owned());
    }
    for event in case.events.iter().filter(|_| asks(case, Hook::Event)) {
        if let Err(failure) = plugin.tell_now(facts, event).await {
            seen.failed.push(failure.to_string());
        }
    }
    Ok(())
}

impl Observed {
    /// Takes what was logged: the host says of each failed call why, and those about messages tell nobody else.
    pub(in crate::cli::plugin) fn hear(&mut self, logged: &[Line]) {
        for failure in logged.iter().filter(|line| line.failure).map(|line| line.text.clone()) {
            match self.failed.iter_mut().find(|known| failure.contains(known.as_str())) {
                // The log has all of it, the opinion only its beginning.
                Some(known) => *known = failure,
                None => self.failed.push(failure),
            }
        }
    }

    /// Why a call failed, if one did.
    pub(in crate::cli::plugin) fn failure(&self) -> Option<&str> {
        self.failed.first().map(String::as_str)
    }

    /// What was decided, as far as the case asks it.
    fn decided(&mut self, case: &Case, mode: Mode, verdict: &Verdict) {
        let (role, channel) = (verdict.role.as_ref().map(Role::name), verdict.channel.as_ref().map(ChannelId::as_str));
        let (named, routed) = (mode != Mode::Http, mode != Mode::Rendezvous);
        let mut put = |key: &str, hook: Hook, on_route: bool, said: Value| {
            if on_route && asks(case, hook) {
                self.said.insert(key.to_owned(), said);
            }
        };
        put("role", Hook::Role, named, role.into());
        put("channel", Hook::Channel, named, channel.into());
        put("identity", Hook::Authorize, true, verdict.identity.as_deref().map_or(Value::Null, identity));
        put("service", Hook::Service, routed, verdict.resolution.as_ref().map_or(Value::Null, service));
        put("rewrite", Hook::Rewrite, routed, verdict.edits.iter().map(edit).collect());
        self.said.insert("rejected".to_owned(), Value::Null);
    }

    /// What a refusal shows, and what was said before it.
    fn refused_by(&mut self, refused: Refused, opinions: &[Opinion]) {
        for opinion in opinions {
            let key @ ("role" | "channel") = opinion.question else { continue };
            let said = Some(opinion.answer.as_str()).filter(|said| *said != "no opinion");
            self.said.insert(key.to_owned(), said.into());
        }
        match refused {
            Refused::Rejected { rejection, .. } => {
                let headers = rejection.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
                let rejected = json!({
                    "status": rejection.status,
                    "code": rejection.code,
                    "log_reason": rejection.log_reason,
                    "body": rejection.body,
                    "headers": Value::Object(headers.collect()),
                });
                self.said.retain(|_, said| said.as_str().is_none_or(|said| !said.starts_with("rejected with ")));
                self.said.insert("rejected".to_owned(), rejected);
            }
            Refused::Failed(refusal) => {
                let told = opinions.last().and_then(|opinion| opinion.answer.strip_prefix("failed: "));
                let why = told.map(ToOwned::to_owned).or(refusal.detail).unwrap_or(refusal.reason);
                self.said.retain(|_, said| said.as_str().is_none_or(|said| !said.starts_with("failed: ")));
                self.failed.push(why);
            }
        }
    }

    /// The same of a later step; the case has been run then.
    #[allow(clippy::unnecessary_wraps)] // it ends what can fail
    fn refused_at(&mut self, refused: Refused, trace: &mut Trace) -> Result<(), String> {
        self.refused_by(refused, &trace.take().unwrap_or_default());
        Ok(())
    }
}

/// Shows messages until the session ends.
async fn show(filters: Option<&policy::filter::Filters>, messages: &[Message], seen: &mut Observed) {
    for message in messages {
        let became = match filters {
            None => Seen::Unseen,
            Some(filters) => trial::show(filters, message.direction, message.payload.clone()).await,
        };
        let (actions, over) = match became {
            Seen::Unseen | Seen::TooLong(Oversize::Pass) => (Value::from("unseen"), false),
            Seen::TooLong(Oversize::Drop) => (json!([]), false),
            Seen::TooLong(Oversize::Close) => (json!([closes(Cause::MessageTooBig)]), true),
            Seen::Looked(screened) => {
                let over = screened.close.is_some();
                (actions(screened), over)
            }
        };
        seen.messages.push(actions);
        if over {
            break;
        }
    }
}
