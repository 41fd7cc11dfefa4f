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
        let mut keep = |at: &At<'_>| {
            let position = at.name();
            known.insert(at.to_string(), (position, excerpt(&lines, position)));
        };
        let plugins = at.key("plugins");
        for name in config.plugins.keys() {
            let plugin = plugins.key(name);
            for key in ["component", "sha256", "config"] {
                keep(&plugin.key(key));
            }
        }
        let routes = at.key("routes");
        for index in 0..config.routes.len() {
            keep(&routes.index(index).key("plugins"));
        }
        Self { file: source.name.clone(), known }
    }

    /// A problem with one of `component`, `sha256` and `config` of a plugin.
    #[must_use]
    pub fn plugin(&self, name: &Arc<str>, key: &str, message: String) -> Problem {
        self.problem(format!("plugins.{name}.{key}"), message)
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
