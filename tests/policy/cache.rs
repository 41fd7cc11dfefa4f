//! Compiled code is kept between starts, and a cache that cannot be used costs time only.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use super::{guests::puppet, is_well, setup, support::Proxy};

/// The cached files of compiled code and what tells a file from a later one of the same name.
fn cached(home: &tempfile::TempDir) -> Vec<(PathBuf, u64)> {
    let files = fs::read_dir(home.path().join("cordboard")).unwrap().map(|entry| entry.unwrap());
    // Beside them lies the folder of components that came over the network.
    let files = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "cwasm"));
    let mut files: Vec<_> = files.map(|file| (file.path(), file.metadata().unwrap().ino())).collect();
    files.sort();
    files
}

fn start(home: &str) -> Proxy {
    Proxy::start(setup(puppet(), "", ""), &[("XDG_CACHE_HOME", home)])
}

#[test]
fn a_second_start_takes_the_code_of_the_first_and_replaces_what_is_damaged() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap();
    drop(start(path));
    let first = cached(&home);
    assert_eq!(first.len(), 2, "{first:?}");
    let proxy = start(path);
    assert_eq!(cached(&home), first, "it was compiled anew");
    is_well(&proxy);
    drop(proxy);
    let damaged = &first[0].0;
    let mut code = fs::read(damaged).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(damaged, code).unwrap();
    let proxy = start(path);
    proxy.logged(&["WARN", "cached code is damaged; compiling anew"]);
    is_well(&proxy);
    let after = cached(&home);
    assert_eq!((after.len(), after[1].1), (2, first[1].1));
    assert_ne!(after[0].1, first[0].1);
}

#[test]
fn without_a_usable_folder_it_warns_and_works() {
    let proxy = start("/dev/null");
    proxy.logged(&["WARN", "compiled code is not cached", "dir=/dev/null/cordboard"]);
    is_well(&proxy);
}
