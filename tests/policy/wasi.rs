//! Guests of toolchains that import WASI: it is there, and there is nothing in it.

use std::time::{Duration, Instant};

use super::{
    guests::{Guest, ROLES, SILENT, detect_role},
    handshake,
    support::Proxy,
    with_plugin,
};

/// The parts of WASI 0.2 that these guests use.
const WASI: [&str; 5] = [
    "package wasi:io@0.2.0;
     interface error { resource error; }
     interface poll { resource pollable { block: func(); } }
     interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
     }",
    "package wasi:cli@0.2.0;
     interface environment { get-environment: func() -> list<tuple<string, string>>; }
     interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }",
    "package wasi:filesystem@0.2.0;
     interface types { resource descriptor; }
     interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }",
    "package wasi:clocks@0.2.0;
     interface monotonic-clock {
        use wasi:io/poll@0.2.0.{pollable};
        subscribe-duration: func(when: u64) -> pollable;
     }",
    "package wasi:random@0.2.0;
     interface random { get-random-bytes: func(len: u64) -> list<u8>; }",
];

const IMPORTS: &str = "
    import wasi:cli/environment@0.2.0;
    import wasi:cli/stdout@0.2.0;
    import wasi:io/streams@0.2.0;
    import wasi:io/poll@0.2.0;
    import wasi:filesystem/preopens@0.2.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:random/random@0.2.0;
";

fn build(module: &str) -> Vec<u8> {
    let items = format!("{IMPORTS}{ROLES}");
    Guest { packages: &WASI, ..Guest::of(&items) }.build(module)
}

/// A plugin that waits so long in the host before it has no opinion.
pub fn sleeper(nanoseconds: u64) -> Vec<u8> {
    let sleep = format!("(call $block (call $subscribe (i64.const {nanoseconds})))");
    build(&format!(
        r#"(module
            (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
            (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
            {SILENT} {})"#,
        detect_role(&sleep)
    ))
}

/// A plugin that takes a handle of standard output so often in each call and never gives one back.
fn hoarder(handles: usize) -> Vec<u8> {
    let take = format!(
        "(loop $again (drop (call $stdout))
            (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {handles}))))"
    );
    build(&format!(
        r#"(module
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
            {SILENT} {})"#,
        detect_role(&format!("(local $n i32) {take}"))
    ))
}

/// A plugin that prints what it finds: `0` for each of no variables and no folders.
fn explorer() -> Vec<u8> {
    let explore = "
        (call $environment (i32.const 128))
        (call $directories (i32.const 136))
        (i32.store8 (i32.const 201) (i32.add (i32.load (i32.const 132)) (i32.const '0')))
        (i32.store8 (i32.const 202) (i32.add (i32.load (i32.const 140)) (i32.const '0')))
        (call $write (call $stdout) (i32.const 192) (i32.const 29) (i32.const 256))
    ";
    build(&format!(
        r#"(module
            (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
            (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))
            (data (i32.const 192) "explored ?? \1b[2J\0asecond line")
            {SILENT} {})"#,
        detect_role(explore)
    ))
}

fn failed(proxy: &Proxy, cause: &str) -> String {
    let answer = handshake(proxy, "/told");
    assert_eq!((answer.status, answer.cause()), (503, cause), "{}", proxy.log().join("\n"));
    assert_eq!(handshake(proxy, "/chat?channelId=1").status, 101);
    proxy.logged(&["a policy failed", "plugin=puppet", "route=told", "conn="])
}

#[test]
fn a_guest_finds_nothing_and_what_it_prints_goes_to_the_log() {
    let proxy = with_plugin(&explorer(), "", "");
    assert_eq!(handshake(&proxy, "/told").cause(), "no-role");
    let line = proxy.logged(&["cordboard::plugin", "explored 00"]);
    assert!(line.contains("plugin=puppet version=") && line.contains("\\u{1b}[2J"), "{line}");
    proxy.logged(&["cordboard::plugin", "second line", "plugin=puppet"]);
}

#[test]
fn a_guest_that_waits_in_the_host_is_dropped_by_the_outer_timer() {
    let proxy = with_plugin(&sleeper(60_000_000_000), "", "");
    let begun = Instant::now();
    failed(&proxy, "plugin-deadline");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn handles_beyond_their_limit_are_not_given() {
    let proxy = with_plugin(&hoarder(20), ", limits: {handles: 16}", "");
    let line = failed(&proxy, "plugin-failed");
    assert!(line.contains("handle") || line.contains("table"), "{line}");
    let proxy = with_plugin(&hoarder(10), ", limits: {handles: 16}", "");
    assert_eq!(handshake(&proxy, "/told").cause(), "no-role");
}

#[test]
fn random_bytes_beyond_what_the_host_copies_are_not_made() {
    let many = "(call $random (i64.const 33554432) (i32.const 128))";
    let guest = build(&format!(
        r#"(module
            (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
            {SILENT} {})"#,
        detect_role(many)
    ));
    let proxy = with_plugin(&guest, "", "");
    let line = failed(&proxy, "plugin-failed");
    assert!(line.contains("33554432 exceeds limit 1048576"), "{line}");
}
