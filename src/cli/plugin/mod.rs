//! `cordboard plugin`: what the author of a plugin works with; one file a command.
//!
//! A project is a folder with a manifest (`plugin.yaml`). What is tried is tried on the proxy's own policy host, so that
//! a plugin says on the bench what it will say in the proxy.

mod heard;
mod project;
mod test;
mod trial;

use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub(super) enum Plugin {
    /// Runs the test cases of a project
    Test(test::Test),
}

/// Does it.
pub(super) fn plugin(command: &Plugin) -> u8 {
    match command {
        Plugin::Test(asked) => test::test(asked),
    }
}
