//! A component on the bench: the proxy's own policy host, without a proxy around it.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    build::size,
    project::{Stop, Target},
};
use crate::{
    cli::{code_cache_dir, exit},
    config::{OnFailure, PluginLimits},
    policy::{Interfaces, LoadError, Plugin, PluginSpec, PolicyHost, measure::Measure},
};

/// How long it may take before anything is said.
const SILENT: Duration = Duration::from_secs(1);

/// The host, and the component that is tried on it.
pub(super) struct Trial {
    host: PolicyHost,
    spec: PluginSpec,
    /// Those that may be used again.
    loaded: Vec<Arc<Plugin>>,
}

impl Trial {
    /// Starts a host for this component.
    pub(super) fn start(target: &Target, wasm: &Arc<[u8]>, measure: Measure) -> Result<Self, Stop> {
        let host = PolicyHost::measuring(code_cache_dir().as_deref(), measure)
            .map_err(|error| Stop::failed(format!("cordboard: {error}")))?;
        let spec = PluginSpec {
            name: target.name.as_str().into(),
            origin: target.origin.clone(),
            wasm: Arc::clone(wasm),
            config: target.config.clone(),
            grants: target.grants.clone(),
            limits: target.limits,
            on_failure: OnFailure::Closed,
        };
        Ok(Self { host, spec, loaded: Vec::new() })
    }

    /// Compiles it, where no earlier run has, and says so if that takes a while.
    pub(super) async fn compile(&self) -> Result<(), Stop> {
        let mut compiling = pin!(self.look());
        if let Ok(looked) = timeout(SILENT, &mut compiling).await {
            return looked.map(drop);
        }
        eprintln!("compiling {} for this machine, once a build", size(self.spec.wasm.len() as u64));
        compiling.await.map(drop)
    }

    /// What the component imports and exports.
    pub(super) async fn look(&self) -> Result<Interfaces, Stop> {
        let origin = &self.spec.origin;
        self.host
            .look(&self.spec.wasm)
            .await
            .map_err(|why| Stop::new(exit::CONFIG, format!("cordboard: {origin}: {why}")))
    }

    /// The component with a configuration and bounds, or with the project's.
    ///
    /// # Errors
    /// It cannot be loaded, or refuses the configuration.
    pub(super) async fn load(
        &mut self,
        config: Option<&str>,
        limits: Option<PluginLimits>,
    ) -> Result<Arc<Plugin>, LoadError> {
        let (config, limits) = (config.unwrap_or(&self.spec.config), limits.unwrap_or(self.spec.limits));
        let known = self.loaded.iter().find(|plugin| plugin.spec().config == config && plugin.spec().limits == limits);
        if let Some(plugin) = known {
            return Ok(Arc::clone(plugin));
        }
        let spec = PluginSpec { config: config.to_owned(), limits, ..self.spec.clone() };
        // What a case leaves in a bucket is not for the next one to find.
        let alone = !spec.grants.key_value.is_empty();
        let plugin = self.host.load(spec).await?;
        if !alone {
            self.loaded.push(Arc::clone(&plugin));
        }
        Ok(plugin)
    }
}

/// Runs a command's asynchronous part.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Stop::failed(format!("cordboard: the runtime could not be started: {error}")))?;
    runtime.block_on(work)
}

/// A component that cannot be loaded.
pub(super) fn unloadable(error: &LoadError) -> Stop {
    let hint = match error.key {
        "grants" => "\nIn a project: to plugin.yaml, and for a proxy to its configuration.",
        _ => "",
    };
    Stop::new(exit::CONFIG, format!("cordboard: {error}{hint}"))
}
