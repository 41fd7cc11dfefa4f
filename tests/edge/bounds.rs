//! How large a head, and what of a body is not content, may be: exactly the bound passes.

use super::{Raw, answers, config, get, proxy};
use crate::support::{Proxy, upstream::Refusing};

/// A request whose head has `size` bytes.
fn sized(size: usize) -> String {
    let least = get("/chat").replace("\r\n\r\n", "\r\nX: \r\n\r\n");
    least.replace("X: ", &format!("X: {}", "x".repeat(size - least.len())))
}

/// A request with so many fields.
fn fields(count: usize) -> String {
    get("/chat").replace("\r\n\r\n", &format!("{}\r\n\r\n", "\r\nX: y".repeat(count - 1)))
}

#[track_caller]
fn statuses(proxy: &Proxy, sent: &str) -> Vec<u16> {
    let mut raw = Raw::dial(proxy);
    raw.send(sent);
    answers(&raw.rest()).into_iter().map(|(status, _)| status).collect()
}

/// Ends a connection in an orderly way.
const LAST: &str = "GET /nowhere HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

#[test]
fn a_head_at_the_bound_passes_and_one_byte_more_is_431() {
    let nobody = Refusing::bind();
    for (keys, bound) in [("", 65_536), ("head: 1KiB", 1024), ("head: 1MiB", 1 << 20)] {
        let proxy = proxy(keys, nobody.address);
        assert_eq!(statuses(&proxy, &(sized(bound).repeat(2) + LAST)), [426, 426, 404], "{keys}");
        assert_eq!(statuses(&proxy, &(sized(bound + 1) + LAST)), [431], "{keys}");
        assert_eq!(statuses(&proxy, &(get("/chat") + &sized(bound + 1) + LAST)), [426, 431], "{keys}");
        // It need not come to its end to be too large.
        assert_eq!(statuses(&proxy, &sized(bound + 1)[..bound]), [431], "{keys}");
        proxy.logged(&["cause=head-too-large", "status=431", &format!("more than {bound} bytes")]);
        proxy.metric_becomes("cordboard_causes_total{cause=\"head-too-large\"}", 3.0);
    }
}

#[test]
fn as_many_fields_as_the_bound_pass_and_one_more_is_431() {
    let nobody = Refusing::bind();
    for (keys, bound) in [("", 128), ("head_fields: 1", 1), ("head_fields: 1000", 1000)] {
        let proxy = proxy(keys, nobody.address);
        let last = "GET /nowhere HTTP/1.0\r\nHost: test\r\n\r\n";
        assert_eq!(statuses(&proxy, &(fields(bound) + last)), [426, 404], "{keys}");
        assert_eq!(statuses(&proxy, &(fields(bound + 1) + last)), [431], "{keys}");
    }
}

#[test]
fn chunk_extensions_and_trailers_are_bounded() {
    let nobody = Refusing::bind();
    let body = |chunks: String| {
        format!("POST /chat HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{LAST}")
    };
    let extended = |size: usize| body(format!("1;{}\r\na\r\n0;{}\r\n\r\n", "x".repeat(9), "x".repeat(size - 11)));
    for (keys, bound) in [("", 1024), ("chunk_extensions: 20B", 20)] {
        let proxy = proxy(keys, nobody.address);
        assert_eq!(statuses(&proxy, &extended(bound)), [426, 404], "{keys}");
        assert_eq!(statuses(&proxy, &extended(bound + 1)), [426], "{keys}");
        proxy.metric_becomes("cordboard_connections_cut_total{why=\"bad-body\"}", 1.0);
    }
    let proxy = proxy("head: 1KiB, head_fields: 4, chunk_extensions: 0", nobody.address);
    let lines = |count: usize| body(format!("0\r\n{}\r\n", "X: y\r\n".repeat(count)));
    assert_eq!(statuses(&proxy, &lines(4)), [426, 404]);
    assert_eq!(statuses(&proxy, &lines(5)), [426]);
    let bytes = |size: usize| body(format!("0\r\nX: {}\r\n\r\n", "y".repeat(size - 7)));
    assert_eq!(statuses(&proxy, &bytes(1024)), [426, 404]);
    assert_eq!(statuses(&proxy, &bytes(1025)), [426]);
    assert_eq!(statuses(&proxy, &body("1;\r\na\r\n0\r\n\r\n".to_owned())), [426]);
}

#[test]
fn a_reload_changes_the_bounds_of_connections_to_come() {
    let nobody = Refusing::bind();
    let proxy = proxy("head: 1KiB", nobody.address);
    let mut old = Raw::dial(&proxy);
    old.send(get("/chat"));
    assert!(old.answer().starts_with("HTTP/1.1 426 "));
    let before = proxy.generation();
    proxy.setup.put("cordboard.yaml", config("head: 2KiB", nobody.address).as_bytes());
    proxy.reloaded(before);
    assert_eq!(statuses(&proxy, &(sized(2048) + LAST)), [426, 404]);
    old.send(sized(1025));
    assert_eq!(answers(&old.rest())[0].0, 431);
}
