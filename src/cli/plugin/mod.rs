//! `cordboard plugin`: what the author of a plugin works with; one file a command.
//!
//! A project is a folder with a manifest (`plugin.yaml`). What is tried is tried on the proxy's own policy host, so that
//! a plugin says on the bench what it will say in the proxy.

mod bench;
mod bindings;
mod build;
mod check;
mod component;
mod embedded;
mod heard;
mod new;
mod project;
mod test;
mod trial;
mod watch;
mod wit;
mod world;

use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub(super) enum Plugin {
    /// Begins a project, which builds and passes its tests at once
    New(new::New),
    /// Builds a project's component
    Build(build::Build),
    /// Says whether a proxy would take a component, and what to change
    Check(check::Check),
    /// Runs the test cases of a project against its component
    Test(test::Test),
    /// Measures what each call costs, beside the build before
    Bench(bench::Bench),
    /// Builds, tests and swaps a project into a running proxy at each save
    Watch(watch::Watch),
    /// Says what a component is: what it decides, imports and needs
    Inspect(check::Check),
    /// Prints the contract, or writes it for toolchains that make bindings of it
    Wit(wit::Wit),
    /// Makes a component of the core module that a compiler left
    Component(component::Component),
    /// Writes the bindings of a world, for languages without a tool of their own for that
    Bindings(bindings::Bindings),
}

/// Does it.
pub(super) fn plugin(command: &Plugin) -> u8 {
    match command {
        Plugin::New(asked) => new::new(asked),
        Plugin::Build(asked) => build::build(asked),
        Plugin::Check(asked) => check::check(asked),
        Plugin::Test(asked) => test::test(asked),
        Plugin::Bench(asked) => bench::bench(asked),
        Plugin::Watch(asked) => watch::watch(asked),
        Plugin::Inspect(asked) => check::inspect(asked),
        Plugin::Wit(asked) => wit::wit(asked),
        Plugin::Component(asked) => component::component(asked),
        Plugin::Bindings(asked) => bindings::bindings(asked),
    }
}
