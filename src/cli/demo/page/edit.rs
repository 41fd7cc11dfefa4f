//! The demo's own configuration, shown and replaced. A request names no file, so it can name no other.

use std::{io, path::Path};

use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{fs::File, io::AsyncReadExt as _};

use super::{Page, Reply, problem, state};
use crate::{cli::demo::folder, local};

/// The file as it is, and as it was at the start.
pub(super) async fn show(page: &Page) -> Reply {
    match read(&page.file).await {
        Ok(text) => (
            StatusCode::OK,
            json!({
                "path": page.file.display().to_string(),
                "text": text,
                "version": version(&text),
                "original": page.original,
            }),
        ),
        Err(error) => unreadable(page, &error),
    }
}

/// Replaces the file by `{"text": …}`, if it is still the `{"version": …}` that the caller has seen.
pub(super) async fn save(page: &Page, asked: &Value) -> Reply {
    let (Some(text), Some(seen)) = (asked["text"].as_str(), asked["version"].as_str()) else {
        return problem(StatusCode::BAD_REQUEST, "`text` and `version` are needed, both of them strings");
    };
    let _alone = page.saving.lock().await;
    match read(&page.file).await {
        Ok(there) if version(&there) != seen => {
            return problem(StatusCode::CONFLICT, "the file has been changed on disk since; load it again");
        }
        // What somebody removed is made again.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return unreadable(page, &error),
        _ => {}
    }
    // So that the page can tell the look that this leads to.
    let looks = state::read(page).await["looks"].take();
    match folder::replace(&page.file, text) {
        Ok(()) => (StatusCode::OK, json!({"version": version(text), "looks": looks})),
        Err(error) => {
            let why = format!("{} cannot be written: {error}", page.file.display());
            problem(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

/// What tells one content of the file from another; none while it cannot be read.
pub(super) async fn current(file: &Path) -> Option<String> {
    read(file).await.ok().map(|text| version(&text))
}

fn version(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// As much as an order could bring.
async fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = local::MAX_BODY as u64;
    File::open(file).await?.take(most + 1).read_to_string(&mut text).await?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes, which is too much for the page")));
    }
    Ok(text)
}

fn unreadable(page: &Page, error: &io::Error) -> Reply {
    let why = format!("{} cannot be read: {error}", page.file.display());
    problem(StatusCode::INTERNAL_SERVER_ERROR, why)
}
