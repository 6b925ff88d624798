//! A CPU's ring of small records of calls, as its one reader sees it; `afterimage_capture_abi::slot` says how it is
//! written. As with the kernel's rings, room is given back when what was in it is safe elsewhere.

use std::{
    io,
    mem::offset_of,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use afterimage_capture_abi::{
    record::{FieldHeader, Header, flags},
    slot::{Given, PAYLOAD, Slot, Written},
};
use rustix::mm::ProtFlags;

use crate::{
    mapping::Mapping,
    ring::{Meddled, Span},
};

/// The slots of all CPUs, and how far each one's were written and given back.
#[derive(Debug)]
struct Maps {
    slots: Mapping,
    written: Mapping,
    given: Mapping,
}

/// One CPU's ring.
#[derive(Debug)]
pub struct Slots {
    maps: Arc<Maps>,
    cpu: usize,
    /// Slots: a power of two.
    size: u64,
    read: u64,
    /// How many were given back, as long as nobody else says otherwise.
    given: u64,
}

impl Slots {
    /// The rings of `cpus` CPUs with `size` slots each, beginning where their last reader had given them back.
    ///
    /// # Errors
    /// When the maps are others, or there is no memory.
    pub fn open(
        (slots, written, given): (impl AsFd, impl AsFd, impl AsFd),
        cpus: u32,
        size: u32,
    ) -> io::Result<Vec<Self>> {
        if size == 0 {
            return Ok(Vec::new());
        }
        if !size.is_power_of_two() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let page = rustix::param::page_size();
        let pages = |each: usize, count: usize| (each * count).next_multiple_of(page);
        let (count, all) = (cpus as usize, cpus as usize * size as usize);
        let both = ProtFlags::READ | ProtFlags::WRITE;
        let maps = Arc::new(Maps {
            slots: Mapping::new(slots, pages(size_of::<Slot>(), all), ProtFlags::READ, 0)?,
            written: Mapping::new(written, pages(size_of::<Written>(), count), ProtFlags::READ, 0)?,
            given: Mapping::new(given, pages(size_of::<Given>(), count), both, 0)?,
        });
        let one = |cpu| {
            let mut one = Self { maps: maps.clone(), cpu, size: size.into(), read: 0, given: 0 };
            one.given = one.given_word().load(Ordering::Acquire);
            one.read = one.given;
            one
        };
        Ok((0..count).map(one).collect())
    }

    fn written(&self) -> u64 {
        let at = self.cpu * size_of::<Written>() + offset_of!(Written, count);
        self.maps.written.word(at).load(Ordering::Acquire)
    }

    fn given_word(&self) -> &AtomicU64 {
        self.maps.given.word(self.cpu * size_of::<Given>() + offset_of!(Given, count))
    }

    /// Where a slot's bytes are.
    fn place(&self, number: u64) -> usize {
        (self.cpu * self.size as usize + (number & (self.size - 1)) as usize) * size_of::<Slot>()
    }

    /// The next record, unless there is none.
    pub fn take(&mut self) -> Option<Span> {
        if self.read == self.written() {
            return None;
        }
        let at = self.read;
        self.read += 1;
        Some(Span { at, len: self.len(at) as u32 })
    }

    /// Bytes of a slot's record, whatever is in the slot.
    fn len(&self, number: u64) -> usize {
        let slot = self.place(number);
        let head = self.maps.slots.bytes(slot, size_of::<Header>());
        let said = u16::from_ne_bytes([head[offset_of!(Header, flags)], head[offset_of!(Header, flags) + 1]]);
        if said & flags::FIELD == 0 {
            return size_of::<Header>()
                + usize::from(head[offset_of!(Header, nargs)]).min(6) * size_of::<u64>();
        }
        let len = self.maps.slots.bytes(slot + offset_of!(Slot, field) + offset_of!(FieldHeader, len), 2);
        let len = usize::from(u16::from_ne_bytes([len[0], len[1]])).min(PAYLOAD);
        offset_of!(Slot, payload) + len.next_multiple_of(8)
    }

    /// A record's bytes. It must not be given back yet.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.maps.slots.bytes(self.place(span.at), (span.len as usize).min(size_of::<Slot>()))
    }

    /// How far it was read.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// How much of it is taken by what was not given back, from 0 to 1.
    pub fn fill(&self) -> f64 {
        self.written().saturating_sub(self.given) as f64 / self.size as f64
    }

    /// Lets the programs write over everything before `to`, which is at most the position.
    pub fn give_back(&mut self, to: u64) {
        self.given = to.min(self.read);
        self.given_word().store(self.given, Ordering::Release);
    }

    /// As with a ring of the kernel. The programs look at how much was given back when the ring seems full to them: what they
    /// saw there before it was mended has them write over what was not read later, so that each look asks for that too.
    pub fn mend(&mut self) -> Option<Meddled> {
        let is_other = self.given_word().load(Ordering::Acquire) != self.given;
        if is_other {
            self.given_word().store(self.given, Ordering::Release);
            // Read behind the store, as in the kernel's ring.
            fence(Ordering::SeqCst);
        }
        let written = self.written();
        if written.wrapping_sub(self.given) <= self.size {
            return is_other.then_some(Meddled::Whole);
        }
        self.read = written;
        self.give_back(written);
        Some(Meddled::Overwritten)
    }
}

/// Rings in files, and the programs' part of them: for tests without any.
#[cfg(test)]
pub(crate) mod fake {
    use std::{fs::File, os::unix::fs::FileExt as _};

    use super::*;

    /// Writes like the programs, as far as nothing is left to write over.
    pub(crate) struct Writer {
        files: [File; 3],
        cpu: usize,
        size: u64,
        written: u64,
    }

    /// Empty rings.
    pub(crate) fn rings(cpus: u32, size: u32) -> Vec<(Slots, Writer)> {
        let files = [(); 3].map(|()| tempfile::tempfile().unwrap());
        let bytes = [size_of::<Slot>() * size as usize, size_of::<Written>(), size_of::<Given>()];
        for (file, bytes) in files.iter().zip(bytes) {
            file.set_len((bytes * cpus as usize).next_multiple_of(rustix::param::page_size()) as u64)
                .unwrap();
        }
        let readers = Slots::open((&files[0], &files[1], &files[2]), cpus, size).unwrap();
        let writer = |cpu| Writer {
            files: files.each_ref().map(|file| file.try_clone().unwrap()),
            cpu,
            size: size.into(),
            written: 0,
        };
        readers.into_iter().enumerate().map(|(cpu, reader)| (reader, writer(cpu))).collect()
    }

    impl Writer {
        /// A call with so many numbers: their bytes are told by a mark, its time by the header.
        pub(crate) fn put(&mut self, time: u64, mark: u8, nargs: u8) {
            self.put_field(time, mark, nargs, None);
        }

        /// The same with a field that says it has so many bytes.
        pub(crate) fn put_field(&mut self, time: u64, mark: u8, nargs: u8, field: Option<u16>) {
            let mut bytes = vec![mark; size_of::<Slot>()];
            (bytes[1], bytes[2], bytes[3]) = (nargs, 0, 0);
            bytes[8..16].copy_from_slice(&time.to_ne_bytes());
            if let Some(len) = field {
                bytes[2] = flags::FIELD as u8;
                bytes[offset_of!(Slot, field) + 2..][..2].copy_from_slice(&len.to_ne_bytes());
            }
            let place = self.cpu as u64 * self.size + self.written % self.size;
            self.files[0].write_all_at(&bytes, place * size_of::<Slot>() as u64).unwrap();
            self.written += 1;
            let at = (self.cpu * size_of::<Written>()) as u64;
            self.files[1].write_all_at(&self.written.to_ne_bytes(), at).unwrap();
        }

        /// How many were given back.
        pub(crate) fn given_back(&self) -> u64 {
            let mut word = [0; 8];
            self.files[2].read_exact_at(&mut word, (self.cpu * size_of::<Given>()) as u64).unwrap();
            u64::from_ne_bytes(word)
        }

        /// Gives room back as somebody else may who has mapped the ring.
        pub(crate) fn meddle(&self, to: u64) {
            self.files[2].write_all_at(&to.to_ne_bytes(), (self.cpu * size_of::<Given>()) as u64).unwrap();
        }

        /// The same ring for another reader.
        pub(crate) fn again(&self) -> Slots {
            let [slots, written, given] = &self.files;
            let all = Slots::open((slots, written, given), self.cpu as u32 + 1, self.size as u32).unwrap();
            all.into_iter().nth(self.cpu).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(ring: &mut Slots) -> Vec<(u8, usize)> {
        std::iter::from_fn(|| ring.take().map(|span| (ring.bytes(span)[0], ring.bytes(span).len()))).collect()
    }

    #[test]
    fn each_cpu_has_its_own_and_goes_round() {
        let mut rings = fake::rings(3, 4);
        for round in 0..5 {
            for (cpu, (ring, programs)) in rings.iter_mut().enumerate() {
                let mark = cpu as u8 * 8 + round;
                (0..3).for_each(|n| programs.put(1, mark, n));
                assert_eq!(marks(ring), [(mark, 56), (mark, 64), (mark, 72)], "CPU {cpu}, round {round}");
                ring.give_back(ring.position());
                assert_eq!(programs.given_back(), 3 * (u64::from(round) + 1));
            }
        }
    }

    #[test]
    fn a_record_has_six_numbers_at_most() {
        let [(ring, programs)] = &mut fake::rings(1, 4)[..] else { panic!("one") };
        programs.put(1, 7, 255);
        assert_eq!(marks(ring), [(7, 104)]);
    }

    #[test]
    fn a_field_is_behind_six_numbers_and_as_long_as_the_slot_at_most() {
        let [(ring, programs)] = &mut fake::rings(1, 4)[..] else { panic!("one") };
        for (len, whole) in [(0, 112), (1, 120), (64, 176), (65, 176), (u16::MAX, 176)] {
            programs.put_field(1, 7, 6, Some(len));
            assert_eq!(marks(ring), [(7, whole)], "{len} bytes");
            ring.give_back(ring.position());
        }
    }

    #[test]
    fn what_was_not_given_back_is_there_for_the_next_reader() {
        let mut rings = fake::rings(2, 8);
        let (ring, programs) = &mut rings[1];
        (1..4).for_each(|mark| programs.put(1, mark, 0));
        ring.take();
        let second = ring.take().unwrap();
        ring.give_back(second.at);
        assert_eq!(marks(&mut programs.again()), [(2, 56), (3, 56)]);
    }

    #[test]
    fn room_that_somebody_else_gives_back_is_taken_again() {
        let [(ring, programs)] = &mut fake::rings(1, 4)[..] else { panic!("one") };
        programs.put(1, 1, 0);
        assert_eq!(ring.mend(), None);
        programs.meddle(1);
        assert_eq!(ring.mend(), Some(Meddled::Whole));
        assert_eq!((programs.given_back(), ring.mend()), (0, None));
        assert_eq!(marks(ring), [(1, 56)]);
        // A program saw it before it was mended, and goes round later.
        (2..6).for_each(|mark| programs.put(1, mark, 0));
        assert_eq!(ring.mend(), Some(Meddled::Overwritten));
        assert_eq!(marks(ring), [], "they may be anything");
        programs.put(1, 6, 0);
        assert_eq!((marks(ring), ring.mend()), (vec![(6, 56)], None));
    }
}
