//! What is written into new projects: templates, the contract, the SDK; embedded by `build.rs`.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The files of a folder of the templates, by their paths below it.
pub(super) fn templates(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    TEMPLATES.iter().filter_map(move |(path, bytes)| Some((path.strip_prefix(folder)?.strip_prefix('/')?, *bytes)))
}

/// One file of the templates.
pub(super) fn template(path: &str) -> Option<&'static [u8]> {
    TEMPLATES.iter().find(|(known, _)| *known == path).map(|(_, bytes)| *bytes)
}
