//! From two rings to one order: records are taken out by time, after a short wait for those that come late.
//!
//! A record's time is taken before it is submitted, so a record may become visible after one that is younger. What is
//! older than the window cannot be overtaken any more. The data ring is emptied before the control ring: what a call
//! hangs on (its cgroup, its process) is then always among what was taken.

use afterimage_format::BootNanos;
use aya::maps::{MapData, RingBuf};

use crate::translate;

/// How long a record waits for older ones.
pub const WINDOW: u64 = 10_000_000;
/// Most bytes taken from the data ring at once.
const BATCH: usize = 16 << 20;

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: u64,
    from: usize,
    len: usize,
}

/// What one pass over the rings took out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Records too short to have a header.
    pub malformed: u64,
    /// The pass ended before the data ring was empty.
    pub more: bool,
    /// Then: nothing younger than this may be released, because what is left may be as old.
    pub latest_left: Option<BootNanos>,
}

/// Records in waiting.
#[derive(Debug, Default)]
pub struct Pending {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// What [`Self::bytes`] was before the last release: room for the next.
    spare: Vec<u8>,
}

impl Pending {
    /// Empties the rings.
    pub fn take(&mut self, data: &mut RingBuf<MapData>, control: &mut RingBuf<MapData>) -> Taken {
        let mut taken = Taken::default();
        while (taken.bytes as usize) < BATCH {
            let Some(record) = data.next() else { break };
            self.push(&record, &mut taken);
        }
        taken.more = taken.bytes as usize >= BATCH;
        if taken.more {
            // The last of a batch may itself be younger than its neighbours by as much as the window.
            let last = self.entries.last().map_or(0, |entry| entry.time);
            taken.latest_left = Some(BootNanos(last.saturating_sub(WINDOW)));
        }
        while let Some(record) = control.next() {
            self.push(&record, &mut taken);
        }
        taken
    }

    fn push(&mut self, record: &[u8], taken: &mut Taken) {
        taken.records += 1;
        taken.bytes += record.len() as u64;
        match translate::head(record) {
            Ok(head) => {
                let from = self.bytes.len();
                self.bytes.extend_from_slice(record);
                self.entries.push(Entry { time: head.header.time, from, len: record.len() });
            }
            Err(_) => taken.malformed += 1,
        }
    }

    /// Hands out every record not younger than `horizon`, oldest first.
    pub fn release(&mut self, horizon: BootNanos, mut each: impl FnMut(&[u8])) {
        self.entries.sort_by_key(|entry| entry.time);
        let ready = self.entries.partition_point(|entry| entry.time <= horizon.0);
        for entry in &self.entries[..ready] {
            each(&self.bytes[entry.from..entry.from + entry.len]);
        }
        self.entries.drain(..ready);
        if self.entries.is_empty() {
            self.bytes.clear();
            return;
        }
        self.spare.clear();
        for entry in &mut self.entries {
            let from = self.spare.len();
            self.spare.extend_from_slice(&self.bytes[entry.from..entry.from + entry.len]);
            entry.from = from;
        }
        std::mem::swap(&mut self.bytes, &mut self.spare);
    }

    /// The records in waiting from the `known`th on: after [`Self::take`], those that it added.
    pub fn since(&self, known: usize) -> impl Iterator<Item = &[u8]> {
        let entries = self.entries.get(known..).unwrap_or_default();
        entries.iter().map(|entry| &self.bytes[entry.from..entry.from + entry.len])
    }

    /// Records in waiting.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: u64, mark: u8) -> Vec<u8> {
        let mut bytes = vec![0; 56];
        bytes[0] = mark;
        bytes[8..16].copy_from_slice(&time.to_ne_bytes());
        bytes
    }

    #[test]
    fn records_come_out_by_time_and_the_young_wait() {
        let mut pending = Pending::default();
        let mut taken = Taken::default();
        for (time, mark) in [(30, 3), (10, 1), (99, 9), (20, 2)] {
            pending.push(&record(time, mark), &mut taken);
        }
        pending.push(b"short", &mut taken);
        assert_eq!((taken.records, taken.malformed), (5, 1));
        let mut out = Vec::new();
        pending.release(BootNanos(30), |record| out.push(record[0]));
        assert_eq!(out, [1, 2, 3]);
        pending.push(&record(50, 5), &mut taken);
        pending.release(BootNanos(100), |record| out.push(record[0]));
        assert_eq!(out, [1, 2, 3, 5, 9]);
        assert!(pending.is_empty());
    }
}
