//! Fetched components on disk: by what they hash to, with a note of which reference stood for which hash when.
//!
//! What is read is hashed again each time, so a damaged or exchanged file is none, and is fetched anew. The directory
//! belongs to us and to nobody else, because the notes are believed: they say which of several good components a name
//! stands for while nobody can be asked. Files are written under a temporary name and renamed. Of what no configuration
//! uses, the [`MOST_FILES`] newest are kept, and no more than [`MOST_BYTES`].

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{MAX_COMPONENT, sha256};
use crate::{
    files::bounded,
    signature::{MAX_FILE, hex, unhex},
};

/// Most components that are kept beside those in use.
const MOST_FILES: usize = 64;
/// Most bytes of them.
const MOST_BYTES: u64 = 1 << 30;
/// Age from which on nobody writes a temporary file any more.
const ABANDONED: Duration = Duration::from_hours(1);
/// Largest note, in bytes.
const MAX_NOTE: usize = 64 << 10;

/// A directory of components.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
}

/// What a reference stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The component.
    pub(super) sha256: [u8; 32],
    /// When that was looked at last.
    pub(super) looked: SystemTime,
    /// What the server called this version of the file, for the next look.
    pub(super) etag: Option<String>,
}

impl Cache {
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

    /// The component that hashes to this, if it is here and unharmed.
    pub(super) fn component(&self, hash: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(&hex(hash), "wasm");
        let bytes = bounded(&path, MAX_COMPONENT).ok()?;
        if sha256(&bytes) != *hash {
            tracing::warn!(file = %path.display(), "a cached component is damaged; it is fetched anew");
            let _ = fs::remove_file(&path);
            return None;
        }
        // So that it is known which ones are in use.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// The signature that was fetched for a component; it is for the caller to verify.
    pub(super) fn signature(&self, hash: &[u8; 32]) -> Option<String> {
        let bytes = bounded(&self.path(&hex(hash), "sig"), MAX_FILE as u64).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// What a reference stood for when it was looked at last.
    pub(super) fn note(&self, reference: &str) -> Option<Note> {
        let bytes = bounded(&self.path(&name(reference), "json"), MAX_NOTE as u64).ok()?;
        let note: Value = serde_json::from_slice(&bytes).ok()?;
        Some(Note {
            sha256: note["sha256"].as_str().and_then(unhex)?,
            looked: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(note["looked"].as_u64()?))?,
            etag: note["etag"].as_str().map(ToOwned::to_owned),
        })
    }

    /// Keeps a component, what was said of it, and what stood for it.
    pub(super) fn keep(&self, shown: &str, reference: &str, bytes: &[u8], signature: Option<&str>, note: &Note) {
        let hash = hex(&note.sha256);
        let kept = (|| {
            let path = self.path(&hash, "wasm");
            if !path.exists() {
                self.write(&path, bytes)?;
            }
            if let Some(signature) = signature {
                self.write(&self.path(&hash, "sig"), signature.as_bytes())?;
            }
            let looked = note.looked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let text = json!({ "reference": shown, "sha256": hash, "looked": looked, "etag": note.etag });
            self.write(&self.path(&name(reference), "json"), format!("{text:#}\n").as_bytes())
        })();
        self.warn(kept);
    }

    /// Keeps a signature of a component that is here.
    pub(super) fn keep_signature(&self, hash: &[u8; 32], signature: &str) {
        self.warn(self.write(&self.path(&hex(hash), "sig"), signature.as_bytes()));
    }

    fn warn(&self, kept: io::Result<()>) {
        if let Err(error) = kept {
            tracing::warn!(dir = %self.dir.display(), %error, "a fetched component could not be cached");
        }
    }

    /// Lets go of the oldest of those that are not in use, and of what belongs to nothing.
    pub(super) fn prune(&self, used: &BTreeSet<[u8; 32]>) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let mut components = Vec::new();
        let mut notes = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            let (Some(stem), Some(kind)) = (path.file_stem().and_then(|s| s.to_str()), path.extension()) else {
                continue;
            };
            let time = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            // Whoever wrote it came to an end before it was whole.
            if kind == "tmp" && time.elapsed().is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(&path);
            }
            let Some(hash) = unhex(stem) else { continue };
            if kind == "wasm" && !used.contains(&hash) {
                components.push((time, about.len(), path));
            } else if kind == "json" {
                notes.push((time, path));
            } else if kind == "sig" && !path.with_extension("wasm").exists() {
                let _ = fs::remove_file(path);
            }
        }
        components.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (index, (_, size, path)) in components.into_iter().enumerate() {
            bytes += size;
            if index >= MOST_FILES || bytes > MOST_BYTES {
                let _ = fs::remove_file(path.with_extension("sig"));
                let _ = fs::remove_file(path);
            }
        }
        notes.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in notes.into_iter().skip(MOST_FILES + used.len()) {
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, name: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{name}.{kind}"))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.dir.join(format!("{}.tmp", uuid::Uuid::new_v4()));
        let write = || {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            // A name that stands for nothing after a power cut would be fetched anew, if there is a network then.
            file.sync_data()?;
            fs::rename(&temporary, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}

/// A reference as a file's name; a URL may hold a secret.
fn name(reference: &str) -> String {
    hex(&sha256(reference.as_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn note(bytes: &[u8]) -> Note {
        let looked = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Note { sha256: sha256(bytes), looked, etag: Some("\"x\"".to_owned()) }
    }

    #[test]
    fn what_is_kept_is_found_by_hash_and_by_reference() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("c")).unwrap();
        let note = note(b"one");
        cache.keep("https://a/b?…", "https://a/b?secret", b"one", Some("signed"), &note);
        assert_eq!(cache.component(&note.sha256).as_deref(), Some(&b"one"[..]));
        assert_eq!(cache.signature(&note.sha256).as_deref(), Some("signed"));
        assert_eq!(cache.note("https://a/b?secret"), Some(note));
        assert_eq!(cache.note("https://a/b"), None);
        for entry in fs::read_dir(&cache.dir).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap() + &path.display().to_string();
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("c")).unwrap();
        let note = note(b"one");
        cache.keep("r", "r", b"one", None, &note);
        fs::write(cache.path(&hex(&note.sha256), "wasm"), b"two").unwrap();
        assert_eq!(cache.component(&note.sha256), None);
        cache.keep("r", "r", b"one", None, &note);
        assert!(cache.component(&note.sha256).is_some());
    }

    #[test]
    fn what_is_in_use_stays_and_of_the_rest_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("c")).unwrap();
        let mut hashes = Vec::new();
        for n in 0..MOST_FILES + 5 {
            let bytes = n.to_le_bytes();
            cache.keep("r", &format!("r{n}"), &bytes, None, &note(&bytes));
            let hash = sha256(&bytes);
            let file = File::open(cache.path(&hex(&hash), "wasm")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64)).unwrap();
            hashes.push(hash);
        }
        cache.prune(&BTreeSet::from([hashes[0]]));
        let there = |n: usize| cache.path(&hex(&hashes[n]), "wasm").exists();
        assert_eq!((there(0), there(4), there(5), there(MOST_FILES + 4)), (true, false, true, true));
    }

    #[test]
    fn what_belongs_to_nothing_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("c")).unwrap();
        let note = note(b"one");
        cache.keep("r", "r", b"one", Some("signed"), &note);
        cache.keep_signature(&[7; 32], "of nothing");
        for name in ["old.tmp", "new.tmp"] {
            fs::write(cache.dir.join(name), "half").unwrap();
        }
        let two_hours_ago = SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(cache.dir.join("old.tmp")).unwrap().set_modified(two_hours_ago).unwrap();
        cache.prune(&BTreeSet::new());
        assert_eq!(cache.signature(&note.sha256).as_deref(), Some("signed"));
        assert_eq!(cache.signature(&[7; 32]), None);
        assert_eq!(["old.tmp", "new.tmp"].map(|name| cache.dir.join(name).exists()), [false, true]);
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(dir.path()).is_err());
    }
}
