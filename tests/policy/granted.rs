//! What is granted works within its bounds, what is not granted refuses the load, and no abuse harms more than one call.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    failures,
    guests::{Guest, ROLES, SILENT, detect_role},
    handshake, setup,
    support::{Proxy, Setup, binary, eventually},
    with_plugin, yaml,
};

const IMPORTS: &str = "
    import cordboard:plugin/request@0.1.0;
    import cordboard:host/random@0.1.0;
    import cordboard:host/metrics@0.1.0;
    import cordboard:host/key-value@0.1.0;
    import cordboard:host/discovery@0.1.0;
    import cordboard:host/http-client@0.1.0;
";

fn powers() -> &'static [u8] {
    static POWERS: OnceLock<Vec<u8>> = OnceLock::new();
    POWERS.get_or_init(|| Guest::of(&format!("{IMPORTS}{ROLES}")).build(include_str!("powers.wat")))
}

/// Keys of the plugin that grant it everything, this bucket and these hosts.
fn granting(bucket: &str, client: &str) -> String {
    format!(
        ", limits: {{decision: 1s, host: 1s}}, grants: {{random: true, metrics: {{series: 5}}, discovery: true,
          key_value: {{b: {{{bucket}}}}}, http_client: {{{client}}}}}"
    )
}

fn all() -> String {
    granting("max_bytes: 64KiB, max_keys: 100", "allow: ['127.0.0.1:1']")
}

fn with_powers(settings: &str) -> Proxy {
    with_plugin(powers(), settings, "")
}

/// What the plugin says to this.
fn said(proxy: &Proxy, query: &str) -> String {
    let answer = handshake(proxy, &format!("/told?{query}"));
    assert_eq!((answer.status, answer.cause()), (403, "rejected"), "{query}: {}", proxy.log().join("\n"));
    answer.body
}

/// It fails in this way and nothing else suffers. Gives the log line.
fn fails(proxy: &Proxy, query: &str, cause: &str, failure: &str) -> String {
    let (before, told) = (failures(proxy, failure), proxy.log().len());
    let answer = handshake(proxy, &format!("/told?{query}"));
    assert_eq!((answer.status, answer.cause()), (503, cause), "{query}: {}", proxy.log().join("\n"));
    assert!((failures(proxy, failure) - before - 1.0).abs() < 0.5, "{query}");
    assert_eq!(said(proxy, "r").len(), 16);
    super::report(proxy, told)
}

fn importing(interface: &str) -> Vec<u8> {
    let items = format!("import cordboard:host/{interface}@0.1.0; {ROLES}");
    let import = match interface {
        "random" => r#"(import "cordboard:host/random@0.1.0" "get-bytes" (func (param i32 i32)))"#,
        "discovery" => r#"(import "cordboard:host/discovery@0.1.0" "lookup" (func (param i32 i32 i32 i32 i32 i32)))"#,
        other => panic!("{other}"),
    };
    Guest::of(&items).build(&format!("(module {import} {SILENT} {})", detect_role("")))
}

fn check(setup: &Setup) -> (Option<i32>, String) {
    let output = binary().arg("check").arg(setup.path()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_import_without_its_grant_is_refused_at_its_place_with_the_line_to_add() {
    for (interface, line) in [("random", "random: true"), ("discovery", "discovery: true")] {
        let (code, said) = check(&setup(&importing(interface), "", ""));
        assert_eq!(code, Some(78), "{said}");
        let wanted = format!(
            "imports `cordboard:host/{interface}@0.1.0`, which is not granted: add `grants: {{ {line} }}` to plugins.puppet"
        );
        assert!(said.contains(&wanted), "{said}");
        assert!(said.contains("cordboard.yaml:5:3: plugins.puppet.grants: plugin `puppet` ("), "{said}");
    }
    let (_, said) = check(&setup(powers(), ", grants: {random: true, discovery: true}", ""));
    let all = "metrics: { series: 100 }, key_value: { BUCKET: {} }, http_client: { allow: [ \"HOST:PORT\" ] }";
    assert!(said.contains(&format!("which are not granted: add `grants: {{ {all} }}`")), "{said}");
}

#[test]
fn a_grant_that_is_not_asked_for_is_a_warning_at_its_key() {
    let grants = ", grants: {random: true, metrics: true, endpoints: ['a:1']}";
    let (code, said) = check(&setup(&importing("random"), grants, ""));
    assert_eq!(code, Some(0), "{said}");
    for key in ["metrics", "endpoints"] {
        let wanted = format!("warning: plugins.puppet.grants.{key}: the component does not ask for this");
        assert!(said.contains(&wanted), "{said}");
    }
    assert!(!said.contains("grants.random"), "{said}");
}

#[test]
fn a_change_of_grants_is_another_version_and_what_it_grants_counts_at_once() {
    let proxy = with_powers(&all());
    let before = super::identity(&proxy, "puppet");
    let shown: serde_json::Value = serde_json::from_str(&proxy.get("/adm/modules")).unwrap();
    let granted = serde_json::json!(["random", "metrics", "key_value", "http_client", "discovery"]);
    assert_eq!((&shown[0]["grants"], &shown[1]["grants"]), (&granted, &serde_json::json!([])));
    assert_eq!(said(&proxy, "skept"), "done");
    assert_eq!(said(&proxy, "s2more"), "done");
    proxy.setup.write(&yaml(&granting("max_keys: 2", "allow: ['127.0.0.1:1']"), ""));
    let generation = proxy.reloaded(1);
    assert_ne!(super::identity(&proxy, "puppet"), before);
    assert_eq!((&*said(&proxy, "kk"), &*said(&proxy, "s3x"), &*said(&proxy, "s2y")), ("ept", "quota", "done"));
    // One that is refused changes nothing of the bounds.
    proxy.setup.write(&yaml(&granting("max_keys: 50", "allow: ['127.0.0.1:1']").replace("random: true, ", ""), ""));
    eventually("the refusal", || proxy.get("/generation").contains("which is not granted").then_some(()));
    assert_eq!((said(&proxy, "s3x"), proxy.generation()), ("quota".to_owned(), generation));
}

#[test]
fn random_bytes_are_random_and_no_more_than_the_host_copies() {
    let proxy = with_powers(&all());
    let (one, other) = (said(&proxy, "r"), said(&proxy, "r"));
    assert!(one.len() == 16 && one != other, "{one} {other}");
    let line = fails(&proxy, "R", "plugin-failed", "trap");
    assert!(line.contains("asked for 4294967295 random bytes at once; limits.host_copy is 1048576"), "{line}");
}

#[test]
fn metrics_of_a_plugin_are_exported_bounded_and_survive_a_swap() {
    let proxy = with_powers(&all());
    let metric = |name: &str| proxy.metric(&format!("cordboard_plugin_{name}"));
    for query in ["ma", "mb", "ma", "g"] {
        assert_eq!(handshake(&proxy, &format!("/told?{query}")).cause(), "no-role");
    }
    let of = |kind: &str| metric(&format!("custom_logins_total{{plugin=\"puppet\",kind=\"{kind}\"}}"));
    assert!((of("a") - 2.0).abs() < 0.1 && (of("b") - 1.0).abs() < 0.1);
    assert!((metric("custom_depth{plugin=\"puppet\"}") - 1.5).abs() < 0.1);
    assert!((metric("custom_seconds_count{plugin=\"puppet\"}") - 1.0).abs() < 0.1);
    assert!((metric("metrics_dropped_total{plugin=\"puppet\"}") - 1.0).abs() < 0.1);
    // Five series may be there, and four are.
    assert_eq!(handshake(&proxy, "/told?M").cause(), "no-role");
    assert!((metric("custom_logins_total") - 4.0).abs() < 0.1);
    assert!((metric("metrics_dropped_total") - 600.0).abs() < 0.1);
    proxy.setup.write(&yaml(&granting("", "allow: ['127.0.0.1:1']"), ""));
    proxy.reloaded(1);
    assert_eq!(handshake(&proxy, "/told?ma").cause(), "no-role");
    assert!((of("a") - 3.0).abs() < 0.1);
}

#[test]
fn a_bucket_keeps_what_it_is_given_within_its_bounds() {
    let proxy = with_powers(&granting("max_bytes: 16KiB, max_value: 2KiB", "allow: ['127.0.0.1:1']"));
    for (query, answer) in [
        ("ka", "none"),
        ("sahello", "done"),
        ("ka", "hello"),
        ("caother", "false"),
        ("da", "done"),
        ("caother", "true"),
        ("ka", "other"),
        ("ia", "conflict"),
        ("in", "1"),
        ("in", "2"),
        ("In", "invalid"),
        ("kn", "2"),
        ("xa", "denied"),
        ("F", "quota"),
    ] {
        assert_eq!(said(&proxy, query), answer, "{query}");
    }
    assert_eq!(said(&proxy, &format!("sa{}", "x".repeat(2049))), "too-large");
    assert_eq!(said(&proxy, "ka"), "other");
    let of = |name: &str| proxy.metric(&format!("cordboard_plugin_bucket_{name}{{plugin=\"puppet\",bucket=\"b\"}}"));
    assert!(of("bytes") <= f64::from(16 << 10) && of("keys") > 15.0, "{} {}", of("bytes"), of("keys"));
    assert!((of("refused_total") - 2.0).abs() < 0.1);
}

#[test]
fn a_bucket_is_private_to_its_plugin_unless_both_share_it() {
    let start = |shared: bool| {
        let settings = granting(&format!("shared: {shared}"), "allow: ['127.0.0.1:1']");
        let more = format!("plugins:\n  twin: {{component: puppet.wasm{settings}}}\n");
        let route = "routes:\n  - {name: twin, match: {path: /twin}, mode: rendezvous, plugins: [twin]}\n";
        let setup = setup(powers(), &settings, "");
        setup.write(&yaml(&settings, "").replace("plugins:\n", &more).replace("routes:\n", route));
        setup.start()
    };
    for (shared, found) in [(false, "none"), (true, "secret")] {
        let proxy = start(shared);
        assert_eq!(said(&proxy, "sasecret"), "done");
        assert_eq!(handshake(&proxy, "/twin?ka").body, found);
    }
}

#[test]
fn the_endpoints_of_a_service_are_those_of_the_configuration_that_serves() {
    let proxy = with_powers(&all());
    assert_eq!((&*said(&proxy, "ldead"), &*said(&proxy, "lnone")), ("127.0.0.1:1", "not-found"));
    proxy.setup.write(&yaml(&all(), "").replace("'ws://127.0.0.1:1'", "'ws://127.0.0.1:1', 'ws://[::1]:7'"));
    proxy.reloaded(1);
    assert_eq!(said(&proxy, "ldead"), "[::1]:7");
}

#[test]
fn calls_of_granted_functions_are_bounded_in_number() {
    let proxy = with_powers(&all());
    assert_eq!(said(&proxy, "h"), "done");
    let line = fails(&proxy, "H", "plugin-failed", "trap");
    assert!(line.contains("called granted functions more than 1000 times (limits.host_calls)"), "{line}");
    assert!(proxy.metric("cordboard_plugin_host_calls_total{plugin=\"puppet\"}") > 2000.0);
}

#[test]
fn a_granted_function_cannot_be_called_while_the_host_copies_or_cleans_up() {
    let proxy = with_powers(&all());
    for query in ["n", "N"] {
        let line = fails(&proxy, query, "plugin-failed", "trap");
        assert!(line.contains("cannot leave component instance"), "{line}");
    }
}

/// Answers requests by their paths; `/never` is not answered. Counts the connections that are open.
struct Origin {
    port: u16,
    open: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Origin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, open, accepted) = (listener.local_addr().unwrap().port(), Arc::default(), Arc::default());
        let origin = Self { port, open: Arc::clone(&open), accepted: Arc::clone(&accepted) };
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let open = Arc::clone(&open);
                accepted.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                        let path = head.split(' ').nth(1).unwrap_or_default();
                        let field = "X: y\r\n".repeat(100);
                        let answer = match path {
                            "/never" => continue,
                            "/moved" => {
                                "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 5\r\n\r\nmoved".to_owned()
                            }
                            "/large" => format!("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{}", "x".repeat(5000)),
                            "/endless" => format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5000)),
                            "/fields" => format!("HTTP/1.1 200 OK\r\n{field}\r\n"),
                            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
                        };
                        if stream.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        origin
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn granted(&self, more: &str) -> Proxy {
        with_powers(&granting("", &format!("allow: ['127.0.0.1:{}']{more}", self.port)))
    }
}

#[test]
fn a_request_of_a_plugin_is_answered_over_connections_that_are_kept() {
    let origin = Origin::start();
    let proxy = origin.granted("");
    for _ in 0..5 {
        assert_eq!(said(&proxy, &format!("u{}", origin.url("/ok"))), "ok");
    }
    assert_eq!(origin.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(said(&proxy, &format!("u{}", origin.url("/moved"))), "moved");
}

#[test]
fn a_request_goes_to_granted_hosts_only_and_is_bounded_both_ways() {
    let origin = Origin::start();
    let proxy = origin.granted(", max_body: 4KiB, timeout: 100ms");
    let port = origin.port;
    for (url, code) in [
        (origin.url("/large"), "too-large"),
        (origin.url("/endless"), "too-large"),
        (origin.url("/fields"), "unavailable"),
        (origin.url("/never"), "timeout"),
        ("http://127.0.0.1:1/".to_owned(), "denied"),
        (format!("http://localhost:{port}/"), "denied"),
        (format!("http://127.0.0.1:{port}@127.0.0.1:1/"), "invalid"),
        (format!("https://127.0.0.1:{port}/"), "invalid"),
        ("ftp://127.0.0.1/".to_owned(), "invalid"),
        ("/ok".to_owned(), "invalid"),
    ] {
        assert_eq!(said(&proxy, &format!("u{url}")), code, "{url}");
    }
    assert_eq!(said(&proxy, &format!("u{}", origin.url("/ok"))), "ok");
}

#[test]
fn nobody_at_the_other_end_is_an_error_and_no_failure() {
    let proxy = with_powers(&all());
    assert_eq!(said(&proxy, "uhttp://127.0.0.1:1/"), "unavailable");
}

#[test]
fn a_guest_whose_request_is_never_answered_is_stopped_and_leaves_nothing() {
    let origin = Origin::start();
    let grants = granting("", &format!("allow: ['127.0.0.1:{}'], timeout: 30s", origin.port));
    let proxy = with_powers(&grants.replace("host: 1s", "host: 300ms, instances: 1, queue: 0"));
    let begun = Instant::now();
    let line = fails(&proxy, &format!("u{}", origin.url("/never")), "plugin-deadline", "deadline");
    assert!(line.contains("did not answer within 300ms (limits.host)"), "{line}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    eventually("the end of the connection", || (origin.open.load(Ordering::SeqCst) == 0).then_some(()));
    proxy.metric_becomes("cordboard_plugin_instances_alive{plugin=\"puppet\"}", 1.0);
}

#[test]
fn waiting_in_the_host_takes_nothing_of_the_guests_own_time_and_gives_it_none() {
    let origin = Origin::start();
    let grants = granting("", &format!("allow: ['127.0.0.1:{}'], timeout: 400ms", origin.port));
    let proxy = with_powers(&grants.replace("decision: 1s, host: 1s", "decision: 200ms, host: 5s"));
    // 400 ms in the host are no harm to a guest that has 200 ms.
    assert_eq!(said(&proxy, &format!("u{}", origin.url("/never"))), "timeout");
    let begun = Instant::now();
    let line = fails(&proxy, &format!("L{}", origin.url("/never")), "plugin-deadline", "deadline");
    assert!(line.contains("did not answer within 200ms (limits.decision)"), "{line}");
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert!(proxy.metric("cordboard_plugin_host_nanoseconds_total{plugin=\"puppet\"}") >= 8e8);
}

#[test]
fn all_requests_of_a_call_together_have_the_hosts_time() {
    let origin = Origin::start();
    let grants = granting("", &format!("allow: ['127.0.0.1:{}'], timeout: 100ms", origin.port));
    let proxy = with_powers(&grants.replace("host: 1s", "host: 250ms"));
    let line = fails(&proxy, &format!("U{}", origin.url("/never")), "plugin-deadline", "deadline");
    assert!(line.contains("did not answer within 250ms (limits.host)"), "{line}");
    assert!(origin.accepted.load(Ordering::SeqCst) <= 4);
}
