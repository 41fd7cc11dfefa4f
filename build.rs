//! Builds the built-in policies (`plugins/`) as WebAssembly components and embeds them.
//!
//! The nested cargo has a target folder of its own (a shared one would deadlock on its lock), an environment without
//! the outer build's settings, and the profile `guest` of the root manifest. Where the wasm target is not installed,
//! the build stops with the one line to run. `CORDBOARD_WASM_RUSTC` names another compiler for the guests, for machines
//! whose toolchain cannot get the target.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "wasm32-unknown-unknown";
const GUESTS: [&str; 2] = ["rendezvous", "router"];

fn main() -> ExitCode {
    for path in ["plugins", "wit", "build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=CORDBOARD_WASM_RUSTC");
    match build() {
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
    let rustc = env::var("CORDBOARD_WASM_RUSTC").unwrap_or(linker.rustc.clone());
    if !has_target(&rustc) {
        return Err(format!(
            "the built-in policies need the target {TARGET}; run: rustup target add {TARGET} (or `make`, which tries that first)"
        ));
    }
    let target = out.join("guests");
    let mut command = Command::new(var("CARGO")?);
    command.current_dir(&root).args(["build", "--locked", "--profile", "guest", "--target", TARGET]);
    command.arg("--target-dir").arg(&target);
    for guest in GUESTS {
        command.args(["-p", &format!("cordboard-plugin-{guest}")]);
    }
    scrub(&mut command);
    command.env("RUSTC", rustc);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker.component_ld);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", &linker.flags);
    let output = command.output().map_err(|error| format!("cargo could not be started for the guests: {error}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr).replace('\n', "\ncargo::error=");
        return Err(format!("the built-in policies did not build:\ncargo::error={log}"));
    }
    for guest in GUESTS {
        let built = target.join(TARGET).join("guest").join(format!("cordboard_plugin_{guest}.wasm"));
        fs::copy(&built, out.join(format!("{guest}.wasm")))
            .map_err(|error| format!("{} was not built: {error}", built.display()))?;
    }
    Ok(())
}

/// What the outer cargo or a wrapper (clippy, coverage) sets is meant for the host, not for the guests.
fn scrub(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let keep = ["CARGO_HOME", "CARGO_NET_OFFLINE"].contains(&name.as_ref()) || name.starts_with("CARGO_HTTP_");
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
    flags: String,
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
        let flags = format!("-Clink-arg=--wasm-ld-path={}", bin.join("gcc-ld/wasm-ld").display());
        Ok(Self { rustc, component_ld, flags })
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
