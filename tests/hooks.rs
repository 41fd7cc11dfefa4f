//! What plugins decide and hear beside role, channel, service and header fields: who somebody is, who is joined with whom,
//! how an answer reads, whether a session may go on; and what they are told of it.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![allow(clippy::format_push_string, clippy::format_collect)] // files and requests are written line by line

mod support;

#[path = "hooks/answers.rs"]
mod answers;
#[path = "hooks/authorize.rs"]
mod authorize;
#[path = "hooks/events.rs"]
mod events;
#[path = "hooks/expiry.rs"]
mod expiry;
#[path = "policy/guests.rs"]
#[allow(dead_code)] // of those of the other tests only the builder is used
mod guests;
#[path = "hooks/pairing.rs"]
mod pairing;
#[path = "hooks/recheck.rs"]
mod recheck;

use guests::Guest;
use support::{Proxy, Setup, dial::within, wire::Wire};

/// What a guest of these tests imports and exports beside `meta`; its module holds `text` behind its imports.
fn guest(imports: &[(&str, &str, &str)], exports: &[&str], text: &str) -> Vec<u8> {
    let mut items = "export cordboard:plugin/meta@0.1.0;".to_owned();
    let mut module = String::new();
    for (interface, function, parameters) in imports {
        let item = format!("import cordboard:{interface}@0.1.0;");
        if !items.contains(&item) {
            items += &item;
        }
        let name = function.replace('-', "_");
        module +=
            &format!("(import \"cordboard:{interface}@0.1.0\" \"{function}\" (func ${name} (param {parameters})))\n");
    }
    for export in exports {
        items += &format!("export cordboard:plugin/{export}@0.1.0;");
    }
    Guest::of(&items).build(&format!("(module {module} {} {text})", include_str!("hooks/common.wat")))
}

/// A header field of the request: name, length, where its option goes.
const HEADER: (&str, &str, &str) = ("plugin/request", "header", "i32 i32 i32");

/// A line of the log: level, message, length, fields, their number.
const WRITE: (&str, &str, &str) = ("host/log", "write", "i32 i32 i32 i32 i32");

/// A proxy whose plugins are these components, each with its settings, beside `builtin:rendezvous`; `more` are the
/// further sections of its file.
fn setup(plugins: &[(&str, &[u8], &str)], more: &str) -> Setup {
    let setup = Setup::new(&yaml(plugins, more));
    for (name, component, _) in plugins {
        setup.put(&format!("{name}.wasm"), component);
    }
    setup
}

fn yaml(plugins: &[(&str, &[u8], &str)], more: &str) -> String {
    let mut yaml = "plugins:\n  rendezvous: {component: 'builtin:rendezvous'}\n".to_owned();
    for (name, _, settings) in plugins {
        yaml += &format!("  {name}: {{component: {name}.wasm{settings}}}\n");
    }
    yaml + more
}

/// A rendezvous route at `/chat` that asks these plugins before the built-in one.
fn chat(plugins: &str, rendezvous: &str) -> String {
    format!(
        "routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [{plugins}, rendezvous], rendezvous: {{{rendezvous}}}}}
"
    )
}

/// An answer to a handshake with further header lines.
async fn knock(proxy: &Proxy, target: &str, more: &[(&str, &str)]) -> Wire {
    let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    within(&format!("an answer of {target}"), Wire::open_with(proxy.address, target, &more, b"")).await
}

/// Status and cause of such an answer.
async fn refused(proxy: &Proxy, target: &str, more: &[(&str, &str)]) -> (u16, String) {
    let answer = knock(proxy, target, more).await;
    (answer.status(), answer.field("x-cordboard-error").unwrap_or_default().to_owned())
}
