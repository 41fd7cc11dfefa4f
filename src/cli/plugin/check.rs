//! `cordboard plugin check` and `inspect`: what a component is, and whether a proxy would take it.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use tracing::Level;

use super::{
    build::size,
    heard::Heard,
    project::{Stop, Target},
    trial::{Trial, block_on, unloadable},
};
use crate::{
    candidate,
    cli::{exit, print},
    policy::{self, Interfaces, Plugin, measure::Measure},
};

/// What is looked at.
#[derive(clap::Args)]
pub(in crate::cli) struct Check {
    /// The project's folder, or a component
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// What it is configured with, as JSON [default: what the project says, or `{}`]
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What a component says of itself and wants.
struct Looked {
    target: Target,
    wasm: Arc<[u8]>,
    interfaces: Interfaces,
    /// It, or why it would not be taken.
    loaded: Result<Arc<Plugin>, Stop>,
    warnings: Vec<String>,
}

/// Whether a proxy would take it, with the grants and limits of its project.
pub(in crate::cli) fn check(asked: &Check) -> u8 {
    match look(asked) {
        Err(stop) => stop.say(),
        Ok(looked) => {
            let printed = if asked.json { print(&format!("{:#}\n", object(&looked))) } else { say(&looked) };
            match looked.loaded {
                Ok(_) => printed,
                Err(stop) if asked.json => stop.code,
                Err(stop) => stop.say(),
            }
        }
    }
}

/// What a component is, whether a proxy would take it or not.
pub(in crate::cli) fn inspect(asked: &Check) -> u8 {
    match look(asked) {
        Err(stop) => stop.say(),
        Ok(looked) if asked.json => print(&format!("{:#}\n", object(&looked))),
        Ok(looked) => {
            let code = say(&looked);
            if let Err(stop) = &looked.loaded {
                print(&format!("  not loaded   {}\n", stop.says.trim_start_matches("cordboard: ")));
            }
            code
        }
    }
}

fn look(asked: &Check) -> Result<Looked, Stop> {
    let mut target = Target::of(&asked.path)?;
    if let Some(config) = &asked.config {
        let value: Value = serde_json::from_str(config)
            .map_err(|error| Stop::new(exit::USAGE, format!("cordboard: --config is not JSON: {error}")))?;
        target.config = value.to_string();
    }
    let wasm = target.wasm()?;
    Heard::listen(Level::WARN);
    target.warn_if_old();
    block_on(async {
        let mut trial = Trial::start(&target, &wasm, Measure::Nothing)?;
        let interfaces = trial.look().await?;
        let config: Value = serde_json::from_str(&target.config).unwrap_or_default();
        let misfits = candidate::unfit(&target.component, &wasm, &config);
        let origin = target.component.display();
        let stop = |why: String| Stop::new(exit::CONFIG, format!("cordboard: {origin}: {why}"));
        let loaded = match misfits {
            Err(why) => Err(stop(why)),
            Ok(misfits) if !misfits.is_empty() => Err(stop(misfits.join("\n"))),
            Ok(_) => trial.load(None, None).await.map_err(|error| unloadable(&error)),
        };
        let mut warnings = Vec::new();
        if let Ok(plugin) = &loaded {
            let unused = plugin.unused_grants().iter();
            warnings
                .extend(unused.map(|key| format!("grants.{key}: the component does not ask for this; leave it out")));
        }
        Ok(Looked { target, wasm, interfaces, loaded, warnings })
    })
}

fn say(looked: &Looked) -> u8 {
    let Looked { target, wasm, interfaces, loaded, warnings } = looked;
    let mut text = format!("{}{}\n", target.component.display(), if loaded.is_ok() { ": ok" } else { "" });
    // Writing to a String cannot fail.
    let mut row = |name: &str, value: &str| _ = writeln!(text, "  {name:<12} {value}");
    if let Ok(plugin) = loaded {
        row("says it is", plugin.described());
    }
    row("size", &size(wasm.len() as u64));
    row("sha256", &policy::hex(&policy::sha256(wasm)));
    let short = |names: &[String], package: &str| {
        let names = names.iter().filter_map(|name| name.strip_prefix(package));
        names.map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect::<Vec<_>>().join(", ")
    };
    row("decides", &short(&interfaces.exports, "cordboard:plugin/").replace("meta, ", "").replace(", meta", ""));
    let imported = [short(&interfaces.imports, "cordboard:plugin/"), short(&interfaces.imports, "cordboard:host/")];
    row("imports", &imported.into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>().join(", "));
    let wasi = interfaces.imports.iter().filter(|import| import.starts_with("wasi:")).count();
    if wasi > 0 {
        row("WASI", &format!("{wasi} interfaces, which are there and empty: no files, no sockets, no environment"));
    }
    if !interfaces.grants.is_empty() {
        let grants: Vec<_> = interfaces.grants.iter().map(|(_, example)| *example).collect();
        row("needs", &format!("grants: {{ {} }}", grants.join(", ")));
    }
    if !interfaces.ignored.is_empty() {
        row("ignored", &format!("{}: exports that mean nothing to the proxy", interfaces.ignored.join(", ")));
    }
    if let Ok(plugin) = loaded {
        row("memory", &size(plugin.instances().1 as u64));
        row("tried with", &format!("the configuration {}, and what it is granted", target.config));
    }
    for warning in warnings {
        row("warning", warning);
    }
    print(&text)
}

/// `{ok, error, component, bytes, sha256, name, imports, exports, grants, ignored, memory, warnings}`.
fn object(looked: &Looked) -> Value {
    let Looked { target, wasm, interfaces, loaded, warnings } = looked;
    json!({
        "ok": loaded.is_ok(),
        "error": loaded.as_ref().err().map(|stop| stop.says.trim_start_matches("cordboard: ")),
        "component": target.component.display().to_string(),
        "bytes": wasm.len(),
        "sha256": policy::hex(&policy::sha256(wasm)),
        "name": loaded.as_ref().ok().map(|plugin| plugin.described()),
        "imports": interfaces.imports,
        "exports": interfaces.exports,
        "grants": interfaces.grants.iter().map(|(interface, _)| interface).collect::<Vec<_>>(),
        "ignored": interfaces.ignored,
        "memory": loaded.as_ref().ok().map(|plugin| plugin.instances().1),
        "warnings": warnings,
    })
}
