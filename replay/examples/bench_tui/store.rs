//! A store to measure on: the bundled intrusion again and again, in one container that lives long and many that do not.

use std::{ops::ControlFlow, path::Path};

use afterimage_format::{
    BootNanos, ClockPair, ContainerRecord, ContainerUid, FieldTag, OwnedEvent, Query, Recording,
    StoreOptions, StoreWriter, WriteError,
};
use afterimage_model::{class::classify, keeper::Keeper};

/// Events of the long container for each event of another one: with 1.2 thousand million events there are 25,600 others.
const LONG: u64 = 63;
/// So many seconds of it are in a block, as if as much happened as fills it: the sample's own rate would make eight times as many
/// blocks as 10 GB have.
const BLOCK_AGE: u64 = 60_000_000_000;
/// Between two repetitions, nanoseconds.
const PAUSE: u64 = 50_000_000;

/// The container that lives long.
pub(crate) const SUBJECT: ContainerUid = ContainerUid(1);

/// Writes a store of about so many events. Of each payload `noise` bytes that nothing compresses take the place, unless that is 0: what the
/// sample's containers say is the same again and again, and of that 10 GB are more events than any store has.
pub(crate) fn write(
    sample: &Path,
    dir: &Path,
    events: u64,
    noise: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let recording = Recording::open(sample)?;
    let mut rows: Vec<OwnedEvent> = Vec::new();
    recording.for_each(&Query::default(), &mut |_, event| {
        rows.push(OwnedEvent::from_event(event));
        ControlFlow::Continue(())
    })?;
    let summary = recording.containers().first().ok_or("the sample has no container")?;
    let (first, last) = recording.time_range().ok_or("the sample has no event")?;
    let round = last.0 - first.0 + PAUSE;
    let options = StoreOptions { classify, block_age: BLOCK_AGE, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir, recording.origin().clone(), options)?;
    store.put_clock(ClockPair { boot: first, real: 1_795_305_600_000_000_000 })?;
    let rounds = events / rows.len() as u64 + 1;
    let mut record = ContainerRecord { uid: SUBJECT, first_seen: first, ..summary.record.clone() };
    (record.started, record.exited, record.removed) = (Some(first), None, None);
    store.put_container(&record)?;
    let (mut keeper, mut random) = (Keeper::default(), Random(0x9e37_79b9_7f4a_7c15));
    for number in 0..rounds {
        let shift = number * round;
        let uid = if number % (LONG + 1) == LONG { ContainerUid(2 + number) } else { SUBJECT };
        if uid != SUBJECT {
            store.put_container(&short(&summary.record, uid, shift))?;
        }
        for row in &rows {
            let mut event = row.clone();
            event.time.0 += shift;
            event.task.start.0 += shift;
            for field in event.fields.iter_mut().filter(|field| noise > 0 && field.tag == FieldTag::PAYLOAD) {
                field.bytes = random.bytes(noise);
                field.full_len = field.full_len.max(noise as u32);
            }
            keeper.before(&mut store, uid)?;
            event.with(|event| {
                store.push(uid, event)?;
                keeper.apply(uid, event);
                Ok::<_, WriteError>(())
            })?;
        }
        if uid != SUBJECT {
            // As the recorder does with a container that has ended: else the states of all of them take the room of the one that
            // is measured, and it gets no more keyframes.
            store.finish_container(uid)?;
            keeper.forget(uid);
        }
        store.commit(BootNanos(last.0 + shift))?;
    }
    store.seal()?;
    Ok(())
}

/// Numbers that look random, the same in each run (xorshift64).
struct Random(u64);

impl Random {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend(self.0.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// A container that did the same at another time, under another id.
fn short(of: &ContainerRecord, uid: ContainerUid, shift: u64) -> ContainerRecord {
    let later = |time: BootNanos| BootNanos(time.0 + shift);
    let id = format!("{:064x}", uid.0 * 0x9e37_79b9);
    ContainerRecord {
        uid,
        id: id.into_bytes(),
        first_seen: later(of.first_seen),
        started: of.started.map(later),
        exited: of.exited.map(|(time, status)| (later(time), status)),
        removed: of.removed.map(later),
        ..of.clone()
    }
}
