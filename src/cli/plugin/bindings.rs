//! `cordboard plugin bindings`: writes what a compiler needs to know of a world.

use std::path::PathBuf;

use wit_bindgen_core::Files;

use super::{
    project::{Stop, write},
    world,
};
use crate::cli::exit;

/// Of which world, for whom.
#[derive(clap::Args)]
pub(in crate::cli) struct Bindings {
    /// The language
    #[arg(value_name = "LANGUAGE")]
    language: Language,
    /// The folder of WIT with the world
    #[arg(value_name = "DIR")]
    wit: PathBuf,
    /// The world [default: the only one]
    #[arg(long, value_name = "NAME")]
    world: Option<String>,
    /// The folder they go to; what is there is replaced
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Language {
    /// NAME.h, NAME.c, and an object file to link that carries the world
    C,
}

/// Writes them.
pub(in crate::cli) fn bindings(asked: &Bindings) -> u8 {
    match generate(asked) {
        Ok(()) => exit::OK,
        Err(stop) => stop.say(),
    }
}

fn generate(asked: &Bindings) -> Result<(), Stop> {
    let found = world::find(&asked.wit, asked.world.as_deref());
    let (mut resolve, world) = found.map_err(|why| Stop::failed(format!("cordboard: {why}")))?;
    let mut generator = match asked.language {
        Language::C => wit_bindgen_c::Opts::default().build(),
    };
    let mut files = Files::default();
    let generated = generator.generate(&mut resolve, world, &mut files);
    generated.map_err(|error| Stop::failed(format!("cordboard: {}: {error:#}", asked.wit.display())))?;
    for (name, bytes) in files.iter() {
        write(&asked.output.join(name), bytes)?;
    }
    Ok(())
}
