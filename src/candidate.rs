//! Everything that a generation is made of, read into memory before anything is judged: the configuration, the values of
//! its placeholders and the components it names. What of those comes over the network is [fetched](fetch) before that.
//!
//! A candidate is a value: it can be compared with another, kept, and built again, which is what a rollback does. What two
//! have in common they share.

mod schema;
mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

pub use self::sources::Paths;
use crate::{
    config::{
        Component, Config, Places, PluginConfig, Problem, Reading, Secrets, SignatureAt, Trust,
        diff::{self, Change, Section, What},
    },
    fetch::{self, Fetcher, Given, Look, MAX_COMPONENT, Supply, Wanted},
    files::bounded,
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
    /// Whether that is only code that is not what `sha256` pins or a signature is of.
    incomplete: bool,
    /// Whether there is code that nobody has tried to fetch.
    unfetched: bool,
    /// Files that were read: what must be watched.
    files: Vec<PathBuf>,
    /// SHA-256 over configuration, values and every component.
    hash: String,
}

/// What is wrong with the code of one plugin.
enum Faulty {
    /// By the key that is to blame.
    Unusable(&'static str, String),
    /// It may be on its way.
    NotYet(&'static str, String),
    /// Nobody has tried to fetch it.
    Unfetched,
}

/// Code, and what is to be said of it.
type Read = (Code, Option<String>);

impl Candidate {
    /// Reads the configuration, its values and every component it names. Code that cannot be read is told when a generation
    /// is made, with what is wrong with the rest of the code.
    ///
    /// # Errors
    /// All problems of the configuration, each with its place and what would be right.
    pub fn read(paths: &Paths, supply: &Supply) -> Result<Self, Vec<Problem>> {
        let sources::Texts { config: text, values, reading } = sources::read(paths)?;
        let Reading { config, mut warnings, mut places, secrets } = reading;
        let (mut unread, mut incomplete, mut unfetched) = (Vec::new(), true, false);
        let (mut code, mut schemas) = (BTreeMap::new(), Vec::new());
        for plugin in config.plugins.values() {
            let (key, problem) = match Code::read(plugin, &config.trust, supply) {
                Ok((read, note)) => match schema::find(plugin, &read.wasm) {
                    Ok(found) => {
                        let note =
                            note.map(|note| places.unlikely_plugin(&plugin.name, "component", secrets.hide(&note)));
                        warnings.extend(note);
                        schemas.extend(found.map(|found| (plugin, found)));
                        code.insert(Arc::clone(&plugin.name), read);
                        continue;
                    }
                    Err(problem) => {
                        incomplete = false;
                        ("component", problem)
                    }
                },
                Err(Faulty::NotYet(key, problem)) => (key, problem),
                Err(Faulty::Unusable(key, problem)) => {
                    incomplete = false;
                    (key, problem)
                }
                Err(Faulty::Unfetched) => {
                    unfetched = true;
                    ("component", "it was not fetched".to_owned())
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
        Ok(Self {
            config: Arc::new(config),
            code,
            warnings,
            places,
            secrets,
            unread,
            incomplete,
            unfetched,
            files,
            hash,
        })
    }

    /// What is wrong with code that could not be read, and with configurations that do not fit.
    #[must_use]
    pub fn unread(&self) -> &[Problem] {
        &self.unread
    }

    /// What it reads, when everything that comes over the network was fetched or could not be.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub async fn gather(paths: &Paths, fetcher: &Fetcher, look: Look) -> Result<Self, Vec<Problem>> {
        let mut supply = Supply::default();
        loop {
            supply_for(paths, fetcher, look, &mut supply).await;
            let candidate = Self::read(paths, &supply)?;
            // The files may be others by now.
            if !candidate.unfetched {
                return Ok(candidate);
            }
        }
    }

    /// Whether there is code that nobody has tried to fetch.
    #[must_use]
    pub const fn is_unfetched(&self) -> bool {
        self.unfetched
    }

    /// What the code of a plugin hashes to.
    #[must_use]
    pub fn sha256(&self, plugin: &str) -> Option<[u8; 32]> {
        self.code.get(plugin).map(|code| code.sha256)
    }

    /// What all of its code hashes to.
    #[must_use]
    pub fn hashes(&self) -> BTreeSet<[u8; 32]> {
        self.code.values().map(|code| code.sha256).collect()
    }

    /// What was fetched for it, for another that wants the same.
    #[must_use]
    pub fn supply(&self) -> Supply {
        let given = self.config.plugins.values().filter_map(|plugin| {
            let Code { wasm, sha256 } = self.code.get(&plugin.name)?;
            let given = Given { wasm: Arc::clone(wasm), sha256: *sha256, copy: None };
            Some((Wanted::by(plugin, &self.config.trust)?, given))
        });
        given.collect()
    }

    /// Whether nothing is wrong but components that are not yet what `sha256` pins or a signature is of: they may be on
    /// their way.
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
    fn read(plugin: &PluginConfig, trust: &Trust, supply: &Supply) -> Result<Read, Faulty> {
        let unusable = |why: String| Faulty::Unusable("component", why);
        let wasm: Arc<[u8]> = match &plugin.component {
            Component::Builtin(name) => policy::builtin(name)
                .ok_or_else(|| {
                    let names: Vec<_> = policy::builtin_names().map(|name| format!("builtin:{name}")).collect();
                    unusable(format!("there is no `builtin:{name}`; there are {}", names.join(", ")))
                })?
                .into(),
            Component::File(path) => {
                let read = bounded(path, MAX_COMPONENT);
                read.map_err(|error| unusable(format!("{}: {error}", path.display())))?.into()
            }
            Component::Remote(_) => return Self::fetched(plugin, trust, supply),
        };
        let sha256 = policy::sha256(&wasm);
        if let Some(pin) = plugin.sha256.filter(|pin| *pin != sha256) {
            let text = format!(
                "{} hashes to {}, but `sha256` pins {}",
                origin(&plugin.component),
                policy::hex(&sha256),
                policy::hex(&pin)
            );
            return Err(Faulty::NotYet("sha256", text));
        }
        signed(plugin, trust, &sha256)?;
        Ok((Self { wasm, sha256 }, None))
    }

    fn fetched(plugin: &PluginConfig, trust: &Trust, supply: &Supply) -> Result<Read, Faulty> {
        let wanted = Wanted::by(plugin, trust).ok_or(Faulty::Unfetched)?;
        match supply.get(&wanted) {
            None => Err(Faulty::Unfetched),
            Some(Err(trouble)) => Err(Faulty::Unusable("component", trouble.to_string())),
            Some(Ok(Given { wasm, sha256, copy })) => {
                signed(plugin, trust, sha256)?;
                Ok((Self { wasm: Arc::clone(wasm), sha256: *sha256 }, copy.clone()))
            }
        }
    }
}

/// Whether a component is signed by the file that must do it, if one must.
fn signed(plugin: &PluginConfig, trust: &Trust, sha256: &[u8; 32]) -> Result<(), Faulty> {
    let Some(path) = signature_of(plugin, trust) else { return Ok(()) };
    let keys: Vec<_> = trust.signers(plugin).map(|(name, key)| (name.into(), key)).collect();
    let signed = fetch::file_of_signature(&path).and_then(|text| {
        let verified = fetch::verify(&text, sha256, &keys);
        verified.map_err(|why| format!("{} by {}: {why}", origin(&plugin.component), path.display()))
    });
    // Whoever writes two files writes one of them first.
    signed.map(drop).map_err(|why| Faulty::NotYet("signature", why))
}

/// The file that a component's signature is in, if it must have one and it is on this machine.
fn signature_of(plugin: &PluginConfig, trust: &Trust) -> Option<PathBuf> {
    let file = match (&plugin.component, &plugin.signature) {
        (Component::Builtin(_), _) | (Component::Remote(_), None | Some(SignatureAt::Url(_))) => return None,
        (_, Some(SignatureAt::File(path))) => path.clone(),
        (Component::File(path), _) => beside(path),
    };
    trust.demands(plugin).then_some(file)
}

/// `FILE.sig`.
#[must_use]
pub fn beside(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Fetches what the configuration of now wants and is not there yet. What is wrong with the configuration is for who
/// reads it to say.
pub async fn supply_for(paths: &Paths, fetcher: &Fetcher, look: Look, supply: &mut Supply) {
    let paths = paths.clone();
    let Ok(Ok(texts)) = tokio::task::spawn_blocking(move || sources::read(&paths)).await else { return };
    let Reading { config, secrets, .. } = texts.reading;
    fetcher.supply(Wanted::all(&config), &config.fetch, &secrets, look, supply).await;
}

/// Where a component comes from, as messages show it.
#[must_use]
pub fn origin(component: &Component) -> String {
    match component {
        Component::Builtin(name) => format!("builtin:{name}"),
        Component::File(path) => path.display().to_string(),
        Component::Remote(remote) => remote.to_string(),
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
    let components = config.plugins.values().flat_map(|plugin| {
        // The schema may come later, and the signature.
        let file = match &plugin.component {
            Component::File(file) => Some([file.clone(), schema::beside(file)]),
            Component::Builtin(_) | Component::Remote(_) => None,
        };
        file.into_iter().flatten().chain(signature_of(plugin, &config.trust))
    });
    paths.all().chain(components).collect()
}

/// What the configuration says.
///
/// # Errors
/// All its problems, each with its place and what would be right.
pub fn parse(paths: &Paths) -> Result<Config, Vec<Problem>> {
    sources::read(paths).map(|texts| texts.reading.config)
}
