//! `docs/migrate.md` names every key of the systems that are replaced, and its links lead somewhere.

use std::{collections::BTreeSet, fs, path::Path};

use super::{GATEWAY, RENDEZVOUS, ROUTER, example, exit_codes};

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrate.md")).unwrap()
}

/// What stands in code in the page's tables.
fn named() -> BTreeSet<String> {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2).map(ToOwned::to_owned)).collect()
}

/// The keys that the configurations of the replaced systems have in their documentation.
const DOCUMENTED: &[&str] = &[
    "enabled",
    "backendPath",
    "handler.handlers",
    "handler.paths",
    "path",
    "method",
    "exec",
    "pathPrefixService",
    "handlers",
    "chains",
    "defaultHandlers",
    "defaultProtocol",
    "defaultEnvTag",
    "idleTimeoutMs",
    "x-group-id",
    "channel-group-id",
    "channelId",
    "service_id",
    "web-socket-topic",
    "user-connect-topic",
    "user-disconnect-topic",
    "broker",
    "group-id",
    "serializer",
    "deserializer",
    "schema-registry-url",
    "jwt.expireAfterAccess",
    "jwt.expireAfterWrite",
    "jwt.maximumSize",
    "type",
    "baseUrl",
    "uri",
    "body",
    "topic",
    "username",
];

#[test]
fn every_key_of_the_replaced_systems_is_in_the_tables() {
    let named = named();
    for key in DOCUMENTED {
        assert!(named.contains(*key), "{key} is in no table of docs/migrate.md");
    }
    // And those of the examples, as they stand there.
    for path in [RENDEZVOUS, ROUTER, GATEWAY].iter().flat_map(|files| example(files)) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((key, _)) = line.trim_start_matches([' ', '-']).split_once(':') else { continue };
            // Keys of the user's own: prefixes, services and chains.
            let own = key.starts_with('/') || key.contains("-service") || key == "default";
            let section = matches!(key, "websocket-rendezvous");
            let last = key.strip_prefix("websocket-router.").or_else(|| key.strip_prefix("websocket-rendezvous."));
            let known = named.contains(last.unwrap_or(key));
            let whole = named.contains(key.trim_start_matches("handler."));
            assert!(own || section || known || whole, "{key} of {} is in no table", path.display());
        }
    }
}

#[test]
fn every_exit_code_of_the_import_is_there_and_every_link_leads_somewhere() {
    let page = page();
    for code in exit_codes() {
        assert!(page.contains(&format!("\n| {code} | ")), "{code}");
    }
    for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(link).exists();
        assert!(link.starts_with("https://") || there, "{link} does not exist");
    }
}
