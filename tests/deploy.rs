//! What `docs/deploy` and `docs/operations.md` say fits the binary: options, configurations, names of metrics, lines of
//! the log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "deploy/containers.rs"]
mod containers;
#[path = "deploy/operations.rs"]
mod operations;
#[path = "deploy/units.rs"]
mod units;

use std::{fs, path::Path};

use support::{Proxy, Setup, binary};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// Seconds of a duration as our configuration and systemd write them.
fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap_or(text).parse().unwrap_or_else(|_| panic!("{text} is not in seconds"))
}

/// Starts the binary with arguments of a deployment; their files are those of `setup`.
fn runs(setup: Setup, arguments: &[String]) -> Proxy {
    let cache = setup.file("cache");
    let mut command = binary();
    for argument in arguments {
        match argument.as_str() {
            "/etc/cordboard/cordboard.yaml" => command.arg(setup.path()),
            "/var/cache/cordboard" => command.arg(&cache),
            path if path.starts_with('/') => panic!("{path} is a file of nobody"),
            option => command.arg(option),
        };
    }
    let proxy = Proxy::spawn(setup, command);
    assert_eq!(proxy.get("/readyz"), "ready\n");
    assert!(fs::read_dir(&cache).unwrap().next().is_some(), "the code cache is used");
    proxy
}
