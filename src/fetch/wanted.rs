//! What plugins want of the network, as values that can be compared: the same is fetched once.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    config::{Component, Config, PluginConfig, Remote, SignatureAt, Trust, Url},
    signature::PublicKey,
};

/// What a plugin wants of the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub(super) remote: Remote,
    /// What it must hash to.
    pub(super) pin: Option<[u8; 32]>,
    /// If one is demanded that is on the network, too. One in a file is for whoever reads the file.
    pub(super) signature: Option<Demand>,
}

/// A signature that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Demand {
    pub(super) at: Place,
    /// Who may have made it.
    pub(super) by: Vec<(Arc<str>, PublicKey)>,
}

/// Where a signature is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Where it follows from the component's.
    Beside,
    Url(Url),
}

impl Wanted {
    /// What this plugin wants; none if it is on this machine.
    #[must_use]
    pub fn by(plugin: &PluginConfig, trust: &Trust) -> Option<Self> {
        let Component::Remote(remote) = &plugin.component else { return None };
        let at = match &plugin.signature {
            None => Some(Place::Beside),
            Some(SignatureAt::File(_)) => None,
            Some(SignatureAt::Url(url)) => Some(Place::Url(url.clone())),
        };
        let signature = at.filter(|_| trust.demands(plugin)).map(|at| {
            let by = trust.signers(plugin).map(|(name, key)| (name.into(), key)).collect();
            Demand { at, by }
        });
        Some(Self { remote: remote.clone(), pin: plugin.sha256, signature })
    }

    /// What all of a configuration want.
    #[must_use]
    pub fn all(config: &Config) -> BTreeSet<Self> {
        config.plugins.values().filter_map(|plugin| Self::by(plugin, &config.trust)).collect()
    }

    /// Whether it may be another thing tomorrow.
    pub(super) const fn is_mutable(&self) -> bool {
        self.pin.is_none() && !self.remote.is_digest()
    }

    /// As the notes of the cache know it.
    pub(super) fn reference(&self) -> String {
        match &self.remote {
            Remote::Url(url) => url.text(),
            Remote::Oci(oci) => oci.to_string(),
        }
    }
}
