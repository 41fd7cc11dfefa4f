//! What differs between two configurations: against equality thing by thing, and its mirror image.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use serde_json::Value;

use super::super::{
    Config, Source, Values,
    diff::{Change, Section, Sockets, What, diff as differences, pair_listeners},
    read, yaml,
};
use crate::fuzzing::Input;

/// Sound files with something in every section. The reference file has more, and takes ten times as long to read.
const SEEDS: [&str; 2] = [
    include_str!("../../../config/demo.yaml"),
    "
listeners:
  - {name: a, address: '127.0.0.1:1', head: 1KiB, connections: 5, http2: {streams: 9}}
  - {name: b, address: '127.0.0.1:2'}
  - {name: c, address: '127.0.0.1:0'}
admin: {address: '127.0.0.1:9'}
log: {level: debug, sessions: false, decisions: true}
reload: {watch: poll, quiet: 1s, generations: 3, history: 4}
plugins:
  one: {component: 'builtin:rendezvous', config: {a: [1, 2]}, on_failure: open, limits: {queue: 7}}
  two: {component: 'two.wasm', limits: {decision: 2s}}
routes:
  - {name: r, match: {path: /r, host: [h], method: [GET]}, mode: rendezvous, plugins: [one], rendezvous: {hold: 1KiB}}
  - {name: s, match: {path: /s}, mode: router, service: up, limits: {idle: 3s, message: 5KiB}, plugins: [two, one]}
  - {name: t, match: {exact_path: /t}, mode: http, service: down, http: {answer: 3s}, host: endpoint}
services:
  up: {endpoints: ['ws://a:1', 'ws://b:1'], connect_timeout: 3s}
  down: {endpoints: ['http://a:1']}
drain: {delay: 1s, grace: 3s, spread: 2s, close_code: 1001}
workers: 3
",
];

/// Two configurations, both a sound file with some values changed.
pub fn diff(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = SEEDS[usize::from(input.byte()) % SEEDS.len()];
    let mut file = yaml::read(seed).expect("it is sound").json();
    for _ in 0..input.byte() % 8 {
        change(&mut file, &mut input);
    }
    let Some(before) = config(&file) else { return };
    while !input.is_empty() {
        change(&mut file, &mut input);
    }
    let Some(after) = config(&file) else { return };
    let changes = differences(&before, &after);
    agree_with_equality(&before, &after, &changes);
    assert_eq!(mirrored(&differences(&after, &before)), mirrored(&mirror(&changes)), "{file}");
    assert_eq!(differences(&before, &before), []);
    each_socket_has_one_fate(&before, &after);
}

fn config(file: &Value) -> Option<Config> {
    let source = Source { name: "fuzz.yaml".to_owned(), dir: PathBuf::from("/etc"), text: file.to_string() };
    let environment = |_: &str| None;
    read(&source, &Values { file: None, environment: &environment }).ok().map(|reading| reading.config)
}

/// Changes one value of a file, where it still may be sound.
fn change(file: &mut Value, input: &mut Input<'_>) {
    let mut paths = Vec::new();
    collect(file, String::new(), &mut paths);
    let path = &paths[usize::from(input.word()) % paths.len()];
    let (what, other) = (input.byte(), usize::from(input.byte()));
    let (parent, key) = path.rsplit_once('/').expect("the whole file is not among them");
    let key = key.replace("~1", "/").replace("~0", "~");
    // A value of the same kind from elsewhere is more often sound than one made up.
    let borrowed = file.pointer(&paths[(other * 7) % paths.len()]).cloned().unwrap_or_default();
    match (file.pointer_mut(parent), what % 5) {
        (Some(Value::Object(map)), 0) => drop(map.remove(&key)),
        (Some(Value::Object(map)), 1) => {
            let value = map[&key].clone();
            map.insert(format!("{key}{}", other % 3), value);
        }
        (Some(Value::Array(list)), 0) => drop(list.remove(key.parse::<usize>().expect("a place"))),
        (Some(Value::Array(list)), 1) => {
            let mut value = list[key.parse::<usize>().expect("a place")].clone();
            if let Some(Value::String(name)) = value.get_mut("name") {
                name.push('x');
            }
            list.insert(other % (list.len() + 1), value);
        }
        (Some(Value::Array(list)), 2) => {
            let (one, other) = (key.parse::<usize>().expect("a place"), other % list.len());
            list.swap(one, other);
        }
        _ => {
            let value = file.pointer_mut(path).expect("it is among them");
            *value = match value {
                Value::Bool(on) => Value::Bool(!*on),
                Value::Number(_) => Value::from(other),
                Value::String(text) if what % 2 == 0 => Value::from(format!("{text}x")),
                _ => borrowed,
            };
        }
    }
}

/// JSON pointers of all values in a file, without itself.
fn collect(value: &Value, path: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                collect(value, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        Value::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                collect(value, format!("{path}/{place}"), into);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        into.push(path);
    }
}

/// A thing is told exactly where it is not equal to what it was.
fn agree_with_equality(before: &Config, after: &Config, changes: &[Change]) {
    let mut wanted = Vec::new();
    let mut single = |section, equal: bool| {
        if !equal {
            wanted.push((section, None, "changed"));
        }
    };
    single(Section::Admin, before.admin == after.admin);
    single(Section::Log, before.log == after.log);
    single(Section::Reload, before.reload == after.reload);
    single(Section::Drain, before.drain == after.drain);
    single(Section::Workers, before.workers == after.workers);
    let mut several = |section, fates: Vec<(Arc<str>, &'static str)>| {
        wanted.extend(fates.into_iter().map(|(name, fate)| (section, Some(name), fate)));
    };
    let listeners = |config: &Config| config.listeners.iter().map(|it| (Arc::clone(&it.name), it.clone())).collect();
    several(Section::Listeners, fates(&listeners(before), &listeners(after)));
    several(Section::Plugins, fates(&before.plugins, &after.plugins));
    let routes = |config: &Config| config.routes.iter().map(|it| (Arc::clone(&it.name), Arc::clone(it))).collect();
    several(Section::Routes, fates(&routes(before), &routes(after)));
    let services =
        |config: &Config| config.services.iter().map(|(id, it)| (Arc::from(id.as_str()), Arc::clone(it))).collect();
    several(Section::Services, fates(&services(before), &services(after)));

    let mut told: Vec<_> = changes
        .iter()
        .filter_map(|change| {
            let fate = match &change.what {
                What::Added => "added",
                What::Removed => "removed",
                What::Changed(_) => "changed",
                What::Moved => return None,
            };
            Some((change.section, change.name.clone(), fate))
        })
        .collect();
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);

    let moved = changes.iter().any(|change| change.what == What::Moved);
    let stay = |one: &Config, other: &Config| -> Vec<Arc<str>> {
        let names = one.routes.iter().map(|route| Arc::clone(&route.name));
        names.filter(|name| other.routes.iter().any(|route| route.name == *name)).collect()
    };
    assert_eq!(moved, stay(before, after) != stay(after, before), "{changes:?}");
    for change in changes {
        if let What::Changed(keys) = &change.what {
            assert!(!keys.is_empty() || change.section == Section::Workers, "{change:?}");
        }
        assert!(!change.to_string().contains('\n'));
    }
}

/// What became of things, by name.
fn fates<T: PartialEq>(before: &BTreeMap<Arc<str>, T>, after: &BTreeMap<Arc<str>, T>) -> Vec<(Arc<str>, &'static str)> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let fate = |name: &&Arc<str>| match (before.get(*name), after.get(*name)) {
        (None, _) => Some("added"),
        (_, None) => Some("removed"),
        (one, other) => (one != other).then_some("changed"),
    };
    names.into_iter().filter_map(|name| fate(&name).map(|fate| (Arc::clone(name), fate))).collect()
}

/// The changes back.
fn mirror(changes: &[Change]) -> Vec<Change> {
    let mirror = |change: &Change| Change {
        what: match &change.what {
            What::Added => What::Removed,
            What::Removed => What::Added,
            what => what.clone(),
        },
        ..change.clone()
    };
    changes.iter().map(mirror).collect()
}

/// In an order that both directions have.
fn mirrored(changes: &[Change]) -> Vec<String> {
    let mut shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
    shown.sort();
    shown
}

/// Sockets go on at their address, and none is opened where one could have gone on.
fn each_socket_has_one_fate(before: &Config, after: &Config) {
    let (before, after) = (&before.listeners, &after.listeners);
    let Sockets { kept, opened, closed } = pair_listeners(before, after);
    let all = |places: Vec<usize>| {
        let mut places = places;
        places.sort_unstable();
        places
    };
    let was = kept.iter().map(|(was, _)| *was).chain(closed.iter().copied()).collect();
    let is = kept.iter().map(|(_, is)| *is).chain(opened.iter().copied()).collect();
    assert_eq!(all(was), (0..before.len()).collect::<Vec<_>>());
    assert_eq!(all(is), (0..after.len()).collect::<Vec<_>>());
    for (was, is) in kept {
        assert_eq!(before[was].address, after[is].address);
    }
    for new in &opened {
        let address = after[*new].address;
        assert!(address.port() == 0 || closed.iter().all(|old| before[*old].address != address), "{address}");
    }
}
