//! `cordboard plugin watch`: each save is built and tested, and what passes serves at once; what fails changes nothing.

use std::{
    fs,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
};

use super::{
    Project, builtin,
    support::{Proxy, Setup, binary, dial::dial, eventually, lines},
};

/// The channel is named by the query, or else by a header that only some builds know.
const CASES: &str =
    "cases: [ { name: a client, request: '/chat?channelId=1', expect: { role: client, channel: '1' } } ]\n";

/// A command that is ended with the test.
struct Watching {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Watching {
    fn begin(project: &Project, admin: &str) -> Self {
        let mut command = binary();
        command.args(["plugin", "watch", "--admin", admin]).current_dir(project.dir());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { lines: lines(out), errors: lines(err), child }
    }

    /// Waits for the next line that begins so.
    fn says(&self, words: &str) -> String {
        eventually(words, || {
            let mut lines = self.lines.lock().unwrap();
            let at = lines.iter().position(|line| line.starts_with(words))?;
            Some(lines.drain(..=at).next_back().unwrap())
        })
    }

    fn warned(&self, words: &str) {
        eventually(words, || self.errors.lock().unwrap().iter().any(|line| line.contains(words)).then_some(()));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_save_serves_once_it_is_built_and_tested_and_not_before() {
    let project = Project::built(builtin("rendezvous"), "sources: [code.wasm]\n", CASES);
    let component = project.file("build/tried.wasm");
    let setup = Setup::new(&format!(
        "plugins: {{ tried: {{ component: {} }} }}\nroutes: [ {{ name: chat, match: {{ path: /chat }}, mode: rendezvous, plugins: [tried] }} ]\n",
        component.display()
    ));
    let proxy = setup.start();
    let _waiting = dial(&proxy, "/chat?channelId=1").await;
    let version = |proxy: &Proxy| proxy.get("/generation");
    let before = version(&proxy);
    let watching = Watching::begin(&project, &proxy.admin.to_string());
    watching.says("1 passed");
    // It is the component that serves already, so the proxy has nothing to take up.

    // A plugin that says something else fails its cases, and is not put there.
    project.put("code.wasm", builtin("newest-wins"));
    watching.says("FAILED  a client");
    watching.says("not swapped: what served before serves on");
    watching.warned("not all cases passed");
    assert_eq!(fs::read(&component).unwrap(), builtin("rendezvous"));
    // One that is none is not even tested.
    project.put("code.wasm", b"none");
    watching.says("not swapped: what served before serves on");
    watching.warned("this is not a WebAssembly component");
    assert_eq!(version(&proxy), before);

    // Another build that passes: a custom section more makes it another one.
    let other = [builtin("rendezvous"), &[0, 2, 1, b'x'][..]].concat();
    project.put("code.wasm", &other);
    watching.says("1 passed");
    watching.says("live after ");
    assert_eq!(fs::read(&component).unwrap(), other);
    assert_ne!(version(&proxy), before);
    drop(watching);
}

#[tokio::test]
async fn what_the_proxy_refuses_is_told_with_its_reason() {
    let project = Project::built(builtin("rendezvous"), "sources: [code.wasm]\n", CASES);
    let component = project.file("build/tried.wasm");
    // The proxy configures it as the cases do not.
    let setup = Setup::new(&format!(
        "plugins: {{ tried: {{ component: {}, config: {{ enabled: true }} }} }}\nroutes: [ {{ name: chat, match: {{ path: /chat }}, mode: rendezvous, plugins: [tried] }} ]\n",
        component.display()
    ));
    let proxy = setup.start();
    let watching = Watching::begin(&project, &proxy.admin.to_string());
    watching.says("ready; nothing in it has changed");
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v0.1/c-rendezvous.wasm");
    project.put("code.wasm", &fs::read(other).unwrap());
    let refused = watching.says("the proxy refused it, and what served before serves on: ");
    assert!(refused.contains("enabled"), "{refused}");
}

#[test]
fn files_that_the_build_writes_are_no_reason_to_build_again() {
    let build = "component: made/tried.wasm\nbuild: ['cp code.wasm \"$OUT\"', 'echo made >generated.txt', 'echo x >>builds']\nsources: []\n";
    let project = Project::new(builtin("rendezvous"), "", CASES);
    project.put(
        "plugin.yaml",
        format!("name: tried\n{build}").replace("'echo x >>builds'", "'echo x >>build/builds'").as_bytes(),
    );
    fs::create_dir(project.file("build")).unwrap();
    let watching = Watching::begin(&project, "127.0.0.1:9");
    watching.says("ready");
    // The file that was not there before is one more thing to look at; after that nothing changes.
    watching.says("ready");
    project.put("code.wasm", &[builtin("rendezvous"), &[0, 2, 1, b'x'][..]].concat());
    watching.says("ready; no proxy");
    let builds = fs::read_to_string(project.file("build/builds")).unwrap().lines().count();
    assert_eq!(builds, 3);
}

#[test]
fn without_a_proxy_it_builds_and_tests_all_the_same() {
    let project = Project::new(builtin("rendezvous"), "", CASES);
    let watching = Watching::begin(&project, "127.0.0.1:9");
    watching.says("ready; no proxy answers at 127.0.0.1:9");
    assert!(project.file("build/tried.wasm").is_file());
    // What is wrong with the manifest is told, and mending it is noticed.
    project.manifest("build: 7\n");
    watching.says("not swapped");
    watching.warned("plugin.yaml:3:8: build: a list belongs here");
    project.manifest("");
    watching.says("ready");
}
