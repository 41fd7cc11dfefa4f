//! Where things stand in a file that can be used: what turns out later, when components are loaded, is said with its place.

use std::{collections::HashMap, sync::Arc};

use super::{
    Config, Problem, Source,
    diagnose::{Excerpt, excerpt},
    tree::{At, Position},
};

/// The places of a file.
#[derive(Debug)]
pub struct Places {
    file: String,
    /// By key, such as `plugins.a.component`.
    known: HashMap<String, (Position, Option<Excerpt>)>,
}

impl Places {
    pub(super) fn of(source: &Source, at: &At<'_>, config: &Config) -> Self {
        let mut known = HashMap::new();
        let lines: Vec<&str> = source.text.lines().collect();
        let mut keep = |at: &At<'_>, position| {
            known.insert(at.to_string(), (position, excerpt(&lines, position)));
        };
        let plugins = at.key("plugins");
        for name in config.plugins.keys() {
            let plugin = plugins.key(name);
            for key in ["component", "sha256"] {
                keep(&plugin.key(key), plugin.key(key).value());
            }
            // It may have many lines; this is the first.
            keep(&plugin.key("config"), plugin.key("config").name());
            for key in ["on_failure", "recheck", "recheck_on_swap"] {
                keep(&plugin.key(key), plugin.key(key).value());
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
        for key in [admin.key("address"), log.key("format"), log.key("level"), at.key("workers")] {
            if key.node().is_some() {
                keep(&key, key.value());
            }
        }
        Self { file: source.name.clone(), known }
    }

    /// A problem with `workers`, `admin.address`, `log.format` or `log.level`; with the file as a whole where the key is not
    /// there.
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

    /// A problem with one of the keys of a plugin that are looked at when it is loaded.
    #[must_use]
    pub fn plugin(&self, name: &Arc<str>, key: &str, message: String) -> Problem {
        self.problem(format!("plugins.{name}.{key}"), message)
    }

    /// What is unlikely about one of these keys.
    #[must_use]
    pub fn unlikely_plugin(&self, name: &Arc<str>, key: &str, message: String) -> Problem {
        self.plugin(name, key, message).into_warning()
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
