//! The records of several files as one: what a reader would know after all of them, in as few records as say it.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use crate::{
    ContainerRecord, Eviction, Incident, Pin,
    keeping::{FileId, KeptFile, Tombstone},
    meta::Record,
    payload::Hash,
};

/// Of a record's encoding.
fn hash(record: &Record) -> Hash {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    Sha256::digest(&bytes).into()
}

/// Records, merged in the order in which files have them.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// What is there several times counts once: hashes, since a hostile file may have as many as a reader takes.
    seen: HashSet<Hash>,
    /// Origins, clock readings and gaps, in order.
    others: Vec<Record>,
    tombstones: BTreeMap<FileId, Tombstone>,
    kept: BTreeMap<u64, KeptFile>,
    evictions: BTreeMap<u64, Eviction>,
    pins: BTreeMap<String, Pin>,
    incidents: BTreeMap<String, Incident>,
    containers: BTreeMap<u64, ContainerRecord>,
}

impl Merged {
    /// Takes the next record.
    pub(crate) fn add(&mut self, record: Record) {
        let counts_once = !matches!(record, Record::Pin(_) | Record::Unpin(_) | Record::Container(_));
        if counts_once && !self.seen.insert(hash(&record)) {
            return;
        }
        match record {
            Record::Origin(_) | Record::Clock(_) | Record::Loss(_) | Record::Rows(_) => {
                self.others.push(record);
            }
            Record::Tombstone(tombstone) => {
                self.tombstones.insert(tombstone.file, *tombstone);
            }
            Record::Kept(file) => {
                self.kept.insert(file.number, file);
            }
            Record::Eviction(eviction) => {
                let known = self.evictions.entry(eviction.container.0).or_insert(eviction);
                if known.blocks <= eviction.blocks {
                    *known = eviction;
                }
            }
            Record::Pin(pin) => {
                self.pins.insert(pin.id.clone(), pin);
            }
            Record::Unpin(id) if id.is_empty() => self.pins.clear(),
            Record::Unpin(id) => {
                self.pins.remove(&id);
            }
            Record::Incident(incident) => {
                self.incidents.insert(incident.id.clone(), incident);
            }
            Record::Container(container) => match self.containers.get_mut(&container.uid.0) {
                Some(known) => known.absorb(*container),
                None => {
                    self.containers.insert(container.uid.0, *container);
                }
            },
        }
    }

    /// Whether both say the same, whatever came first.
    pub(crate) fn agrees(&self, with: &Self) -> bool {
        let others = |of: &Self| {
            let mut hashes: Vec<Hash> = of.others.iter().map(hash).collect();
            hashes.sort_unstable();
            hashes
        };
        self.containers == with.containers
            && self.tombstones == with.tombstones
            && self.kept == with.kept
            && self.evictions == with.evictions
            && self.pins == with.pins
            && self.incidents == with.incidents
            && others(self) == others(with)
    }

    /// The records, those of one kind together.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        let tombstones = self.tombstones.into_values().map(|t| Record::Tombstone(Box::new(t)));
        let all = self
            .others
            .into_iter()
            .chain(tombstones)
            .chain(self.kept.into_values().map(Record::Kept))
            .chain(self.evictions.into_values().map(Record::Eviction))
            .chain(self.pins.into_values().map(Record::Pin))
            .chain(self.incidents.into_values().map(Record::Incident))
            .chain(self.containers.into_values().map(|c| Record::Container(Box::new(c))));
        for record in all {
            record.encode(&mut out);
        }
        out
    }
}
