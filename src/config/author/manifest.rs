//! `plugin.yaml`: how a plugin is built, tested and loaded.

use std::path::{Component as Step, Path, PathBuf};

use super::{
    super::{
        Grants, PluginLimits, PluginSettings, Problem, Source,
        check::Check,
        diagnose::quoted,
        grants,
        part::{Field, Text},
        plugin,
        tree::At,
    },
    file::{ManifestFile, NeedFile},
};

/// The name of the file.
pub const MANIFEST: &str = "plugin.yaml";

/// A project.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// What it is written in, for people.
    pub language: String,
    /// What a build leaves, relative to the project.
    pub component: PathBuf,
    /// The lines that build it, in order.
    pub build: Vec<String>,
    /// What they need.
    pub needs: Vec<Need>,
    /// Files and folders that it is built from, relative to the project; none is all but those that tools make.
    pub sources: Vec<PathBuf>,
    /// The test cases, relative to the project: a file, or a folder of them. Default `cases.yaml`.
    pub cases: PathBuf,
    /// What it is configured with where nothing else is said.
    pub config: PluginSettings,
    /// What it is granted.
    pub grants: Grants,
    /// Its bounds.
    pub limits: PluginLimits,
}

/// Something that a build needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it is, for people.
    pub name: String,
    /// A line that succeeds where it is there.
    pub check: String,
    /// The line that installs it.
    pub install: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// All its problems, each with its place and what would be right.
    pub fn read(source: &Source) -> Result<Self, Vec<Problem>> {
        super::read(source, manifest)
    }
}

fn manifest(check: &mut Check, at: &At<'_>, file: ManifestFile) -> Option<Manifest> {
    let name_at = at.key("name");
    let name = check.required(&name_at, &file.name, "the plugin's name").and_then(|name| check.name(&name_at, name));
    let component_at = at.key("component");
    let component = check
        .required(&component_at, &file.component, "where a build leaves the component, such as `build/NAME.wasm`")
        .and_then(|text| inside(check, &component_at, text));
    let sources_at = at.key("sources");
    let sources = file.sources.unwrap_or_default();
    let sources: Vec<_> =
        sources.iter().enumerate().filter_map(|(n, text)| inside(check, &sources_at.index(n), text)).collect();
    let cases_at = at.key("cases");
    let cases = match check.text(&cases_at, &file.cases) {
        None => Some(PathBuf::from("cases.yaml")),
        Some(text) => inside(check, &cases_at, text),
    };
    let needs_at = at.key("needs");
    let needs = file.needs.unwrap_or_default();
    let needs: Vec<_> =
        needs.iter().enumerate().filter_map(|(n, file)| need(check, &needs_at.index(n), file)).collect();
    let grants = grants::grants(check, &at.key("grants"), file.grants.unwrap_or_default());
    let limits = plugin::limits(check, &at.key("limits"), &file.limits.unwrap_or_default());
    Some(Manifest {
        name: name?.to_string(),
        language: check.text(&at.key("language"), &file.language).unwrap_or_default().to_owned(),
        component: component?,
        build: file.build.unwrap_or_default(),
        needs,
        sources,
        cases: cases?,
        config: PluginSettings::new(file.config.unwrap_or_default()),
        grants,
        limits,
    })
}

fn need(check: &mut Check, at: &At<'_>, file: &NeedFile) -> Option<Need> {
    let mut text =
        |key: &str, field: &Text, what: &str| check.required(&at.key(key), field, what).map(ToOwned::to_owned);
    let name = text("name", &file.name, "what is needed, for people");
    let line = text("check", &file.check, "a shell command that succeeds where it is there");
    let install = match &file.install {
        Field::Absent => Some(String::new()),
        _ => text("install", &file.install, "the shell command that installs it"),
    };
    Some(Need { name: name?, check: line?, install: install? })
}

/// A path that stays in the project.
fn inside(check: &mut Check, at: &At<'_>, text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let stays = path.components().all(|step| matches!(step, Step::Normal(_) | Step::CurDir));
    if text.is_empty() || text.contains('\0') || !stays {
        let hint = Some("a path below the folder of this file, such as `src`".to_owned());
        check.wrong(at, format!("{} is not a path in the project", quoted(text)), hint);
        return None;
    }
    Some(path.to_owned())
}
