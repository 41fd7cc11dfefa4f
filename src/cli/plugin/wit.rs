//! `cordboard plugin wit`: the contract, for toolchains that make bindings of it.

use std::path::{Path, PathBuf};

use super::{
    embedded::WIT,
    project::{Stop, write},
};
use crate::cli::{exit, print};

/// Where to.
#[derive(clap::Args)]
pub(in crate::cli) struct Wit {
    /// The folder to write to: `cordboard-plugin/` and `cordboard-host/` in it, as a project has them below `wit/deps/`;
    /// files that are there are replaced [default: the text goes to standard output]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Writes or prints it.
pub(in crate::cli) fn wit(asked: &Wit) -> u8 {
    match &asked.output {
        Some(dir) => match packages(dir) {
            Ok(()) => exit::OK,
            Err(stop) => stop.say(),
        },
        None => WIT.iter().map(|(_, text)| print(&String::from_utf8_lossy(text))).max().unwrap_or(exit::OK),
    }
}

/// Writes the packages of the contract, each into its folder.
pub(super) fn packages(dir: &Path) -> Result<(), Stop> {
    for (path, text) in WIT {
        // `plugin.wit`, `deps/host/host.wit`.
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        let folder = dir.join(format!("cordboard-{stem}"));
        write(&folder.join(format!("{stem}.wit")), text)?;
    }
    Ok(())
}
