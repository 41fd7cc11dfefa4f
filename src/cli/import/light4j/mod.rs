//! The configuration of a light-4j gateway with its WebSocket handlers, as one of ours.
//!
//! Pure: texts in, the configuration's text and what was not carried over out. What light-4j did is kept where a key of
//! ours can say so, even where our default is another; each line says from where it comes. What has no counterpart is
//! reported, never dropped. The result is one that `cordboard check` takes.

mod document;
mod handlers;
mod plan;
mod report;
mod services;
mod settings;
mod values;
mod write;

use std::sync::Arc;

use self::{
    document::{Node, Source},
    plan::Plan,
    report::Report,
    settings::Settings,
};
use crate::config::{Problem, diagnose::quoted};

/// What became of the files.
pub(super) struct Imported {
    /// The configuration.
    pub(super) text: String,
    /// What was not carried over, a line each.
    pub(super) lost: Vec<String>,
}

/// Imports files, each with its name and text.
///
/// # Errors
/// What is wrong with them, each with its place.
pub(super) fn import(files: Vec<(String, String)>) -> Result<Imported, Vec<Problem>> {
    let sources: Vec<_> = files.into_iter().map(|(name, text)| Arc::new(Source { name, text })).collect();
    let settings = Settings::read(&sources)?;
    let mut report = Report::default();
    let plan = Plan::make(&settings, &mut report).map_err(|problem| vec![*problem])?;
    let Some(plan) = plan else {
        let problem = Node::parse(&sources[0]).map_err(|problem| vec![*problem])?.place.problem_with(
            "nothing in these files sets up a WebSocket handler that is reached",
            "import websocket-rendezvous.yml or websocket-router.yml, with handler.yml and values.yml if there are any",
        );
        return Err(vec![*problem]);
    };
    for (place, text) in settings.left_over() {
        report.lost(&place, text);
    }
    let names: Vec<_> = sources.iter().map(|source| source.short()).collect();
    let text = write::write(&plan, &report, &names);
    Ok(Imported { text, lost: report.all_lost().to_vec() })
}

/// What counts as true and false for light-4j.
fn boolean(node: &Node) -> Result<bool, Box<Problem>> {
    let text = node.text("true or false")?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Ok(true),
        "false" | "no" | "n" | "off" => Ok(false),
        _ => Err(node.place.problem_with(format!("{} is neither true nor false", quoted(text)), "true or false")),
    }
}
