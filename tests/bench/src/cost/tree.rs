//! A process with all below it, as `/proc` shows them: threads, their run times, memory.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use crate::wrong;

/// `root` and its descendants.
///
/// # Errors
/// When `root` has gone.
pub fn processes(root: u32) -> io::Result<Vec<u32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(id) = number(&entry?.file_name()) else { continue };
        // One that went meanwhile has no parent any more.
        if let Ok(stat) = Stat::read(Path::new(&format!("/proc/{id}/stat"))) {
            parents.insert(id, stat.parent);
        }
    }
    if !parents.contains_key(&root) {
        return Err(wrong("the process has ended"));
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, above)| **above == parent).map(|(id, _)| *id));
        at += 1;
    }
    Ok(found)
}

/// How long each thread, by process and thread, has run.
pub(super) fn run_times(processes: &[u32]) -> io::Result<BTreeMap<(u32, u32), Duration>> {
    let mut times = BTreeMap::new();
    for process in processes {
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let Some(thread) = number(&entry?.file_name()) else { continue };
            let Ok(text) = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")) else { continue };
            let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
            times.insert((*process, thread), Duration::from_nanos(nanoseconds));
        }
    }
    Ok(times)
}

/// Ticks of the clock in user space and in the kernel.
pub(super) fn ticks(processes: &[u32]) -> io::Result<[u64; 2]> {
    let mut sum = [0, 0];
    for process in processes {
        let stat = Stat::read(Path::new(&format!("/proc/{process}/stat")))?;
        sum = [sum[0] + stat.ticks[0], sum[1] + stat.ticks[1]];
    }
    Ok(sum)
}

/// Proportional set size of a process and all below it, in bytes.
pub fn pss(root: u32) -> io::Result<u64> {
    let mut sum = 0;
    for process in processes(root)? {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        sum += 1024 * kilobytes.ok_or_else(|| wrong("smaps_rollup without Pss"))?;
    }
    Ok(sum)
}

struct Stat {
    parent: u32,
    ticks: [u64; 2],
}

impl Stat {
    fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        // The name, in parentheses, may hold anything; what follows are numbers, of which the first is the third field.
        let fields: Vec<_> =
            text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| {
            let field = fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
            field.ok_or_else(|| wrong(format!("{}: no field {number}", path.display())))
        };
        let parent = u32::try_from(field(4)?).unwrap_or(0);
        Ok(Self { parent, ticks: [field(14)?, field(15)?] })
    }
}

fn number(name: &std::ffi::OsStr) -> Option<u32> {
    name.to_str()?.parse().ok()
}
