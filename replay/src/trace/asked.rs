//! What of a recording was asked for when a part of it was extracted. Blocks are evidence, and are copied whole: an extract has
//! what lies beside that too, and says in a document of its own what was meant.

use std::collections::HashMap;

use afterimage_format::{BootNanos, ContainerUid, Incident, Part, Recording, Wanted};
use afterimage_model::artifacts::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::incident::list;

/// What such a document calls itself.
const EXTRACT: &str = "extract";

/// Most containers that it lists.
const MOST: usize = 1_000;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of whom, and when; both ends inclusive.
    pub parts: Vec<Part>,
    /// How many containers there were, more than are listed where there were very many.
    pub containers: u64,
    /// Filters that all had to pass.
    pub filters: Vec<String>,
}

impl Asked {
    /// As an extract carries it; nothing where it is longer than that can be.
    pub fn document(&self) -> Option<Incident> {
        let part = |part: &Part| {
            json!({ "uid": part.container.0, "begin_ns": part.begin.map(|at| at.0),
                "end_ns": part.end.map(|at| at.0.saturating_add(1)) })
        };
        let parts: Vec<Value> = self.parts.iter().take(MOST).map(part).collect();
        let document = json!({ "schema": 1, "kind": EXTRACT, "parts": parts, "containers": self.containers,
            "filters": self.filters });
        let document = document.to_string().into_bytes();
        let hash = hex(&Sha256::digest(&document));
        let id = format!("{EXTRACT}-{}", hash.get(..16)?);
        (document.len() <= Incident::MAX_DOCUMENT).then_some(Incident { id, document })
    }

    /// What was asked for each time that this was extracted.
    pub fn of(recording: &Recording) -> Vec<Self> {
        recording.incidents().iter().filter_map(Self::read).collect()
    }

    fn read(incident: &Incident) -> Option<Self> {
        let document: Value = serde_json::from_slice(&incident.document).ok()?;
        let at = |part: &Value, key: &str| part[key].as_u64().map(BootNanos);
        let part = |part: &Value| {
            let end = at(part, "end_ns").map(|end| BootNanos(end.0.saturating_sub(1)));
            let container = ContainerUid(part["uid"].as_u64()?);
            Some(Part { container, begin: at(part, "begin_ns"), end })
        };
        let filters = list(&document["filters"]).iter().filter_map(|text| Some(text.as_str()?.to_owned()));
        (document["kind"] == EXTRACT).then(|| Self {
            parts: list(&document["parts"]).iter().filter_map(part).take(MOST).collect(),
            containers: document["containers"].as_u64().unwrap_or(0),
            filters: filters.collect(),
        })
    }
}

/// Events that come along with what was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    /// Before all that was asked for of their container.
    pub before: u64,
    /// Behind it.
    pub after: u64,
}

impl Beside {
    /// What blocks of `copied` have that `asked` has not.
    pub fn of(recording: &Recording, copied: &[Part], asked: &[Part]) -> Self {
        let mut beside = Self::default();
        let mut reader = recording.column_reader();
        let mut of: HashMap<ContainerUid, (Vec<&Part>, BootNanos, BootNanos)> = HashMap::new();
        for part in asked {
            let ends = (part.begin.unwrap_or_default(), part.end.unwrap_or(BootNanos(u64::MAX)));
            let (_, begin, end) = of.entry(part.container).or_insert((Vec::new(), ends.0, ends.1));
            (*begin, *end) = ((*begin).min(ends.0), (*end).max(ends.1));
        }
        for part in copied {
            of.entry(part.container).and_modify(|(parts, ..)| parts.push(part));
        }
        for block in recording.blocks() {
            let Some((parts, begin, end)) = of.get(&block.container) else { continue };
            let is_copied = |part: &&Part| {
                part.begin.is_none_or(|begin| begin <= block.last)
                    && part.end.is_none_or(|end| block.first <= end)
            };
            if block.first >= *begin && block.last <= *end || !parts.iter().any(is_copied) {
                continue;
            }
            // A block that cannot be read is not copied.
            if let Ok(Some(columns)) = reader.read(block.index, Wanted::TIMES) {
                let count = |is_beside: &dyn Fn(u64) -> bool| {
                    columns.times().iter().filter(|time| is_beside(**time)).count() as u64
                };
                beside.before += count(&|time| time < begin.0);
                beside.after += count(&|time| time > end.0);
            }
        }
        beside
    }
}
