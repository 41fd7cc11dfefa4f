//! Everything that a generation is made of, read into memory before anything is judged: the configuration, the values of
//! its placeholders and the components it names.
//!
//! A candidate is a value: it can be compared with another, kept, and built again, which is what a rollback does. What two
//! have in common they share.

mod schema;
mod sources;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

pub use self::sources::{MAX_COMPONENT, Paths};
use crate::{
    config::{
        Component, Config, Places, PluginConfig, Problem, Reading, Secrets,
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
    /// What is legal in the configuration and probably not meant.
    pub warnings: Vec<Problem>,
    /// Where things stand in the configuration.
    pub places: Places,
    /// What came from the values file and the environment.
    pub secrets: Secrets,
    /// What is wrong with code that could not be read, and with configurations that do not fit their schemas: nothing can
    /// be made of this then.
    unread: Vec<Problem>,
    /// Whether that is only code that is not what `sha256` pins.
    incomplete: bool,
    /// Files that were read: what must be watched.
    files: Vec<PathBuf>,
    /// SHA-256 over configuration, values and every component.
    hash: String,
}

/// What is wrong with the code of one plugin.
enum Faulty {
    Unreadable(String),
    NotAsPinned(String),
}

impl Candidate {
    /// Reads the configuration, its values and every component it names. Code that cannot be read is told when a generation
    /// is made, with what is wrong with the rest of the code.
    ///
    /// # Errors
    /// All problems of the configuration, each with its place and what would be right.
    pub fn read(paths: &Paths) -> Result<Self, Vec<Problem>> {
        let sources::Texts { config: text, values, reading } = sources::read(paths)?;
        let Reading { config, warnings, mut places, secrets } = reading;
        let (mut unread, mut incomplete) = (Vec::new(), true);
        let (mut code, mut schemas) = (BTreeMap::new(), Vec::new());
        for plugin in config.plugins.values() {
            let (key, problem) = match Code::read(plugin) {
                Ok(read) => match schema::find(plugin, &read.wasm) {
                    Ok(found) => {
                        schemas.extend(found.map(|found| (plugin, found)));
                        code.insert(Arc::clone(&plugin.name), read);
                        continue;
                    }
                    Err(problem) => {
                        incomplete = false;
                        ("component", problem)
                    }
                },
                Err(Faulty::NotAsPinned(problem)) => ("sha256", problem),
                Err(Faulty::Unreadable(problem)) => {
                    incomplete = false;
                    ("component", problem)
                }
            };
            unread.push(places.plugin(&plugin.name, key, secrets.hide(&problem)));
        }
        let mut parts = vec![text.as_bytes(), values.as_deref().unwrap_or_default().as_bytes()];
        // Of the code what it hashes to is enough, and known.
        parts.extend(code.values().map(|code| &code.sha256[..]));
        parts.extend(schemas.iter().map(|(_, schema)| schema.text()));
        let hash = policy::digest(&parts);
        for (plugin, schema) in &schemas {
            let problems = schema::check(plugin, schema, &places);
            if !problems.is_empty() {
                // The component would say the same again, or something that follows from it.
                code.remove(&plugin.name);
                incomplete = false;
            }
            unread.extend(problems.into_iter().map(|problem| problem.hidden(&secrets)));
        }
        places.forget_configs();
        let files = files_of(paths, &config);
        let incomplete = incomplete && !unread.is_empty();
        Ok(Self { config: Arc::new(config), code, warnings, places, secrets, unread, incomplete, files, hash })
    }

    /// What is wrong with code that could not be read, and with configurations that do not fit.
    #[must_use]
    pub fn unread(&self) -> &[Problem] {
        &self.unread
    }

    /// Whether nothing is wrong but components that are not yet what `sha256` pins: they may be on their way.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.incomplete
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
                let read = sources::bounded(path, MAX_COMPONENT);
                read.map_err(|error| Faulty::Unreadable(format!("{}: {error}", path.display())))?.into()
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

/// What of a configuration does not fit the schema that a component carries or has beside it; nothing where it has none.
///
/// # Errors
/// The schema cannot be used.
pub fn unfit(component: &Path, wasm: &[u8], config: &Value) -> Result<Vec<String>, String> {
    schema::unfit(component, wasm, config)
}

fn files_of(paths: &Paths, config: &Config) -> Vec<PathBuf> {
    let components = config.plugins.values().filter_map(|plugin| match &plugin.component {
        // The schema may come later.
        Component::File(file) => Some([file.clone(), schema::beside(file)]),
        Component::Builtin(_) => None,
    });
    let components = components.flatten();
    paths.all().chain(components).collect()
}

/// What the configuration says.
///
/// # Errors
/// All its problems, each with its place and what would be right.
pub fn parse(paths: &Paths) -> Result<Config, Vec<Problem>> {
    sources::read(paths).map(|texts| texts.reading.config)
}
