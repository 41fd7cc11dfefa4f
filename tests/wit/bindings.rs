//! The bindings of the SDK for Rust: what the generator of `wit-bindgen` makes of the contract.
//!
//! They are made here and kept in the SDK, so that a plugin compiles them and not their generator.

use std::{collections::BTreeMap, path::Path};

use wit_bindgen_core::{Files, WorldGenerator as _};
use wit_bindgen_rust::{Opts, WithOption};
use wit_parser::Resolve;

/// What the host has, in one world; each exported interface has a world, and so a macro, of its own.
const IMPORTS: [&str; 12] = [
    "cordboard:plugin/types@0.1.0",
    "cordboard:plugin/request@0.1.0",
    "cordboard:plugin/connection@0.1.0",
    "cordboard:plugin/message@0.1.0",
    "cordboard:plugin/interest@0.1.0",
    "cordboard:host/log@0.1.0",
    "cordboard:host/clock@0.1.0",
    "cordboard:host/random@0.1.0",
    "cordboard:host/metrics@0.1.0",
    "cordboard:host/key-value@0.1.0",
    "cordboard:host/discovery@0.1.0",
    "cordboard:host/http-client@0.1.0",
];
/// With whether types of its own are compared in tests.
const EXPORTS: [(&str, bool); 12] = [
    ("meta", false),
    ("role-detection", false),
    ("channel-extraction", false),
    ("service-resolution", true),
    ("request-rewriting", false),
    ("response-rewriting", false),
    ("authorization", false),
    ("session-authorization", false),
    ("pairing", true),
    ("message-filtering", true),
    ("filter-migration", false),
    ("lifecycle", true),
];

/// Interfaces that use none of the contract's types.
const UNTYPED: [&str; 2] = ["meta", "filter-migration"];
/// Where the types are that all share.
const TYPES: (&str, &str) = ("cordboard:plugin/types@0.1.0", "crate::bindings::imports::cordboard::plugin::types");
const HEAD: &str = "// @generated from wit/v0.1 by wit-bindgen; `make bindings` writes it anew.\n";

/// The modules, by the names of their files.
pub(crate) fn generate(contract: &Path) -> BTreeMap<String, String> {
    let imports = IMPORTS.map(|name| format!("import {name};")).concat();
    let opts = Opts { generate_all: true, additional_derive_attributes: derives(true), ..common() };
    let mut modules = BTreeMap::from([("imports.rs".to_owned(), module(contract, "imports", &imports, opts))]);
    for (name, compared) in EXPORTS {
        let file = name.replace('-', "_");
        let opts = Opts {
            additional_derive_attributes: derives(compared),
            export_macro_name: Some(format!("export_{file}")),
            pub_export_macro: true,
            // The generator refuses what is not used.
            with: if UNTYPED.contains(&name) {
                vec![]
            } else {
                vec![(TYPES.0.to_owned(), WithOption::Path(TYPES.1.to_owned()))]
            },
            ..common()
        };
        let text = module(contract, name, &format!("export cordboard:plugin/{name}@0.1.0;"), opts);
        modules.insert(format!("{file}.rs"), text);
    }
    modules
}

fn common() -> Opts {
    Opts { format: true, runtime_path: Some("crate::bindings::runtime".to_owned()), ..Opts::default() }
}

fn derives(compared: bool) -> Vec<String> {
    let all: &[&str] = if compared { &["PartialEq", "Eq"] } else { &[] };
    all.iter().map(ToString::to_string).collect()
}

fn module(contract: &Path, name: &str, items: &str, opts: Opts) -> String {
    let mut resolve = Resolve::default();
    resolve.push_path(contract).unwrap();
    let inline = format!("package cordboard:sdk; world {name} {{ {items} }}");
    let package = resolve.push_str("bindings.wit", &inline).unwrap();
    let world = resolve.select_world(&[package], Some(name)).unwrap();
    let mut files = Files::default();
    opts.build().generate(&mut resolve, world, &mut files).unwrap();
    let (_, text) = files.iter().next().unwrap();
    HEAD.to_owned() + std::str::from_utf8(text).unwrap()
}
