//! The policies that come with the proxy, built from `plugins/` by the build script and embedded.

/// Name and component of each.
const BUILTIN: &[(&str, &[u8])] = &[
    ("api-key", include_bytes!(concat!(env!("OUT_DIR"), "/api-key.wasm"))),
    ("deny-list", include_bytes!(concat!(env!("OUT_DIR"), "/deny-list.wasm"))),
    ("field-crypt", include_bytes!(concat!(env!("OUT_DIR"), "/field-crypt.wasm"))),
    ("json", include_bytes!(concat!(env!("OUT_DIR"), "/json.wasm"))),
    ("json-schema", include_bytes!(concat!(env!("OUT_DIR"), "/json-schema.wasm"))),
    ("newest-wins", include_bytes!(concat!(env!("OUT_DIR"), "/newest-wins.wasm"))),
    ("redact", include_bytes!(concat!(env!("OUT_DIR"), "/redact.wasm"))),
    ("rendezvous", include_bytes!(concat!(env!("OUT_DIR"), "/rendezvous.wasm"))),
    ("router", include_bytes!(concat!(env!("OUT_DIR"), "/router.wasm"))),
    ("xml-json", include_bytes!(concat!(env!("OUT_DIR"), "/xml-json.wasm"))),
];

/// The component of that name.
#[must_use]
pub fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, wasm)| *wasm)
}

/// The names, for messages.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}
