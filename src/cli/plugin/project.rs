//! A plugin's project: a folder with a manifest, or a component alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::watch::Sources;
use crate::{
    cli::exit,
    config::{
        MAX_BYTES, PluginLimits, Problem, Source,
        author::{MANIFEST, Manifest},
    },
    fetch::MAX_COMPONENT,
    files::{self, bounded},
    policy,
};

/// Why a command goes no further: what it says on standard error, and the code it ends with.
pub(super) struct Stop {
    pub(super) says: String,
    pub(super) code: u8,
}

impl Stop {
    pub(super) fn new(code: u8, says: impl Into<String>) -> Self {
        Self { says: says.into(), code }
    }

    /// Something that was asked for does not hold.
    pub(super) fn failed(says: impl Into<String>) -> Self {
        Self::new(exit::FAILURE, says)
    }

    /// A file that the author wrote is wrong.
    pub(super) fn problems(problems: &[Problem]) -> Self {
        Self::new(exit::CONFIG, Problem::shown(problems))
    }

    /// Says it.
    pub(super) fn say(self) -> u8 {
        eprintln!("{}", self.says);
        self.code
    }
}

/// A folder with a manifest.
pub(super) struct Project {
    pub(super) dir: PathBuf,
    pub(super) manifest: Manifest,
}

impl Project {
    /// Reads the manifest of a folder.
    pub(super) fn open(dir: &Path) -> Result<Self, Stop> {
        let path = within(dir, Path::new(MANIFEST));
        if !path.is_file() {
            return Err(Stop::new(
                exit::USAGE,
                format!(
                    "cordboard: {} is not there; `cordboard plugin new NAME --lang LANGUAGE --kind KIND` begins a project, \
                     and the other commands are for its folder",
                    path.display()
                ),
            ));
        }
        let manifest = Manifest::read(&source(&path)?).map_err(|problems| Stop::problems(&problems))?;
        Ok(Self { dir: dir.to_owned(), manifest })
    }

    /// Where a build leaves the component.
    pub(super) fn component(&self) -> PathBuf {
        within(&self.dir, &self.manifest.component)
    }

    /// The files with test cases.
    pub(super) fn cases(&self) -> Result<Vec<PathBuf>, Stop> {
        case_files(&within(&self.dir, &self.manifest.cases))
    }
}

/// A file of a folder, by the name that people would use.
pub(super) fn within(dir: &Path, file: &Path) -> PathBuf {
    if dir == Path::new(".") { file.to_owned() } else { dir.join(file) }
}

/// What is to be looked at: the component of a project, or one that stands alone.
pub(super) struct Target {
    pub(super) component: PathBuf,
    /// How it is called in messages.
    pub(super) origin: String,
    /// What the project says of it; defaults where there is none.
    pub(super) name: String,
    pub(super) config: String,
    pub(super) grants: crate::config::Grants,
    pub(super) limits: PluginLimits,
    pub(super) project: Option<Project>,
}

impl Target {
    /// Of a folder with a manifest, or of a component file.
    pub(super) fn of(path: &Path) -> Result<Self, Stop> {
        if path.is_dir() {
            let project = Project::open(path)?;
            let Manifest { name, config, grants, limits, .. } = &project.manifest;
            return Ok(Self {
                component: project.component(),
                origin: project.component().display().to_string(),
                name: name.clone(),
                config: config.as_json().to_string(),
                grants: grants.clone(),
                limits: *limits,
                project: Some(project),
            });
        }
        if let Err(error) = path.metadata() {
            return Err(Stop::failed(format!("cordboard: {}: {error}", path.display())));
        }
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            component: path.to_owned(),
            origin: path.display().to_string(),
            name,
            config: "{}".to_owned(),
            grants: crate::config::Grants::default(),
            limits: PluginLimits::default(),
            project: None,
        })
    }

    /// Says if something that it is built from is newer than the component.
    pub(super) fn warn_if_old(&self) {
        let Some(project) = &self.project else { return };
        let written = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
        let (Some(built), Ok(sources)) = (written(&self.component), Sources::of(&project.dir)) else { return };
        // Cases and configuration are asked as they are now.
        let asked = [project.manifest.cases.as_path(), Path::new(MANIFEST)].map(|file| project.dir.join(file));
        let built_from = |path: &Path| !asked.iter().any(|asked| path.starts_with(asked));
        let newer = |path: &&PathBuf| built_from(path) && written(path).is_some_and(|time| time > built);
        if let Some(newer) = sources.paths().find(newer) {
            let newer = newer.strip_prefix(&project.dir).unwrap_or(newer).display();
            eprintln!("{} is older than {newer}: `cordboard plugin build` makes it anew", self.component.display());
        }
    }

    /// The component's bytes.
    ///
    /// # Errors
    /// It cannot be read, or is no component.
    pub(super) fn wasm(&self) -> Result<Arc<[u8]>, Stop> {
        let wasm = wasm(&self.component).map_err(|stop| match &self.project {
            Some(project) if !self.component.exists() => Stop::new(
                exit::FAILURE,
                format!(
                    "cordboard: {} is not there yet: `cordboard plugin build {}` makes it",
                    self.component.display(),
                    project.dir.display()
                ),
            ),
            _ => stop,
        })?;
        policy::recognise(&wasm)
            .map_err(|why| Stop::new(exit::CONFIG, format!("cordboard: {}: {why}", self.origin)))?;
        Ok(wasm.into())
    }
}

/// A component file.
pub(super) fn wasm(path: &Path) -> Result<Vec<u8>, Stop> {
    bounded(path, MAX_COMPONENT).map_err(|error| Stop::failed(format!("cordboard: {}: {error}", path.display())))
}

/// Writes a file whole, and the folders on the way to it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| files::replace(path, bytes, 0o666));
    written.map_err(|error| Stop::new(exit::CANNOT_CREATE, format!("cordboard: {}: {error}", path.display())))
}

/// A text file that the author wrote.
pub(super) fn source(path: &Path) -> Result<Source, Stop> {
    let name = path.display().to_string();
    let read = bounded(path, MAX_BYTES as u64).and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    let text = read.map_err(|error| Stop::problems(&[Problem::of_file(&name, error.to_string())]))?;
    let dir = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    Ok(Source { name, dir, text })
}

/// A file of cases, or all `.yaml` and `.yml` files of a folder.
pub(super) fn case_files(path: &Path) -> Result<Vec<PathBuf>, Stop> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let stop = |error: io::Error| Stop::failed(format!("cordboard: {}: {error}", path.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(stop)? {
        let file = entry.map_err(stop)?.path();
        if file.is_file() && file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Stop::failed(format!("cordboard: {}: there is no .yaml file with test cases", path.display())));
    }
    Ok(files)
}
