//! A world in a folder of WIT.

use std::path::Path;

use wit_parser::{ParseError, Resolve, ResolveError, WorldId};

/// The world of this name in the package of a folder (or file), or its only one.
///
/// # Errors
/// Says what cannot be read, and where; or which worlds there are.
pub(super) fn find(wit: &Path, name: Option<&str>) -> Result<(Resolve, WorldId), String> {
    let mut resolve = Resolve::default();
    let pushed = resolve.push_path(wit);
    let (package, _) = pushed.map_err(|error| {
        // With its place, and the line.
        let syntax = error.downcast_ref::<ParseError>().map(|wrong| wrong.render(&resolve.source_map));
        let sense = error.downcast_ref::<ResolveError>().map(|wrong| wrong.render(&resolve.source_map));
        syntax.or(sense).unwrap_or_else(|| format!("{}: {error:#}", wit.display()))
    })?;
    let worlds = &resolve.packages[package].worlds;
    let found = match name {
        Some(name) => worlds.get(name).copied().ok_or_else(|| format!("there is no world `{name}`")),
        None if worlds.len() == 1 => Ok(worlds[0]),
        None => Err("say which world: --world NAME".to_owned()),
    };
    let found = found.map_err(|why| {
        let names: Vec<_> = worlds.keys().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("{}: {why}; in {} there is {names}", wit.display(), resolve.packages[package].name)
    });
    found.map(|world| (resolve, world))
}
