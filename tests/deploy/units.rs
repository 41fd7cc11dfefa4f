//! The units for systemd.

use std::{collections::BTreeMap, process::Command};

use cordboard::cli::exit;

use super::{file, runs, seconds};
use crate::support::{CHAT, Setup};

/// Keys of a section, each with all its values.
fn section(unit: &str, name: &str) -> BTreeMap<String, Vec<String>> {
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    let mut within = "";
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[') {
            within = section.strip_suffix(']').unwrap();
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line} is no assignment"));
            if within == name {
                keys.entry(key.to_owned()).or_default().push(value.to_owned());
            }
        }
    }
    keys
}

#[test]
fn the_service_starts_what_there_is_and_waits_for_as_long_as_stopping_takes() {
    let unit = section(&file("deploy/cordboard.service"), "Service");
    let one = |key: &str| unit.get(key).map_or_else(|| panic!("no {key}"), |values| values[0].clone());
    let command = one("ExecStart");
    let words: Vec<_> = command.split(' ').skip(1).map(ToOwned::to_owned).collect();
    runs(Setup::new(CHAT), &words);

    let reference = include_str!("../../config/reference.yaml");
    let grace = reference.lines().find_map(|line| line.strip_prefix("  grace: ")).unwrap();
    let grace = seconds(grace.split(' ').next().unwrap());
    assert!(seconds(&one("TimeoutStopSec")) > grace, "the default of drain.grace is {grace} seconds");
    assert_eq!(one("RestartPreventExitStatus"), format!("{} {}", exit::USAGE, exit::CONFIG));
    assert_eq!((one("Type").as_str(), one("ExecReload").as_str()), ("notify", "/bin/kill -HUP $MAINPID"));
    // What would forbid the code of policies.
    assert!(!unit.contains_key("MemoryDenyWriteExecute"));
}

#[test]
fn the_socket_is_that_of_the_listener_in_the_examples() {
    let unit = section(&file("deploy/cordboard.socket"), "Socket");
    assert_eq!(unit["FileDescriptorName"], ["main"]);
    assert_eq!(unit["Service"], ["cordboard.service"]);
    assert_eq!(unit["ListenStream"].len(), 1, "two sockets of one unit have one name");
    for example in ["minimal.yaml", "demo.yaml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(example);
        assert!(std::fs::read_to_string(path).unwrap().contains("name: main"), "{example}");
    }
}

#[test]
fn systemd_takes_the_units_where_there_is_one() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("no systemd-analyze: not tried");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]);
    for name in ["cordboard.service", "cordboard.socket"] {
        let text = file(&format!("deploy/{name}")).replace("/usr/local/bin/cordboard", env!("CARGO_BIN_EXE_cordboard"));
        std::fs::write(dir.path().join(name), text).unwrap();
        command.arg(dir.path().join(name));
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    // It also speaks of other units of the machine.
    let ours: Vec<_> = error.lines().filter(|line| line.contains("cordboard.")).collect();
    assert!(output.status.success() && ours.is_empty(), "{error}");
}
