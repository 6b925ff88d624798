//! From all rings to one order: records are taken by time, after a short wait for those that come late.
//!
//! A record's time is taken before it is submitted, so a record may become visible after one that is younger. What is
//! older than the window cannot be overtaken any more. The control ring is read last: what a call hangs on (its cgroup,
//! its process) is then always among what was taken.
//!
//! Records stay in their ring until [`Pending::give_back`], which is for when what was released is safe in the store.

use afterimage_format::BootNanos;

use crate::{
    ring::{Meddled, Ring, Span},
    slots::Slots,
    translate,
};

/// How long a record waits for older ones.
pub const WINDOW: u64 = 10_000_000;
/// Most bytes read from the data ring at once: so much of it is given back late.
const BATCH: usize = 4 << 20;

/// All that the programs write to.
#[derive(Debug)]
pub struct Rings {
    /// Calls that are numbers only, by CPU.
    pub slots: Vec<Slots>,
    /// The other calls, and those that the slots had no room for.
    pub data: Ring,
    /// What identity hangs on.
    pub control: Ring,
}

/// One of them.
#[derive(Debug)]
enum Source {
    Slots(Slots),
    Ring(Ring),
}

impl Source {
    fn take(&mut self) -> Option<Span> {
        match self {
            Self::Slots(slots) => slots.take(),
            Self::Ring(ring) => ring.take(),
        }
    }

    fn bytes<'a>(&'a self, span: Span, room: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::Slots(slots) => slots.bytes(span),
            Self::Ring(ring) => ring.bytes(span, room),
        }
    }

    /// Everything before can be given back without this record.
    fn begin(&self, span: Span) -> u64 {
        match self {
            Self::Slots(_) => span.at,
            Self::Ring(_) => span.begin(),
        }
    }

    fn position(&self) -> u64 {
        match self {
            Self::Slots(slots) => slots.position(),
            Self::Ring(ring) => ring.position(),
        }
    }

    fn give_back(&mut self, to: u64) {
        match self {
            Self::Slots(slots) => slots.give_back(to),
            Self::Ring(ring) => ring.give_back(to),
        }
    }

    fn mend(&mut self) -> Option<Meddled> {
        match self {
            Self::Slots(slots) => slots.mend(),
            Self::Ring(ring) => ring.mend(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: u64,
    span: Span,
    /// Index of [`Pending::sources`].
    source: usize,
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

/// The rings, and the records of them that are in waiting.
#[derive(Debug)]
pub struct Pending {
    /// The data ring, each CPU's slots, and last the control ring.
    sources: Vec<Source>,
    entries: Vec<Entry>,
    /// Somebody else had given back room of a ring.
    meddled: bool,
    /// For records that wrap.
    room: Vec<u8>,
}

impl Pending {
    /// Nothing was read of the rings yet.
    pub fn new(rings: Rings) -> Self {
        let mut sources = vec![Source::Ring(rings.data)];
        sources.extend(rings.slots.into_iter().map(Source::Slots));
        sources.push(Source::Ring(rings.control));
        Self { sources, entries: Vec::new(), meddled: false, room: Vec::new() }
    }

    /// Reads the rings.
    pub fn take(&mut self) -> Taken {
        self.mend();
        let mut taken = Taken::default();
        self.read(0, BATCH, &mut taken);
        taken.more = taken.bytes as usize >= BATCH;
        if taken.more {
            // The last of a batch may itself be younger than its neighbours by as much as the window.
            let last = self.entries.last().map_or(0, |entry| entry.time);
            taken.latest_left = Some(BootNanos(last.saturating_sub(WINDOW)));
        }
        for index in 1..self.sources.len() {
            self.read(index, usize::MAX, &mut taken);
        }
        taken
    }

    /// Reads one of them, until so many bytes were taken.
    fn read(&mut self, index: usize, most: usize, taken: &mut Taken) {
        let Self { sources, entries, room, .. } = self;
        let source = &mut sources[index];
        while (taken.bytes as usize) < most {
            let Some(span) = source.take() else { break };
            taken.records += 1;
            taken.bytes += u64::from(span.len);
            match translate::head(source.bytes(span, room)) {
                Ok(head) => entries.push(Entry { time: head.header.time, span, source: index }),
                Err(_) => taken.malformed += 1,
            }
        }
    }

    /// Whether somebody else had given back room of a ring since this was asked last: something may be missing.
    pub fn was_meddled_with(&mut self) -> bool {
        std::mem::take(&mut self.meddled)
    }

    /// Undoes what somebody else did to the rings' positions; forgets records that may be written over.
    fn mend(&mut self) {
        for (index, source) in self.sources.iter_mut().enumerate() {
            let meddled = source.mend();
            self.meddled |= meddled.is_some();
            if meddled == Some(Meddled::Overwritten) {
                self.entries.retain(|entry| entry.source != index);
            }
        }
    }

    /// Hands out every record not younger than `horizon`, oldest first.
    pub fn release(&mut self, horizon: BootNanos, mut each: impl FnMut(&[u8])) {
        self.entries.sort_by_key(|entry| entry.time);
        let ready = self.entries.partition_point(|entry| entry.time <= horizon.0);
        for entry in &self.entries[..ready] {
            each(self.sources[entry.source].bytes(entry.span, &mut self.room));
        }
        self.entries.drain(..ready);
    }

    /// Lets the kernel write over everything that was released.
    pub fn give_back(&mut self) {
        self.mend();
        let mut positions: Vec<u64> = self.sources.iter().map(Source::position).collect();
        for entry in &self.entries {
            let oldest = &mut positions[entry.source];
            *oldest = self.sources[entry.source].begin(entry.span).min(*oldest);
        }
        self.sources.iter_mut().zip(positions).for_each(|(source, to)| source.give_back(to));
    }

    /// Calls `each` with the records in waiting from the `known`th on: after [`Self::take`], those that it added.
    pub fn since(&mut self, known: usize, mut each: impl FnMut(&[u8])) {
        for entry in self.entries.get(known..).unwrap_or_default() {
            each(self.sources[entry.source].bytes(entry.span, &mut self.room));
        }
    }

    /// How full the data ring is, from 0 to 1.
    pub fn fill(&self) -> f64 {
        let data = self.sources.iter().find_map(|source| match source {
            Source::Ring(ring) => Some(ring.fill()),
            Source::Slots(_) => None,
        });
        data.unwrap_or(0.0)
    }

    /// How full those slots are that are the fullest.
    pub fn fill_of_slots(&self) -> f64 {
        let fill = |source: &Source| match source {
            Source::Slots(slots) => slots.fill(),
            Source::Ring(_) => 0.0,
        };
        self.sources.iter().map(fill).fold(0.0, f64::max)
    }

    /// Time of the oldest record in waiting.
    pub fn oldest(&self) -> Option<BootNanos> {
        self.entries.iter().map(|entry| BootNanos(entry.time)).min()
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
    use crate::ring::fake;

    fn record(time: u64, mark: u8) -> Vec<u8> {
        let mut bytes = vec![0; 56];
        bytes[0] = mark;
        bytes[8..16].copy_from_slice(&time.to_ne_bytes());
        bytes
    }

    #[test]
    fn records_come_out_by_time_and_the_young_wait_in_their_ring() {
        let ((data, mut calls), (control, mut others)) = (fake::ring(4096), fake::ring(4096));
        let mut pending = Pending::new(Rings { slots: Vec::new(), data, control });
        for (time, mark) in [(10, 1), (99, 9), (20, 2)] {
            calls.put(0, &record(time, mark));
        }
        others.put(0, &record(30, 3));
        others.put(0, b"short");
        let taken = pending.take();
        assert_eq!((taken.records, taken.malformed), (5, 1));
        let mut out = Vec::new();
        pending.release(BootNanos(30), |record| out.push(record[0]));
        assert_eq!(out, [1, 2, 3]);
        assert_eq!((calls.given_back(), others.given_back()), (0, 0), "not safe yet");
        pending.give_back();
        assert_eq!(calls.given_back(), 64, "the young one is the second");
        assert_eq!(others.given_back(), 64 + 16, "also what is malformed");
        others.put(0, &record(50, 5));
        pending.take();
        pending.release(BootNanos(100), |record| out.push(record[0]));
        assert_eq!(out, [1, 2, 3, 5, 9]);
        assert!(pending.is_empty());
        pending.give_back();
        assert_eq!(calls.given_back(), 3 * 64);
    }

    #[test]
    fn calls_of_all_cpus_and_the_rings_come_out_by_time_and_each_gets_its_room_back() {
        let ((data, mut calls), (control, mut others)) = (fake::ring(4096), fake::ring(4096));
        let (slots, mut cpus): (Vec<_>, Vec<_>) = crate::slots::fake::rings(2, 4).into_iter().unzip();
        let mut pending = Pending::new(Rings { slots, data, control });
        for (cpu, time) in [(0, 1), (1, 2), (0, 4), (1, 8), (0, 90), (1, 7)] {
            cpus[cpu].put(time, time as u8, 2);
        }
        calls.put(0, &record(3, 3));
        others.put(0, &record(5, 5));
        let taken = pending.take();
        assert_eq!((taken.records, taken.bytes), (8, 6 * 72 + 2 * 56));
        assert_eq!(pending.fill_of_slots(), 0.75);
        let mut out = Vec::new();
        pending.release(BootNanos(7), |record| out.push((record[0], record.len())));
        assert_eq!(out, [(1, 72), (2, 72), (3, 56), (4, 72), (5, 56), (7, 72)]);
        assert_eq!((cpus[0].given_back(), cpus[1].given_back()), (0, 0), "not safe yet");
        pending.give_back();
        assert_eq!((cpus[0].given_back(), cpus[1].given_back()), (2, 1), "the young ones wait");
        assert_eq!((calls.given_back(), others.given_back()), (64, 64));
        cpus[1].meddle(3);
        (10..14).for_each(|time| cpus[1].put(time, time as u8, 0));
        pending.take();
        assert!(pending.was_meddled_with());
        out.clear();
        pending.release(BootNanos(100), |record| out.push((record[0], record.len())));
        assert_eq!(out, [(90, 72)], "of a CPU whose slots may be written over, nothing");
    }

    #[test]
    fn records_that_somebody_else_let_be_written_over_are_not_handed_out() {
        let ((data, mut calls), (control, mut others)) = (fake::ring(4096), fake::ring(4096));
        let mut pending = Pending::new(Rings { slots: Vec::new(), data, control });
        calls.put(0, &record(10, 1));
        others.put(0, &record(20, 2));
        pending.take();
        assert!(!pending.was_meddled_with());
        calls.meddle(64);
        (0..3).for_each(|_| calls.put(0, &[0; 2000]));
        pending.take();
        assert!(pending.was_meddled_with());
        let mut out = Vec::new();
        pending.release(BootNanos(100), |record| out.push(record[0]));
        assert_eq!(out, [2]);
        pending.give_back();
        assert!(!pending.was_meddled_with(), "told once");
        others.meddle(8);
        pending.give_back();
        assert!(pending.was_meddled_with(), "also where room is given back");
    }
}
