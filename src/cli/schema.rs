//! `cordboard schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write as _};

use super::exit;
use crate::config;

pub(super) fn schema() -> u8 {
    match writeln!(io::stdout(), "{:#}", config::schema()) {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("cordboard: the schema could not be printed: {error}");
            exit::FAILURE
        }
    }
}
