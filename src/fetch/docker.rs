//! Who we are at a host: what the configuration says, or else the `auths` of a `config.json` of Docker.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    config::{Fetch, Login},
    files::bounded,
};

/// Largest `config.json`, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// What Docker calls its own registry in there.
const HUB: &str = "https://index.docker.io/v1/";

/// User and password for a host, if there are any.
///
/// # Errors
/// The file is there and cannot be used.
pub(super) async fn login(fetch: &Fetch, host: &str) -> Result<Option<Login>, String> {
    if let Some(login) = fetch.host(host).and_then(|host| host.login.clone()) {
        return Ok(Some(login));
    }
    let Some(path) = fetch.docker_config.clone() else { return Ok(None) };
    let host = host.to_owned();
    let login = tokio::task::spawn_blocking(move || {
        of_file(&path, &host).map_err(|why| format!("`fetch.docker_config` {}: {why}", path.display()))
    });
    login.await.map_err(|error| error.to_string())?
}

/// The same of such a file.
pub(super) fn of_file(path: &Path, host: &str) -> Result<Option<Login>, String> {
    let text = bounded(path, MAX_FILE).map_err(|error| error.to_string())?;
    let config: Value = serde_json::from_slice(&text).map_err(|error| format!("this is no JSON: {error}"))?;
    let auths = &config["auths"];
    let names = [host.to_owned(), format!("https://{host}"), format!("https://{host}/"), format!("https://{host}/v2/")];
    let hub = (host == "docker.io").then(|| HUB.to_owned());
    let Some(auth) = names.iter().chain(&hub).map(|name| &auths[name.as_str()]).find(|auth| auth.is_object()) else {
        return Ok(None);
    };
    if let (Some(username), Some(password)) = (auth["username"].as_str(), auth["password"].as_str()) {
        return Ok(Some(Login { username: username.into(), password: password.into() }));
    }
    let Some(text) = auth["auth"].as_str().filter(|text| !text.is_empty()) else {
        return Err(format!("for {host} there is no password in it (helpers that keep passwords are not asked)"));
    };
    let text = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) =
        text.as_deref().and_then(|text| text.split_once(':')).ok_or("an `auth` is not the base64 of USER:PASSWORD")?;
    Ok(Some(Login { username: username.into(), password: password.into() }))
}

/// Where Docker itself keeps it.
pub(super) fn usual() -> Option<std::path::PathBuf> {
    let of_env = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from).filter(|path| path.is_absolute());
    let dir = of_env("DOCKER_CONFIG").or_else(|| of_env("HOME").map(|home| home.join(".docker")))?;
    Some(dir.join("config.json")).filter(|path| fs::metadata(path).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_host_in_every_form_that_docker_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let auth = STANDARD.encode("ada:pass:word");
        let text = serde_json::json!({ "auths": {
            "a:5000": { "auth": auth },
            "https://b": { "username": "bob", "password": "secret" },
            HUB: { "auth": auth },
            "kept": {},
            "broken": { "auth": "?" },
        }});
        fs::write(&path, text.to_string()).unwrap();
        let found = |host: &str| {
            of_file(&path, host).map(|login| login.map(|login| format!("{}={}", login.username, login.password)))
        };
        assert_eq!(found("a:5000"), Ok(Some("ada=pass:word".to_owned())));
        assert_eq!(found("b"), Ok(Some("bob=secret".to_owned())));
        assert_eq!(found("docker.io"), Ok(Some("ada=pass:word".to_owned())));
        assert_eq!(found("c"), Ok(None));
        assert!(found("kept").unwrap_err().contains("helpers"));
        assert!(found("broken").unwrap_err().contains("base64"));
    }
}
