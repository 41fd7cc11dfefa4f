//! A generation out of files, without a proxy around it: what `check` and `explain --config` look at.

use std::sync::Arc;

use super::exit;
use crate::{
    candidate::{Candidate, Paths},
    config::Problem,
    fetch::{Fetcher, Look},
    generation::{Generation, Population},
    metrics::Metrics,
    policy::PolicyHost,
};

/// Why there is no generation.
pub(super) enum Failed {
    /// The configuration is refused, before a policy was loaded.
    Unread(Vec<Problem>),
    /// A policy is refused.
    Refused(Vec<Problem>),
    /// It could not be tried.
    Host(String),
}

impl Failed {
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Unread(_) | Self::Refused(_) => exit::CONFIG,
            Self::Host(_) => exit::FAILURE,
        }
    }

    /// Says it on standard error.
    pub(super) fn say(&self) {
        match self {
            Self::Unread(problems) | Self::Refused(problems) => eprintln!("{}", Problem::shown(problems)),
            Self::Host(error) => eprintln!("{error}"),
        }
    }
}

/// Reads a configuration, loads its policies, and does something with what comes of it.
pub(super) fn with<T>(paths: &Paths, then: impl AsyncFnOnce(Generation) -> T) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Host(format!("the runtime could not be started: {error}")))?;
    runtime.block_on(async {
        let cache = super::code_cache_dir();
        let fetcher = Fetcher::new(cache.as_deref());
        let candidate = Candidate::gather(paths, &fetcher, Look::Again).await.map_err(Failed::Unread)?;
        let host = PolicyHost::start(cache.as_deref()).map_err(Failed::Host)?;
        let (population, metrics) = (Population::default(), Metrics::new());
        let generation = Generation::build(Arc::new(candidate), &host, None, &population, &metrics).await;
        Ok(then(generation.map_err(Failed::Refused)?).await)
    })
}
