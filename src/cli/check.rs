//! `cordboard check FILE`: would it start? Reads the configuration, loads every policy with `init`, listens nowhere.

use std::{path::Path, sync::Arc};

use super::exit;
use crate::{
    candidate::Candidate,
    generation::{Generation, Population},
    policy::PolicyHost,
};

pub(super) fn check(config: &Path) -> u8 {
    match load(config) {
        Ok(summary) => {
            println!("{}: ok: {summary}", config.display());
            exit::OK
        }
        Err((code, problems)) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            code
        }
    }
}

fn load(config: &Path) -> Result<String, (u8, Vec<String>)> {
    let candidate = Candidate::read(config).map_err(|unread| (exit::CONFIG, unread.problems()))?;
    let failure = |error: String| (exit::FAILURE, vec![error]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| failure(format!("the runtime could not be started: {error}")))?;
    runtime.block_on(async {
        let host = PolicyHost::start(super::code_cache_dir().as_deref()).map_err(failure)?;
        let generation = Generation::build(Arc::new(candidate), &host, None, &Population::default())
            .await
            .map_err(|problems| (exit::CONFIG, problems))?;
        Ok(format!(
            "{} listeners, {} routes, {} plugins, {} services; sha256 {}",
            generation.config.listeners.len(),
            generation.routes.len(),
            generation.plugins.len(),
            generation.services.len(),
            generation.hash
        ))
    })
}
