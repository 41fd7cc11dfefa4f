//! Looking at a component before it is linked: is it one, does it speak a contract we know, does it ask for more than
//! it is granted. Each refusal says what is wrong and what would be right.

use semver::{Comparator, Op, Prerelease, Version, VersionReq};
use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

use super::v0_1::{GRANTED, HOST_PACKAGE, IMPORTS, INTERFACES, META, PLUGIN_PACKAGE, VERSION};
use crate::config::Grants;

/// `^0.1.0`.
const OURS: Comparator = Comparator { op: Op::Caret, major: 0, minor: Some(1), patch: Some(0), pre: Prerelease::EMPTY };

/// Checks the preamble: core modules and other files are refused by name.
pub(super) fn is_component(wasm: &[u8]) -> Result<(), String> {
    match wasm {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(
            "this is a core WebAssembly module, not a component: link it with `wasm-component-ld`, or wrap it with \
             `cordboard plugin component`"
                .to_owned(),
        ),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [] => Err("the file is empty".to_owned()),
        _ => Err("this is not a WebAssembly component (its first bytes are not `\\0asm`)".to_owned()),
    }
}

/// Why a component is not taken.
pub(super) enum Unfit {
    /// It is not what a plugin is.
    Component(String),
    /// It asks for more than it is granted.
    Grants(String),
}

impl From<String> for Unfit {
    fn from(why: String) -> Self {
        Self::Component(why)
    }
}

/// Checks the names of imports and exports, and that what is imported is granted to the plugin of this name. The keys of
/// grants that nothing needs are returned.
pub(super) fn interfaces(
    component: &Component,
    engine: &Engine,
    plugin: &str,
    grants: &Grants,
) -> Result<Vec<&'static str>, Unfit> {
    let ty = component.component_type();
    let mut wanted = Vec::new();
    for (import, _) in ty.imports(engine) {
        check_import(import)?;
        wanted.push(split_version(import).0);
    }
    let (mut idle, mut missing) = (Vec::new(), Vec::new());
    for (interface, key, example) in GRANTED {
        match (wanted.contains(&interface), grants.given().contains(&key)) {
            (true, false) => missing.push((interface, example)),
            (false, true) => idle.push(key),
            _ => {}
        }
    }
    if !missing.is_empty() {
        let imports: Vec<_> = missing.iter().map(|(interface, _)| format!("`{interface}@{VERSION}`")).collect();
        let examples: Vec<_> = missing.iter().map(|(_, example)| *example).collect();
        return Err(Unfit::Grants(format!(
            "imports {}, which {} not granted: add `grants: {{ {} }}` to plugins.{plugin}",
            imports.join(", "),
            if missing.len() == 1 { "is" } else { "are" },
            examples.join(", ")
        )));
    }
    let mut decisions = 0;
    let mut meta = false;
    for (export, item) in ty.exports(engine) {
        // Other exports are ignored: some toolchains add their own.
        let Some(interface) = export.strip_prefix(PLUGIN_PACKAGE) else { continue };
        let (name, version) = split_version(interface);
        if !compatible(version) {
            return Err(wrong_version("exports", export).into());
        }
        if name == META {
            meta = true;
        } else if INTERFACES.contains(&name) {
            decisions += 1;
        } else if matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            // Leaving out, say, a newer authorization interface in silence would be dangerous.
            let known = INTERFACES.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(format!("exports `{export}`, which this version does not know; it knows {known}").into());
        }
    }
    if !meta {
        return Err(format!("does not export `{PLUGIN_PACKAGE}{META}@{VERSION}`, which every plugin must").into());
    }
    if decisions == 0 {
        let known: Vec<_> = INTERFACES.iter().map(|name| format!("`{PLUGIN_PACKAGE}{name}@{VERSION}`")).collect();
        return Err(format!("exports no decision: at least one of {} is needed", known.join(", ")).into());
    }
    if !grants.endpoints.is_empty() && !exports_resolver(component, engine) {
        idle.push("endpoints");
    }
    Ok(idle)
}

/// What a component has to do with the world around it.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    /// All that it imports, with versions, in its own order.
    pub imports: Vec<String>,
    /// All that it exports.
    pub exports: Vec<String>,
    /// Of the imports, what has to be granted: the interface, and how the grant is written.
    pub grants: Vec<(String, &'static str)>,
    /// Exports that mean nothing to the proxy.
    pub ignored: Vec<String>,
}

/// Lists them.
pub(super) fn look(component: &Component, engine: &Engine) -> Interfaces {
    let ty = component.component_type();
    let mut found = Interfaces::default();
    for (import, _) in ty.imports(engine) {
        let name = split_version(import).0;
        let granted = GRANTED.iter().find(|(interface, ..)| *interface == name);
        found.grants.extend(granted.map(|(_, _, example)| (import.to_owned(), *example)));
        found.imports.push(import.to_owned());
    }
    for (export, _) in ty.exports(engine) {
        if !export.starts_with(PLUGIN_PACKAGE) {
            found.ignored.push(export.to_owned());
        }
        found.exports.push(export.to_owned());
    }
    found
}

fn exports_resolver(component: &Component, engine: &Engine) -> bool {
    let resolver = format!("{PLUGIN_PACKAGE}service-resolution");
    component.component_type().exports(engine).any(|(export, _)| split_version(export).0 == resolver)
}

fn check_import(import: &str) -> Result<(), String> {
    let (name, version) = split_version(import);
    if name.starts_with("wasi:") {
        return Ok(());
    }
    if !name.starts_with(PLUGIN_PACKAGE) && !name.starts_with(HOST_PACKAGE) {
        return Err(format!(
            "imports `{import}`, which is not part of the contract; a plugin may import {}",
            IMPORTS.map(|name| format!("`{name}@{VERSION}`")).join(", ")
        ));
    }
    if !compatible(version) {
        return Err(wrong_version("imports", import));
    }
    if IMPORTS.contains(&name) || GRANTED.iter().any(|(granted, ..)| *granted == name) {
        return Ok(());
    }
    let known = GRANTED.map(|(name, ..)| format!("`{name}@{VERSION}`")).join(", ");
    Err(format!("imports `{import}`, which this version does not know; what can be granted is {known}"))
}

fn wrong_version(verb: &str, name: &str) -> String {
    format!("{verb} `{name}`, but this host speaks version {VERSION} of the contract: build against `wit/v0.1`")
}

fn split_version(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Versions link within 0.1 (semantic versioning of 0.x).
fn compatible(version: &str) -> bool {
    let ours = VersionReq { comparators: vec![OURS] };
    Version::parse(version).is_ok_and(|version| ours.matches(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_0_1_are_compatible() {
        assert!(compatible("0.1.0") && compatible("0.1.17"));
        assert!(!compatible("0.2.0") && !compatible("1.0.0") && !compatible("") && !compatible("0.1.0-rc.1"));
    }

    #[test]
    fn a_core_module_is_told_from_a_component() {
        assert!(is_component(b"\0asm\x0d\0\x01\0").is_ok());
        assert!(is_component(b"\0asm\x01\0\0\0").is_err_and(|text| text.contains("core WebAssembly module")));
        assert!(is_component(b"").is_err_and(|text| text.contains("empty")));
        assert!(is_component(b"#!/bin/sh").is_err_and(|text| text.contains("not a WebAssembly component")));
    }
}
