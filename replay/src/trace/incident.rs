//! Incidents of a store: a trigger, the alert it came in, and what it pinned. The recorder writes them beside the
//! segments, one JSON object in a line; most of it is foreign text, and every length is bounded.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use afterimage_format::{BootNanos, ContainerUid, Incident, Part, Recording};
use afterimage_model::text::escape;
use serde_json::{Value, json};

use crate::failure::{Failure, shown};

/// What the recorder calls its files, the older first.
pub(super) const TRIGGERS: [&str; 2] = ["triggers.1.jsonl", "triggers.jsonl"];
pub(super) const PINS: &str = "pins.jsonl";
/// What the document of an incident calls itself.
pub const INCIDENT: &str = "incident";
/// What a time may lose on its way over the wall clock and back, in nanoseconds.
const ROUNDED: u64 = 1_000_000;
/// Longest line. An alert of 8 MiB may be written in twice as much.
pub(super) const MAX_LINE: u64 = 24 << 20;

/// An incident with what belongs to it.
#[derive(Debug)]
pub struct Found {
    /// For the extract.
    pub incident: Incident,
    /// What is pinned of whom.
    pub parts: Vec<Part>,
}

/// Opens a file that lies beside a recording; nothing where there is none. Who made the recording can have made a pipe of that
/// name, which would be waited for, or a link to what has no end.
///
/// # Errors
/// What the operating system says; no regular file.
pub(super) fn open_beside(path: &Path) -> io::Result<Option<File>> {
    match path.metadata() {
        Ok(about) if !about.is_file() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
        }
        Ok(_) => File::open(path).map(Some),
        Err(error) => Err(error),
    }
    .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) })
}

/// Calls `visit` for each line of a file that is an object; nothing where there is no such file. A last line that was
/// cut off by a crash is none.
pub(super) fn lines(path: &Path, mut visit: impl FnMut(Value)) -> Result<(), Failure> {
    numbered_lines(path, |_, line| visit(line))
}

/// Where a line is in its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its number; the first is 1.
    pub(super) line: u64,
    /// Its first byte.
    pub(super) offset: u64,
}

/// As [`lines`], with the place of each.
pub(super) fn numbered_lines(path: &Path, mut visit: impl FnMut(Place, Value)) -> Result<(), Failure> {
    let failed = |source: io::Error| Failure::Environment(format!("cannot read `{}`: {source}", shown(path)));
    let Some(file) = open_beside(path).map_err(failed)? else { return Ok(()) };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut place = Place { line: 1, offset: 0 };
    loop {
        line.clear();
        let length = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
        if length == 0 {
            return Ok(());
        }
        if let Ok(value) = serde_json::from_slice(&line) {
            visit(place, value);
        }
        // One that is longer comes in pieces.
        place.line += u64::from(line.ends_with(b"\n"));
        place.offset += length as u64;
    }
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

/// Finds the incident of a trigger or a pin by its id, or the beginning of one.
///
/// # Errors
/// [`Failure`]: none, several, or files that cannot be read.
pub fn find(store: &Path, recording: &Recording, wanted: &str) -> Result<Found, Failure> {
    let mut pins: Vec<Value> = Vec::new();
    lines(&store.join(PINS), |line| {
        if line["pin"].is_object() {
            pins.retain(|pin| pin["id"] != line["pin"]["id"]);
            pins.push(line["pin"].clone());
        }
    })?;
    let of_pin: Vec<&str> = pins
        .iter()
        .filter(|pin| text(pin, "id").starts_with(wanted))
        .map(|pin| text(pin, "trigger"))
        .collect();
    let mut triggers: Vec<Value> = Vec::new();
    for name in TRIGGERS {
        lines(&store.join(name), |line| {
            let id = text(&line, "id");
            let meant = id.starts_with(wanted) || of_pin.contains(&id);
            if line["kind"] == "trigger" && meant && !id.is_empty() {
                triggers.retain(|known| known["id"] != line["id"]);
                triggers.push(line);
            }
        })?;
    }
    let trigger = match triggers.as_slice() {
        [trigger] => trigger,
        [] => return Err(none(store, wanted)),
        several => {
            return Err(Failure::Usage(format!("`{wanted}` begins the ids of {} incidents", several.len())));
        }
    };
    let covered = list(&trigger["containers"]);
    let own = |pin: &&Value| covered.iter().any(|covered| covered["pin"] == pin["id"]);
    let pins: Vec<&Value> = pins.iter().filter(own).collect();
    let parts = parts(recording, &pins, covered);
    if parts.is_empty() {
        return Err(none(store, wanted));
    }
    let document = document(store, trigger, &pins)?;
    Ok(Found { incident: Incident { id: text(trigger, "id").to_owned(), document }, parts })
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What pins keep. A trigger that only marked, or whose pin was taken away, has no pin: what it told of is meant.
fn parts(recording: &Recording, pins: &[&Value], covered: &[Value]) -> Vec<Part> {
    let ranges = if pins.is_empty() { covered.iter().collect() } else { pins.to_vec() };
    ranges.into_iter().filter_map(|range| part(recording, range)).collect()
}

/// What was pinned of whom, by the words that an extract carries of its incident; nothing where the document is another: an
/// alert that is carried, what was asked for.
pub fn pinned(recording: &Recording, incident: &Incident) -> Vec<Part> {
    let document: Value = serde_json::from_slice(&incident.document).unwrap_or_default();
    if document["kind"] != INCIDENT {
        return Vec::new();
    }
    let pins: Vec<&Value> = list(&document["pins"]).iter().collect();
    parts(recording, &pins, list(&document["trigger"]["containers"]))
}

fn none(store: &Path, wanted: &str) -> Failure {
    Failure::NoSuchIncident { wanted: escape(wanted.as_bytes()).into_string(), place: shown(store) }
}

/// What a pin, or what is told of a container, means in times of the recording.
fn part(recording: &Recording, range: &Value) -> Option<Part> {
    let at = |key: &str| {
        let stamp: jiff::Timestamp = range[key].as_str()?.parse().ok()?;
        recording.clock().boot(i64::try_from(stamp.as_nanosecond()).ok()?)
    };
    let container = ContainerUid(range["uid"].as_u64()?);
    let known = recording.containers().iter().find(|known| known.record.uid == container);
    let removed = known.and_then(|known| known.record.removed);
    // Behind a container's end comes only what was still to be told of it: that its cgroups in other hierarchies are gone.
    let goes_on = |end: &BootNanos| removed.is_none_or(|removed| end.0.saturating_add(ROUNDED) < removed.0);
    Some(Part { container, begin: at("from"), end: at("to").filter(goes_on) })
}

/// Everything that is known of an incident, as one JSON object.
fn document(store: &Path, trigger: &Value, pins: &[&Value]) -> Result<Vec<u8>, Failure> {
    let sha256 = text(trigger, "body_sha256");
    let mut body = Value::Null;
    for name in TRIGGERS {
        lines(&store.join(name), |line| {
            if line["kind"] == "body" && line["sha256"] == sha256 {
                body = line;
            }
        })?;
    }
    let whole = |body: &Value| {
        json!({ "schema": 1, "kind": INCIDENT, "trigger": trigger, "alert": body, "pins": pins }).to_string()
    };
    let mut text = whole(&body);
    if text.len() > Incident::MAX_DOCUMENT {
        // Its hash still tells which it was.
        body = json!({ "kind": "body", "sha256": sha256, "length": body["length"],
            "dropped": "larger than an extract's room for it" });
        text = whole(&body);
    }
    Ok(text.into_bytes())
}

/// Where a store's own files are; `None` for an extract or a single segment.
pub fn directory(path: &Path) -> Option<PathBuf> {
    path.is_dir().then(|| path.to_owned())
}
