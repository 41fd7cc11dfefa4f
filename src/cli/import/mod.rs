//! `cordboard import`: configurations of the systems that Cordboard replaces, turned into its own.
//!
//! The configuration goes to standard output or into a file that is not there yet; what was not carried over goes to
//! standard error, and the exit code tells whether there was any. Nothing is written where anything is wrong.

mod light4j;

use std::{
    fmt::Display,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::exit;
use crate::config::{self, Source};

/// Imports light-4j's files.
pub(super) fn light4j(files: &[PathBuf], output: Option<&Path>) -> u8 {
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        match fs::read_to_string(file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return exit::DATA;
            }
        }
    }
    let imported = match light4j::import(texts) {
        Ok(imported) => imported,
        Err(problems) => {
            show("", problems);
            return exit::DATA;
        }
    };
    // What is written must be what `check` takes; if not, that is our mistake and not the files'.
    let source = Source { name: "the result".to_owned(), dir: PathBuf::new(), text: imported.text };
    if let Err(problems) = config::parse(&source) {
        eprintln!("cordboard: what was imported is no configuration; please report this:");
        show("", problems);
        return exit::FAILURE;
    }
    if let Err(error) = put(&source.text, output) {
        let place = output.map_or("standard output".into(), |path| path.display().to_string());
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                eprintln!("{place}: this file exists, and none is written over; name another one, or remove it");
            }
            _ => eprintln!("{place}: {error}"),
        }
        return exit::CANNOT_CREATE;
    }
    if imported.lost.is_empty() {
        eprintln!("everything was carried over; docs/migrate.md says what differs");
        return exit::OK;
    }
    eprintln!("not carried over ({}):", imported.lost.len());
    show("- ", imported.lost);
    exit::PARTLY
}

fn show(before: &str, items: Vec<impl Display>) {
    for item in items {
        eprintln!("{before}{item}");
    }
}

/// Writes it where it belongs; never over anything.
fn put(text: &str, output: Option<&Path>) -> io::Result<()> {
    match output {
        None => io::stdout().lock().write_all(text.as_bytes()),
        Some(path) => File::create_new(path)?.write_all(text.as_bytes()),
    }
}
