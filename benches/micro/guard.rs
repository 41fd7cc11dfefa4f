//! Instruction counts under callgrind, against those that were accepted.
//!
//! Each thing is run twice, with few rounds and with many; the difference has no start and no warm-up in it. Only the
//! thread that does the rounds is counted, not the one that interrupts guests.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, ExitCode},
    sync::Mutex,
    thread,
};

use crate::{
    table::{self, Finding, Table},
    things::{self, Thing},
};

const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/micro/counts.txt");
/// The rounds to begin with, as a share of those that are counted.
const FEW: u64 = 5;

pub(crate) fn compare() -> Result<ExitCode, String> {
    let text =
        fs::read_to_string(COUNTS).map_err(|error| format!("{COUNTS}: {error}; `make micro-accept` writes it"))?;
    let was = Table::read(&text).map_err(|error| format!("{COUNTS}: {error}"))?;
    let here = tools()?;
    if was.made_with != here {
        println!("Nothing is compared: the counts are of other tools.");
        println!("  theirs: {}\n  here:   {here}", was.made_with);
        println!("`make micro-accept` counts anew; do so before a change, too, to see what is the change's.");
        return Ok(ExitCode::SUCCESS);
    }
    let lines = table::compare(&was.counts, &count_all()?);
    println!("{:<20} {:>12} {:>12}", "instructions", "was", "is");
    for line in &lines {
        println!("{line}");
    }
    if lines.iter().any(|line| line.finding.fails()) {
        println!("The table and the proxy disagree. If it is meant: make micro-accept, and say why in the commit.");
        return Ok(ExitCode::FAILURE);
    }
    if lines.iter().any(|line| line.finding == Finding::Less) {
        println!("Some takes less than it did: make micro-accept.");
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn accept() -> Result<(), String> {
    let table = Table { made_with: tools()?, counts: count_all()? };
    fs::write(COUNTS, table.write()).map_err(|error| format!("{COUNTS}: {error}"))?;
    println!("{}", table.write());
    Ok(())
}

/// Versions of what has a say in the number of instructions: the compilers, the C library, and valgrind, which says what
/// the processor can do.
fn tools() -> Result<String, String> {
    if !cfg!(debug_assertions) {
        return Err("the counts are those of the dev profile: make micro-guard".to_owned());
    }
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let guests = env::var("CORDBOARD_WASM_RUSTC").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| rustc.clone());
    let valgrind =
        said("valgrind", "--version").map_err(|error| format!("{error}; install it: apt-get install valgrind"))?;
    let (rustc, guests) = (said(&rustc, "--version")?, said(&guests, "--version")?);
    let libc = said("getconf", "GNU_LIBC_VERSION")?;
    Ok(format!("{rustc}; guests: {guests}; {}; {libc}; {valgrind}", env::consts::ARCH))
}

fn said(program: &str, argument: &str) -> Result<String, String> {
    let output = Command::new(program).arg(argument).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} {argument}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// As many at once as there are processors, the long ones first.
fn count_all() -> Result<BTreeMap<String, f64>, String> {
    let todo = Mutex::new(things::ALL.iter().filter(|thing| thing.counted > 0));
    let counts = Mutex::new(BTreeMap::new());
    let worker = || -> Result<(), String> {
        loop {
            let Some(thing) = todo.lock().expect("nobody panics").next_back() else { return Ok(()) };
            let count = count(thing)?;
            counts.lock().expect("nobody panics").insert(thing.name.to_owned(), count);
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
    })?;
    Ok(counts.into_inner().expect("nobody panics"))
}

fn count(thing: &Thing) -> Result<f64, String> {
    let few = thing.counted / FEW;
    let least = instructions(thing, few)?;
    let most = instructions(thing, few + thing.counted)?;
    Ok((most - least) / thing.counted as f64)
}

/// Of the first thread, for so many rounds and all that is around them.
fn instructions(thing: &Thing, rounds: u64) -> Result<f64, String> {
    let out = crate::cache().join(format!("callgrind.{}.{rounds}", thing.name));
    fs::create_dir_all(crate::cache()).map_err(|error| format!("{}: {error}", crate::cache().display()))?;
    let this = env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let ran = Command::new("valgrind")
        .env_clear() // the length of what is in it moves the stack
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .args(["--tool=callgrind", "--separate-threads=yes", "--smc-check=all-non-file"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(this)
        .args(["count", thing.name, &rounds.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let of_thread = |nth: u32| out.with_extension(format!("{rounds}-{nth:02}"));
    let text = fs::read_to_string(of_thread(1));
    for nth in 1..=16 {
        let _ = fs::remove_file(of_thread(nth));
    }
    let _ = fs::remove_file(&out);
    let totals = text.ok().and_then(|text| total(&text)).filter(|_| ran.status.success());
    totals.ok_or_else(|| {
        let said = String::from_utf8_lossy(&ran.stderr);
        format!("{} under callgrind: {}, without a count in {}:\n{said}", thing.name, ran.status, shown(&out))
    })
}

fn total(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
