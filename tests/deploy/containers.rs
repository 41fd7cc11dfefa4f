//! The image and the manifests. Neither docker nor a cluster is needed: what they start, is started here.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use super::{file, runs, seconds};
use crate::support::{
    CHAT, Proxy, Setup, binary,
    dial::{converse, dial},
};

/// A policy that is there.
const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rendezvous.wasm"));

fn manifests() -> Vec<Value> {
    let text = file("deploy/kubernetes.yaml");
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn manifest(kind: &str) -> Value {
    manifests().into_iter().find(|manifest| manifest["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn container() -> Value {
    manifest("Deployment")["spec"]["template"]["spec"]["containers"][0].clone()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The configuration of the `ConfigMap`, with free ports; `policies` is where the other one is mounted.
fn configuration(policies: &str) -> String {
    let map = manifest("ConfigMap");
    let text = map["data"]["cordboard.yaml"].as_str().unwrap();
    let here = text
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9901", "127.0.0.1:0")
        .replace("/etc/cordboard-policy/", policies);
    assert_eq!(here.matches("127.0.0.1:0").count(), 2, "{text}");
    here
}

#[test]
fn the_configuration_in_the_manifest_passes_check() {
    let setup = Setup::new("");
    setup.put("policy.wasm", COMPONENT);
    setup.put("cordboard.yaml", configuration("").as_bytes());
    let output = binary().arg("check").arg(setup.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_the_manifest_mounts_is_what_is_read_and_its_times_fit_the_drain() {
    let spec = &manifest("Deployment")["spec"]["template"]["spec"];
    let container = container();
    let mounts: Vec<_> = container["volumeMounts"].as_array().unwrap().iter().collect();
    for path in ["/etc/cordboard", "/etc/cordboard-policy", "/var/cache/cordboard"] {
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path).unwrap_or_else(|| panic!("no {path}"));
        assert!(mount.get("subPath").is_none(), "what is mounted with subPath is never renewed");
        assert!(spec["volumes"].as_array().unwrap().iter().any(|volume| volume["name"] == mount["name"]));
    }
    let text = manifest("ConfigMap")["data"]["cordboard.yaml"].as_str().unwrap().to_owned();
    let key = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        seconds(line.trim_start_matches(": ").split(' ').next().unwrap())
    };
    let patience = spec["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(patience > key("delay") + key("grace"), "{patience}");
    // Readiness is lost, and every node has taken it out, before nothing is accepted any more.
    let probe = &container["readinessProbe"];
    let noticed = (probe["periodSeconds"].as_u64().unwrap() + probe["timeoutSeconds"].as_u64().unwrap())
        * probe["failureThreshold"].as_u64().unwrap();
    assert!(key("delay") > noticed, "{noticed}");

    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    let labels = &manifest("Deployment")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&manifest("Service")["spec"]["selector"], labels);
    assert_eq!(manifest("Service")["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
}

#[test]
fn the_image_and_the_manifest_start_what_there_is_and_ask_it_how_it_is() {
    let dockerfile = file("deploy/Dockerfile");
    let after = |key: &str| dockerfile.lines().rev().find_map(|line| Some(line.split_once(key)?.1)).unwrap();
    let json = |text: &str| words(&serde_json::from_str(text).unwrap());
    assert_eq!(after("USER "), "nonroot");
    assert_eq!(json(after("ENTRYPOINT ")), ["/usr/local/bin/cordboard"]);
    let command = json(dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap());
    assert_eq!(command, words(&container()["args"]));
    let proxy = runs(Setup::new(CHAT), &command);

    let container = container();
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    let probes = probes.iter().map(|probe| words(&container[probe]["exec"]["command"]));
    let health = json(dockerfile.lines().find_map(|line| Some(line.split_once(" CMD ")?.1)).unwrap());
    for probe in probes.chain([health]) {
        assert_eq!(probe[0], "/usr/local/bin/cordboard");
        // The default is where the configurations have it; here it is elsewhere.
        let admin = proxy.admin.to_string();
        let status = binary().args(&probe[1..]).args(["--admin", &admin]).output().unwrap().status;
        assert!(status.success(), "{probe:?}");
    }
    let ignored = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".dockerignore");
    assert!(fs::read_to_string(ignored).unwrap().lines().any(|line| line == "/target/"));
}

#[tokio::test]
async fn a_policy_and_a_configuration_in_config_maps_are_swapped_under_a_conversation() {
    // As the kubelet mounts them: each file is a link through `..data`, which is a link that is renamed over.
    let dir = tempfile::tempdir().unwrap();
    let (etc, policies) = (dir.path().join("etc"), dir.path().join("policies"));
    let renew = |folder: &std::path::Path, version: &str, name: &str, content: &[u8]| {
        fs::create_dir_all(folder.join(version)).unwrap();
        fs::write(folder.join(version).join(name), content).unwrap();
        symlink(version, folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
        // At the first time only.
        let _ = symlink(format!("..data/{name}"), folder.join(name));
    };
    let yaml = configuration(&format!("{}/", policies.display()));
    renew(&policies, "..v1", "policy.wasm", COMPONENT);
    renew(&etc, "..v1", "cordboard.yaml", yaml.as_bytes());
    let mut command = binary();
    command.args(["run", "--config"]).arg(etc.join("cordboard.yaml"));
    let proxy = Proxy::spawn(Setup::new(""), command);
    let mut client = dial(&proxy, "/chat?channelId=1").await;
    let mut backend = dial(&proxy, "/chat/connect?channelId=1").await;
    converse(&mut client, &mut backend, "before").await;

    // Another one by its name: a custom section more is the same code.
    renew(&policies, "..v2", "policy.wasm", &[COMPONENT, b"\0\x02\x01x"].concat());
    let generation = proxy.reloaded(1);
    renew(&etc, "..v2", "cordboard.yaml", format!("{yaml}workers: 0\n").as_bytes());
    proxy.reloaded(generation);
    converse(&mut client, &mut backend, "after both").await;
}
