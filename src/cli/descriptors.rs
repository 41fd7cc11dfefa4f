//! The descriptor limit: two sockets a session, so the soft one is raised to the hard one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit; answers the limit before and now.
pub(super) fn raise() -> (Option<u64>, Option<u64>) {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
        // Where that is refused we live with what there is; it is printed.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
    (before.current, getrlimit(Resource::Nofile).current)
}

/// A limit as people write it.
pub(super) fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
