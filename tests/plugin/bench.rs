//! `cordboard plugin bench`: what calls cost, and how that compares with the build before.

use serde_json::Value;

use super::{Project, builtin};

const CASES: &str = "cases:\n  - { name: a, request: '/?channelId=1', expect: { role: client } }\n  - { name: b, config: { x: 1 }, expect: { refused: x } }\n";

#[test]
fn calls_are_measured_and_compared_with_the_build_before() {
    let project = Project::built(builtin("rendezvous"), "", CASES);
    let run = || {
        let said = project.plugin(&["bench", "--rounds", "20", "--json"]).ends(0);
        serde_json::from_str::<Value>(&said.out).unwrap()
    };
    let first = run();
    assert!(first["before"].is_null());
    for call in ["role", "channel", "init"] {
        let call = &first["now"]["calls"][call];
        assert!(call["median_us"].as_f64().unwrap() > 0.0 && call["instructions"].as_u64().unwrap() > 10, "{first:#}");
    }
    assert_eq!(first["now"]["calls"]["role"]["calls"], 20);
    // The same build once more is no other build, and executes as many instructions.
    let again = run();
    assert!(again["before"].is_null());
    let instructions = |result: &Value| result["calls"]["role"]["instructions"].clone();
    assert_eq!(instructions(&again["now"]), instructions(&first["now"]));

    project.put("code.wasm", builtin("router"));
    project.put(
        "cases.yaml",
        b"config: { pathPrefixService: { /a: b } }\ncases: [ { name: a, request: /a, expect: { service: b } } ]\n",
    );
    project.plugin(&["build"]).ends(0);
    let other = run();
    assert_eq!(other["before"]["sha256"], first["now"]["sha256"]);
    assert!(other["now"]["calls"]["service"].is_object());
    project
        .plugin(&["bench", "--rounds", "20"])
        .ends(0)
        .says("instructions, ")
        .says(" time\n")
        .says("compared with ")
        .says("service ");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let project =
        Project::built(builtin("rendezvous"), "", "cases: [ { name: b, config: { x: 1 }, expect: { refused: x } } ]\n");
    project.plugin(&["bench"]).ends(1).warns("there is no case whose calls could be measured");
    project.plugin(&["bench", "--rounds", "0"]).ends(2);
    project.put("cases.yaml", CASES.as_bytes());
    project.plugin(&["bench", "--against", "gone.json"]).ends(78).warns("gone.json");
}
