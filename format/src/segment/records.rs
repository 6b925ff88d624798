//! The metadata records of a segment, for its footer.

use std::collections::BTreeMap;

use crate::{
    ContainerRecord, Origin,
    bytes::{Input, Malformed},
    limits,
    meta::Record,
};

/// The latest record of each container, and every gap and clock reading, of one segment. All times have their base
/// added.
#[derive(Debug, Default)]
pub(crate) struct SegmentRecords {
    containers: BTreeMap<u64, ContainerRecord>,
    others: Vec<Record>,
}

impl SegmentRecords {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { containers: BTreeMap::new(), others: vec![Record::Origin(origin)] }
    }

    /// Adds records of a block with this base.
    pub(crate) fn add(&mut self, records: impl IntoIterator<Item = Record>, base: u64) {
        for mut record in records {
            record.rebase(base);
            match record {
                Record::Container(container) => match self.containers.get_mut(&container.uid.0) {
                    Some(known) => known.absorb(*container),
                    None => {
                        self.containers.insert(container.uid.0, *container);
                    }
                },
                Record::Origin(_) if self.others.contains(&record) => {}
                other => self.others.push(other),
            }
        }
    }

    /// Whether there is a record of this container.
    pub(crate) fn has_container(&self, uid: u64) -> bool {
        self.containers.contains_key(&uid)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for record in &self.others {
            record.encode(&mut out);
        }
        for container in self.containers.values() {
            Record::Container(Box::new(container.clone())).encode(&mut out);
        }
        out
    }
}

/// Decodes records one behind the other, with `base` added to their times, into `out`; those of later versions are
/// stepped over. What they cost is added to `spent`: a hostile file may have any number of them.
pub(crate) fn decode_records(
    bytes: &[u8],
    base: u64,
    out: &mut Vec<Record>,
    spent: &mut usize,
) -> Result<(), Malformed> {
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let before = input.rest().len();
        if let Some(mut record) = Record::decode(&mut input)? {
            *spent = spent.saturating_add(cost(before.saturating_sub(input.rest().len())));
            if *spent > limits::ALL_RECORDS_BYTES {
                return Err(Malformed("more metadata records than a reader keeps"));
            }
            record.rebase(base);
            out.push(record);
        }
    }
    Ok(())
}

/// What a record of this length costs in memory, as the limit counts it.
pub(crate) const fn cost(encoded: usize) -> usize {
    encoded.saturating_add(size_of::<Record>())
}
