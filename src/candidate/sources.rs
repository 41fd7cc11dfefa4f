//! The files that a candidate is read from.

use std::path::{Path, PathBuf};

use crate::{
    config::{self, Problem, Reading, Source, Values, ValuesFile},
    files::bounded,
};

/// Where the configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file.
    pub config: PathBuf,
    /// What its placeholders stand for (`--values`); none leaves the environment and defaults.
    pub values: Option<PathBuf>,
}

impl Paths {
    /// The files themselves.
    pub fn all(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        std::iter::once(&self.config).chain(&self.values).cloned()
    }
}

/// The texts that a configuration was read from, and what they say.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) config: String,
    pub(super) values: Option<String>,
    pub(super) reading: Reading,
}

/// Reads and checks the configuration.
pub(super) fn read(paths: &Paths) -> Result<Texts, Vec<Problem>> {
    let text = |path: &Path| text(path).map_err(|problem| vec![*problem]);
    // Both are looked at, so that one does not hide the other.
    let (config, values) = (text(&paths.config), paths.values.as_deref().map(text).transpose());
    let (config, values) = match (config, values) {
        (Ok(config), Ok(values)) => (config, values),
        (config, values) => return Err([config.err(), values.err()].into_iter().flatten().flatten().collect()),
    };
    let dir = paths.config.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let source = Source { name: paths.config.display().to_string(), dir, text: config };
    let name = paths.values.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let file = values.map(|text| ValuesFile { name, text });
    let values = Values { file: file.as_ref(), environment: &|name| std::env::var_os(name) };
    let reading = config::read(&source, &values)?;
    Ok(Texts { config: source.text, values: file.map(|file| file.text), reading })
}

fn text(path: &Path) -> Result<String, Box<Problem>> {
    let file = path.display().to_string();
    let refuse = |message: String| Box::new(Problem::of_file(&file, message));
    let bytes = bounded(path, config::MAX_BYTES as u64).map_err(|error| refuse(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.lines().last().filter(|_| !before.ends_with('\n')).unwrap_or_default().chars().count() + 1;
        let mut problem = refuse("from here on this is not UTF-8; save it as UTF-8".to_owned());
        (problem.line, problem.column) = (line, column);
        problem
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_byte_that_is_not_utf_8_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"listeners:\n  \xc3\xa4 \xff: 1\n").unwrap();
        let problem = text(&path).unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 5));
        fs::write(&path, b"\n\xff").unwrap();
        let problem = text(&path).unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 1));
    }
}
