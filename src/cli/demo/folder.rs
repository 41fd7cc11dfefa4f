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

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = fs::remove_file(&self.config).and_then(|()| fs::remove_dir(&self.path));
        if let Err(error) = removed {
            eprintln!("cordboard: {} stays: {error}", self.path.display());
        }
    }
}
