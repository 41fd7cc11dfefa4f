//! A real registry: what `cordboard plugin push` put there is found by tag and by digest, with users, tokens and TLS.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::{
    support::{
        files::Answer,
        registry::{Registry, Settings},
    },
    *,
};

/// The hash of `secret` (bcrypt).
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

impl Place {
    /// Pushes a component there; gives the reference with its digest.
    fn push(&self, wasm: &[u8], reference: &str, more: &[&str]) -> (i32, String) {
        let file = self.path("push.wasm");
        fs::write(&file, wasm).unwrap();
        let mut command = binary();
        command.args(["plugin", "push", &shown(&file), reference]).args(more);
        command.env("DOCKER_CONFIG", self.path("docker")).env("CORDBOARD_PASSWORD", "secret");
        said(&command.output().unwrap())
    }

    fn pushed(&self, wasm: &[u8], reference: &str, more: &[&str]) -> String {
        let (code, text) = self.push(wasm, reference, more);
        assert_eq!(code, 0, "{text}");
        text.lines().next().unwrap().to_owned()
    }

    /// The signature that the next push takes along.
    fn sign_push(&self, wasm: &[u8], key: &Path) {
        fs::write(self.path("push.wasm.sig"), self.signature(wasm, key)).unwrap();
    }

    fn registry(&self) -> Registry {
        Registry::start(&Settings { tls: Some(self.authority.server(&["127.0.0.1"])), ..Settings::default() })
    }

    fn ca(&self) -> [String; 2] {
        ["--ca-file".to_owned(), shown(&self.path("ca.pem"))]
    }
}

#[test]
fn a_signed_component_is_pushed_pulled_and_swapped_for_what_the_tag_stands_for_next() {
    let place = Place::new();
    let registry = place.registry();
    let [option, ca] = place.ca();
    let (key, public) = place.key("release");
    let reference = format!("oci://{}/team/own:1", registry.host);
    place.sign_push(GIVES_ROLES, &key);
    place.pushed(GIVES_ROLES, &reference, &[&option, &ca]);
    let trust = format!("trust: {{keys: {{release: '{public}'}}}}\n");
    let yaml = place.chat(&format!("component: '{reference}'"), "", &trust);
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    proxy.logged(&["a component was fetched", &reference, &sha256(GIVES_ROLES)]);
    // What another stranger pushes does not serve.
    let (stranger, _) = place.key("stranger");
    place.sign_push(GIVES_NO_ROLES, &stranger);
    place.pushed(GIVES_NO_ROLES, &reference, &[&option, &ca]);
    let text = reload(&proxy);
    assert!(text.contains("none of those that may sign it"), "{text}");
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    place.sign_push(GIVES_NO_ROLES, &key);
    place.pushed(GIVES_NO_ROLES, &reference, &[&option, &ca]);
    reload(&proxy);
    assert_eq!((proxy.generation(), handshake(&proxy)), (2, 403));
    drop((proxy, registry));
    // And without the registry.
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 403);
    proxy.logged(&["the cached copy serves", &reference]);
}

#[test]
fn an_artifact_without_a_signature_is_refused_where_one_is_wanted() {
    let place = Place::new();
    let registry = place.registry();
    let [option, ca] = place.ca();
    let (_, public) = place.key("release");
    let reference = format!("oci://{}/own:1", registry.host);
    place.pushed(GIVES_ROLES, &reference, &[&option, &ca]);
    let trust = format!("trust: {{keys: {{release: '{public}'}}}}\n");
    let (code, text) = place.refused(&place.chat(&format!("component: '{reference}'"), "", &trust));
    assert!(code == 78 && text.contains("the artifact has no annotation `vnd.cordboard.signature`"), "{text}");
    let (code, text) =
        place.refused(&place.chat(&format!("component: '{reference}', sha256: {}", sha256(GIVES_NO_ROLES)), "", ""));
    assert!(code == 78 && text.contains("but `sha256` pins"), "{text}");
    assert!(
        !registry.log().iter().any(|line| line.contains("GET") && line.contains("/blobs/")),
        "the layer was asked for"
    );
}

#[test]
fn a_digest_is_asked_for_once_and_a_registry_without_tls_only_where_it_is_named() {
    let place = Place::new();
    let registry = Registry::start(&Settings::default());
    let reference = format!("oci://{}/own:1", registry.host);
    let digested = place.pushed(GIVES_ROLES, &reference, &["--plain-http"]);
    assert!(digested.starts_with(&format!("{reference}@sha256:")), "{digested}");
    // The same component is the same artifact.
    assert_eq!(place.pushed(GIVES_ROLES, &reference, &["--plain-http"]), digested);
    let plugin = format!("component: '{digested}'");
    let (code, text) = place.refused(&place.chat(&plugin, "", ""));
    assert!(
        code == 78 && text.contains("it does not speak TLS; a registry without it needs `plain_http: true`"),
        "{text}"
    );
    let hosts = format!("hosts: {{'{}': {{plain_http: true}}}}", registry.host);
    let yaml = place.chat(&plugin, &hosts, "");
    assert_eq!(handshake(&place.start(&yaml)), 101);
    drop(registry);
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    // Nobody had to be asked.
    proxy.metric_becomes("cordboard_component_copies", 0.0);
}

#[test]
fn what_a_registry_does_not_have_is_told_in_its_words() {
    let place = Place::new();
    let registry = place.registry();
    let [option, ca] = place.ca();
    let at = |name: &str| format!("oci://{}/{name}", registry.host);
    place.pushed(GIVES_ROLES, &at("own:1"), &[&option, &ca]);
    for (name, expected) in [
        ("own:2", "(MANIFEST_UNKNOWN: manifest unknown)"),
        ("other:1", "404"),
        (&format!("own@sha256:{}", "0".repeat(64)), "MANIFEST_UNKNOWN"),
    ] {
        let plugin = format!("component: '{}', sha256: {}", at(name), sha256(GIVES_ROLES));
        let (code, text) = place.refused(&place.chat(&plugin, "", ""));
        assert!(code == 78 && text.contains(expected) && text.contains(&at(name)), "{expected}\n{text}");
    }
}

#[test]
fn users_come_from_the_configuration_or_from_a_file_of_docker() {
    let place = Place::new();
    let settings = Settings {
        tls: Some(place.authority.server(&["127.0.0.1"])),
        user: Some(("ada", HASH)),
        ..Settings::default()
    };
    let registry = Registry::start(&settings);
    let [option, ca] = place.ca();
    let reference = format!("oci://{}/own:1", registry.host);
    let (code, text) = place.push(GIVES_ROLES, &reference, &[&option, &ca]);
    assert!(code == 1 && text.contains("401"), "{text}");
    let auths = json!({ "auths": { &registry.host: { "auth": STANDARD.encode("ada:secret") } } });
    fs::create_dir(place.path("docker")).unwrap();
    fs::write(place.path("docker/config.json"), auths.to_string()).unwrap();
    place.pushed(GIVES_ROLES, &reference, &[&option, &ca]);
    place.pushed(GIVES_ROLES, &reference, &[&option, &ca, "--username", "ada"]);

    let plugin = format!("component: '{reference}', sha256: {}", sha256(GIVES_ROLES));
    let hosts = |login: &str| format!("hosts: {{'{}': {{{login}}}}}", registry.host);
    let (code, text) = place.refused(&place.chat(&plugin, "", ""));
    assert!(
        code == 78 && text.contains("401") && text.contains("give a user and password for it in `fetch.hosts`"),
        "{text}"
    );
    let (code, text) = place.refused(&place.chat(&plugin, &hosts("username: ada, password: wrong-one"), ""));
    assert!(code == 78 && text.contains("are not let in") && !text.contains("wrong-one"), "{text}");
    let docker = format!("docker_config: '{}'", shown(&place.path("docker/config.json")));
    assert_eq!(handshake(&place.start(&place.chat(&plugin, &docker, ""))), 101);
    fs::remove_dir_all(place.path("cache")).unwrap();
    assert_eq!(handshake(&place.start(&place.chat(&plugin, &hosts("username: ada, password: secret"), ""))), 101);
}

/// A token as the registry wants it: signed by a key whose certificate it has.
fn token(certificate: &[u8], key: &KeyPair, access: &serde_json::Value) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let head = part(json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(certificate)] }));
    let claims = part(json!({
        "iss": "test", "sub": "ada", "aud": "registry", "jti": "1",
        "exp": now + 300, "nbf": now - 10, "iat": now, "access": access,
    }));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der()).unwrap();
    let text = format!("{head}.{claims}");
    let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_wants_a_token_is_given_the_one_that_it_says_where_to_get() {
    let place = Place::new();
    let issuer = place.server().await;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["tokens".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (pem, der) = (certificate.pem(), certificate.der().to_vec());
    let settings = Settings {
        tls: Some(place.authority.server(&["127.0.0.1"])),
        token: Some((issuer.url("/token"), pem)),
        ..Settings::default()
    };
    let registry = Registry::start(&settings);
    issuer.say(move |asked| {
        if asked.headers.get("authorization").map(String::as_str) != Some("Basic YWRhOnNlY3JldA==") {
            return Answer::Whole(401, Vec::new(), b"who are you?".to_vec());
        }
        let push = asked.target.contains("push");
        let actions = if push { json!(["pull", "push"]) } else { json!(["pull"]) };
        let access = json!([{ "type": "repository", "name": "team/own", "actions": actions }]);
        Answer::ok(json!({ "token": token(&der, &key, &access) }).to_string().as_bytes())
    });
    let [option, ca] = place.ca();
    let reference = format!("oci://{}/team/own:1", registry.host);
    place.pushed(GIVES_ROLES, &reference, &[&option, &ca, "--username", "ada"]);
    let plugin = format!("component: '{reference}', sha256: {}", sha256(GIVES_ROLES));
    let hosts = |password: &str| format!("hosts: {{'{}': {{username: ada, password: {password}}}}}", registry.host);
    let (code, text) = place.refused(&place.chat(&plugin, &hosts("wrong"), ""));
    assert!(
        code == 78 && text.contains("the token: ") && text.contains("401") && text.contains("(who are you?)"),
        "{text}"
    );
    let before = issuer.asked().len();
    assert_eq!(handshake(&place.start(&place.chat(&plugin, &hosts("secret"), ""))), 101);
    let asked: Vec<_> = issuer.asked().drain(before..).map(|asked| asked.target).collect();
    // Once, for the manifest and the layer.
    assert_eq!(asked, ["/token?service=registry&scope=repository%3Ateam%2Fown%3Apull"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_a_registry_leads_to_is_not_told_who_we_are_even_if_it_asks() {
    let place = Place::new();
    let (registry, store) = (place.server().await, place.server().await);
    let (layer, realm) = (store.url("/layer"), store.url("/token"));
    let digest = format!("sha256:{}", sha256(GIVES_ROLES));
    let manifest = json!({ "layers": [
        { "mediaType": "application/wasm", "digest": digest, "size": GIVES_ROLES.len() },
    ]});
    registry.say(move |asked| match asked.headers.get("authorization").map(String::as_str) {
        Some("Basic YWRhOnNlY3JldA==") if asked.target.contains("/manifests/") => {
            Answer::ok(manifest.to_string().as_bytes())
        }
        Some(_) => Answer::status(307).with("Location", &layer),
        None => Answer::status(401).with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let host = registry.url("").replace("https://", "");
    let hosts = format!("hosts: {{'{host}': {{username: ada, password: secret}}}}");
    let plugin = format!("component: 'oci://{host}/own:1', sha256: {}", sha256(GIVES_ROLES));
    for challenge in [format!("Bearer realm=\"{realm}\",service=\"s\""), "Basic realm=\"s\"".to_owned()] {
        store.say(move |_| Answer::status(401).with("WWW-Authenticate", &challenge));
        let (code, text) = place.refused(&place.chat(&plugin, &hosts, ""));
        let expected = format!("{}, where that led, answers 401", store.url("").replace("https://", ""));
        assert!(code == 78 && text.contains(&expected) && !text.contains("not let in"), "{text}");
    }
    let asked: Vec<_> =
        store.asked().into_iter().map(|a| (a.target, a.headers.get("authorization").cloned())).collect();
    assert_eq!(asked, [("/layer".to_owned(), None), ("/layer".to_owned(), None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_never_leaves_tls_and_its_place_is_told_without_its_query() {
    let place = Place::new();
    let registry = place.server().await;
    let plain = Files::plain().await;
    let [option, ca] = place.ca();
    let host = registry.url("").replace("https://", "");
    for (to, expected) in [
        (format!("{}?token=sesame", plain.url("/upload")), "away from TLS"),
        ("ftp://elsewhere/upload?token=sesame".to_owned(), "is not the URL of a web server"),
    ] {
        registry.say(move |asked| match &*asked.method {
            "POST" => Answer::status(202).with("Location", &to),
            _ => Answer::status(404),
        });
        let (code, text) = place.push(GIVES_ROLES, &format!("oci://{host}/own:1"), &[&option, &ca]);
        assert!(code == 1 && text.contains(expected) && text.contains("?…") && !text.contains("sesame"), "{text}");
    }
    assert_eq!(plain.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_pushes_is_told_what_push_can_be_told() {
    let place = Place::new();
    let registry = place.server().await;
    let host = registry.url("").replace("https://", "");
    let reference = format!("oci://{host}/own:1");
    let (code, text) = place.push(GIVES_ROLES, &reference, &[]);
    assert!(code == 1 && text.contains("`--ca-file` can name who has") && !text.contains("fetch."), "{text}");
    let [option, ca] = place.ca();
    registry.say(|_| Answer::status(401));
    let (code, text) = place.push(GIVES_ROLES, &reference, &[&option, &ca]);
    assert!(code == 1 && text.contains("`--username`") && !text.contains("fetch."), "{text}");
    let plain = Files::plain().await;
    let (code, text) = place.push(GIVES_ROLES, &format!("oci://{}/own:1", plain.address), &[]);
    assert!(code == 1 && text.contains("needs `--plain-http`"), "{text}");
    let file = shown(&place.path("push.wasm"));
    let mut command = binary();
    command.args(["plugin", "push", &file, &reference, "--username", "ada"]).env_remove("CORDBOARD_PASSWORD");
    let (code, text) = said(&command.output().unwrap());
    assert!(code == 2 && text.contains("CORDBOARD_PASSWORD"), "{text}");
}
