//! Reading files that somebody names: regular ones, of bounded size, and nothing that could keep us waiting.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

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
    use std::fs;

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
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(bounded(dir.path(), 10).unwrap_err().to_string(), "this is a directory, not a file");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(bounded(&pipe, 10).unwrap_err().to_string(), "this is a pipe or a device, not a file");
        assert!(bounded(Path::new("/dev/zero"), 10).is_err());
    }
}
