//! The records of several files as one: what a reader would know after all of them, in as few records as say it.

use std::collections::{BTreeMap, HashSet};

use crate::{
    ContainerRecord, Eviction, Incident, Pin,
    keeping::{FileId, Tombstone},
    meta::Record,
};

/// Records, merged in the order in which files have them.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// What is there several times counts once.
    seen: HashSet<Vec<u8>>,
    /// Origins, clock readings and gaps, in order.
    others: Vec<Record>,
    tombstones: BTreeMap<FileId, Tombstone>,
    evictions: BTreeMap<u64, Eviction>,
    pins: BTreeMap<String, Pin>,
    incidents: BTreeMap<String, Incident>,
    containers: BTreeMap<u64, ContainerRecord>,
}

impl Merged {
    /// Takes the next record.
    pub(crate) fn add(&mut self, record: Record) {
        let counts_once = !matches!(record, Record::Pin(_) | Record::Unpin(_));
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        if counts_once && !self.seen.insert(bytes) {
            return;
        }
        match record {
            Record::Origin(_) | Record::Clock(_) | Record::Loss(_) => self.others.push(record),
            Record::Tombstone(tombstone) => {
                self.tombstones.insert(tombstone.file, *tombstone);
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

    /// The records, those of one kind together.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        let tombstones = self.tombstones.into_values().map(|t| Record::Tombstone(Box::new(t)));
        let all = self
            .others
            .into_iter()
            .chain(tombstones)
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
