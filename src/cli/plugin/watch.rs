//! `cordboard plugin watch`: at each save the project is built and tested, and what passes is put where a running proxy
//! takes it up. What fails is shown, and changes nothing.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use http::Method;
use serde_json::Value;

use super::{
    build::{self, Built},
    project::{Project, Stop, Target},
    test::passes,
    trial::block_on,
};
use crate::{
    cli::{exit, print, remote},
    config::{DEFAULT_ADMIN, author::MANIFEST, watch::Watcher},
    policy,
};

/// How long nothing changes before a build begins.
const QUIET: Duration = Duration::from_millis(100);
/// How long a proxy may take to take a component up.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(70);
/// Folders that tools write to.
const NO_SOURCES: [&str; 7] = ["build", "dist", "target", "node_modules", ".venv", ".git", "__pycache__"];
/// Larger files are not read to see whether they have changed.
const MOST_BYTES: u64 = 16 << 20;
/// Most files that are looked at.
const MOST_FILES: usize = 100_000;

/// What is watched.
#[derive(clap::Args)]
pub(in crate::cli) struct Watch {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The admin address of the proxy that runs the plugin, if there is one
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADMIN, value_parser = remote::address)]
    admin: SocketAddr,
}

/// Watches it until it is ended.
pub(in crate::cli) fn watch(asked: &Watch) -> u8 {
    match on_and_on(asked) {
        Ok(()) => exit::OK,
        Err(stop) => stop.say(),
    }
}

fn on_and_on(asked: &Watch) -> Result<(), Stop> {
    let watcher = Watcher::new().map_err(|error| {
        Stop::failed(format!("cordboard: the system tells nothing of changes: {error} (fs.inotify.max_user_instances)"))
    })?;
    let mut built_from = None;
    loop {
        let sources = Sources::of(&asked.dir)?;
        watcher.watch(&sources.0.keys().cloned().collect::<Vec<_>>());
        // Between looking and watching something may have changed.
        let sources = Sources::of(&asked.dir)?;
        if built_from.as_ref() != Some(&sources) {
            built_from = Some(sources);
            if let Err(stop) = once(asked) {
                stop.say();
                print("not swapped: what served before serves on\n");
            }
            continue;
        }
        block_on(async {
            watcher.changed(QUIET).await;
            Ok(())
        })?;
    }
}

/// Builds, tests, swaps.
fn once(asked: &Watch) -> Result<(), Stop> {
    let project = Project::open(&asked.dir)?;
    print(&format!("building {}\n", project.manifest.name));
    build::prepare(&project, false)?;
    let built = Built::of(&project)?;
    print(&format!("{built}\n"));
    let target = Target { component: built.path().to_owned(), ..Target::of(&asked.dir)? };
    print("testing it\n");
    let (passed, summary) = passes(&target)?;
    print(&summary);
    if !passed {
        return Err(Stop::failed("cordboard: not all cases passed"));
    }
    if built.is_there()? {
        print("ready; nothing in it has changed\n");
        return Ok(());
    }
    let says = block_on(async {
        let before = generation(asked.admin).await;
        built.publish()?;
        Ok(match before {
            None => format!("ready; no proxy answers at {}\n", asked.admin),
            Some(before) => taken_up(asked.admin, &project.component(), &before).await,
        })
    })?;
    print(&says);
    Ok(())
}

/// What a proxy says of the generation that serves; none if there is no proxy.
async fn generation(admin: SocketAddr) -> Option<Value> {
    let (_, body) = remote::fetch(admin, Method::GET, "/generation", None, TAKEN_UP_WITHIN).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// Has a proxy take it up, and says what became of that.
async fn taken_up(admin: SocketAddr, component: &Path, before: &Value) -> String {
    let begun = Instant::now();
    let answer = remote::fetch(admin, Method::POST, "/reload", None, TAKEN_UP_WITHIN).await;
    let body: Value = match answer {
        Ok((_, body)) => serde_json::from_slice(&body).unwrap_or_default(),
        Err(why) => return format!("ready; the proxy at {admin} does not answer any more: {why}\n"),
    };
    // It watches the file as well, and may have been quicker than the order.
    let serves = match body["generation"].as_u64() {
        Some(number) => number.into(),
        None => generation(admin).await.unwrap_or_default()["generation"].clone(),
    };
    let problem = body["problems"][0].as_str().and_then(|problem| problem.lines().next()).unwrap_or("see its log");
    let took = begun.elapsed().as_millis();
    match body["result"].as_str().unwrap_or_default() {
        _ if !serves.is_null() && serves != before["generation"] => {
            format!("live after {took} ms, with generation {serves} of the proxy at {admin}\n")
        }
        "refused" | "not fulfilled" => {
            format!("the proxy refused it, and what served before serves on: {problem}\n")
        }
        "waits" | "late" => format!("ready; the proxy waits before it takes it up: {problem}\n"),
        "pinned" => "ready; what the proxy serves is pinned by a rollback, which `cordboard resume` ends\n".to_owned(),
        _ => format!(
            "ready; for the proxy at {admin} nothing has changed: either its configuration does not name {}, or it served \
             this already\n",
            component.display()
        ),
    }
}

/// What a build is made from: files, and what is in them. A build may write files of its own; as long as it writes the same
/// again, that is no change.
#[derive(PartialEq)]
pub(super) struct Sources(BTreeMap<PathBuf, Option<Content>>);

/// What tells one content from another: its hash, or of what is too large for that, when it was written and its size.
#[derive(PartialEq)]
enum Content {
    Hash([u8; 32]),
    Written(Option<SystemTime>, u64),
}

impl Sources {
    /// All of them now. A manifest that is wrong is a source as well: that it is mended must be noticed.
    pub(super) fn of(dir: &Path) -> Result<Self, Stop> {
        let mut found = Self(BTreeMap::new());
        found.take(&dir.join(MANIFEST));
        match Project::open(dir) {
            Ok(project) => {
                found.all(&dir.join(&project.manifest.cases), 0);
                if project.manifest.sources.is_empty() {
                    found.all(dir, 0);
                    let out = dir.join(&project.manifest.component);
                    found.0.retain(|path, _| !is_output(path, &out, dir));
                }
                for source in &project.manifest.sources {
                    found.all(&dir.join(source), 0);
                }
            }
            Err(stop) if !dir.join(MANIFEST).exists() => return Err(stop),
            Err(_) => {}
        }
        Ok(found)
    }

    /// Where they are.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.keys()
    }

    fn take(&mut self, path: &Path) {
        let about = fs::metadata(path).ok().filter(fs::Metadata::is_file);
        let content = about.and_then(|about| {
            if about.len() > MOST_BYTES {
                return Some(Content::Written(about.modified().ok(), about.len()));
            }
            Some(Content::Hash(policy::sha256(&fs::read(path).ok()?)))
        });
        self.0.insert(path.to_owned(), content);
    }

    /// A file, or all in a folder.
    fn all(&mut self, path: &Path, depth: usize) {
        if self.0.len() >= MOST_FILES || depth > 32 {
            return;
        }
        if !path.is_dir() {
            return self.take(path);
        }
        for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name();
            if !NO_SOURCES.iter().any(|skipped| name == *skipped) {
                self.all(&entry.path(), depth + 1);
            }
        }
    }
}

/// Whether a file is the component, stands in a folder of its own with it, or is one that we write ourselves.
fn is_output(path: &Path, out: &Path, dir: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = out.parent().filter(|folder| *folder != dir);
    path == out
        || name == super::bench::KEPT
        || build::is_temporary(&name)
        || folder.is_some_and(|folder| path.starts_with(folder))
}
