//! The bodies of alerts against the SHA-256 that the recorder wrote beside each when it came.
//!
//! Nothing signs what is beside the segments: who changes body and hash alike is not found out. Who changes one of them is.

use std::path::Path;

use afterimage_format::{Finding, FindingKind, Recording};
use afterimage_model::artifacts::hex;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::incident::{TRIGGERS, numbered_lines};
use crate::failure::Failure;

/// A body as the recorder writes it. One that had no room is its hash alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    kind: String,
    sha256: Option<String>,
    text: Option<String>,
    base64: Option<String>,
}

impl Body {
    /// What is wrong with it; nothing where it is as it came, or is not kept together with its hash.
    fn wrong(self) -> Option<String> {
        let expected = self.sha256.filter(|_| self.kind == "body")?;
        let bytes = match (self.text, self.base64) {
            (Some(text), _) => Ok(text.into_bytes()),
            (None, Some(coded)) => STANDARD.decode(coded),
            (None, None) => return None,
        };
        let Ok(bytes) = bytes else {
            return Some("the body of an alert cannot be decoded from its base64".to_owned());
        };
        let found = hex(&Sha256::digest(&bytes));
        (found != expected).then(|| {
            format!("the body of an alert is not the one that came: expected SHA-256 `{expected}`, found `{found}`")
        })
    }
}

/// The alerts of a recording whose bodies are not those that came: a store's are beside its segments, an extract of an
/// incident has its one inside.
///
/// # Errors
/// Files that are there and cannot be read.
pub fn changed_alerts(path: &Path) -> Result<Vec<Finding>, Failure> {
    if path.is_dir() { in_store(path) } else { in_extract(path) }
}

fn in_store(store: &Path) -> Result<Vec<Finding>, Failure> {
    let mut found = Vec::new();
    for name in TRIGGERS {
        let path = store.join(name);
        numbered_lines(&path, |place, line| {
            if let Some(wrong) = wrong(line) {
                let detail = format!("line `{}`: {wrong}", place.line);
                found.push(Finding {
                    offset: Some(place.offset),
                    ..Finding::of_file(FindingKind::BadAlert, &path, detail)
                });
            }
        })?;
    }
    Ok(found)
}

fn in_extract(path: &Path) -> Result<Vec<Finding>, Failure> {
    let recording = Recording::open(path)?;
    let incidents = recording.incidents().iter().filter_map(|incident| {
        let mut document: Value = serde_json::from_slice(&incident.document).ok()?;
        let wrong = wrong(document.get_mut("alert")?.take())?;
        let detail = format!("incident `{}`: {wrong}", incident.id);
        Some(Finding::of_file(FindingKind::BadAlert, path, detail))
    });
    Ok(incidents.collect())
}

fn wrong(line: Value) -> Option<String> {
    serde_json::from_value::<Body>(line).ok()?.wrong()
}
