//! `cordboard schema`: the JSON Schema of the configuration, for editors.

use super::print;
use crate::config;

pub(super) fn schema() -> u8 {
    print(&format!("{:#}\n", config::schema()))
}
