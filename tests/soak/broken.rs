//! What may go wrong between two swaps: each kind of broken save is refused, and nobody notices that either. The kinds
//! themselves are tried one by one in `tests/reload_refused.rs`.

use std::fs;

use crate::support::{Proxy, Setup};

/// How many kinds there are.
pub const KINDS: usize = 12;

/// Breaks the files in one way. The next swap writes all of them anew.
pub fn save(proxy: &Proxy, kind: usize, component: &[u8]) {
    let setup = &proxy.setup;
    match kind {
        0 => setup.put("router.wasm", b"\0asm is not all that a component is"),
        1 => setup.put("rendezvous.wasm", &component[..component.len() / 2]),
        2 => setup.put("rendezvous.wasm", b"\0asm\x01\0\0\0"),
        3 => setup.put("router.wasm", b""),
        4 => fs::remove_file(setup.file("router.wasm")).unwrap(),
        5 => configuration(setup, "workers: [\n"),
        6 => configuration(setup, "wrokers: 1\n"),
        7 => configuration(setup, "workers: many\n"),
        8 => configuration(setup, "workers: 77\n"),
        9 => configuration(setup, &format!("drain: {{grace: 1{}}}\n", "0".repeat(400))),
        10 => setup.put("cordboard.yaml", b"\xff\xfe is not UTF-8"),
        _ => {
            // The proxy has its own address already, and this is another listener.
            let address = proxy.address;
            let text = fs::read_to_string(setup.path()).unwrap();
            let taken = format!("listeners: [{{name: taken, address: '{address}'}}, ");
            assert!(text.contains("listeners: ["), "{text}");
            setup.put("cordboard.yaml", text.replacen("listeners: [", &taken, 1).as_bytes());
        }
    }
}

/// The configuration as it is, and a line more.
fn configuration(setup: &Setup, line: &str) {
    let text = fs::read_to_string(setup.path()).unwrap();
    setup.put("cordboard.yaml", format!("{text}\n{line}").as_bytes());
}
