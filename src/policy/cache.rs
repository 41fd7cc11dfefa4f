//! Compiled code on disk: a component is compiled once per content and engine configuration, not once per start.
//!
//! Deserialising compiled code is as good as running it, so the directory must belong to us and to nobody else
//! (mode 0700), and every file carries the SHA-256 of its content: a torn or damaged file is compiled anew. Files are
//! written under a temporary name and renamed, never overwritten. At most [`MAX_FILES`] are kept, newest first.
#![allow(unsafe_code)] // `Component::deserialize`, once, below

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Most files kept.
pub(super) const MAX_FILES: usize = 64;
const DIGEST: usize = 32;

/// A directory of compiled components.
pub(super) struct CodeCache {
    dir: PathBuf,
}

impl CodeCache {
    /// Opens the directory, making it if need be.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to or is open to somebody else.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let meta = fs::metadata(dir)?;
        if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the directory must belong to this user and be writable by nobody else",
            ));
        }
        Ok(Self { dir: dir.to_owned() })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}.cwasm"))
    }

    /// Compiles, and keeps what came of it.
    ///
    /// # Errors
    /// The compiler's; a cache that cannot be written only costs time.
    pub(super) fn compile(&self, engine: &Engine, key: &str, wasm: &[u8]) -> wasmtime::Result<Component> {
        let code = engine.precompile_component(wasm)?;
        if let Err(error) = self.store(key, &code) {
            tracing::warn!(dir = %self.dir.display(), %error, "compiled code could not be cached");
        }
        deserialize(engine, &code)
    }

    /// What an earlier run compiled; none if it cannot be read or trusted.
    pub(super) fn load(&self, engine: &Engine, key: &str) -> Option<Component> {
        let file = fs::read(self.path(key)).ok()?;
        let (digest, code) = file.split_at_checked(DIGEST)?;
        if Sha256::digest(code).as_slice() != digest {
            tracing::warn!(file = %self.path(key).display(), "cached code is damaged; compiling anew");
            return None;
        }
        deserialize(engine, code)
            .inspect_err(|error| tracing::warn!(file = %self.path(key).display(), %error, "cached code is not usable"))
            .ok()
    }

    fn store(&self, key: &str, code: &[u8]) -> io::Result<()> {
        let temporary = self.dir.join(format!("{key}.{}.tmp", uuid::Uuid::new_v4()));
        let mut file = Vec::with_capacity(DIGEST + code.len());
        file.extend_from_slice(&Sha256::digest(code));
        file.extend_from_slice(code);
        fs::write(&temporary, file)
            .and_then(|()| fs::rename(&temporary, self.path(key)))
            .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.prune()
    }

    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.dir)?
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| path.extension().is_some_and(|extension| extension == "cwasm"))
            .collect();
        files.sort_unstable_by(|a, b| b.cmp(a));
        files.iter().skip(MAX_FILES).try_for_each(|(_, path)| match fs::remove_file(path) {
            // Another process of this user got there first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        })
    }
}

fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what `precompile_component` of an engine with this very configuration gave (it is part of the
    // key, and wasmtime checks it again), either just now or from a file whose digest matches, in a directory that
    // only we can write.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file_of(dir: &Path) -> PathBuf {
        fs::read_dir(dir).unwrap().next().unwrap().unwrap().path()
    }

    #[test]
    fn a_damaged_file_is_compiled_anew_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&dir.path().join("code")).unwrap();
        let engine = Engine::default();
        let wasm = wat::parse_str("(component)").unwrap();
        cache.compile(&engine, "a", &wasm).unwrap();
        let file = file_of(&cache.dir);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[DIGEST + 100] ^= 1;
        fs::write(&file, &bad).unwrap();
        assert!(cache.load(&engine, "a").is_none());
        cache.compile(&engine, "a", &wasm).unwrap();
        assert_eq!(fs::read(&file).unwrap(), good);
        assert!(cache.load(&engine, "a").is_some());
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(CodeCache::open(dir.path()).is_err());
    }

    #[test]
    fn no_more_than_the_newest_files_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&dir.path().join("code")).unwrap();
        for n in 0..=MAX_FILES {
            cache.store(&format!("{n:04}"), b"x").unwrap();
        }
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), MAX_FILES);
    }
}
