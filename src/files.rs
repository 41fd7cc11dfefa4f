//! Reading files that somebody names: regular ones, of bounded size, and nothing that could keep us waiting. And writing
//! files that are there whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::Access;

/// The whole of a regular file of at most so many bytes. A directory, a pipe or a device is refused before it is opened,
/// for the wait for a pipe's writer would never end.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let kind = path.metadata()?;
    if !kind.is_file() {
        let what = if kind.is_dir() { "a directory" } else { "a pipe or a device" };
        return Err(io::Error::other(format!("this is {what}, not a file")));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("the file is larger than {}", size(most))));
    }
    Ok(bytes)
}

/// Writes a file that is there whole, as it is to be after a power cut, or as it was before. A new one has this mode, less
/// what the process takes from every file (umask), another keeps its own. A symbolic link stays one, if what it leads to is
/// there; a pipe or a device is written to.
///
/// # Errors
/// When it cannot be written; nothing is left of it then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        return fs::write(path, bytes);
    }
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let kept = path.metadata().ok().map(|about| about.permissions());
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        kept.map_or(Ok(()), |kept| file.set_permissions(kept))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Whether files can be made in a folder that is there, or that is made when the first one is written. Nothing is made.
///
/// # Errors
/// Why not.
pub fn can_be_made_in(dir: &Path) -> io::Result<()> {
    let there = dir.ancestors().map(|dir| if dir == Path::new("") { Path::new(".") } else { dir });
    for dir in there {
        match dir.metadata() {
            Ok(about) if about.is_dir() => {
                return rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
                    io::Error::new(io::Error::from(error).kind(), format!("{} may not be written to", dir.display()))
                });
            }
            Ok(_) => return Err(io::Error::other(format!("{} is not a directory", dir.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// A bound as people would write it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, [7; 1024]).unwrap();
        assert_eq!(bounded(&path, 1024).unwrap().len(), 1024);
        assert_eq!(bounded(&path, 1023).unwrap_err().to_string(), "the file is larger than 1023 bytes");
        assert_eq!([16 << 10, 2 << 20].map(size), ["16 KiB", "2 MiB"]);
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for text in ["long before", "new"] {
            replace(&path, text.as_bytes(), 0o600).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640, "another's mode stays");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, b"through it", 0o600).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "through it");
        replace(Path::new("/dev/null"), b"nothing", 0o600).unwrap();
        assert!(!Path::new("/dev/null").is_file());
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(replace(&folder, b"no file", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_folder_is_there_or_can_be_made_or_stands_behind_a_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for fine in ["", "new", "new/below"] {
            can_be_made_in(&dir.path().join(fine)).unwrap();
        }
        for behind in ["file", "file/below", "file/below/that"] {
            let why = can_be_made_in(&dir.path().join(behind)).unwrap_err().to_string();
            assert!(why.ends_with("/file is not a directory"), "{why}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(bounded(dir.path(), 10).unwrap_err().to_string(), "this is a directory, not a file");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(bounded(&pipe, 10).unwrap_err().to_string(), "this is a pipe or a device, not a file");
        assert!(bounded(Path::new("/dev/zero"), 10).is_err());
    }
}
