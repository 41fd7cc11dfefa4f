//! `cordboard plugin keygen`, `sign` and `verify`.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_key_is_for_its_owner_alone_and_never_written_over() {
    let place = Place::new();
    let (path, public) = place.key("release");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&path).unwrap();
    let (code, text) = run(&["plugin", "keygen", &shown(&path)]);
    assert!(code == 73 && text.contains("this file exists"), "{code} {text}");
    assert_eq!(fs::read(&path).unwrap(), before);
    let (code, text) = run(&["plugin", "keygen", &shown(&path), "--show", "--name", "mine"]);
    assert!(code == 0 && text.contains(&format!("trust:\n  keys:\n    mine: {public}\n")), "{text}");
    assert!(!text.contains("PRIVATE"));
    let setup = Place::setup(&chat("component: 'builtin:rendezvous'", &text[text.find("trust:").unwrap()..]));
    let (code, text) = run(&["check", &shown(&setup.path())]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_is_signed_is_verified_by_key_and_by_configuration_and_by_nobody_else() {
    let place = Place::new();
    let ((key, public), (second, second_public)) = (place.key("release"), place.key("second"));
    let file = place.path("own.wasm");
    fs::write(&file, GIVES_ROLES).unwrap();
    let (code, text) = run(&["plugin", "sign", &shown(&file), "--key", &shown(&key)]);
    assert!(code == 0 && text.contains(&sha256(GIVES_ROLES)), "{text}");
    let verify = |by: &[&str]| run(&[&["plugin", "verify", &shown(&file)], by].concat());
    assert_eq!(verify(&["--key", &public]).0, 0);
    let (code, text) = verify(&["--key", &second_public]);
    assert!(code == 1 && text.contains("none of those that may sign it"), "{text}");
    let config = chat("component: 'builtin:rendezvous'", &format!("trust: {{keys: {{release: '{public}'}}}}\n"));
    let setup = Place::setup(&config);
    let (code, text) = verify(&["--config", &shown(&setup.path())]);
    assert!(code == 0 && text.contains("signed by release"), "{text}");
    // A second key beside the first, while one replaces the other.
    assert_eq!(run(&["plugin", "sign", &shown(&file), "--key", &shown(&second)]).0, 0);
    assert_eq!((verify(&["--key", &public]).0, verify(&["--key", &second_public]).0), (0, 0));
    // Built anew: nothing that was said of the old one stays.
    fs::write(&file, GIVES_NO_ROLES).unwrap();
    assert_eq!(verify(&["--key", &public]).0, 1);
    assert_eq!(run(&["plugin", "sign", &shown(&file), "--key", &shown(&second)]).0, 0);
    assert_eq!((verify(&["--key", &public]).0, verify(&["--key", &second_public]).0), (1, 0));
}

#[test]
fn what_is_no_component_no_key_and_no_signature_is_refused_and_stays_as_it_is() {
    let place = Place::new();
    let (key, _) = place.key("release");
    let (file, text, output) = (place.path("own.wasm"), place.path("text"), place.path("precious.txt"));
    fs::write(&file, GIVES_ROLES).unwrap();
    fs::write(&text, "hello").unwrap();
    fs::write(&output, "precious").unwrap();
    let sign = |file: &Path, key: &Path| {
        run(&["plugin", "sign", &shown(file), "--key", &shown(key), "--output", &shown(&output)])
    };
    let (code, said) = sign(&text, &key);
    assert!(code == 78 && said.contains("this is not a WebAssembly component"), "{said}");
    let (code, said) = sign(&file, &text);
    assert!(code == 1 && said.contains("no private key in PEM"), "{said}");
    let (code, said) = sign(&file, &key);
    assert!(code == 73 && said.contains("it is not written over"), "{said}");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    let (code, said) = run(&["plugin", "verify", &shown(&file), "--key", "AAAA"]);
    assert!(code == 2 && said.contains("32 bytes"), "{said}");
}

#[test]
fn keys_of_openssl_sign_and_are_trusted() {
    let place = Place::new();
    let (key, file) = (place.path("openssl.pem"), place.path("own.wasm"));
    fs::write(&file, GIVES_ROLES).unwrap();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &shown(&key)]);
    let pem = openssl(&["pkey", "-in", &shown(&key), "-pubout"]);
    let public = pem.lines().nth(1).unwrap();
    assert_eq!(run(&["plugin", "sign", &shown(&file), "--key", &shown(&key)]).0, 0);
    let (code, text) = run(&["plugin", "verify", &shown(&file), "--key", public]);
    assert_eq!(code, 0, "{text}");
    fs::write(place.path("public.pem"), &pem).unwrap();
    for path in [place.path("public.pem"), key] {
        let (code, text) = run(&["plugin", "verify", &shown(&file), "--key", &shown(&path)]);
        assert_eq!(code, 0, "{text}");
    }
    // And the other way round.
    let (key, public) = place.key("own");
    let pem = openssl(&["pkey", "-in", &shown(&key), "-pubout"]);
    fs::write(place.path("public.pem"), pem).unwrap();
    assert_eq!(run(&["plugin", "sign", &shown(&file), "--key", &shown(&key)]).0, 0);
    for key in [public, shown(&place.path("public.pem"))] {
        let (code, text) = run(&["plugin", "verify", &shown(&file), "--key", &key]);
        assert_eq!(code, 0, "{text}");
    }
}

#[test]
fn a_name_that_no_configuration_takes_is_refused_before_there_is_a_key() {
    let place = Place::new();
    let path = place.path("release.pem");
    let (code, text) = run(&["plugin", "keygen", &shown(&path), "--name", "a: b"]);
    assert!(code == 2 && text.contains("`a: b` is not a name"), "{text}");
    assert!(!path.exists());
}

#[test]
fn a_project_is_signed_and_verified_by_its_folder_and_who_has_no_signature_is_told_how() {
    let place = Place::new();
    let ((key, public), (_, other)) = (place.key("release"), place.key("other"));
    let project = place.path("project");
    fs::create_dir_all(project.join("build")).unwrap();
    fs::write(project.join("plugin.yaml"), "name: own\nlanguage: rust\ncomponent: build/own.wasm\n").unwrap();
    let verify = |key: &str| run(&["plugin", "verify", &shown(&project), "--key", key]);
    let (code, text) = verify(&public);
    assert!(code == 1 && text.contains("is not there yet: `cordboard plugin build"), "{text}");
    fs::write(project.join("build/own.wasm"), GIVES_ROLES).unwrap();
    let (code, text) = verify(&public);
    let file = shown(&project.join("build/own.wasm"));
    let hint = format!("own.wasm.sig is not there; sign it: `cordboard plugin sign {file} --key KEY`");
    assert!(code == 1 && text.contains(&hint), "{text}");
    assert_eq!(run(&["plugin", "sign", &shown(&project), "--key", &shown(&key)]).0, 0);
    assert!(project.join("build/own.wasm.sig").exists());
    assert_eq!(verify(&public).0, 0);
    let id = |public: &str| public.parse::<cordboard::signature::PublicKey>().unwrap().id();
    let (code, text) = verify(&other);
    let expected = format!("the key {}, which is none of those that may sign it: {}\n", id(&public), id(&other));
    assert!(code == 1 && text.contains(&expected), "{text}");
}
