//! Moments that have names: alerts of the store, marks of the case file beside it.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use afterimage_format::{BootNanos, ContainerUid};
use afterimage_model::text::escape;
use serde::Deserialize;

use super::{Trace, alerts, incident::open_beside};
use crate::{
    failure::{Failure, shown},
    time::{Named, Namer},
};

/// A case file of more bytes is not read: nobody noted that much.
pub(crate) const CASE_LIMIT: u64 = 64 << 20;

/// Where a recording's case file is: `demo.aftx` has `demo.case.jsonl`, the store `/var/lib/afterimage` has
/// `/var/lib/afterimage.case.jsonl`.
pub(crate) fn case_file(recording: &Path) -> PathBuf {
    let whole = std::path::absolute(recording).unwrap_or_else(|_| recording.to_owned());
    let is_trace = whole.extension().is_some_and(|end| end == "aft" || end == "aftx");
    let stem = if is_trace { whole.file_stem() } else { whole.file_name() };
    let mut name = stem.unwrap_or_else(|| "afterimage".as_ref()).to_owned();
    name.push(".case.jsonl");
    whole.with_file_name(name)
}

/// A mark as a line of the case file has it; of other lines these members are missing or not needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    kind: String,
    letter: String,
    container: Option<u64>,
    at: Option<u64>,
}

/// The moment that a name stands for, in a container or in the whole recording.
///
/// # Errors
/// Nothing has this name; files that are there and cannot be read.
pub fn named(trace: &Trace, of: Option<ContainerUid>, named: &Named<'_>) -> Result<BootNanos, Failure> {
    let at = match named.by {
        Namer::Alert => alerts::begin(trace, of, named.name)?,
        Namer::Mark => mark(trace, of, named.name)?,
    };
    Ok(crate::time::shifted(at, named.offset))
}

/// A mark of the case: its letter, whose it is, and when.
struct Mark {
    letter: String,
    container: Option<ContainerUid>,
    at: BootNanos,
}

/// The marks of the case, of a container or of all, the latest first: a later one of the same letter moved it.
fn latest(trace: &Trace, of: Option<ContainerUid>) -> Result<Vec<Mark>, Failure> {
    let path = case_file(&trace.path);
    let failed =
        |source: io::Error| Failure::Environment(format!("cannot read `{}`: {source}", shown(&path)));
    let mut text = Vec::new();
    if let Some(file) = open_beside(&path).map_err(failed)? {
        file.take(CASE_LIMIT).read_to_end(&mut text).map_err(failed)?;
    }
    let lines = text.split(|byte| *byte == b'\n').rev();
    let marks = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()).filter_map(|line| {
        let at = BootNanos(line.at.filter(|_| line.kind == "mark")?);
        Some(Mark { letter: line.letter, container: line.container.map(ContainerUid), at })
    });
    Ok(marks.filter(|mark| of.is_none_or(|uid| mark.container == Some(uid))).collect())
}

/// Where each letter's mark is, of a container or whosever it is.
pub(crate) fn marks(trace: &Trace, of: Option<ContainerUid>) -> Result<Vec<(char, BootNanos)>, Failure> {
    let mut marks: Vec<(char, BootNanos)> = Vec::new();
    for mark in latest(trace, of)? {
        if let Some(letter) = mark.letter.chars().next()
            && marks.iter().all(|(known, _)| *known != letter)
        {
            marks.push((letter, mark.at));
        }
    }
    Ok(marks)
}

fn mark(trace: &Trace, of: Option<ContainerUid>, name: &str) -> Result<BootNanos, Failure> {
    let found = latest(trace, of)?.into_iter().find(|mark| mark.letter == name);
    found.map(|mark| mark.at).ok_or_else(|| {
        let path = case_file(&trace.path);
        Failure::Usage(format!("no mark `{}` in `{}`", escape(name.as_bytes()), shown(&path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_lies_beside_its_recording() {
        for (recording, case) in [
            ("/e/demo.aftx", "/e/demo.case.jsonl"),
            ("/var/lib/afterimage/", "/var/lib/afterimage.case.jsonl"),
            ("/e/7f9c.d", "/e/7f9c.d.case.jsonl"),
        ] {
            assert_eq!(case_file(Path::new(recording)), Path::new(case));
        }
    }
}
