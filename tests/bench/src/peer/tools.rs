//! Where the programs of the peers are: in the folder into which `make bench-tools` puts them, else on the path.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::Peer;
use crate::wrong;

/// The programs, and a folder for what they need.
#[derive(Debug)]
pub struct Tools {
    cordboard: PathBuf,
    relays: PathBuf,
    /// What was unpacked for this run: `root` of Debian's packages, `venv` of Python's.
    fetched: PathBuf,
    work: PathBuf,
    /// The component of the message filter.
    filter: Option<PathBuf>,
}

impl Tools {
    /// `cordboard` is the proxy's binary, `fetched` the folder of other programs, `work` one that is made for the run,
    /// `filter` the component of the message filter.
    pub fn new(cordboard: &Path, fetched: &Path, work: &Path, filter: Option<&Path>) -> io::Result<Self> {
        fs::create_dir_all(work)?;
        let absolute =
            |path: &Path| fs::canonicalize(path).map_err(|error| wrong(format!("{}: {error}", path.display())));
        let relays = env::current_exe()?;
        // The tools may be missing as a whole.
        let fetched = absolute(fetched).unwrap_or_default();
        let filter = filter.map(absolute).transpose()?;
        Ok(Self { cordboard: absolute(cordboard)?, relays, fetched, work: absolute(work)?, filter })
    }

    /// A folder for one peer.
    pub fn dir(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.work.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Our binary; its compiled policies are kept for the run.
    #[must_use]
    pub fn cordboard(&self) -> Command {
        let mut command = Command::new(&self.cordboard);
        command.env("XDG_CACHE_HOME", self.work.join("cache"));
        command
    }

    /// The component of the message filter.
    ///
    /// # Errors
    /// When none was named.
    pub(super) fn filter(&self) -> io::Result<&Path> {
        self.filter.as_deref().ok_or_else(|| wrong("the message filter is missing (--filter names it)".to_owned()))
    }

    pub(super) fn relays(&self) -> Command {
        Command::new(&self.relays)
    }

    /// The program of another peer.
    ///
    /// # Errors
    /// When it is missing; the message says how to get it.
    pub(super) fn command(&self, name: &str) -> io::Result<Command> {
        let root = self.fetched.join("root");
        let own = [root.join("usr/sbin").join(name), self.envoy().unwrap_or_default()];
        if let Some(path) = own.iter().find(|path| path.file_name() == Some(OsStr::new(name)) && path.is_file()) {
            let mut command = Command::new(path);
            let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|arch| root.join("usr/lib").join(arch));
            command.env("LD_LIBRARY_PATH", env::join_paths(libraries).map_err(|error| wrong(error.to_string()))?);
            return Ok(command);
        }
        let found = on_path(name).map(Command::new);
        found.ok_or_else(|| wrong(format!("{name} is missing (make bench-tools fetches it)")))
    }

    /// The program itself, which the package's script only starts.
    fn envoy(&self) -> Option<PathBuf> {
        let pythons = fs::read_dir(self.fetched.join("venv/lib")).ok()?;
        let mut paths = pythons.flatten().map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
        paths.find(|path| path.is_file())
    }

    /// What a peer says its version is.
    ///
    /// # Errors
    /// When it is missing, or cannot be run.
    pub fn version(&self, peer: Peer) -> io::Result<String> {
        let (mut command, argument) = match peer {
            Peer::None | Peer::Relay(_) => return Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Peer::Cordboard | Peer::Copying => (self.cordboard(), "--version"),
            Peer::Filtered { .. } => (self.filter().map(|_| self.cordboard())?, "--version"),
            Peer::Nginx { .. } => (self.command("nginx")?, "-v"),
            Peer::Haproxy { .. } => (self.command("haproxy")?, "-v"),
            Peer::Envoy { .. } => (self.command("envoy")?, "--version"),
        };
        let output = command.arg(argument).output()?;
        if !output.status.success() {
            return Err(wrong(format!("{} cannot be run: {}", peer.title(), String::from_utf8_lossy(&output.stderr))));
        }
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(version(&text).unwrap_or("unknown").to_owned())
    }
}

/// A program that is installed.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The first thing in a text that is numbers with dots between.
fn version(text: &str) -> Option<&str> {
    let words = text.split(|each: char| each.is_whitespace() || each == '/' || each == '-');
    let is_version = |word: &&str| {
        word.contains('.')
            && word.starts_with(|first: char| first.is_ascii_digit())
            && word.chars().all(|each| each.is_ascii_digit() || each == '.')
    };
    words.into_iter().find(is_version)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        assert_eq!(version("nginx version: nginx/1.22.1\n"), Some("1.22.1"));
        assert_eq!(version("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"), Some("2.6.12"));
        assert_eq!(version("envoy  version: 9e55809/1.40.0/Clean/RELEASE/BoringSSL"), Some("1.40.0"));
        assert_eq!(version("cordboard 0.1.0"), Some("0.1.0"));
        assert_eq!(version("no version"), None);
    }
}
