//! Records in rings of our own, drained as the recorder drains the kernel's.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use afterimage_capture::{
    drain::{Pending, Rings},
    recorder::{COMMIT, rest},
    ring::Ring,
};
use afterimage_format::BootNanos;
use rustix::fs::MemfdFlags;

use super::{cpu, horizon, taken::Taken};

/// Bytes of a ring: larger than what comes within two windows.
const SIZE: u32 = 1 << 26;

/// The kernel's end of a ring.
struct Writer {
    file: File,
    written: u64,
}

impl Writer {
    fn new() -> io::Result<(Self, Ring)> {
        let file = File::from(rustix::fs::memfd_create("ring", MemfdFlags::CLOEXEC)?);
        let page = rustix::param::page_size() as u64;
        file.set_len(2 * page + u64::from(SIZE))?;
        let ring = Ring::open(&file, SIZE)?;
        Ok((Self { file, written: 0 }, ring))
    }

    fn put(&mut self, record: &[u8], room: &mut Vec<u8>) -> io::Result<()> {
        let page = rustix::param::page_size() as u64;
        room.clear();
        room.extend((record.len() as u32).to_ne_bytes());
        room.extend([0; 4]);
        room.extend_from_slice(record);
        room.resize(room.len().next_multiple_of(8), 0);
        let at = self.written % u64::from(SIZE);
        let first = room.len().min((u64::from(SIZE) - at) as usize);
        self.file.write_all_at(&room[..first], 2 * page + at)?;
        self.file.write_all_at(&room[first..], 2 * page)?;
        self.written += room.len() as u64;
        Ok(())
    }

    fn publish(&self) -> io::Result<()> {
        self.file.write_all_at(&self.written.to_ne_bytes(), rustix::param::page_size() as u64)
    }
}

/// A workload's records on their way through the rings once more.
pub(super) struct Replay<'a> {
    taken: &'a Taken,
    rings: [Writer; 2],
    pending: Pending,
}

impl<'a> Replay<'a> {
    pub(super) fn new(taken: &'a Taken) -> io::Result<Self> {
        let (data, data_ring) = Writer::new()?;
        let (control, control_ring) = Writer::new()?;
        let rings = Rings { slots: Vec::new(), data: data_ring, control: control_ring };
        Ok(Self { taken, rings: [data, control], pending: Pending::new(rings) })
    }

    /// Nanoseconds of CPU for all passes: `each` gets every record, `done` ends a pass.
    pub(super) fn run(mut self, mut each: impl FnMut(&[u8]), mut done: impl FnMut(BootNanos)) -> u64 {
        let mut room = Vec::new();
        let mut spent = 0;
        let mut records = self.taken.records().peekable();
        let Some(mut now) = records.peek().map(|record| record.time) else { return 0 };
        let mut committed = now;
        while records.peek().is_some() || !self.pending.is_empty() {
            now += rest::MOST.as_nanos() as u64;
            while let Some(record) = records.next_if(|record| record.time <= now) {
                let ring = &mut self.rings[usize::from(record.control)];
                ring.put(record.bytes, &mut room).unwrap_or_else(|error| panic!("a ring: {error}"));
            }
            self.rings
                .iter()
                .for_each(|ring| ring.publish().unwrap_or_else(|error| panic!("a ring: {error}")));
            let begun = cpu();
            loop {
                let taken = self.pending.take();
                let horizon = taken.latest_left.map_or(horizon(now), |left| horizon(now).min(left));
                self.pending.release(horizon, &mut each);
                if taken.more || now.saturating_sub(committed) >= COMMIT.as_nanos() as u64 {
                    done(horizon);
                    self.pending.give_back();
                    committed = now;
                }
                if !taken.more {
                    break;
                }
            }
            spent += cpu() - begun;
        }
        spent
    }
}
