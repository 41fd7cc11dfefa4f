//! Components that were built against published versions of the contract load and decide for ever (`tests/golden`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use sha2::{Digest as _, Sha256};
use support::binary;

#[test]
fn components_of_version_0_1_say_what_they_said() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v0.1");
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let sums: BTreeMap<_, _> =
        sums.lines().map(|line| line.split_once("  ").unwrap()).map(|(sum, name)| (name, sum)).collect();
    let mut there: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "wasm"));
    there.sort();
    assert_eq!(there, sums.keys().copied().collect::<Vec<_>>(), "what is there is what SHA256SUMS lists");
    assert!(there.len() >= 8);
    for (name, sum) in sums {
        let wasm = fs::read(dir.join(name)).unwrap();
        let found = hex(&Sha256::digest(&wasm));
        assert_eq!(found, sum, "{name} is not what it was: a golden component is never replaced");
        let (_, kind) = name.strip_suffix(".wasm").unwrap().split_once('-').unwrap();
        let cases = dir.join(format!("{kind}.yaml"));
        let output = binary().args(["plugin", "test"]).arg(dir.join(name)).arg("--cases").arg(cases).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.matches("ok      ").count() > 3,
            "{name}:\n{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}
