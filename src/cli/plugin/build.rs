//! `cordboard plugin build`: runs the lines of a project's manifest, and puts what came of them in its place as a whole.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::project::{Project, Stop, wasm};
use crate::{
    cli::{exit, print},
    config::author::Need,
    policy,
};

/// Where projects keep tools of their own, which go before those of the system.
const TOOLS: [&str; 2] = [".venv/bin", "node_modules/.bin"];

/// What is built.
#[derive(clap::Args)]
pub(in crate::cli) struct Build {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Runs the lines that install what is missing, instead of telling them
    #[arg(long)]
    install: bool,
}

/// Builds it.
pub(in crate::cli) fn build(asked: &Build) -> u8 {
    let built = Project::open(&asked.dir).and_then(|project| {
        prepare(&project, asked.install)?;
        let built = Built::of(&project)?;
        let says = built.to_string();
        built.publish()?;
        Ok(says)
    });
    match built {
        Ok(says) => print(&format!("{says}\n")),
        Err(stop) => stop.say(),
    }
}

/// Sees to what the build needs: what is missing is told, or installed.
pub(super) fn prepare(project: &Project, install: bool) -> Result<(), Stop> {
    let needs = &project.manifest.needs;
    let missing = |needs: &[Need]| -> Result<Vec<Need>, Stop> {
        let mut missing = Vec::new();
        for need in needs {
            let checked = shell(project, &need.check, None).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !checked.map_err(|error| no_shell(&error))?.success() {
                missing.push(need.clone());
            }
        }
        Ok(missing)
    };
    let mut lacking = missing(needs)?;
    if install && !lacking.is_empty() {
        for need in lacking.iter().filter(|need| !need.install.is_empty()) {
            eprintln!("installing {}: {}", need.name, need.install);
            run(project, &need.install, None)?;
        }
        lacking = missing(&lacking)?;
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let told = lacking.iter().map(|Need { name, install, .. }| match install.as_str() {
        "" => format!("cordboard: {name} is missing\n"),
        line => format!("cordboard: {name} is missing; install it: {line}\n"),
    });
    let mut says: String = told.collect();
    if !install && lacking.iter().any(|need| !need.install.is_empty()) {
        says += "`cordboard plugin build --install` runs these lines in the project's folder.";
    }
    Err(Stop::failed(says.trim_end()))
}

/// A component that has been built, and is not yet where the project has its component.
pub(super) struct Built {
    file: Temporary,
    component: PathBuf,
    bytes: u64,
    sha256: String,
    took: Duration,
}

impl Built {
    /// Builds it.
    pub(super) fn of(project: &Project) -> Result<Self, Stop> {
        let begun = Instant::now();
        let component = project.component();
        let cannot = |path: &Path, error: &std::io::Error| {
            Stop::new(exit::CANNOT_CREATE, format!("cordboard: {}: {error}", path.display()))
        };
        let folder =
            component.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
        let folder = folder.canonicalize().map_err(|error| cannot(folder, &error))?;
        let name = component.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Beside its place, so that the last step is a rename.
        let file = Temporary(folder.join(format!("{TEMPORARY}{}-{name}", std::process::id())));
        let path = &file.0;
        drop(fs::remove_file(path));
        if project.manifest.build.is_empty() {
            let says = format!("cordboard: {}: `build` has no lines", project.dir.join("plugin.yaml").display());
            return Err(Stop::new(exit::CONFIG, says));
        }
        for line in &project.manifest.build {
            run(project, line, Some(path))?;
        }
        if !path.is_file() {
            return Err(Stop::failed(
                "cordboard: the lines of `build` succeeded, but none wrote the component to \"$OUT\"",
            ));
        }
        let wasm = wasm(path)?;
        policy::recognise(&wasm).map_err(|why| Stop::failed(format!("cordboard: what was built: {why}")))?;
        Ok(Self {
            sha256: policy::hex(&policy::sha256(&wasm)),
            bytes: wasm.len() as u64,
            took: begun.elapsed(),
            file,
            component,
        })
    }

    /// Where it is until then.
    pub(super) fn path(&self) -> &Path {
        &self.file.0
    }

    /// Puts it in its place, in one step.
    ///
    /// A signature that a line of the build has put beside it goes first: a proxy that wants one waits for the pair.
    pub(super) fn publish(self) -> Result<(), Stop> {
        if beside(self.path()).is_file() {
            let signature = beside(&self.component);
            fs::rename(beside(self.path()), &signature).map_err(|error| {
                Stop::new(exit::CANNOT_CREATE, format!("cordboard: {}: {error}", signature.display()))
            })?;
        }
        fs::rename(self.path(), &self.component).map_err(|error| {
            Stop::new(exit::CANNOT_CREATE, format!("cordboard: {}: {error}", self.component.display()))
        })
    }

    /// Whether the same is in its place already.
    pub(super) fn is_there(&self) -> Result<bool, Stop> {
        Ok(self.component.is_file() && wasm(&self.component)? == wasm(self.path())?)
    }
}

/// How the name of a component begins that is not in its place yet.
const TEMPORARY: &str = ".new-";

/// Whether a file of this name is such a one.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY)
}

/// Where the signature of a component is.
fn beside(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// A file, and its signature, that are gone with this unless they have been moved.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        for file in [beside(&self.0), self.0.clone()] {
            drop(fs::remove_file(file));
        }
    }
}

impl std::fmt::Display for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, size) = (self.component.display(), size(self.bytes));
        write!(f, "{path}: {size}, sha256 {}, built in {:.1} s", self.sha256, self.took.as_secs_f64())
    }
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Runs a line, whose output goes where ours does.
fn run(project: &Project, line: &str, out: Option<&Path>) -> Result<(), Stop> {
    // What a command says belongs to what we report, and standard output is for results.
    let status: ExitStatus =
        shell(project, line, out).stdout(std::io::stderr()).status().map_err(|error| no_shell(&error))?;
    if status.success() {
        return Ok(());
    }
    let how = status.code().map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
    Err(Stop::failed(format!("cordboard: this line ended with {how}: {line}")))
}

fn no_shell(error: &std::io::Error) -> Stop {
    Stop::failed(format!("cordboard: sh could not be started: {error}"))
}

/// A line for the shell, in the project's folder and with its tools.
fn shell(project: &Project, line: &str, out: Option<&Path>) -> Command {
    let dir = project.dir.canonicalize().unwrap_or_else(|_| project.dir.clone());
    let mut path: Vec<PathBuf> = TOOLS.iter().map(|tools| dir.join(tools)).collect();
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(&dir).stdin(Stdio::null());
    command.env("NAME", &project.manifest.name);
    if let Ok(path) = env::join_paths(path) {
        command.env("PATH", path);
    }
    if let Ok(own) = env::current_exe() {
        command.env("CORDBOARD", own);
    }
    if let Some(out) = out {
        command.env("OUT", out);
    }
    command
}
