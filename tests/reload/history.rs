//! What served, and back to it: `cordboard generations | rollback | resume | reload`, with the real binary.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    process::Output,
};

use serde_json::Value;

use crate::{
    CHAT, GIVES_NO_ROLES, GIVES_ROLES, chat_by, chat_by_file, guests, handshake, sha256,
    support::{
        Proxy, Setup, binary,
        dial::{converse, dial},
        eventually, upgrade,
    },
};

/// A command that asks a running proxy.
pub fn ask(proxy: &Proxy, arguments: &[&str]) -> Output {
    binary().args(arguments).args(["--admin", &proxy.admin.to_string()]).output().unwrap()
}

pub fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

pub fn page(proxy: &Proxy, path: &str) -> Value {
    serde_json::from_str(&proxy.get(path)).unwrap()
}

/// Number and why of each generation that is remembered.
fn remembered(proxy: &Proxy) -> Vec<(u64, String)> {
    let page = page(proxy, "/generations");
    let of = |one: &Value| (one["generation"].as_u64().unwrap(), one["why"].as_str().unwrap().to_owned());
    page["generations"].as_array().unwrap().iter().map(of).collect()
}

pub fn save(proxy: &Proxy, yaml: &str) {
    let before = proxy.generation();
    proxy.setup.write(yaml);
    proxy.reloaded(before);
}

#[tokio::test]
async fn what_served_is_listed_with_its_time_its_cause_its_changes_and_its_hash() {
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.reloaded(1);
    save(
        &proxy,
        &format!("{}    limits: {{idle: 3s}}\ndrain: {{grace: 3s}}\n", chat_by_file("component: policy.wasm")),
    );
    let page = page(&proxy, "/generations");
    let list = page["generations"].as_array().unwrap();
    let changes: Vec<_> = list.iter().map(|one| one["changes"].clone()).collect();
    assert_eq!(
        changes,
        [
            serde_json::json!([]),
            serde_json::json!(["plugins.rendezvous changed: component"]),
            serde_json::json!(["routes.chat changed: limits", "drain changed: grace, spread"]),
        ]
    );
    assert!(list.iter().all(|one| one["hash"].as_str().unwrap().len() == 64 && one["since"].as_u64().unwrap() > 0));

    let (code, text) = said(&ask(&proxy, &["generations"]));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{text}");
    assert!(lines[0].trim_start().starts_with("1  ") && lines[0].ends_with("start"), "{text}");
    assert!(lines[1].ends_with("files: plugins.rendezvous changed: component"), "{text}");
    assert!(lines[2].contains(" GMT  ") && lines[2].contains(&list[2]["hash"].as_str().unwrap()[..12]), "{text}");
    let (code, json) = said(&ask(&proxy, &["generations", "--json"]));
    assert_eq!((code, serde_json::from_str::<Value>(&json).unwrap()), (Some(0), page));
}

#[tokio::test]
async fn a_rollback_serves_what_served_before_and_pins_it_until_a_resume() {
    let proxy = Proxy::with(&chat_by("room"));
    let mut client = dial(&proxy, "/chat?room=1").await;
    let mut backend = dial(&proxy, "/chat/connect?room=1").await;
    save(&proxy, &chat_by("hall"));
    assert_eq!((handshake(&proxy, "/chat?room=2"), handshake(&proxy, "/chat?hall=2")), (400, 101));

    let rolled = "generation 3 serves: what generation 1 was; it is pinned, which `cordboard resume` ends\n";
    assert_eq!(said(&ask(&proxy, &["rollback"])), (Some(0), rolled.to_owned()));
    assert_eq!((handshake(&proxy, "/chat?room=3"), handshake(&proxy, "/chat?hall=3")), (101, 400));
    proxy.logged(&["WARN", "rolled back to generation 1"]);

    // What the files say now is loaded and shown, and does not serve.
    proxy.setup.write(&chat_by("foyer"));
    proxy.logged(&["WARN", "generation 3 is pinned", "plugins.rendezvous changed: config"]);
    proxy.metric_becomes("cordboard_reloads_total{result=\"pinned\"}", 1.0);
    let shown = page(&proxy, "/generation");
    assert_eq!((&shown["generation"], &shown["pinned"]), (&3.into(), &true.into()), "{shown:#}");
    assert_eq!(shown["pending"]["changes"], serde_json::json!(["plugins.rendezvous changed: config"]));
    assert_eq!((handshake(&proxy, "/chat?room=4"), handshake(&proxy, "/chat?foyer=4")), (101, 400));
    let (code, text) = said(&ask(&proxy, &["reload"]));
    assert!(code == Some(1) && text.contains("pinned by a rollback; resume"), "{code:?} {text}");
    let (_, text) = said(&ask(&proxy, &["generations"]));
    assert!(text.contains("\npinned: ") && text.contains("\npending: plugins.rendezvous changed: config"), "{text}");

    // What is broken is refused as ever, and what is good and waits for the resume is not forgotten by that.
    proxy.setup.write("routes: nonsense\n");
    proxy.logged(&["refused: ", "a list belongs here"]);
    let (_, text) = said(&ask(&proxy, &["generations"]));
    assert!(text.contains("\nrefused: ") && text.contains(" GMT  -  1 problem\n  "), "{text}");
    assert!(text.contains("routes: a list belongs here"), "{text}");
    assert!(text.contains("\npinned: ") && text.contains("\npending: plugins.rendezvous changed: config"), "{text}");
    proxy.setup.write(&chat_by("foyer"));
    eventually("the record of the refusal to be gone", || {
        page(&proxy, "/generations")["refused"].is_null().then_some(())
    });

    let resumed = "generation 4 serves; it is pinned no more\n";
    assert_eq!(said(&ask(&proxy, &["resume"])), (Some(0), resumed.to_owned()));
    assert_eq!((handshake(&proxy, "/chat?room=5"), handshake(&proxy, "/chat?foyer=5")), (400, 101));
    let why: Vec<_> = remembered(&proxy).into_iter().map(|(_, why)| why).collect();
    assert_eq!(why, ["start", "files", "rollback to 1", "resume"]);
    let shown = page(&proxy, "/generation");
    assert_eq!((&shown["pinned"], &shown["pending"]), (&false.into(), &Value::Null));
    // And the next save counts as ever.
    save(&proxy, &chat_by("hall"));
    converse(&mut client, &mut backend, "through all of it").await;
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
}

#[test]
fn rollbacks_in_a_row_go_further_back_and_a_number_goes_anywhere() {
    let proxy = Proxy::with(&chat_by("one"));
    for parameter in ["two", "three"] {
        save(&proxy, &chat_by(parameter));
    }
    let serves = |parameter: &str| handshake(&proxy, &format!("/chat?{parameter}={}", proxy.generation())) == 101;
    assert!(serves("three"));
    let rolled = |number: u64, was: u64| {
        format!("generation {number} serves: what generation {was} was; it is pinned, which `cordboard resume` ends\n")
    };
    for (wanted, number, was) in [("two", 4, 2), ("one", 5, 1)] {
        assert_eq!(said(&ask(&proxy, &["rollback"])), (Some(0), rolled(number, was)));
        assert!(serves(wanted), "{wanted}");
    }
    let (code, text) = said(&ask(&proxy, &["rollback"]));
    assert!(code == Some(1) && text.contains("nothing else has served before"), "{text}");
    assert_eq!(said(&ask(&proxy, &["rollback", "3"])), (Some(0), rolled(6, 3)));
    assert!(serves("three"));
    let (code, text) = said(&ask(&proxy, &["rollback", "3"]));
    assert!(code == Some(1) && text.contains("generation 3 is what serves already"), "{text}");
    let (code, text) = said(&ask(&proxy, &["rollback", "99"]));
    assert!(code == Some(1) && text.contains("generation 99 is not remembered; there are 1, 2, 3, 4, 5, 6"), "{text}");
}

#[test]
fn a_resume_while_the_files_are_broken_says_that_nothing_is_pinned_and_what_serves() {
    let proxy = Proxy::with(&chat_by("one"));
    save(&proxy, &chat_by("two"));
    assert_eq!(ask(&proxy, &["rollback"]).status.code(), Some(0));
    proxy.setup.write("routes: nonsense\n");
    proxy.logged(&["refused: ", "a list belongs here"]);
    let (code, text) = said(&ask(&proxy, &["resume"]));
    assert_eq!(code, Some(78), "{text}");
    let last = "the pin of the rollback is taken away; generation 3 serves on until the files are good again";
    assert!(text.starts_with("cordboard: refused\n") && text.lines().last() == Some(last), "{text}");
    assert_eq!(page(&proxy, "/generation")["pinned"], false);
    save(&proxy, &chat_by("three"));
    assert_eq!(handshake(&proxy, "/chat?three=1"), 101);
}

#[test]
fn what_was_refused_last_is_listed_with_its_time_its_hash_and_its_first_problems() {
    let proxy = Proxy::with(CHAT);
    proxy.setup.write(&format!("workers: 3\n{CHAT}"));
    let line = proxy.logged(&["refused: ", "a change of `workers` needs a restart"]);
    let hash = page(&proxy, "/generations")["refused"]["hash"].as_str().unwrap().to_owned();
    assert!(hash.len() == 12 && line.contains(&format!("candidate={hash}")), "{hash} in {line}");
    let (_, text) = said(&ask(&proxy, &["generations"]));
    assert!(text.contains("\nrefused: ") && text.contains(&format!(" GMT  {hash}  1 problem\n")), "{text}");
    proxy.setup.write(&format!("{CHAT}    limits: {{idle: a, ping: b, pong: c, hold: d}}\n"));
    let more = eventually("the next refusal", || {
        Some(said(&ask(&proxy, &["generations"])).1).filter(|text| text.contains("  -  4 problems\n"))
    });
    assert!(more.lines().last().unwrap().starts_with("  … (1 more"), "{more}");
}

#[test]
fn a_rollback_needs_no_file_that_was_there_then() {
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.reloaded(1);
    assert_eq!(handshake(&proxy, "/chat?channelId=1"), 403);
    fs::remove_file(proxy.setup.file("policy.wasm")).unwrap();
    assert_eq!(ask(&proxy, &["rollback", "1"]).status.code(), Some(0));
    assert_eq!(handshake(&proxy, "/chat?channelId=2"), 101);
}

#[test]
fn a_rollback_that_cannot_be_had_says_why_and_nothing_about_the_files() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let with = |listener: &str| {
        format!(
            "listeners: [{{name: main, address: '127.0.0.1:0'}}{listener}]\nadmin: {{address: '127.0.0.1:0'}}\n\
             reload: {{quiet: 20ms}}\n{CHAT}"
        )
    };
    let setup = Setup::new(CHAT);
    setup.put("cordboard.yaml", with(&format!(", {{name: other, address: '{address}'}}")).as_bytes());
    let proxy = setup.start();
    proxy.setup.put("cordboard.yaml", with("").as_bytes());
    proxy.reloaded(1);
    let _taken = eventually("the address to be free again", || TcpListener::bind(address).ok());
    let (code, text) = said(&ask(&proxy, &["rollback", "1"]));
    assert!(code == Some(78) && text.contains(&format!("cannot listen on {address}")), "{code:?} {text}");
    proxy.logged(&["ERROR", "generation 1 cannot serve again", "cannot listen on"]);
    let shown = page(&proxy, "/generation");
    assert_eq!((&shown["generation"], &shown["pinned"]), (&2.into(), &false.into()), "{shown:#}");
    assert!(shown["refused"].is_null(), "what the files say serves: {shown:#}");
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 1.0);
}

#[test]
fn no_more_is_remembered_than_the_configuration_says() {
    let kept = |parameter: usize| format!("{}reload: {{quiet: 20ms, history: 3}}\n", chat_by(&format!("p{parameter}")));
    let proxy = Proxy::with(&kept(0));
    for parameter in 1..5 {
        save(&proxy, &kept(parameter));
    }
    let numbers: Vec<_> = remembered(&proxy).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [3, 4, 5]);
    let (code, text) = said(&ask(&proxy, &["rollback", "2"]));
    assert!(code == Some(1) && text.contains("not remembered; there are 3, 4, 5"), "{text}");
}

#[test]
fn a_reload_by_command_waits_for_the_hash_that_was_announced() {
    let quiet = |parameter: &str| format!("{}reload: {{watch: off}}\n", chat_by(parameter));
    let proxy = Proxy::with(&quiet("one"));
    assert_eq!(said(&ask(&proxy, &["reload"])), (Some(0), "unchanged\n".to_owned()));
    proxy.setup.write(&quiet("two"));
    let hash = {
        let output = binary().arg("check").arg(proxy.setup.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let hash = text.split_whitespace().find(|word| word.len() == 64).unwrap_or_else(|| panic!("{text}"));
        hash.to_owned()
    };
    // The order comes before the files.
    proxy.setup.write(&quiet("one"));
    let order = binary()
        .args(["reload", "--hash", &hash, "--admin", &proxy.admin.to_string()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    proxy.logged(&["WARN", "a reload waits for files that do not have the hash yet that was announced", &hash]);
    let waits = page(&proxy, "/generation");
    assert!(waits["waits_for"].as_str().unwrap().contains("hash"), "{waits:#}");
    assert_eq!(handshake(&proxy, "/chat?one=1"), 101);
    proxy.setup.write(&quiet("two"));
    assert_eq!(said(&order.wait_with_output().unwrap()), (Some(0), "generation 2 serves\n".to_owned()));
    assert_eq!(handshake(&proxy, "/chat?two=1"), 101);
    assert!(page(&proxy, "/generation")["waits_for"].is_null());

    let (code, text) = said(&ask(&proxy, &["reload", "--hash", &sha256(b"something else")]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("cordboard: not fulfilled\n") && text.contains("the files hash to"), "{text}");
    assert!(text.contains(&sha256(b"something else")), "{text}");
    proxy.logged(&["WARN", "files that were announced did not come", "the files hash to"]);
    // Nothing was refused by that: nobody is woken.
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 0.0);
    assert!(page(&proxy, "/generation")["refused"].is_null());
    assert!(!proxy.log().iter().any(|line| line.contains("ERROR")), "{:#?}", proxy.log());
    // The digits that `generations` prints are enough.
    assert_eq!(said(&ask(&proxy, &["reload", "--hash", &hash[..12]])), (Some(0), "unchanged\n".to_owned()));
    let (code, text) = said(&ask(&proxy, &["reload", "--hash", "abc"]));
    assert!(code == Some(1) && text.contains("64 hexadecimal digits, or at least the first 12"), "{text}");
}

#[test]
fn a_refused_reload_by_command_says_why() {
    let proxy = Proxy::with(&format!("{CHAT}reload: {{watch: off}}\n"));
    proxy.setup.write("routes: [{name: a}]\n");
    let (code, text) = said(&ask(&proxy, &["reload"]));
    assert_eq!(code, Some(78), "{text}");
    assert!(text.starts_with("cordboard: refused\n") && text.contains("cordboard.yaml:4:"), "{text}");
    // Nothing was watched: only the order had it read.
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 1.0);
    proxy.metric_becomes("cordboard_reloads_total{result=\"unchanged\"}", 0.0);
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let output = binary().args(["generations", "--admin", "127.0.0.1:1"]).output().unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(1));
    assert!(text.contains("127.0.0.1:1") && text.contains("is the proxy running"), "{text}");
}

#[test]
fn what_answers_and_is_no_admin_address_is_named_and_so_is_what_would_be_right() {
    let proxy = Proxy::with(CHAT);
    let address = proxy.address.to_string();
    for command in [&["generations"][..], &["generations", "--json"], &["rollback"], &["explain", "/chat"]] {
        let (name, rest) = command.split_first().unwrap();
        let output = binary().args([name, "--admin", &address]).args(rest).output().unwrap();
        let (code, text) = said(&output);
        let start = format!("cordboard: {address}: what answers here (404) is not the admin address of a proxy");
        assert!(code == Some(1) && text.starts_with(&start) && text.contains("`admin.address`"), "{command:?} {text}");
    }
}

#[test]
fn a_changed_way_to_watch_counts_at_once() {
    let watched =
        |watch: &str, parameter: &str| format!("{}reload: {{watch: {watch}, quiet: 20ms}}\n", chat_by(parameter));
    let proxy = Proxy::with(&watched("poll", "one"));
    save(&proxy, &watched("poll", "two"));
    save(&proxy, &watched("off", "three"));
    proxy.setup.write(&watched("auto", "four"));
    // Nobody looks before somebody asks.
    assert_eq!(handshake(&proxy, "/chat?three=1"), 101);
    assert_eq!(ask(&proxy, &["reload"]).status.code(), Some(0));
    assert_eq!(proxy.generation(), 4);
    save(&proxy, &watched("auto", "five"));
    eventually("the fifth", || (handshake(&proxy, "/chat?five=1") == 101).then_some(()));
    let why: Vec<_> = remembered(&proxy).into_iter().map(|(_, why)| why).collect();
    assert_eq!(why, ["start", "files", "files", "asked", "files"]);
}

#[test]
fn a_reload_beyond_the_bound_of_generations_waits_for_a_handshake_to_let_go() {
    let config = |n: u32| {
        format!(
            "reload: {{quiet: 20ms, generations: 2}}\ndrain: {{spread: {n}ms}}\n\
             plugins: {{slow: {{component: slow.wasm, limits: {{decision: 20s}}}}}}\n\
             routes: [{{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [slow]}}]\n"
        )
    };
    let thinks = guests::detect_role("(loop (br 0))");
    let setup = Setup::new(&config(1));
    let slow = guests::Guest::of(guests::ROLES).build(&format!("(module {} {thinks})", guests::SILENT));
    setup.put("slow.wasm", &slow);
    let proxy = setup.start();
    let mut client = TcpStream::connect(proxy.address).unwrap();
    client.write_all(upgrade("/chat", "").as_bytes()).unwrap();
    proxy.metric_becomes("cordboard_sessions{state=\"deciding\"}", 1.0);

    save(&proxy, &config(2));
    proxy.setup.write(&config(3));
    let line = "a reload waits for one of as many generations as `reload.generations` allows to be let go";
    proxy.logged(&["WARN", line]);
    let shown = page(&proxy, "/generation");
    assert_eq!((&shown["generation"], &shown["alive"]), (&2.into(), &2.into()), "{shown:#}");
    assert!(line.contains(shown["waits_for"].as_str().unwrap()), "{shown:#}");
    drop(client);
    proxy.reloaded(2);
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
}
