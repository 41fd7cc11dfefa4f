//! Where things stand in a file that can be used: what turns out later, when components are loaded, is said with its place.

use std::{collections::HashMap, sync::Arc};

use super::{
    Config, Problem, Source,
    diagnose::{Excerpt, escaped, excerpt},
    tree::{At, Position, Shape},
};

/// The places of a file.
#[derive(Debug)]
pub struct Places {
    file: String,
    /// By key, such as `plugins.a.component`.
    known: HashMap<String, (Position, Option<Excerpt>)>,
    /// Of each plugin's `config`, by JSON pointer, until they are [forgotten](Places::forget_configs).
    configs: HashMap<Arc<str>, HashMap<String, Spot>>,
}

/// A place in a plugin's `config`.
#[derive(Debug)]
struct Spot {
    /// `plugins.a.config.b[0]`.
    name: String,
    key: (Position, Option<Excerpt>),
    value: (Position, Option<Excerpt>),
    /// The placeholder that it came from, if that is not to be repeated.
    secret: Option<String>,
}

/// Finds every place below one.
fn spots(at: &At<'_>, pointer: &str, lines: &[&str], found: &mut HashMap<String, Spot>) {
    let place = |position| (position, excerpt(lines, position));
    let Some(node) = at.node() else { return };
    let secret = node.filled.as_ref().filter(|filled| filled.secret).map(|filled| filled.name.clone());
    let spot = Spot { name: at.to_string(), key: place(at.name()), value: place(at.value()), secret };
    found.insert(pointer.to_owned(), spot);
    match &node.shape {
        Shape::Scalar(_) => {}
        Shape::List(items) => {
            for index in 0..items.len() {
                spots(&at.index(index), &format!("{pointer}/{index}"), lines, found);
            }
        }
        Shape::Map(entries) => {
            for key in entries.keys() {
                let step = key.replace('~', "~0").replace('/', "~1");
                spots(&at.key(key), &format!("{pointer}/{step}"), lines, found);
            }
        }
    }
}

impl Places {
    pub(super) fn of(source: &Source, at: &At<'_>, config: &Config) -> Self {
        let (mut known, mut configs) = (HashMap::new(), HashMap::new());
        let lines: Vec<&str> = source.text.lines().collect();
        let mut keep = |at: &At<'_>, position| {
            known.insert(at.to_string(), (position, excerpt(&lines, position)));
        };
        let plugins = at.key("plugins");
        for name in config.plugins.keys() {
            let plugin = plugins.key(name);
            for key in ["component", "sha256", "signature"] {
                keep(&plugin.key(key), plugin.key(key).value());
            }
            // They may have many lines; this is the first. What is to be added is added to the plugin.
            for key in ["config", "grants"] {
                let at = plugin.key(key);
                keep(&at, if at.node().is_some() { at.name() } else { plugin.name() });
            }
            let mut found = HashMap::new();
            spots(&plugin.key("config"), "", &lines, &mut found);
            configs.insert(Arc::clone(name), found);
            for key in ["on_failure", "dump", "recheck", "recheck_on_swap"] {
                keep(&plugin.key(key), plugin.key(key).value());
            }
            let grants = plugin.key("grants");
            for key in ["random", "metrics", "key_value", "http_client", "discovery", "endpoints"] {
                keep(&grants.key(key), grants.key(key).name());
            }
        }
        let routes = at.key("routes");
        for index in 0..config.routes.len() {
            let plugins = routes.index(index);
            keep(&plugins.key("plugins"), plugins.key("plugins").name());
        }
        let (listeners, admin, log) = (at.key("listeners"), at.key("admin"), at.key("log"));
        for index in 0..config.listeners.len() {
            let listener = listeners.index(index);
            keep(&listener.key("address"), listener.key("address").value());
        }
        let of_process =
            [admin.key("address"), log.key("format"), log.key("level"), log.key("queue"), at.key("workers")];
        for key in of_process {
            if key.node().is_some() {
                keep(&key, key.value());
            }
        }
        Self { file: source.name.clone(), known, configs }
    }

    /// A problem with `workers`, `admin.address`, `log.format`, `log.level` or `log.queue`; with the file as a whole where the
    /// key is not there.
    #[must_use]
    pub fn of_process(&self, key: &str, message: String) -> Problem {
        if self.known.contains_key(key) {
            return self.problem(key.to_owned(), message);
        }
        let mut problem = Problem::of_file(&self.file, message);
        key.clone_into(&mut problem.key);
        problem
    }

    /// A problem with the address of a listener, by its place in the file.
    #[must_use]
    pub fn address(&self, index: usize, message: String) -> Problem {
        self.problem(format!("listeners[{index}].address"), message)
    }

    /// A grant that a plugin has and does not need.
    #[must_use]
    pub fn unused_grant(&self, name: &Arc<str>, key: &str) -> Problem {
        let message = "the component does not ask for this: it grants more than is needed".to_owned();
        self.problem(format!("plugins.{name}.grants.{key}"), message).with_hint("leave the key out").into_warning()
    }

    /// A problem with one of the keys of a plugin that are looked at when it is loaded.
    #[must_use]
    pub fn plugin(&self, name: &Arc<str>, key: &str, message: String) -> Problem {
        self.problem(format!("plugins.{name}.{key}"), message)
    }

    /// Lets go of the places in plugins' `config`s: there may be many, and a candidate may live long.
    pub fn forget_configs(&mut self) {
        self.configs = HashMap::new();
    }

    /// What is unlikely about one of these keys.
    #[must_use]
    pub fn unlikely_plugin(&self, name: &Arc<str>, key: &str, message: String) -> Problem {
        self.plugin(name, key, message).into_warning()
    }

    /// A problem with a place in the `config` of a plugin, by JSON pointer: with its key, or with its value. Where there is
    /// no such place, with the nearest one around it.
    #[must_use]
    pub fn plugin_config(
        &self,
        plugin: &Arc<str>,
        pointer: &str,
        of_key: bool,
        message: &str,
        hint: Option<String>,
    ) -> Problem {
        let spots = self.configs.get(plugin);
        let mut around = std::iter::successors(Some(pointer), |at| at.rsplit_once('/').map(|(around, _)| around));
        let mut problem = match spots.and_then(|spots| around.find_map(|at| spots.get(at))) {
            None => self.plugin(plugin, "config", escaped(message)),
            Some(spot) => {
                let (position, excerpt) = if of_key { spot.key.clone() } else { spot.value.clone() };
                let message = match &spot.secret {
                    // The message may have it, or a piece of it.
                    Some(name) if !of_key => format!("what {name} stands for does not fit the schema of this plugin"),
                    _ => escaped(message),
                };
                Problem::new(position, spot.name.clone(), message).placed(&self.file, excerpt)
            }
        };
        problem.hint = hint.map(|hint| escaped(&hint));
        problem
    }

    /// What is unlikely about the plugins of a route.
    #[must_use]
    pub fn route_plugins(&self, index: usize, message: String, hint: &str) -> Problem {
        self.problem(format!("routes[{index}].plugins"), message).with_hint(hint).into_warning()
    }

    fn problem(&self, key: String, message: String) -> Problem {
        let (position, excerpt) = self.known.get(&key).cloned().unwrap_or((Position::START, None));
        Problem::new(position, key, message).placed(&self.file, excerpt)
    }
}
