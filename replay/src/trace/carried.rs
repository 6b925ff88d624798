//! The alerts that an extract carries of the containers that it is of, each as the document of an incident is, of a kind of its own:
//! an incident says what an extract was made for, an alert only what was told of what is in it.
//!
//! An extract has nothing of any other container. What was said of several at once is carried without what may tell of those
//! that are not in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use afterimage_format::{BootNanos, ContainerUid, Incident, Part, Recording};
use serde_json::{Value, json};

use super::incident::{PINS, TRIGGERS, directory, lines, list, text};
use crate::failure::Failure;

/// What the document of an alert that is carried calls itself.
const ALERT: &str = "alert";

/// Room for all documents together: a reader holds them while it has the file open.
const ROOM: usize = 8 << 20;

/// Most alerts that are carried: the latest.
const MOST: usize = 10_000;

/// How far behind the event that tripped it an alert can be, in nanoseconds.
const JITTER: u64 = 1_000;

/// Why a body is not there.
const NO_ROOM: &str = "larger than an extract's room for it";
const OF_OTHERS: &str = "what came also tells of containers that are not in this extract";

/// What an extract carries.
#[derive(Debug, Default)]
pub struct Carried {
    /// For the extract.
    pub documents: Vec<Incident>,
    /// Alerts without what they came in, because that tells of others too.
    pub withheld: u64,
    /// Alerts without what they came in, or not carried at all, because there is no room for more.
    pub dropped: u64,
}

/// That so many alerts are missing, or a part of each is.
pub fn no_room(dropped: u64) -> String {
    format!("{dropped} alerts are not carried, or without what they came in: an extract has no room for more")
}

/// The alerts of a store about the containers of these parts, as far as they are of the parts' times. Nothing where the recording
/// is a file: what it carries is copied with it.
///
/// # Errors
/// The files with them are there and cannot be read.
pub fn alerts_of(path: &Path, recording: &Recording, parts: &[Part]) -> Result<Carried, Failure> {
    let Some(store) = directory(path) else { return Ok(Carried::default()) };
    let mut kept = Kept::default();
    for name in TRIGGERS {
        lines(&store.join(name), |line| {
            if line["kind"] == "trigger" && !text(&line, "id").is_empty() {
                kept.take(line, recording, parts);
            }
        })?;
    }
    if kept.triggers.is_empty() {
        return Ok(Carried::default());
    }
    let pins = pins(&store, &kept)?;
    let mut bodies = Bodies::of(&kept);
    for name in TRIGGERS {
        lines(&store.join(name), |line| bodies.look(line, &kept, parts))?;
    }
    Ok(carried(kept, bodies, &pins))
}

/// Triggers by id, the latest in the file last: the last of an id counts.
#[derive(Default)]
struct Kept {
    triggers: BTreeMap<u64, Trigger>,
    places: HashMap<String, u64>,
    next: u64,
    bytes: usize,
    dropped: u64,
}

struct Trigger {
    id: String,
    /// As it is carried.
    line: Value,
    length: usize,
    /// It is about others too.
    of_others: bool,
}

impl Kept {
    fn take(&mut self, mut line: Value, recording: &Recording, parts: &[Part]) {
        let id = text(&line, "id").to_owned();
        if let Some(known) = self.places.remove(&id).and_then(|place| self.triggers.remove(&place)) {
            self.bytes -= known.length;
        }
        let at = stamp(&line).and_then(|real| recording.clock().boot(real));
        let is_there = |part: &&Part| at.is_none_or(|at| has(part, at));
        let asked: Vec<ContainerUid> = parts.iter().filter(is_there).map(|part| part.container).collect();
        let all = list(&line["containers"]);
        let own: Vec<Value> = all
            .iter()
            .filter(|covered| uid(covered).is_some_and(|uid| asked.contains(&uid)))
            .cloned()
            .collect();
        if own.is_empty() {
            return;
        }
        let of_others = !are_of(all, parts);
        line["containers"] = Value::Array(own);
        if of_others {
            strip(&mut line);
        }
        let length = line.to_string().len();
        self.bytes += length;
        self.places.insert(id.clone(), self.next);
        self.triggers.insert(self.next, Trigger { id, line, length, of_others });
        self.next += 1;
        while self.bytes > ROOM / 2 || self.triggers.len() > MOST {
            let Some((_, earliest)) = self.triggers.pop_first() else { return };
            self.places.remove(&earliest.id);
            self.bytes -= earliest.length;
            self.dropped += 1;
        }
    }

    fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }
}

/// Takes away what may tell of others. A person's reason was meant for each of them.
fn strip(line: &mut Value) {
    let by_person = text(line, "source") == "person";
    if let Some(members) = line.as_object_mut() {
        members.remove("hints");
        if !by_person {
            members.remove("reason");
        }
    }
}

/// Whether a list of containers names none but those of the parts.
fn are_of(covered: &[Value], parts: &[Part]) -> bool {
    covered.iter().all(|one| uid(one).is_some_and(|uid| parts.iter().any(|part| part.container == uid)))
}

fn uid(covered: &Value) -> Option<ContainerUid> {
    covered["uid"].as_u64().map(ContainerUid)
}

fn stamp(line: &Value) -> Option<i64> {
    let stamp: jiff::Timestamp = text(line, "time").parse().ok()?;
    i64::try_from(stamp.as_nanosecond()).ok()
}

fn has(part: &Part, at: BootNanos) -> bool {
    part.begin.is_none_or(|begin| at >= begin)
        && part.end.is_none_or(|end| at.0 <= end.0.saturating_add(JITTER))
}

/// The pins that these triggers name of the containers that are carried, by id.
fn pins(store: &Path, kept: &Kept) -> Result<BTreeMap<String, Value>, Failure> {
    let covered = kept.triggers.values().flat_map(|own| list(&own.line["containers"]));
    let wanted: BTreeSet<&str> = covered.filter_map(|covered| covered["pin"].as_str()).collect();
    let mut pins = BTreeMap::new();
    lines(&store.join(PINS), |line| {
        let pin = &line["pin"];
        if wanted.contains(text(pin, "id")) {
            pins.insert(text(pin, "id").to_owned(), pin.clone());
        }
    })?;
    Ok(pins)
}

/// What the triggers came in, by hash.
struct Bodies {
    by_hash: HashMap<String, Body>,
    bytes: usize,
}

#[derive(Default)]
struct Body {
    line: Option<Value>,
    of_others: bool,
    no_room: bool,
}

impl Bodies {
    fn of(kept: &Kept) -> Self {
        let mut by_hash: HashMap<String, Body> = HashMap::new();
        for own in kept.triggers.values() {
            by_hash.entry(text(&own.line, "body_sha256").to_owned()).or_default().of_others |= own.of_others;
        }
        Self { by_hash, bytes: 0 }
    }

    fn look(&mut self, line: Value, kept: &Kept, parts: &[Part]) {
        if line["kind"] == "trigger" {
            let Some(body) = self.by_hash.get_mut(text(&line, "body_sha256")) else { return };
            let all = list(&line["containers"]);
            // Of one that is carried an earlier line may name nobody yet.
            let is_own = kept.has(text(&line, "id")) || kept.has(text(&line, "duplicate_of"));
            body.of_others |= !are_of(all, parts) || all.is_empty() && !is_own;
        } else if line["kind"] == "body"
            && let Some(body) = self.by_hash.get_mut(text(&line, "sha256"))
            && body.line.is_none()
        {
            let length = line.to_string().len();
            body.no_room = self.bytes + length > ROOM / 2 || length > Incident::MAX_DOCUMENT / 2;
            if !body.no_room {
                self.bytes += length;
                body.line = Some(line);
            }
        }
    }
}

fn carried(kept: Kept, mut bodies: Bodies, pins: &BTreeMap<String, Value>) -> Carried {
    let mut all = Carried { dropped: kept.dropped, ..Carried::default() };
    let mut room = ROOM;
    for own in kept.triggers.into_values() {
        let hash = text(&own.line, "body_sha256").to_owned();
        let body = bodies.by_hash.entry(hash.clone()).or_default();
        let without = |why: &str| json!({ "kind": "body", "sha256": hash, "dropped": why });
        let named = list(&own.line["containers"]).iter().filter_map(|covered| covered["pin"].as_str());
        let mut pins: Vec<Value> = named.filter_map(|pin| pins.get(pin)).cloned().collect();
        if own.of_others {
            pins.iter_mut().for_each(strip);
        }
        let document = |alert: &Value| {
            json!({ "schema": 1, "kind": ALERT, "trigger": own.line, "alert": alert, "pins": pins })
                .to_string()
        };
        let text = match &body.line {
            _ if body.of_others => {
                all.withheld += 1;
                document(&without(OF_OTHERS))
            }
            None if body.no_room => {
                all.dropped += 1;
                document(&without(NO_ROOM))
            }
            None => document(&Value::Null),
            // The same body comes with each of its alerts.
            Some(line) => {
                let whole = document(line);
                if whole.len() <= room.min(Incident::MAX_DOCUMENT) {
                    whole
                } else {
                    all.dropped += 1;
                    document(&without(NO_ROOM))
                }
            }
        };
        if text.len() > room.min(Incident::MAX_DOCUMENT) {
            all.dropped += 1;
            continue;
        }
        room -= text.len();
        all.documents.push(Incident { id: own.id, document: text.into_bytes() });
    }
    all
}
