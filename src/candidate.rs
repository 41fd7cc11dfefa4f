//! Everything that a generation is made of, read into memory before anything is judged: the configuration and the
//! components it names.
//!
//! A candidate is a value: it can be compared with another, kept, and built again, which is what a rollback does. What two
//! have in common they share.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{
        self, Component, Config, PluginConfig, Source,
        diff::{self, Change, Section, What},
    },
    policy,
};

/// The code of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The component.
    pub wasm: Arc<[u8]>,
    sha256: [u8; 32],
}

/// What a generation is made of.
#[derive(Debug)]
pub struct Candidate {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// By plugin name.
    pub code: BTreeMap<Arc<str>, Code>,
    /// Files that were read: what must be watched.
    files: Vec<PathBuf>,
    /// SHA-256 over the text and every component.
    hash: String,
}

/// Why there is no candidate.
#[derive(Debug)]
pub enum Unread {
    /// These problems.
    Refused(Vec<String>),
    /// Nothing but components that are not yet what `sha256` pins: they may be on their way.
    Incomplete(Vec<String>),
}

impl Unread {
    /// Each problem as a text that says where and what would be right.
    #[must_use]
    pub fn problems(self) -> Vec<String> {
        match self {
            Self::Refused(problems) | Self::Incomplete(problems) => problems,
        }
    }
}

/// What is wrong with the code of one plugin.
enum Faulty {
    Unreadable(String),
    NotAsPinned(String),
}

impl Candidate {
    /// Reads the configuration and every component it names.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn read(path: &Path) -> Result<Self, Unread> {
        let (text, config) = parse(path).map_err(Unread::Refused)?;
        let (mut problems, mut incomplete) = (Vec::new(), true);
        let mut code = BTreeMap::new();
        for plugin in config.plugins.values() {
            let problem = match Code::read(plugin) {
                Ok(read) => {
                    code.insert(Arc::clone(&plugin.name), read);
                    continue;
                }
                Err(Faulty::NotAsPinned(problem)) => problem,
                Err(Faulty::Unreadable(problem)) => {
                    incomplete = false;
                    problem
                }
            };
            problems.push(format!("{}: plugins.{}: {problem}", path.display(), plugin.name));
        }
        if !problems.is_empty() {
            return Err(if incomplete { Unread::Incomplete(problems) } else { Unread::Refused(problems) });
        }
        let mut parts = vec![text.as_bytes()];
        parts.extend(code.values().map(|code| &*code.wasm));
        let hash = policy::digest(&parts);
        let files = files_of(path, &config);
        Ok(Self { config: Arc::new(config), code, files, hash })
    }

    /// What tells this candidate from another.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The files it was read from.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Lets go of code that `other` has in memory already, for the same in there.
    pub fn share(&mut self, other: &Self) {
        for code in self.code.values_mut() {
            if let Some(same) = other.code.values().find(|other| other.sha256 == code.sha256) {
                code.clone_from(same);
            }
        }
    }

    /// What it changes about `before`. Of a plugin also whether the bytes of its component are others.
    #[must_use]
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let mut changes = diff::diff(&before.config, &self.config);
        for (name, code) in &self.code {
            if before.code.get(name).is_none_or(|old| old.sha256 == code.sha256) {
                continue;
            }
            let known = changes
                .iter_mut()
                .find(|change| change.section == Section::Plugins && change.name.as_ref() == Some(name));
            match known.map(|change| &mut change.what) {
                Some(What::Changed(keys)) if !keys.contains(&"component") => keys.push("component"),
                Some(_) => {}
                None => changes.push(Change {
                    section: Section::Plugins,
                    name: Some(Arc::clone(name)),
                    what: What::Changed(vec!["component"]),
                }),
            }
        }
        changes.sort_by_key(|change| change.section);
        changes
    }
}

impl Code {
    fn read(plugin: &PluginConfig) -> Result<Self, Faulty> {
        let wasm: Arc<[u8]> = match &plugin.component {
            Component::Builtin(name) => policy::builtin(name)
                .ok_or_else(|| {
                    let names: Vec<_> = policy::builtin_names().map(|name| format!("builtin:{name}")).collect();
                    Faulty::Unreadable(format!("there is no `builtin:{name}`; there are {}", names.join(", ")))
                })?
                .into(),
            Component::File(path) => {
                fs::read(path).map_err(|error| Faulty::Unreadable(format!("{}: {error}", path.display())))?.into()
            }
        };
        let sha256 = policy::sha256(&wasm);
        match plugin.sha256 {
            Some(pin) if sha256 != pin => Err(Faulty::NotAsPinned(format!(
                "{} hashes to {}, but `sha256` pins {}",
                origin(&plugin.component),
                policy::hex(&sha256),
                policy::hex(&pin)
            ))),
            _ => Ok(Self { wasm, sha256 }),
        }
    }
}

/// Where a component comes from, as messages show it.
#[must_use]
pub fn origin(component: &Component) -> String {
    match component {
        Component::Builtin(name) => format!("builtin:{name}"),
        Component::File(path) => path.display().to_string(),
    }
}

/// The configuration file and the components it names now; none if it cannot be read.
#[must_use]
pub fn files(path: &Path) -> Option<Vec<PathBuf>> {
    Some(files_of(path, &parse(path).ok()?.1))
}

fn files_of(path: &Path, config: &Config) -> Vec<PathBuf> {
    let components = config.plugins.values().filter_map(|plugin| match &plugin.component {
        Component::File(file) => Some(file.clone()),
        Component::Builtin(_) => None,
    });
    std::iter::once(path.to_owned()).chain(components).collect()
}

/// The text of a configuration file and what it says.
///
/// # Errors
/// Each problem as a text that says where and what would be right.
pub fn parse(path: &Path) -> Result<(String, Config), Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
    let dir = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let source = Source { name: path.display().to_string(), dir, text };
    match config::parse(&source) {
        Ok(config) => Ok((source.text, config)),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}
