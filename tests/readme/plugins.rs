//! The page for plugin authors: its projects build, its excerpts stand in the templates, its files are taken.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{
    ROOT, block_of,
    support::{Setup, binary, eventually, http, status, upgrade},
    with_binary,
};
use crate::support::shell::{bash, output};

const PAGE: &str = include_str!("../../docs/plugins.md");

#[test]
fn five_minutes_lead_to_a_plugin_that_passes_its_cases() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("five-minutes");
    let (project, kept) = (folder.join("greeter"), folder.join("target"));
    if project.exists() {
        fs::remove_dir_all(&project).unwrap();
    }
    fs::create_dir_all(&kept).unwrap();
    let script = block_of(PAGE, "walk-through: five-minutes");
    let (begin, rest) = script.split_once("cd greeter\n").unwrap();
    let run = |script: &str, dir: &Path| {
        let mut command = with_binary(bash(script));
        command.current_dir(dir);
        output(command)
    };
    assert!(run(begin, &folder).contains("greeter: begun"));
    // What the next run finds built.
    symlink(kept, project.join("target")).unwrap();
    assert!(run(rest, &project).contains(" passed, in "));
    // It is what the proxy of the next lines would run.
    assert_eq!(block_of(PAGE, "walk-through: watch"), "cordboard run --config proxy.yaml\n");
    assert_eq!(block_of(PAGE, "walk-through: watching"), "cordboard plugin watch\n");
    assert!(run("cordboard check proxy.yaml", &project).contains("proxy.yaml: ok"));
}

#[test]
fn its_excerpts_stand_in_the_templates() {
    let named = PAGE.lines().filter_map(|line| line.strip_prefix("<!-- from: ")?.strip_suffix(" -->"));
    let mut languages = 0;
    for path in named {
        let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
        let excerpt = block_of(PAGE, &format!("from: {path}"));
        assert!(text.contains(&excerpt), "{path} does not hold:\n{excerpt}");
        languages += 1;
    }
    assert_eq!(languages, 6);
}

#[test]
fn its_manifest_and_its_cases_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(ROOT).join("tests/golden/v0.1/rust-rendezvous.wasm");
    fs::create_dir(dir.path().join("build")).unwrap();
    fs::copy(golden, dir.path().join("build/greeter.wasm")).unwrap();
    for file in ["plugin.yaml", "cases.yaml"] {
        fs::write(dir.path().join(file), block_of(PAGE, &format!("file: {file}"))).unwrap();
    }
    let tried = binary().args(["plugin", "test"]).arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&tried.stdout);
    assert!(tried.status.success() && said.contains("3 passed"), "{said}{}", String::from_utf8_lossy(&tried.stderr));
}

#[test]
fn what_a_plugin_failed_at_is_run_again_as_it_says() {
    let routes = "routes: [ { name: ws, match: { path: / }, mode: router, plugins: [greeter] } ]\n";
    let setup = Setup::new(&(block_of(PAGE, "file: dump.yaml") + routes));
    fs::create_dir(setup.file("build")).unwrap();
    let golden = |name: &str| fs::read(Path::new(ROOT).join("tests/golden/v0.1").join(name)).unwrap();
    fs::write(setup.file("build/greeter.wasm"), golden("rust-rendezvous.wasm")).unwrap();
    setup.put("plugin.yaml", block_of(PAGE, "file: plugin.yaml").as_bytes());
    let proxy = setup.start();
    // It says who is client and who backend, and on this route there are none.
    assert_eq!(status(&http(proxy.address, &upgrade("/chat", "")).0), 503);
    let failed = proxy.setup.file("failed");
    let written = |file: &fs::DirEntry| file.path().extension().is_some_and(|extension| extension == "yaml");
    eventually("a file", || failed.read_dir().ok()?.filter_map(Result::ok).find(written));
    let run = || {
        let mut command = with_binary(bash(&block_of(PAGE, "walk-through: run-again")));
        let ran = command.current_dir(proxy.setup.dir.path()).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (code, said) = run();
    assert!(code == Some(1) && said.contains("gave role `client` on a router route"), "{said}");
    fs::write(proxy.setup.file("build/greeter.wasm"), golden("c-router.wasm")).unwrap();
    let (code, said) = run();
    assert!(code == Some(0) && said.contains("1 passed"), "{said}");
}

#[test]
fn it_compares_all_languages() {
    let (_, table) = PAGE.split_once("<!-- languages -->\n").unwrap();
    let rows = table.split("<!-- /languages -->").next().unwrap().lines().count();
    assert_eq!(rows, 2 + 7, "a head, and a line for each language and engine");
}

#[test]
fn its_headings_and_links_are_there() {
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    };
    let headings: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    for link in PAGE.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(headings.iter().any(|heading| heading == anchor), "no heading for #{anchor}"),
            None if link.starts_with("https://") => {}
            None => assert!(Path::new(ROOT).join("docs").join(link).exists(), "{link} does not exist"),
        }
    }
}
