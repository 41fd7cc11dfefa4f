//! A real registry: `docker-registry` of Debian, unpacked by `make test-tools` into the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;

use super::{eventually, lines};

/// How a registry is started.
#[derive(Default)]
pub struct Settings<'a> {
    /// Certificate and key, in PEM.
    pub tls: Option<(String, String)>,
    /// The only user, and the hash of the password (`htpasswd -B`).
    pub user: Option<(&'a str, &'a str)>,
    /// Who gives tokens, and the certificate whose key signs them, in PEM.
    pub token: Option<(String, String)>,
}

/// A running registry. It is ended by its id when it is dropped.
pub struct Registry {
    /// `127.0.0.1:port`.
    pub host: String,
    child: Child,
    _dir: TempDir,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the binary is: `CORDBOARD_TEST_REGISTRY`, or the tools folder.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CORDBOARD_TEST_REGISTRY") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("tools/registry/usr/bin/docker-registry")
}

impl Registry {
    #[allow(clippy::format_push_string)] // a few lines, once
    pub fn start(settings: &Settings<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binary = binary();
        assert!(binary.exists(), "{} is missing: `make test-tools` fetches it", binary.display());
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\n\
             http:\n  addr: 127.0.0.1:0\n",
            dir.path().join("data").display()
        );
        if let Some((certificate, key)) = &settings.tls {
            let (certificate_at, key_at) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
            fs::write(&certificate_at, certificate).unwrap();
            fs::write(&key_at, key).unwrap();
            config.push_str(&format!(
                "  tls: {{certificate: '{}', key: '{}'}}\n",
                certificate_at.display(),
                key_at.display()
            ));
        }
        if let Some((name, hash)) = settings.user {
            let path = dir.path().join("htpasswd");
            fs::write(&path, format!("{name}:{hash}\n")).unwrap();
            config.push_str(&format!("auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n", path.display()));
        }
        if let Some((realm, certificate)) = &settings.token {
            let path = dir.path().join("tokens.pem");
            fs::write(&path, certificate).unwrap();
            config.push_str(&format!(
                "auth: {{token: {{realm: '{realm}', service: registry, issuer: test, rootcertbundle: '{}'}}}}\n",
                path.display()
            ));
        }
        let path = dir.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(binary);
        command.args(["serve"]).arg(&path).env("OTEL_TRACES_EXPORTER", "none").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        let host = eventually("the registry's address", || {
            let said = log.lock().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the registry did not start: {status}\n{}", said.join("\n"));
            }
            let line = said.iter().find_map(|line| line.split_once("listening on "))?;
            let address: String = line.1.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
            Some(address)
        });
        Self { host, child, _dir: dir, log }
    }

    /// Requests that it logged, as `METHOD path`.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}
