//! What the author of a plugin writes beside its code: the manifest of a project (`plugin.yaml`) and test cases.
//!
//! They are read as the configuration is: pure, checked whole, every problem with its place and what would be right.
//! Neither has placeholders.

mod cases;
mod file;
mod manifest;
mod write;

pub use self::{
    cases::{Case, Cases, Expectation, Given, Message, Request},
    manifest::{MANIFEST, Manifest, Need},
};
use super::{
    Problem, Source,
    check::Check,
    part::Part,
    secrets::Secrets,
    shape::mend,
    tree::{At, Position},
    yaml,
};

/// Reads a file of this kind, and checks what is in it.
fn read<F: Part, T>(
    source: &Source,
    checked: impl FnOnce(&mut Check, &At<'_>, F) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let refuse = |mut problem: Problem| {
        problem.locate(&source.name, &source.text);
        vec![problem]
    };
    if source.text.len() > yaml::MAX_BYTES {
        let message = format!("the file is larger than {} MiB", yaml::MAX_BYTES >> 20);
        return Err(refuse(Problem::new(Position::START, String::new(), message)));
    }
    let mut tree = yaml::read(&source.text).map_err(|problem| refuse(*problem))?;
    let mut check = Check::with(mend(&mut tree, &F::form()));
    let value = checked(&mut check, &At::root(&tree), F::read(&tree));
    check.finish(source, &Secrets::default(), value).map(|(value, _)| value)
}
