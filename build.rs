//! Builds the built-in policies (`plugins/`) as WebAssembly components and embeds them.
//!
//! The nested cargo has a target folder of its own (a shared one would deadlock on its lock), an environment without
//! the outer build's settings, and the profile `guest` of the root manifest. No path of the machine that builds stands
//! in the components. Where the wasm target is not installed, the build stops with the one line to run.
//! `CORDBOARD_WASM_RUSTC` names another compiler for the guests, for machines whose toolchain cannot get the target;
//! the linker is the toolchain's all the same.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "wasm32-unknown-unknown";
/// How cargo reaches its registries is the same for the guests.
const KEPT: [&str; 4] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRY_", "CARGO_REGISTRIES_"];
const GUESTS: &[&str] = &[
    "api-key",
    "deny-list",
    "field-crypt",
    "json",
    "json-schema",
    "newest-wins",
    "redact",
    "rendezvous",
    "router",
    "xml-json",
];

fn main() -> ExitCode {
    for path in ["wit", "build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    // Not all of `plugins`: what is built there by hand is no change. The SDK's `wit` is a link to the one above.
    for member in GUESTS.iter().chain(&["sdk"]) {
        println!("cargo::rerun-if-changed=plugins/{member}/Cargo.toml");
        println!("cargo::rerun-if-changed=plugins/{member}/src");
    }
    println!("cargo::rerun-if-env-changed=CORDBOARD_WASM_RUSTC");
    match build().and_then(|()| embed()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(var("OUT_DIR")?);
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR")?);
    let linker = Linker::find(&var("HOST")?)?;
    let other = env::var("CORDBOARD_WASM_RUSTC").ok().filter(|path| !path.is_empty());
    let rustc = other.as_ref().unwrap_or(&linker.rustc);
    if !has_target(rustc) {
        return Err(match other {
            Some(other) => format!("CORDBOARD_WASM_RUSTC names {other}, which does not have the target {TARGET}"),
            None => format!(
                "the built-in policies need the target {TARGET}; run: rustup target add {TARGET} \
                 (where rustup cannot fetch it, `make setup` says what to do)"
            ),
        });
    }
    let target = out.join("guests");
    let mut command = Command::new(var("CARGO")?);
    command.current_dir(&root).args(["build", "--locked", "--profile", "guest", "--target", TARGET]);
    command.arg("--target-dir").arg(&target).args(["--jobs", &var("NUM_JOBS")?]);
    for guest in GUESTS {
        command.args(["-p", &format!("cordboard-plugin-{guest}")]);
    }
    scrub(&mut command);
    command.env("RUSTC", rustc);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker.component_ld);
    // In this variable, because it is the one that no other source of flags comes before.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(&linker, &root).join("\x1f"));
    let output = command.output().map_err(|error| format!("cargo could not be started for the guests: {error}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr).replace('\n', "\ncargo::error=");
        return Err(format!("the built-in policies did not build:\ncargo::error={log}"));
    }
    for guest in GUESTS {
        let file = format!("cordboard_plugin_{}.wasm", guest.replace('-', "_"));
        let built = target.join(TARGET).join("guest").join(file);
        fs::copy(&built, out.join(format!("{guest}.wasm")))
            .map_err(|error| format!("{} was not built: {error}", built.display()))?;
    }
    Ok(())
}

/// What `cordboard plugin new` and `wit` write: the templates, the contract and the SDK, as lists of paths and bytes.
fn embed() -> Result<(), String> {
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR")?);
    let mut text = String::new();
    for (name, folder) in [("TEMPLATES", "plugins/templates"), ("WIT", "wit/v0.1"), ("SDK", "plugins/sdk")] {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = Vec::new();
        list(&root.join(folder), Path::new(""), &mut files)?;
        files.sort();
        let mut rows = Vec::new();
        for file in files {
            let path = root.join(folder).join(&file).display().to_string();
            rows.push(format!("    ({:?}, include_bytes!({path:?})),\n", file.display().to_string()));
        }
        text += &["pub(super) static ", name, ": &[(&str, &[u8])] = &[\n", &rows.concat(), "];\n"].concat();
    }
    let out = PathBuf::from(var("OUT_DIR")?).join("embedded.rs");
    fs::write(&out, text).map_err(|error| format!("{}: {error}", out.display()))
}

/// All files of a folder but what tools leave there when somebody builds a template in its place.
fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let dir = root.join(below);
    let wrong = |error| format!("{}: {error}", dir.display());
    for entry in fs::read_dir(&dir).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let (path, name) = (below.join(&name), name.to_string_lossy().into_owned());
        // Links are followed: the SDK's contract is one.
        if !root.join(&path).is_dir() {
            files.push(path);
        } else if !["target", "build", "node_modules", ".venv", "__pycache__"].contains(&name.as_str()) {
            list(root, &path, files)?;
        }
    }
    Ok(())
}

/// The linker's flags, and names for folders that are this machine's affair. Of several that match the last one counts.
fn flags(linker: &Linker, root: &Path) -> Vec<String> {
    let home = |name: &str| env::var_os(name).map(PathBuf::from);
    let cargo_home = home("CARGO_HOME").or_else(|| home("HOME").map(|home| home.join(".cargo")));
    let registry = cargo_home.map(|home| home.join("registry/src"));
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec![format!("-Clink-arg=--wasm-ld-path={}", linker.wasm_ld.display()), remap(root, "cordboard")];
    flags.extend(registry.map(|registry| remap(&registry, "registry")));
    flags
}

/// What the outer cargo or a wrapper (clippy, coverage) sets is meant for the host, not for the guests.
fn scrub(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let keep = name == "CARGO_HOME" || KEPT.iter().any(|prefix| name.starts_with(prefix));
        if !keep && (name.starts_with("CARGO") || name.starts_with("RUSTC") || name.starts_with("RUSTFLAGS")) {
            command.env_remove(name.as_ref());
        }
    }
    for name in ["RUSTDOC", "RUSTDOCFLAGS", "TARGET", "HOST", "OUT_DIR", "PROFILE", "OPT_LEVEL", "DEBUG", "NUM_JOBS"] {
        command.env_remove(name);
    }
}

/// `wasm-component-ld` of the toolchain: links a guest straight into a component.
struct Linker {
    rustc: String,
    component_ld: PathBuf,
    wasm_ld: PathBuf,
}

impl Linker {
    fn find(host: &str) -> Result<Self, String> {
        let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
        let sysroot = print(&rustc, &["--print", "sysroot"])?;
        let bin = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin");
        let component_ld = bin.join("wasm-component-ld");
        if !component_ld.exists() {
            return Err(format!(
                "{} does not exist: the guests are linked with the wasm-component-ld of a rustup toolchain",
                component_ld.display()
            ));
        }
        Ok(Self { rustc, component_ld, wasm_ld: bin.join("gcc-ld/wasm-ld") })
    }
}

fn has_target(rustc: &str) -> bool {
    print(rustc, &["--print", "target-libdir", "--target", TARGET])
        .ok()
        .and_then(|dir| fs::read_dir(dir).ok())
        .is_some_and(|files| {
            files.filter_map(Result::ok).any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
}

fn print(rustc: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(rustc).args(args).output().map_err(|error| format!("{rustc}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn var(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}
