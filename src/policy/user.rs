//! Who uses a version of a plugin: a connection whose message filter it is, for as long as it is.

use std::sync::{Arc, atomic::Ordering};

use super::component::Plugin;

/// A version in the hands of one connection.
pub(super) struct User(Arc<Plugin>);

impl User {
    pub(super) fn of(plugin: &Arc<Plugin>) -> Self {
        plugin.users.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(plugin))
    }
}

impl std::ops::Deref for User {
    type Target = Arc<Plugin>;

    fn deref(&self) -> &Arc<Plugin> {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.0.users.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.keep_or_not();
        }
    }
}
