//! `cordboard plugin bench`: what each call of a plugin costs, beside the build before.
//!
//! The cases of the project are run again and again. Times are taken on the code that a proxy would run; instructions of
//! WebAssembly are counted in a second round, on code that counts them, and are the same on every machine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use tracing::Level;

use super::{
    build::size,
    heard::Heard,
    project::{Stop, Target, source, write},
    test::{read, run},
    trial::{Trial, block_on, unloadable},
};
use crate::{
    cli::{exit, print},
    config::author::Case,
    model::Hook,
    policy::{
        self, PolicyHost,
        measure::{INSTANCE, Measure, Measured, Spent},
    },
};

/// What results are kept in, beside the component.
pub(super) const KEPT: &str = "bench.json";
/// Rounds that are not measured: code and caches are cold.
const WARM_UP: usize = 20;
/// Rounds whose instructions are counted.
const COUNTED: usize = 10;
/// How long instances are made to see what that takes.
const INSTANCES: Duration = Duration::from_millis(500);
/// Most of them.
const MOST_INSTANCES: usize = 200;

/// What is measured, and how.
#[derive(clap::Args)]
pub(in crate::cli) struct Bench {
    /// The project's folder, or a component
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Test cases: a file, or a folder of them; may be repeated [default: those of the project]
    #[arg(long, value_name = "PATH")]
    cases: Vec<PathBuf>,
    /// How often each case is run
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// Results to compare with, as `--json` prints them [default: those of the project's build before this one]
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures it.
pub(in crate::cli) fn bench(asked: &Bench) -> u8 {
    match measured(asked) {
        Ok((now, before)) if asked.json => print(&format!("{:#}\n", json!({ "now": now, "before": before }))),
        Ok((now, before)) => print(&table(&now, &before)),
        Err(stop) => stop.say(),
    }
}

/// The results of now, and those of the build before; null if there are none.
fn measured(asked: &Bench) -> Result<(Value, Value), Stop> {
    let target = Target::of(&asked.path)?;
    target.warn_if_old();
    let files = super::test::files(&target, &asked.cases)?;
    let mut cases = Vec::new();
    for file in &files {
        cases.extend(read(file)?.cases);
    }
    // What fails on purpose says nothing of what calls cost.
    cases.retain(|case| case.expect.refused.is_none() && case.expect.failed.is_none());
    if cases.is_empty() {
        return Err(Stop::failed("cordboard: there is no case whose calls could be measured"));
    }
    let wasm = target.wasm()?;
    let heard = Heard::listen(Level::WARN);
    let now = block_on(async {
        let begun = Instant::now();
        let cold = PolicyHost::start(None).map_err(|error| Stop::failed(format!("cordboard: {error}")))?;
        cold.look(&wasm).await.map_err(|why| Stop::new(exit::CONFIG, format!("cordboard: {why}")))?;
        let compiled = begun.elapsed();
        let rounds = usize::try_from(asked.rounds).unwrap_or(usize::MAX);
        let (times, memory) = rounds_of(&target, &wasm, &cases, Measure::Time, rounds, &heard).await?;
        let (counts, _) = rounds_of(&target, &wasm, &cases, Measure::Instructions, COUNTED, &heard).await?;
        Ok(json!({
            "sha256": policy::hex(&policy::sha256(&wasm)),
            "bytes": wasm.len(),
            "compile_ms": round(compiled.as_secs_f64() * 1e3),
            "instance_memory": memory,
            "calls": calls(times, &counts),
        }))
    })?;
    let kept = target.component.with_file_name(KEPT);
    let before = match (&asked.against, &target.project) {
        (Some(file), _) => {
            let text = source(file)?.text;
            let stop = |error| Stop::failed(format!("cordboard: {}: {error}", file.display()));
            let value: Value = serde_json::from_str(&text).map_err(stop)?;
            if value["now"].is_object() { value["now"].clone() } else { value }
        }
        (None, Some(_)) => {
            let known: Value =
                fs::read_to_string(&kept).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            // Measured again, a build is still compared with the one before it.
            let same = known["now"]["sha256"] == now["sha256"];
            if same { known["before"].clone() } else { known["now"].clone() }
        }
        (None, None) => Value::Null,
    };
    if target.project.is_some() {
        write(&kept, format!("{:#}\n", json!({ "now": now, "before": before })).as_bytes())?;
    }
    Ok((now, before))
}

/// What calls took in so many rounds of all cases, and the memory of an instance.
async fn rounds_of(
    target: &Target,
    wasm: &Arc<[u8]>,
    cases: &[Case],
    measure: Measure,
    rounds: usize,
    heard: &Heard,
) -> Result<(Measured, usize), Stop> {
    let mut trial = Trial::start(target, wasm, measure)?;
    let (mut all, mut memory) = (Measured::new(), 0);
    for case in cases {
        let config = case.config.as_ref().map(Value::to_string);
        let plugin = trial.load(config.as_deref(), case.limits).await.map_err(|error| unloadable(&error))?;
        for round in 0..WARM_UP + rounds {
            if round == WARM_UP {
                let _ = plugin.measured();
            }
            let mut seen = run::Observed::default();
            let stop = |why: &str| Stop::failed(format!("cordboard: {}: {why}", case.name));
            run::ask(&plugin, case, &mut seen).await.map_err(|why| stop(&why))?;
            seen.hear(&heard.take());
            if let Some(why) = seen.failure() {
                return Err(stop(&format!("a call fails, so that it cannot be measured: {why}")));
            }
        }
        let begun = Instant::now();
        for _ in 0..=MOST_INSTANCES / cases.len().min(MOST_INSTANCES) {
            plugin.try_instance().await.map_err(|failure| Stop::failed(format!("cordboard: {failure}")))?;
            if begun.elapsed() > INSTANCES {
                break;
            }
        }
        for (name, Spent { times, instructions, counted }) in plugin.measured().unwrap_or_default() {
            let known = all.entry(name).or_default();
            known.times.extend(times);
            known.instructions += instructions;
            known.counted += counted;
        }
        memory = memory.max(plugin.instances().1);
    }
    Ok((all, memory))
}

fn calls(times: Measured, counts: &Measured) -> Value {
    let mut all = Map::new();
    for (name, Spent { mut times, .. }) in times {
        times.sort_unstable();
        let at = |share: f64| {
            // The share is below 1, so the place is one of the list's.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let place = (times.len() as f64 * share) as usize;
            times.get(place).map(|time| round(time.as_secs_f64() * 1e6))
        };
        let counted = counts.get(name).filter(|spent| spent.counted > 0);
        let instructions = counted.map(|spent| spent.instructions / spent.counted);
        all.insert(
            name.to_owned(),
            json!({ "calls": times.len(), "median_us": at(0.5), "p99_us": at(0.99), "instructions": instructions }),
        );
    }
    Value::Object(all)
}

/// Three digits are more than any of this is worth.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn table(now: &Value, before: &Value) -> String {
    let mut text =
        format!("{:<10} {:>8} {:>12} {:>12} {:>14}\n", "call", "calls", "median us", "p99 us", "instructions");
    let order = Hook::ALL.into_iter().map(Hook::name).chain([INSTANCE]);
    let empty = Map::new();
    let calls: BTreeMap<_, _> = now["calls"].as_object().unwrap_or(&empty).iter().collect();
    for name in order {
        let Some(call) = calls.get(&name.to_owned()) else { continue };
        let old = &before["calls"][name];
        let _ = writeln!(
            text,
            "{name:<10} {:>8} {:>12} {:>12} {:>14}{}",
            number(&call["calls"]),
            number(&call["median_us"]),
            number(&call["p99_us"]),
            number(&call["instructions"]),
            change(call, old),
        );
    }
    let bytes = |value: &Value| size(value.as_u64().unwrap_or_default());
    let _ = writeln!(
        text,
        "component {}, compiled in {} ms; an instance takes {} of memory; `{INSTANCE}` is a new instance",
        bytes(&now["bytes"]),
        number(&now["compile_ms"]),
        bytes(&now["instance_memory"]),
    );
    if before.is_object() {
        let sha = before["sha256"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "compared with {}: component {}, {} of memory",
            sha.get(..12).unwrap_or(sha),
            bytes(&before["bytes"]),
            bytes(&before["instance_memory"]),
        );
    }
    text
}

fn number(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// How a call's instructions and median compare with those of before.
fn change(now: &Value, before: &Value) -> String {
    let percent = |key: &str| {
        let (now, before) = (now[key].as_f64()?, before[key].as_f64()?);
        (before > 0.0).then(|| format!("{:+.0} %", (now / before - 1.0) * 100.0))
    };
    match (percent("instructions"), percent("median_us")) {
        (None, None) => String::new(),
        (instructions, median) => {
            let shown = |change: Option<String>| change.unwrap_or_else(|| "-".to_owned());
            format!("   {} instructions, {} time", shown(instructions), shown(median))
        }
    }
}
