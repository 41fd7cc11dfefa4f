//! `cordboard plugin test`: what can be expected of a plugin, what is said where it is not so, and what machines read.

use std::{fs, process::Command};

use super::{
    Project, builtin,
    guests::{Guest, ROLES, SILENT, detect_role},
};

/// Runs one case, given as YAML, of a built-in plugin with this configuration.
fn case(plugin: &str, config: &str, case: &str) -> super::Said {
    let cases = format!("config: {config}\ncases:\n  - {{ name: it, {case} }}\n");
    Project::built(builtin(plugin), "", &cases).plugin(&["test"])
}

/// A case that passes, and the same one with another expectation, which fails with these words.
#[track_caller]
fn holds(plugin: &str, config: &str, given: &str, right: &str, wrong: &str, told: &str) {
    case(plugin, config, &format!("{given}, {right}")).ends(0).says("ok      it\n1 passed, in ");
    case(plugin, config, &format!("{given}, {wrong}"))
        .ends(1)
        .says("FAILED  it\n")
        .says(told)
        .says("0 passed, 1 failed");
}

#[test]
fn roles_and_channels_are_expected() {
    holds(
        "rendezvous",
        "{}",
        "request: '/chat/connect?channelId=7'",
        "expect: { role: backend, channel: '7', rejected: null }",
        "expect: { role: client, channel: '8' }",
        "role: expected \"client\", was \"backend\"\n        channel: expected \"8\", was \"7\"",
    );
}

#[test]
fn services_and_what_goes_with_them_are_expected() {
    let config = "{ pathPrefixService: { /ws/echo: echo } }";
    holds(
        "router",
        config,
        "request: /ws/echo/1",
        "expect: { role: null, service: echo }",
        "expect: { service: chat }",
        "service.id: expected \"chat\", was \"echo\"",
    );
    holds(
        "router",
        config,
        "request: /other",
        "expect: { role: null, service: null }",
        "expect: { service: echo }",
        "service: expected {\"id\":\"echo\"}, was null",
    );
    case("router", config, "request: /ws/echo, expect: { service: { idd: echo } }")
        .ends(1)
        .says("service.idd: expected \"echo\", but there is id, endpoint,");
}

#[test]
fn identities_rejections_and_rechecks_are_expected() {
    let config = "{ keys: [ { id: one, sha256: 1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032, subject: ada } ] }";
    let asked = "request: { url: /, headers: { authorization: ApiKey letmein, x-api-key: letmein } }";
    holds(
        "api-key",
        config,
        asked,
        "expect: { identity: ada, recheck: goes }",
        "expect: { identity: bob }",
        "identity.subject: expected \"bob\", was \"ada\"",
    );
    holds(
        "api-key",
        config,
        "request: { url: /, headers: { x-api-key: other } }",
        "expect: { rejected: { status: 401 } }",
        "expect: { identity: null }",
        "rejected: {\"status\":401",
    );
    case("api-key", config, "request: /, expect: { rejected: 403 }")
        .ends(1)
        .says("rejected.status: expected 403, was 401");
}

#[test]
fn who_sits_on_a_channel_is_given_and_the_decision_expected() {
    let given = "request: /, given: { role: client, channel: '1', identity: { subject: ada } }, holder: { role: client, identity: { subject: ada } }";
    holds(
        "newest-wins",
        "{}",
        given,
        "expect: { pair: replace }",
        "expect: { pair: join }",
        "pair: expected \"join\", was \"replace\"",
    );
    case("newest-wins", "{}", "request: /, expect: { pair: replace }")
        .ends(1)
        .says("it was not asked: the case has no `holder`");
}

#[test]
fn messages_are_shown_one_after_the_other() {
    let config = "{ pointers: [/card] }";
    let told = r#"messages[1]: expected ["forward"], was [{"emit":"{\"card\":\"[redacted]\"}"}]"#;
    let messages = |second: &str| {
        format!(
            "messages: [ {{ to_client: text, expect: forward }}, {{ to_backend: '{{\"card\":\"4111\"}}', expect: {second} }}, {{ to_client: {{ base64: AAE= }}, expect: unseen }} ]"
        )
    };
    let right = messages(r#"[ { emit: '{"card":"[redacted]"}' } ]"#);
    holds("redact", config, "request: /", &right, &messages("[ forward ]"), told);
}

#[test]
fn what_comes_after_a_close_is_not_shown() {
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v0.1/c-filter.wasm");
    let project = |second: &str| {
        let messages =
            format!("messages: [ {{ to_client: secret, expect: [ {{ close: {{ code: 1008 }} }} ] }}{second} ]");
        let cases = format!("config: {{ most: 0 }}\ncases:\n  - {{ name: it, {messages} }}\n");
        Project::built(&fs::read(filter).unwrap(), "", &cases).plugin(&["test"])
    };
    project("").ends(0);
    let told = "messages[1]: expected to be shown, like all 2, but the session was closed before";
    project(", { to_client: more, expect: forward }").ends(1).says(told);
}

#[test]
fn a_configuration_that_is_refused_is_expected() {
    let given = "config: { pointerz: 1 }";
    holds(
        "redact",
        "{}",
        given,
        "expect: { refused: unknown key \"pointerz\" }",
        "expect: { refused: another }",
        "refused: expected \"another\", but `init` said:",
    );
    case("redact", "{}", "config: { pointerz: 1 }, expect: { role: null }")
        .ends(1)
        .says("the configuration was refused:");
    case("redact", "{ pointers: [/a] }", "expect: { refused: no }").ends(1).says("but the configuration was taken");
}

#[test]
fn a_configuration_of_the_project_that_is_refused_is_told_once() {
    let cases =
        "cases: [ { name: a, request: /, expect: { role: null } }, { name: b, request: /, expect: { role: null } } ]\n";
    let told = Project::built(builtin("redact"), "config: { pointerz: 1 }\n", cases).plugin(&["test"]).ends(78);
    assert_eq!((told.out.as_str(), told.err.matches("pointerz").count()), ("", 1), "{}{}", told.out, told.err);
    told.warns("cordboard: `config` of plugin.yaml: `init` refused the configuration: unknown key");
}

#[test]
fn a_call_that_fails_is_told_and_may_be_expected() {
    let trap = Guest::of(ROLES).build(&format!("(module {SILENT} {})", detect_role("unreachable")));
    let project = |expect: &str| {
        let cases = format!("cases:\n  - {{ name: it, request: /, expect: {{ {expect} }} }}\n");
        Project::built(&trap, "", &cases).plugin(&["test"])
    };
    project("failed: unreachable").ends(0);
    project("role: client").ends(1).says("a call failed: ").says("unreachable");
    project("failed: deadline").ends(1).says("failed: expected \"deadline\", but: ");
    let silent = Guest::of(ROLES).build(&format!("(module {SILENT} {})", detect_role("")));
    let cases = "cases: [ { name: it, request: /, expect: { failed: x } } ]\n";
    Project::built(&silent, "", cases).plugin(&["test"]).ends(1).says("failed: expected \"x\", but no call failed");
}

#[test]
fn a_failure_tells_what_the_host_refused_before() {
    let items = format!("import cordboard:host/key-value@0.1.0; {ROLES}");
    let get = r#"(import "cordboard:host/key-value@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32)))"#;
    let ask = "(call $get (i32.const 16) (i32.const 6) (i32.const 16) (i32.const 1) (i32.const 512)) unreachable";
    let text = format!("(module {get} {SILENT} (data (i32.const 16) \"vistis\") {})", detect_role(ask));
    let cases = "cases: [ { name: it, request: /, expect: { failed: 'key-value: denied: no bucket \"vistis\" is granted' } } ]\n";
    let project = Project::built(&Guest::of(&items).build(&text), "grants: { key_value: { visits: {} } }\n", cases);
    project.plugin(&["test"]).ends(0);
}

#[test]
fn a_failure_tells_what_was_printed_on_standard_error_line_by_line() {
    let packages = [
        "package wasi:io@0.2.0;
         interface error { resource error; }
         interface streams {
            use error.{error};
            variant stream-error { last-operation-failed(error), closed }
            resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
         }",
        "package wasi:cli@0.2.0;
         interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }",
    ];
    let items = format!("import wasi:cli/stderr@0.2.0; import wasi:io/streams@0.2.0; {ROLES}");
    let imports = r#"
        (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
        (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
            (func $write (param i32 i32 i32 i32)))"#;
    let write = |at: u8, length: u8| {
        format!("(call $write (local.get $to) (i32.const {at}) (i32.const {length}) (i32.const 512))")
    };
    // Two lines in three pieces, the last one without an end.
    let body = format!(
        "(local $to i32) (local.set $to (call $stderr)) {} {} {} unreachable",
        write(16, 5),
        write(21, 6),
        write(27, 5)
    );
    let text =
        format!("(module {imports} {SILENT} (data (i32.const 16) \"Error: bang\\nhere\") {})", detect_role(&body));
    let guest = Guest { packages: &packages, ..Guest::of(&items) }.build(&text);
    let cases = "cases: [ { name: it, request: /, expect: { failed: 'it said: Error: bang / here', logs: ['Error: bang'] } } ]\n";
    Project::built(&guest, "", cases).plugin(&["test"]).ends(0);
    let told = Project::built(&guest, "", &cases.replace("failed: 'it said: Error: bang / here', ", ""))
        .plugin(&["test"])
        .ends(1);
    told.says("a call failed: Error: bang / here\n        wasm trap: ");
}

#[test]
fn a_rejection_that_the_proxy_would_not_send_fails() {
    // `err` of a result, whose status is 40; all its texts and lists are empty.
    let body = "(i32.store8 (i32.const 256) (i32.const 1)) (i32.store16 (i32.const 260) (i32.const 40)) (return (i32.const 256))";
    let text = format!("(module {SILENT} {})", detect_role(body));
    let cases = "cases: [ { name: it, request: /, expect: { rejected: 40 } } ]\n";
    let told = Project::built(&Guest::of(ROLES).build(&text), "", cases).plugin(&["test"]).ends(1);
    told.says("rejected.status: 40 is not 300 to 599; the proxy would answer 500");
}

#[test]
fn a_component_that_is_older_than_its_sources_is_said_to_be() {
    let project = Project::built(
        builtin("rendezvous"),
        "sources: [code.wasm]\n",
        "cases: [ { name: it, request: '/?channelId=1', expect: { role: client } } ]\n",
    );
    let fresh = project.plugin(&["test"]).ends(0);
    assert!(!fresh.err.contains("older"), "{}", fresh.err);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    fs::File::options().write(true).open(project.file("code.wasm")).unwrap().set_modified(later).unwrap();
    project
        .plugin(&["test"])
        .ends(0)
        .warns("build/tried.wasm is older than code.wasm: `cordboard plugin build` makes it anew");
}

#[test]
fn an_endless_call_ends_at_its_deadline() {
    let endless = Guest::of(ROLES).build(&format!("(module {SILENT} {})", detect_role("(loop br 0)")));
    let cases = "cases: [ { name: it, request: /, expect: { failed: limits.decision } } ]\n";
    Project::built(&endless, "limits: { decision: 30ms }\n", cases).plugin(&["test"]).ends(0);
}

#[test]
fn files_of_cases_that_are_wrong_are_told_with_their_places() {
    let wrong = |cases: &str, told: &[&str]| {
        let said = Project::built(builtin("redact"), "", cases).plugin(&["test"]).ends(78);
        for told in told {
            assert!(said.err.contains(told), "{told:?} is not in:\n{}", said.err);
        }
    };
    wrong("cases: []\n", &["cases.yaml:1:1: cases: 1 to 10000 cases are needed"]);
    wrong("cases:\n  - { request: /, expect: { role: client } }\n", &["cases.yaml:2:", "cases[0].name: is missing"]);
    wrong(
        "cases:\n  - { name: a, request: / }\n",
        &["cases[0].expect: is missing: a case that expects nothing proves nothing"],
    );
    wrong(
        "cases:\n  - { name: a, expect: { rolle: client } }\n  - { name: b, request: { url: /, header: { a: b } }, expect: {} }\n",
        &[
            "cases.yaml:2:26: cases[0].expect: unknown key `rolle`",
            "did you mean `role`?",
            "unknown key `header`",
            "did you mean `headers`?",
        ],
    );
    wrong(
        "cases:\n  - { name: a, messages: [ { to_client: 7, expect: unseen }, { expect: [] }, { to_client: { base64: '?' } }, { to_client: a, to_backend: b } ] }\n",
        &[
            "messages[0].to_client: a text (numbers in quotes)",
            "messages[1]: is missing: `to_client` or `to_backend`",
            "`?` is not base64",
            "not both ways",
        ],
    );
    wrong("cases:\n  - { name: a, mode: routing, expect: {} }\n", &["cases[0].mode: `routing` is not one of"]);
    let project = Project::built(builtin("redact"), "cases: gone.yaml\n", "");
    project.plugin(&["test"]).ends(78).warns("gone.yaml");
    let project = Project::new(builtin("redact"), "", "cases: [ { name: a, expect: { role: null } } ]\n");
    project.plugin(&["test"]).ends(1).warns("is not there yet: `cordboard plugin build .` makes it");
}

#[test]
fn a_request_that_no_policy_would_see_is_said_to_be_one() {
    case("rendezvous", "{}", "request: { url: /, method: POST }, expect: { role: client }")
        .ends(1)
        .says("request: the proxy refuses it with 400 before any policy");
    case("rendezvous", "{}", "request: { url: 'ftp://a/' }, expect: { role: client }")
        .ends(1)
        .says("the scheme must be ws, wss, http or https");
}

#[test]
fn several_files_are_run_and_some_cases_alone() {
    let project = Project::built(builtin("rendezvous"), "cases: cases\n", "");
    fs::create_dir(project.file("cases")).unwrap();
    let one =
        |name: &str| format!("cases: [ {{ name: {name}, request: '/?channelId=1', expect: {{ role: client }} }} ]\n");
    project.put("cases/b.yaml", one("second").as_bytes());
    project.put("cases/a.yaml", one("first").as_bytes());
    project.put("cases/notes.txt", b"not one of them");
    project.plugin(&["test"]).ends(0).says("ok      first\nok      second\n2 passed");
    let some = project.plugin(&["test", "--only", "sec"]).ends(0).says("1 passed");
    assert!(!some.out.contains("first"));
    project.plugin(&["test", "--only", "third"]).ends(1).warns("there is no such case");
    // A component alone needs cases.
    project.plugin(&["test", "code.wasm"]).ends(2).warns("say `--cases FILE`");
    project.plugin(&["test", "code.wasm", "--cases", "cases/a.yaml"]).ends(0).says("1 passed");
}

#[test]
fn results_are_written_for_machines() {
    let cases = "cases:\n  - { name: 'a < b & \"c\"', request: '/?channelId=1', expect: { role: client } }\n  - { name: wrong, request: '/?channelId=1', expect: { role: backend } }\n";
    let project = Project::built(builtin("rendezvous"), "", cases);
    project.plugin(&["test", "--junit", "results.xml"]).ends(1);
    let read = "import sys, xml.etree.ElementTree as tree\n\
        suites = tree.parse('results.xml').getroot()\n\
        print(suites.tag, suites.get('tests'), suites.get('failures'))\n\
        for case in suites.iter('testcase'): print(case.get('name'), case.get('line'), [f.get('message') for f in case])\n";
    let output = Command::new("python3").args(["-c", read]).current_dir(project.dir()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = String::from_utf8(output.stdout).unwrap();
    let wanted = "testsuites 2 1\na < b & \"c\" 2 []\nwrong 3 ['role: expected \"backend\", was \"client\"']\n";
    assert_eq!(read, wanted);
    project.plugin(&["test", "--junit", "no/such/folder.xml"]).ends(73).warns("no/such/folder.xml");
}

#[test]
fn what_a_failing_plugin_logged_is_shown() {
    let cases = "config: { level: 7 }\ncases: [ { name: it, request: /, expect: { role: null } } ]\n";
    Project::built(builtin("rendezvous"), "", cases).plugin(&["test"]).ends(1).says("unknown key \"level\"");
}

/// Who says of `x-who` what it is, and traps without it.
fn by_header() -> Vec<u8> {
    let body = "(call $header (i32.const 200) (i32.const 5) (i32.const 300))
        (if (i32.eqz (i32.load8_u (i32.const 300))) (then unreachable))";
    let module = format!(
        r#"(module (import "cordboard:plugin/request@0.1.0" "header" (func $header (param i32 i32 i32)))
        (data (i32.const 200) "x-who") {SILENT} {})"#,
        detect_role(body)
    );
    Guest::of(&format!("import cordboard:plugin/request@0.1.0; {ROLES}")).build(&module)
}

#[test]
fn one_question_is_asked_alone_and_others_are_not() {
    let tried = |case: &str| {
        let cases = format!("cases: [ {{ name: it, {case} }} ]\n");
        Project::built(builtin("rendezvous"), "", &cases).plugin(&["test"])
    };
    let request = "request: '/chat/connect?channelId=7'";
    tried(&format!("{request}, ask: channel, expect: {{ channel: '7' }}")).ends(0);
    tried(&format!("{request}, ask: channel, expect: {{ role: backend }}"))
        .ends(1)
        .says("role: expected \"backend\", but it was not asked: `ask` of the case names another question");
    tried(&format!("{request}, ask: message, expect: {{ failed: null }}"))
        .ends(1)
        .says("ask: the plugin exports nothing that `message` is asked of");
    tried(&format!("{request}, ask: roles, expect: {{ failed: null }}")).ends(78).warns("did you mean `role`?");
}

#[test]
fn that_nothing_fails_may_be_all_that_is_expected() {
    let cases = |expect: &str| {
        format!("cases: [ {{ name: it, request: {{ url: /, headers: {{ x-api-key: other }} }}, expect: {expect} }} ]\n")
    };
    // It is rejected, which is nobody's fault.
    Project::built(builtin("api-key"), "", &cases("{ failed: null }")).plugin(&["test"]).ends(0);
    Project::built(builtin("api-key"), "", &cases("{ role: null }")).plugin(&["test"]).ends(1).says("rejected: ");
    let broken = Project::built(&by_header(), "", &cases("{ failed: null }"));
    broken.plugin(&["test"]).ends(1).says("a call failed: ").says("unreachable");
}

#[test]
fn a_case_has_bounds_of_its_own_and_fields_that_come_twice() {
    let cases = "cases:
  - { name: in its bounds, request: { url: /, headers: { x-who: [ me, you ] } }, expect: { failed: null } }
  - { name: out of them, limits: { memory: 64KiB, instances: 1 }, request: { url: /, headers: { x-who: me } }, expect: { failed: null } }
";
    let two_pages = String::from_utf8(wat_of_two_pages()).unwrap();
    let project = Project::built(&Guest::of(ROLES).build(&two_pages), "", cases);
    let said = project.plugin(&["test"]);
    assert!(said.code == 78 && said.err.contains("limits.memory is 65536"), "{}{}", said.out, said.err);
}

/// A plugin that needs 128 KiB.
fn wat_of_two_pages() -> Vec<u8> {
    let silent = SILENT.replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 2)");
    format!("(module {silent} {})", detect_role("")).into_bytes()
}

#[test]
fn what_is_said_of_a_request_that_cannot_be_is_told() {
    for (request, why) in [
        ("remote: nowhere", "request.remote: \"nowhere\" is not an IP address"),
        ("scheme: ws", "request.scheme: \"ws\" is not http or https"),
        ("http_version: '3'", "request.http_version: \"3\" is not 1.0, 1.1 or 2"),
    ] {
        let request = format!("request: {{ url: /, {request} }}, expect: {{ failed: null }}");
        case("rendezvous", "{}", &request).ends(1).says(why);
    }
    let given = "request: /, given: { id: 7 }, expect: { failed: null }";
    case("rendezvous", "{}", given).ends(78).warns("a connection has 16 hexadecimal digits");
}
