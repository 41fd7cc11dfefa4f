//! `cordboard plugin build`: lines in their order, what is missing, and a component that is replaced whole or not at all.

use std::{fs, path::Path};

use super::{Project, builtin};

/// A case for projects that are not tested.
const NONE: &str = "";

#[test]
fn the_lines_are_run_in_order_with_the_place_to_write_to() {
    let lines =
        "build:\n  - echo $NAME >order\n  - test -x \"$CORDBOARD\" && echo two >>order\n  - cp code.wasm \"$OUT\"\n";
    let project = Project::new(builtin("redact"), lines, NONE);
    project.plugin(&["build"]).ends(0).says("build/tried.wasm: ").says(", sha256 ");
    assert_eq!(fs::read_to_string(project.file("order")).unwrap(), "tried\ntwo\n");
    assert_eq!(fs::read(project.file("build/tried.wasm")).unwrap(), builtin("redact"));
    assert_eq!(fs::read_dir(project.file("build")).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn a_build_that_fails_leaves_the_component_as_it_was() {
    let project = Project::built(builtin("redact"), "", NONE);
    let kept = |project: &Project| fs::read(project.file("build/tried.wasm")).unwrap() == builtin("redact");
    project.manifest("build: ['echo half >\"$OUT\"', 'exit 7', 'cp code.wasm \"$OUT\"']\n");
    project.plugin(&["build"]).ends(1).warns("this line ended with exit code 7: exit 7");
    assert!(kept(&project));
    project.manifest("build: ['true']\n");
    project.plugin(&["build"]).ends(1).warns("none wrote the component to \"$OUT\"");
    assert!(kept(&project));
    project.manifest("build: ['echo half >\"$OUT\"']\n");
    project.plugin(&["build"]).ends(1).warns("what was built: this is not a WebAssembly component");
    assert!(kept(&project));
    assert_eq!(fs::read_dir(project.file("build")).unwrap().count(), 1, "nothing half built is left there");
    let module = wat::parse_str("(module)").unwrap();
    project.put("module.wasm", &module);
    project.manifest("build: ['cp module.wasm \"$OUT\"']\n");
    project.plugin(&["build"]).ends(1).warns("this is a core WebAssembly module");
    assert!(kept(&project));
}

#[test]
fn a_signature_that_a_line_makes_goes_along() {
    let lines = "build: ['cp code.wasm \"$OUT\"', 'echo one >\"$OUT.sig\"']\n";
    let project = Project::built(builtin("redact"), lines, NONE);
    assert_eq!(fs::read_to_string(project.file("build/tried.wasm.sig")).unwrap(), "one\n");
    project.manifest("build: ['cp code.wasm \"$OUT\"', 'echo two >\"$OUT.sig\"', 'exit 1']\n");
    project.plugin(&["build"]).ends(1);
    assert_eq!(fs::read_to_string(project.file("build/tried.wasm.sig")).unwrap(), "one\n");
    assert_eq!(fs::read_dir(project.file("build")).unwrap().count(), 2, "nothing else is left there");
}

#[test]
fn what_is_missing_is_told_with_the_line_that_installs_it_and_installed_on_request() {
    let needs =
        "needs:\n  - {name: a marvel, check: test -f marvel, install: touch marvel}\n  - {name: sh, check: 'true'}\n";
    let project = Project::new(builtin("redact"), needs, NONE);
    let told = project.plugin(&["build"]).ends(1).warns("a marvel is missing; install it: touch marvel");
    assert!(told.err.contains("`cordboard plugin build --install`") && !told.err.contains("sh is"), "{}", told.err);
    assert!(!project.file("build/tried.wasm").exists());
    project.plugin(&["build", "--install"]).ends(0).warns("installing a marvel: touch marvel");
    project.plugin(&["build"]).ends(0);

    project
        .manifest("needs: [{name: a wonder, check: test -f wonder, install: 'true'}, {name: luck, check: 'false'}]\n");
    let told = project.plugin(&["build", "--install"]).ends(1).warns("a wonder is missing; install it: true");
    assert!(
        told.err.contains("cordboard: luck is missing\n") || told.err.ends_with("luck is missing\n"),
        "{}",
        told.err
    );
    project.manifest("needs: [{name: a wonder, check: test -f wonder, install: 'exit 3'}]\n");
    project.plugin(&["build", "--install"]).ends(1).warns("this line ended with exit code 3: exit 3");
}

#[test]
fn tools_of_the_project_go_before_those_of_the_system() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new(builtin("redact"), "build: ['fetch-code \"$OUT\"']\n", NONE);
    project.plugin(&["build"]).ends(1).warns("exit code 127");
    for folder in [".venv/bin", "node_modules/.bin"] {
        fs::create_dir_all(project.file(folder)).unwrap();
        let tool = project.file(folder).join("fetch-code");
        fs::write(&tool, "#!/bin/sh\ncp code.wasm \"$1\"\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        project.plugin(&["build"]).ends(0);
        fs::remove_file(tool).unwrap();
    }
}

#[test]
fn a_manifest_that_is_wrong_is_told_with_its_places() {
    let project = Project::new(builtin("redact"), "", NONE);
    project.put("plugin.yaml", b"name: tried\ncomponents: build/x.wasm\nlimits: {memory: 1KiB}\ncases: ../x\n");
    let told = project.plugin(&["build"]).ends(78).err;
    assert!(
        told.contains("plugin.yaml:2:1: unknown key `components`") && told.contains("did you mean `component`?"),
        "{told}"
    );
    assert!(told.contains("plugin.yaml:3:18: limits.memory"), "{told}");
    assert!(told.contains("plugin.yaml:4:8: cases: `../x` is not a path in the project"), "{told}");
    fs::remove_file(project.file("plugin.yaml")).unwrap();
    project
        .plugin(&["build"])
        .ends(2)
        .warns("`cordboard plugin new NAME --lang LANGUAGE --kind KIND` begins a project");
    super::plugin(Path::new("/"), &["test", "/nowhere"]).ends(1).warns("/nowhere");
}
