//! One bad call each; what a guest can do in a call is bounded in time, memory, copies and depth.

use std::time::{Duration, Instant};

use super::{
    guests::{Guest, ROLES, SILENT, detect_role},
    handshake, harms_one_call, is_well, with_plugin, with_puppet,
};

#[test]
fn a_trap_is_reported_with_the_functions_it_happened_in() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?T-", "plugin-failed", "trap");
    assert!(line.contains("a policy failed: wasm trap: wasm `unreachable` instruction executed ["), "{line}");
    assert!(line.contains("puppet!a_function_that_traps") && line.contains("puppet!detect_role"), "{line}");
}

#[test]
fn an_endless_loop_is_stopped_at_the_deadline() {
    let proxy = with_puppet(", limits: {decision: 200ms}", "");
    let begun = Instant::now();
    let line = harms_one_call(&proxy, "/told?L-", "plugin-deadline", "deadline");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(line.contains("did not answer within 200ms (limits.decision)"), "{line}");
}

#[test]
fn long_work_without_a_loop_is_stopped_too() {
    let work = "(memory.fill (i32.const 4096) (i32.const 0) (i32.const 12000000))".repeat(2000);
    let memory = SILENT.replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 200)");
    let guest = Guest::of(ROLES).build(&format!("(module {memory} {})", detect_role(&work)));
    let proxy = with_plugin(&guest, "", "");
    let answer = handshake(&proxy, "/told");
    assert_eq!((answer.status, answer.cause()), (503, "plugin-deadline"));
    assert_eq!(handshake(&proxy, "/chat?channelId=1").status, 101);
}

#[test]
fn a_loop_in_the_function_that_the_host_calls_for_room_is_stopped_too() {
    let proxy = with_puppet("", "");
    harms_one_call(&proxy, "/told?P-", "plugin-deadline", "deadline");
}

#[test]
fn a_loop_after_the_answer_is_stopped_too() {
    let proxy = with_puppet("", "");
    harms_one_call(&proxy, "/told?O-", "plugin-deadline", "deadline");
}

#[test]
fn memory_beyond_its_limit_is_not_given() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?M-", "plugin-failed", "trap");
    assert!(line.contains("bytes of memory; limits.memory is 16777216"), "{line}");
}

#[test]
fn a_table_beyond_its_limit_is_not_given() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?G-", "plugin-failed", "trap");
    assert!(line.contains("wants a table of 1000001 elements"), "{line}");
}

#[test]
fn deep_recursion_ends_in_a_trap() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?R-", "plugin-failed", "trap");
    assert!(line.contains("call stack exhausted"), "{line}");
    assert!(line.len() < 8192, "{} bytes", line.len());
}

#[test]
fn ten_thousand_log_fields_of_one_long_text_are_not_copied() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?H-", "plugin-failed", "trap");
    assert!(line.contains("too much data is being copied"), "{line}");
}

#[test]
fn an_answer_beyond_what_the_host_copies_is_refused() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?A-", "plugin-failed", "trap");
    assert!(line.contains("too much data is being copied"), "{line}");
}

#[test]
fn bad_calls_leave_no_memory_behind() {
    let proxy = with_puppet(", limits: {decision: 50ms}", "");
    let bad = ["/told?H-", "/told?A-", "/told?M-", "/told?L-", "/told?R-", "/told?T-"];
    let round = || bad.iter().for_each(|target| assert_eq!(handshake(&proxy, target).status, 503));
    round();
    let before = proxy.metric("cordboard_resident_memory_bytes");
    (0..10).for_each(|_| round());
    let grown = proxy.metric("cordboard_resident_memory_bytes") - before;
    assert!(grown < f64::from(16 << 20), "grew by {grown} bytes");
    is_well(&proxy);
}

#[test]
fn a_role_that_does_not_fit_the_route_names_its_plugin() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?r-", "role-mode-mismatch", "contract");
    assert!(line.contains("gave role `routed` on a rendezvous route"), "{line}");
    harms_one_call(&proxy, "/told?l-", "role-mode-mismatch", "contract");
    proxy.logged(&[
        "handshake refused",
        "role-mode-mismatch",
        "plugin `puppet` gave role `listener` on a rendezvous route",
    ]);
}

#[test]
fn attributes_beyond_their_bounds_break_the_contract() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/told?ca1", "plugin-failed", "contract");
    assert!(line.contains("left more than 64 attributes, or one of more than 4096 bytes"), "{line}");
    harms_one_call(&proxy, "/told?cA1", "plugin-failed", "contract");
}

#[test]
fn an_endpoint_that_is_granted_is_dialled() {
    let proxy = with_puppet(", grants: {endpoints: ['127.0.0.1:1']}", "");
    let answer = handshake(&proxy, "/dial?rE");
    assert_eq!((answer.status, answer.cause()), (502, "no-endpoint"));
    proxy.logged(&["handshake refused", "127.0.0.1:1"]);
    assert_eq!(handshake(&proxy, "/dial?rU").cause(), "unknown-service");
}

#[test]
fn a_resolution_that_is_not_granted_or_not_valid_breaks_the_contract() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/dial?rE", "plugin-failed", "contract");
    assert!(line.contains("named the endpoint \"ws://127.0.0.1:1\", which is not granted"), "{line}");
    let line = harms_one_call(&proxy, "/dial?rS", "plugin-failed", "contract");
    assert!(line.contains("named the scheme \"ftp\""), "{line}");
    let line = harms_one_call(&proxy, "/dial?rW", "plugin-failed", "contract");
    assert!(line.contains("named the path \"connection\""), "{line}");
    assert_eq!(handshake(&proxy, "/dial?rU").cause(), "unknown-service");
}

#[test]
fn an_edit_of_a_header_that_is_the_proxys_own_breaks_the_contract() {
    let proxy = with_puppet("", "");
    let line = harms_one_call(&proxy, "/dial?rC", "plugin-failed", "contract");
    assert!(line.contains("the header connection is the proxy's own"), "{line}");
    let line = harms_one_call(&proxy, "/dial?rN", "plugin-failed", "contract");
    assert!(line.contains("made more than 128 edits"), "{line}");
}

#[test]
fn a_rejection_that_is_no_refusal_becomes_one() {
    let proxy = with_puppet("", "");
    for target in ["/told?2-", "/told?9-"] {
        let answer = handshake(&proxy, target);
        assert_eq!((answer.status, answer.cause()), (500, "rejected"), "{target}");
    }
    is_well(&proxy);
}

#[test]
fn a_rejection_cannot_break_out_of_its_answer() {
    let proxy = with_puppet("", "");
    let answer = handshake(&proxy, "/told?X-");
    assert_eq!((answer.status, answer.cause()), (403, "rejected"));
    assert_eq!((answer.field("x-good"), answer.field("x-forged"), answer.field("x-bad")), (Some("1"), None, None));
    assert_eq!((answer.field("content-length"), &*answer.body), (Some("21"), "no\r\n\r\nHTTP/1.1 200 OK"));
    proxy.logged(&["handshake refused", "refused\\nby its \\u{1b}[31mown text"]);
    is_well(&proxy);
}

#[test]
fn a_panic_is_told_in_the_one_line_that_says_what_failed() {
    let guest = Guest::of(&format!("import cordboard:host/log@0.1.0; {ROLES}")).build(&format!(
        r#"(module
            (import "cordboard:host/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
            (data (i32.const 256) "panicked at gate.rs:7: no such key")
            {SILENT} {})"#,
        detect_role("(call $log (i32.const 4) (i32.const 256) (i32.const 34) (i32.const 0) (i32.const 0)) unreachable")
    ));
    let proxy = with_plugin(&guest, "", "");
    assert_eq!(handshake(&proxy, "/told").cause(), "plugin-failed");
    let line = proxy.logged(&["a policy failed", "plugin=puppet", "version=", "conn="]);
    assert!(line.contains("instruction executed [error while executing at wasm backtrace"), "{line}");
    assert!(line.contains("; it said: panicked at gate.rs:7: no such key"), "{line}");
}
