//! What a guest writes into the log.

use super::{handshake, is_well, support::Proxy, with_puppet};

fn spoken(proxy: &Proxy) -> Vec<String> {
    proxy.log().into_iter().filter(|line| line.contains("cordboard::plugin")).collect()
}

#[test]
fn a_plugin_that_floods_the_log_is_cut_off_and_named() {
    let proxy = with_puppet(", limits: {decision: 10s}", "");
    assert_eq!(handshake(&proxy, "/told?F-1").cause(), "no-role");
    proxy.logged(&["handshake refused"]);
    // Two windows if the flood took longer than a second.
    let lines = spoken(&proxy);
    assert!((200..=400).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines.iter().all(|line| line.contains("plugin=puppet") && line.contains("conn=")), "{}", lines[0]);
    proxy.logged(&["WARN", "plugin=puppet", "writes more than 200 log lines a second"]);
    is_well(&proxy);
}

#[test]
fn a_message_is_one_line_of_bounded_length_whatever_it_holds() {
    let proxy = with_puppet("", "");
    assert_eq!(handshake(&proxy, "/told?J-1").cause(), "no-role");
    proxy.logged(&["handshake refused"]);
    let forged = proxy.logged(&["cordboard::plugin", "first line"]);
    assert!(forged.contains("first line\\n2026-01-01T00:00:00.000000Z ERROR forged: second line"), "{forged}");
    assert!(!proxy.log().iter().any(|line| line.starts_with("2026-01-01")));
    let long = proxy.logged(&["cordboard::plugin", "xxxx"]);
    assert_eq!(long.matches('x').count(), 4096, "{long}");
}
