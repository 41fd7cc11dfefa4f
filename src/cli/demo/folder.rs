//! The folder of the embedded configuration: fresh, the user's alone, and gone at the end.

use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Removes its file, and itself unless somebody put others into it, when it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    config: PathBuf,
}

impl Folder {
    /// Makes it, under the system's folder for temporary files.
    ///
    /// # Errors
    /// When that folder cannot be written to.
    pub(super) fn create() -> io::Result<Self> {
        let random = uuid::Uuid::new_v4().as_fields().0;
        let path = env::temp_dir().join(format!("cordboard-demo-{random:08x}"));
        // Fails where the name exists, so nobody else's folder is taken.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { config: path.join("demo.yaml"), path })
    }

    /// The configuration file.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// Writes the configuration file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        fs::write(&self.config, text)
    }
}

/// Replaces a file in one step: whoever reads it finds all of the old text or all of the new one.
///
/// # Errors
/// When it cannot be written; the old text stands then.
pub(super) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let beside = beside(file);
    let replaced = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
    if replaced.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    replaced
}

/// Where a text is written before it takes the place of a file.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("yaml.new")
}

impl Drop for Folder {
    fn drop(&mut self) {
        // There only if the end came between two steps of `replace`.
        let _ = fs::remove_file(beside(&self.config));
        let removed = fs::remove_file(&self.config).and_then(|()| fs::remove_dir(&self.path));
        if let Err(error) = removed {
            eprintln!("cordboard: {} stays: {error}", self.path.display());
        }
    }
}
