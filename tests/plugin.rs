//! What the author of a plugin works with: `cordboard plugin …`, each command through the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod support;

#[path = "plugin/bench.rs"]
mod bench;
#[path = "plugin/build.rs"]
mod build;
#[path = "plugin/cases.rs"]
mod cases;
#[path = "plugin/check.rs"]
mod check;
#[path = "plugin/dump.rs"]
mod dump;
#[path = "policy/guests.rs"]
#[allow(dead_code)] // only the builder is used
mod guests;
#[path = "plugin/new.rs"]
mod new;
#[path = "plugin/watch.rs"]
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::binary;
use tempfile::TempDir;

/// What a command came to.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// Fails with all that was said unless the command ended with this code.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Fails unless this stands on standard output.
    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.out.contains(words), "{words:?} is not in:\n{}", self.out);
        self
    }

    /// Fails unless this stands on standard error.
    #[track_caller]
    fn warns(self, words: &str) -> Self {
        assert!(self.err.contains(words), "{words:?} is not in:\n{}", self.err);
        self
    }
}

/// `cordboard plugin` with these arguments, in a folder.
fn plugin(dir: &Path, arguments: &[&str]) -> Said {
    let output = binary().arg("plugin").args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A built-in plugin's component.
fn builtin(name: &str) -> &'static [u8] {
    cordboard::policy::builtin(name).unwrap()
}

/// A project whose build copies a file.
struct Project(TempDir);

impl Project {
    /// `more` is put below the manifest's other keys.
    fn new(code: &[u8], more: &str, cases: &str) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.put("code.wasm", code);
        project.put("cases.yaml", cases.as_bytes());
        project.manifest(more);
        project
    }

    /// One that has been built.
    fn built(code: &[u8], more: &str, cases: &str) -> Self {
        let project = Self::new(code, more, cases);
        project.plugin(&["build"]).ends(0);
        project
    }

    fn manifest(&self, more: &str) {
        let build = if more.contains("build:") { "" } else { "build: ['cp code.wasm \"$OUT\"']\n" };
        let text = format!("name: tried\ncomponent: build/tried.wasm\n{build}{more}");
        self.put("plugin.yaml", text.as_bytes());
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.file(name), content).unwrap();
    }

    fn plugin(&self, arguments: &[&str]) -> Said {
        plugin(self.dir(), arguments)
    }
}
