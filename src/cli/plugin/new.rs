//! `cordboard plugin new`: a project that builds and passes its tests at once.
//!
//! What a language has in common, what its engine needs and what the kind of policy is are laid over each other; the test
//! cases and the world are the same in all languages.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::Value;

use super::{
    embedded::{SDK, template, templates},
    project::{Stop, write},
    wit,
};
use crate::{
    cli::{exit, print},
    config::author::MANIFEST,
};

/// What is begun.
#[derive(clap::Args)]
pub(in crate::cli) struct New {
    /// The plugin's name: lower case letters, digits and `-`
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
    /// What it decides
    #[arg(long, value_enum, default_value_t = Kind::Rendezvous)]
    kind: Kind,
    /// What runs JavaScript and TypeScript: `quickjs` is smaller and quicker, `starlingmonkey` knows more of the web's
    /// interfaces [default: quickjs]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Where to; must be empty or not there [default: NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What a plugin may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Javascript,
    Typescript,
    Python,
    C,
    Go,
}

/// What it may decide; any project may decide more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Who is client, who backend, and on which channel
    Rendezvous,
    /// Which service a request leads to
    Router,
    /// Who may enter
    Authorizer,
    /// What becomes of messages
    Filter,
    /// Whether an open session may go on
    Rechecker,
    /// Who is joined with whom where a seat is taken
    Pairer,
    /// What becomes of header fields, on their way to a service and back
    Rewriter,
    /// Nothing: it is told what becomes of connections
    Observer,
}

/// What may run JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Quickjs,
    Starlingmonkey,
}

fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A name that is one in every language.
fn name(text: &str) -> Result<String, String> {
    let good = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.ends_with('-')
        && !text.contains("--")
        && text.len() <= 64;
    if good {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 lower case letters, digits and single `-`, beginning with a letter, such as `my-policy`"
            .to_owned())
    }
}

/// Begins it.
pub(in crate::cli) fn new(asked: &New) -> u8 {
    match begin(asked) {
        Ok(dir) => print(&format!(
            "{0}: begun; next:\n  cd {0}\n  cordboard plugin build --install\n  cordboard plugin test\n  \
             cordboard plugin watch          # and, in another terminal: cordboard run --config proxy.yaml\n",
            dir.display()
        )),
        Err(stop) => stop.say(),
    }
}

fn begin(asked: &New) -> Result<PathBuf, Stop> {
    let dir = asked.dir.clone().unwrap_or_else(|| PathBuf::from(&asked.name));
    let occupied = match fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => dir.exists(),
    };
    if occupied {
        let says = format!("cordboard: {} is there already, and nothing is written over", dir.display());
        return Err(Stop::new(exit::CANNOT_CREATE, says));
    }
    let (language, kind) = (word(&asked.lang), word(&asked.kind));
    let mut layers = vec![format!("{language}/common")];
    if matches!(asked.lang, Language::Javascript | Language::Typescript) {
        layers.push(format!("javascript-{}/common", word(&asked.engine.unwrap_or(Engine::Quickjs))));
    } else if asked.engine.is_some() {
        let says = format!("cordboard: `--engine` is for JavaScript and TypeScript; {language} has none to choose");
        return Err(Stop::new(exit::USAGE, says));
    }
    layers.push(format!("{language}/{kind}"));
    for layer in &layers {
        for (path, bytes) in templates(layer) {
            // A file of that name would rule over the templates themselves.
            let path = if path == "gitignore" { ".gitignore".to_owned() } else { filled(path, &asked.name) };
            write(&dir.join(path), &filled_bytes(bytes, &asked.name))?;
        }
    }
    for (from, to) in [(format!("cases/{kind}.yaml"), "cases.yaml"), (format!("worlds/{kind}.wit"), "wit/world.wit")] {
        if asked.lang != Language::Rust || to == "cases.yaml" {
            write(&dir.join(to), &filled_bytes(template(&from).unwrap_or_default(), &asked.name))?;
        }
    }
    if asked.lang == Language::Rust {
        sdk(&dir.join("sdk"))?;
    } else {
        wit::packages(&dir.join("wit/deps"))?;
    }
    let proxy = template(&format!("proxy/{kind}.yaml")).unwrap_or_default();
    let proxy = String::from_utf8_lossy(proxy).replace("{{limits}}", &limits(&dir));
    write(&dir.join("proxy.yaml"), filled(&proxy, &asked.name).as_bytes())?;
    Ok(dir)
}

/// The limits of the new project's manifest, as they are written in a configuration.
fn limits(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join(MANIFEST)).unwrap_or_default();
    let manifest: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    match manifest["limits"].as_object() {
        None => "{}".to_owned(),
        Some(limits) if limits.is_empty() => "{}".to_owned(),
        Some(limits) => {
            let limits = limits.iter().map(|(key, value)| {
                format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
            });
            format!("{{ {} }}", limits.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The SDK as a crate of its own: it takes nothing from a workspace.
fn sdk(dir: &Path) -> Result<(), Stop> {
    for (path, bytes) in SDK {
        if *path != "Cargo.toml" {
            write(&dir.join(path), bytes)?;
            continue;
        }
        let manifest = String::from_utf8_lossy(bytes);
        let lines = manifest.lines().filter_map(|line| {
            Some(match line {
                "version.workspace = true" => concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"").to_owned(),
                "edition.workspace = true" => "edition = \"2024\"".to_owned(),
                "rust-version.workspace = true" => {
                    concat!("rust-version = \"", env!("CARGO_PKG_RUST_VERSION"), "\"").to_owned()
                }
                "license.workspace = true" => concat!("license = \"", env!("CARGO_PKG_LICENSE"), "\"").to_owned(),
                "publish.workspace = true" => "publish = false".to_owned(),
                "[lints]" | "workspace = true" => return None,
                other => other.to_owned(),
            })
        });
        write(&dir.join(path), (lines.collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n").as_bytes())?;
    }
    Ok(())
}

fn filled(text: &str, name: &str) -> String {
    text.replace("{{name}}", name).replace("{{name_snake}}", &name.replace('-', "_"))
}

/// The same of a file, unless it is no text.
fn filled_bytes<'b>(bytes: &'b [u8], name: &str) -> Cow<'b, [u8]> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("{{") => filled(text, name).into_bytes().into(),
        _ => bytes.into(),
    }
}
