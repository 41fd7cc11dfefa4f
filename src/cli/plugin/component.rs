//! `cordboard plugin component`: makes a component of the core module that a compiler left.
//!
//! For languages whose compilers know modules only, such as C and Go. The world is that which the module carries
//! (bindings put it there), or one of a folder of WIT.

use std::path::PathBuf;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW_1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, metadata};
use wit_parser::{Resolve, WorldId, WorldItem};

use super::{
    project::{self, Stop, write},
    world,
};
use crate::cli::exit;

/// What is made of what.
#[derive(clap::Args)]
pub(in crate::cli) struct Component {
    /// The core module
    #[arg(value_name = "CORE.WASM")]
    core: PathBuf,
    /// Where the component goes; what is there is replaced
    #[arg(long, value_name = "OUT.WASM")]
    output: PathBuf,
    /// The folder of WIT with the module's world, where the module does not carry one
    #[arg(long, value_name = "DIR")]
    wit: Option<PathBuf>,
    /// The world [default: the only one]
    #[arg(long, value_name = "NAME", requires = "wit")]
    world: Option<String>,
    /// The module was built for WASI preview 1: adapt what it imports of that
    #[arg(long)]
    adapt: bool,
}

/// Makes it.
pub(in crate::cli) fn component(asked: &Component) -> u8 {
    match make(asked) {
        Ok(()) => exit::OK,
        Err(stop) => stop.say(),
    }
}

fn make(asked: &Component) -> Result<(), Stop> {
    let core = project::wasm(&asked.core)?;
    let told = |why: String| Stop::failed(format!("cordboard: {}: {why}", asked.core.display()));
    is_module(&core).map_err(|why| told(why.to_owned()))?;
    let names = Names::of(&core).map_err(told)?;
    let world = match &asked.wit {
        None => None,
        Some(wit) => {
            let found = world::find(wit, asked.world.as_deref());
            Some(found.map_err(|why| Stop::failed(format!("cordboard: {why}")))?)
        }
    };
    if !asked.adapt && names.needs_adapter {
        return Err(told(format!(
            "this module imports functions of WASI preview 1 (`{PREVIEW_1}`), which components do not know: \
             add `--adapt`"
        )));
    }
    let made = wrap(core, world.as_ref(), asked.adapt, &names).map_err(told)?;
    write(&asked.output, &made)
}

/// Checks the preamble.
fn is_module(wasm: &[u8]) -> Result<(), &'static str> {
    match wasm {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Err("this is a component already: it can be used as it is"),
        [] => Err("the file is empty"),
        _ => Err("this is not a WebAssembly module (its first bytes are not `\\0asm`)"),
    }
}

/// What of a module's names decides on how it is wrapped.
struct Names {
    exports: Vec<String>,
    needs_adapter: bool,
}

impl Names {
    fn of(core: &[u8]) -> Result<Self, String> {
        let mut names = Self { exports: Vec::new(), needs_adapter: false };
        let broken = |error| format!("this module is broken: {error}");
        for payload in Parser::new(0).parse_all(core) {
            match payload.map_err(broken)? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        names.needs_adapter |= import.map_err(broken)?.module == PREVIEW_1;
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        names.exports.push(export.map_err(broken)?.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }
}

fn wrap(mut core: Vec<u8>, world: Option<&(Resolve, WorldId)>, adapt: bool, names: &Names) -> Result<Vec<u8>, String> {
    if let Some((resolve, world)) = world {
        let embedded = embed_component_metadata(&mut core, resolve, *world, StringEncoding::UTF8);
        embedded.map_err(|error| format!("the world cannot be put into it: {error:#}"))?;
    }
    let (carried, bindings) = metadata::decode(&core).map_err(|error| format!("the world in it: {error:#}"))?;
    if carried.is_none() {
        return Err("this module carries no world: say which is its, with `--wit DIR --world NAME`".to_owned());
    }
    let encode = || {
        let mut encoder = ComponentEncoder::default();
        encoder.validate(true).module(&core)?;
        if adapt {
            encoder.adapter(PREVIEW_1, ADAPTER)?;
        }
        encoder.encode()
    };
    encode().map_err(|error| match lacking(&bindings.resolve, bindings.world, &names.exports) {
        // The encoder tells of the first one only.
        Some(lacking) => lacking,
        None => format!("no component can be made of it: {error:#}"),
    })
}

/// What a world exports and a module does not.
fn lacking(resolve: &Resolve, world: WorldId, exports: &[String]) -> Option<String> {
    let wanted = resolve.worlds[world].exports.iter().flat_map(|(key, item)| {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Interface { id, .. } => {
                resolve.interfaces[*id].functions.keys().map(|function| format!("{name}#{function}")).collect()
            }
            WorldItem::Function(_) => vec![name],
            WorldItem::Type { .. } => Vec::new(),
        }
    });
    let lacking: Vec<_> = wanted.filter(|name| !exports.contains(name)).collect();
    let others: Vec<_> = exports.iter().filter(|name| name.contains('#')).map(String::as_str).collect();
    (!lacking.is_empty()).then(|| {
        let others = if others.is_empty() { String::new() } else { format!("\nit exports {}", others.join(", ")) };
        format!("the world exports what this module does not:\n  {}{others}", lacking.join("\n  "))
    })
}
