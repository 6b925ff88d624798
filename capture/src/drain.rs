//! From two rings to one order: records are taken by time, after a short wait for those that come late.
//!
//! A record's time is taken before it is submitted, so a record may become visible after one that is younger. What is
//! older than the window cannot be overtaken any more. The data ring is read before the control ring: what a call
//! hangs on (its cgroup, its process) is then always among what was taken.
//!
//! Records stay in their ring until [`Pending::give_back`], which is for when what was released is safe in the store.

use afterimage_format::BootNanos;

use crate::{
    ring::{Meddled, Ring, Span},
    translate,
};

/// How long a record waits for older ones.
pub const WINDOW: u64 = 10_000_000;
/// Most bytes read from the data ring at once: so much of it is given back late.
const BATCH: usize = 4 << 20;

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: u64,
    span: Span,
    control: bool,
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
    data: Ring,
    control: Ring,
    entries: Vec<Entry>,
    /// Somebody else had given back room of a ring.
    meddled: bool,
    /// For records that wrap.
    room: Vec<u8>,
}

impl Pending {
    /// Nothing was read of the rings yet.
    pub fn new(data: Ring, control: Ring) -> Self {
        Self { data, control, entries: Vec::new(), meddled: false, room: Vec::new() }
    }

    /// Reads the rings.
    pub fn take(&mut self) -> Taken {
        self.mend();
        let mut taken = Taken::default();
        while (taken.bytes as usize) < BATCH {
            let Some(span) = self.data.take() else { break };
            self.push(span, false, &mut taken);
        }
        taken.more = taken.bytes as usize >= BATCH;
        if taken.more {
            // The last of a batch may itself be younger than its neighbours by as much as the window.
            let last = self.entries.last().map_or(0, |entry| entry.time);
            taken.latest_left = Some(BootNanos(last.saturating_sub(WINDOW)));
        }
        while let Some(span) = self.control.take() {
            self.push(span, true, &mut taken);
        }
        taken
    }

    /// Whether somebody else had given back room of a ring since this was asked last: something may be missing.
    pub fn was_meddled_with(&mut self) -> bool {
        std::mem::take(&mut self.meddled)
    }

    /// Undoes what somebody else did to the rings' positions; forgets records that may be written over.
    fn mend(&mut self) {
        for (ring, of_control) in [(&mut self.data, false), (&mut self.control, true)] {
            let meddled = ring.mend();
            self.meddled |= meddled.is_some();
            if meddled == Some(Meddled::Overwritten) {
                self.entries.retain(|entry| entry.control != of_control);
            }
        }
    }

    fn push(&mut self, span: Span, control: bool, taken: &mut Taken) {
        taken.records += 1;
        taken.bytes += u64::from(span.len);
        let ring = if control { &self.control } else { &self.data };
        match translate::head(ring.bytes(span, &mut self.room)) {
            Ok(head) => self.entries.push(Entry { time: head.header.time, span, control }),
            Err(_) => taken.malformed += 1,
        }
    }

    /// Hands out every record not younger than `horizon`, oldest first.
    pub fn release(&mut self, horizon: BootNanos, mut each: impl FnMut(&[u8])) {
        self.entries.sort_by_key(|entry| entry.time);
        let ready = self.entries.partition_point(|entry| entry.time <= horizon.0);
        for entry in &self.entries[..ready] {
            let ring = if entry.control { &self.control } else { &self.data };
            each(ring.bytes(entry.span, &mut self.room));
        }
        self.entries.drain(..ready);
    }

    /// Lets the kernel write over everything that was released.
    pub fn give_back(&mut self) {
        self.mend();
        let (mut data, mut control) = (self.data.position(), self.control.position());
        for entry in &self.entries {
            let oldest = if entry.control { &mut control } else { &mut data };
            *oldest = entry.span.begin().min(*oldest);
        }
        self.data.give_back(data);
        self.control.give_back(control);
    }

    /// Calls `each` with the records in waiting from the `known`th on: after [`Self::take`], those that it added.
    pub fn since(&mut self, known: usize, mut each: impl FnMut(&[u8])) {
        for entry in self.entries.get(known..).unwrap_or_default() {
            let ring = if entry.control { &self.control } else { &self.data };
            each(ring.bytes(entry.span, &mut self.room));
        }
    }

    /// How full the data ring is, from 0 to 1.
    pub fn fill(&self) -> f64 {
        self.data.fill()
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
        let mut pending = Pending::new(data, control);
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
    fn records_that_somebody_else_let_be_written_over_are_not_handed_out() {
        let ((data, mut calls), (control, mut others)) = (fake::ring(4096), fake::ring(4096));
        let mut pending = Pending::new(data, control);
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
