//! What is read, and what comes of it: a text, what its placeholders may stand for, a configuration.

use std::{ffi::OsString, path::PathBuf};

use super::{Config, Places, Problem, Secrets, validate, yaml};

/// Largest configuration file, and largest values file, in bytes.
pub const MAX_BYTES: usize = yaml::MAX_BYTES;

/// A configuration file that has been read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name as messages show it.
    pub name: String,
    /// The directory that relative paths in it are relative to.
    pub dir: PathBuf,
    /// Its text.
    pub text: String,
}

/// What placeholders may stand for.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The values file.
    pub file: Option<&'a ValuesFile>,
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Values<'_> {
    /// Nothing: only defaults count.
    pub const NONE: Self = Values { file: None, environment: &|_| None };
}

/// A values file that has been read.
#[derive(Clone, Debug)]
pub struct ValuesFile {
    /// Its name as messages show it.
    pub name: String,
    /// Its text: a map from names to values, in YAML.
    pub text: String,
}

/// A configuration file that can be used.
#[derive(Debug)]
pub struct Reading {
    /// What it says.
    pub config: Config,
    /// What is legal and probably not meant, in the order of the file, at most 100.
    pub warnings: Vec<Problem>,
    /// Where things stand in it.
    pub places: Places,
    /// What came from the values file and the environment.
    pub secrets: Secrets,
}

/// Reads and checks a configuration file.
///
/// # Errors
/// All problems that can be found at once, in the order of the files, at least one and at most 100. What stops the YAML
/// reader (broken syntax, a key that stands twice) hides everything else in its file.
pub fn read(source: &Source, values: &Values<'_>) -> Result<Reading, Vec<Problem>> {
    validate::read(source, values)
}

/// The same for a file whose placeholders, if it has any, stand for their defaults.
///
/// # Errors
/// Those of [`read`].
pub fn parse(source: &Source) -> Result<Config, Vec<Problem>> {
    read(source, &Values::NONE).map(|reading| reading.config)
}
