//! The kernel's ring buffer as its one reader sees it: records are read where the kernel wrote them, and their room is
//! given back when they are safe elsewhere, not when they were read. What a recorder that was killed had read and not made
//! safe is still there for the next one.
//!
//! The data is mapped once: twice in a row, as the kernel offers it, a record that wraps would be in one piece, and the
//! ring would count twice in the recorder's memory. A record that wraps is put together in room of the reader's own.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::mm::ProtFlags;

use crate::mapping::Mapping;

/// Bits of a record's length in the ring: still being written, and given up.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Bytes before each record in the ring: its length, and what only the kernel needs.
const HEAD: usize = 8;

/// Where a record is: of all bytes that ever went through the ring, the number of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub at: u64,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// Where it and what belongs to it begins: everything before can be given back without it.
    pub fn begin(self) -> u64 {
        self.at - HEAD as u64
    }
}

/// A ring, and how far it was read.
#[derive(Debug)]
pub struct Ring {
    map: OwnedFd,
    /// A page: how far room was given back.
    consumer: Mapping,
    /// A page, how far the kernel wrote; behind it the data.
    producer: Mapping,
    page: usize,
    size: usize,
    read: u64,
    /// What is in the consumer's page, as long as nobody else writes to it.
    given: u64,
}

/// What somebody else did who mapped the ring as well, and gave room back that was not read, or took it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddled {
    /// The kernel has written over nothing that was not given back.
    Whole,
    /// It may have: what was in the ring is of no use.
    Overwritten,
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

impl Ring {
    /// Maps the ring of `size` bytes behind `map`, beginning where its last reader had given it back.
    ///
    /// # Errors
    /// When it is none, or there is no memory.
    pub fn open(map: impl AsFd, size: u32) -> io::Result<Self> {
        let (page, size) = (rustix::param::page_size(), size as usize);
        if !size.is_power_of_two() || size < page {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let consumer = Mapping::new(&map, page, ProtFlags::READ | ProtFlags::WRITE, 0)?;
        let producer = Mapping::new(&map, page + size, ProtFlags::READ, page as u64)?;
        let read = consumer.word(0).load(Ordering::Acquire);
        let map = map.as_fd().try_clone_to_owned()?;
        Ok(Self { map, consumer, producer, page, size, read, given: read })
    }

    /// The next record, unless there is none, or it is still being written.
    pub fn take(&mut self) -> Option<Span> {
        let written = self.producer.word(0).load(Ordering::Acquire);
        while self.read != written {
            let word = self.head().load(Ordering::Acquire);
            let len = word & !(BUSY | DISCARDED);
            if word & BUSY != 0 || len as usize > self.size {
                return None;
            }
            let at = self.read + HEAD as u64;
            self.read += (HEAD as u64 + u64::from(len)).next_multiple_of(8);
            if word & DISCARDED == 0 {
                return Some(Span { at, len });
            }
        }
        None
    }

    /// The length of the record at the reading position, with its bits.
    fn head(&self) -> &AtomicU32 {
        self.producer.half_word(self.page + (self.read as usize & (self.size - 1) & !7))
    }

    /// A record's bytes: in the ring, or in `room` where it wraps. It must not be given back yet.
    pub fn bytes<'a>(&'a self, span: Span, room: &'a mut Vec<u8>) -> &'a [u8] {
        let (from, len) = (span.at as usize & (self.size - 1), (span.len as usize).min(self.size));
        let first = len.min(self.size - from);
        let front = self.piece(from, first);
        if first == len {
            return front;
        }
        room.clear();
        room.extend_from_slice(front);
        room.extend_from_slice(self.piece(0, len - first));
        room
    }

    /// Bytes of the data: the ends are within it. The kernel writes a record before its length is seen without the busy bit.
    fn piece(&self, from: usize, len: usize) -> &[u8] {
        self.producer.bytes(self.page + from, len)
    }

    /// How far it was read.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// How much of it is taken by what was not given back, from 0 to 1.
    pub fn fill(&self) -> f64 {
        let written = self.producer.word(0).load(Ordering::Acquire);
        written.saturating_sub(self.given) as f64 / self.size as f64
    }

    /// Lets the kernel write over everything before `to`, which is at most the position.
    pub fn give_back(&mut self, to: u64) {
        self.given = to.min(self.read);
        self.consumer.word(0).store(self.given, Ordering::Release);
    }

    /// Takes back what somebody else gave back; `None` where nobody did. Where the kernel may have written over what was not read,
    /// reading goes on behind all of it.
    pub fn mend(&mut self) -> Option<Meddled> {
        if self.consumer.word(0).load(Ordering::Acquire) == self.given {
            return None;
        }
        self.consumer.word(0).store(self.given, Ordering::Release);
        // Read behind the store: what the kernel wrote until then it may have written anywhere.
        std::sync::atomic::fence(Ordering::SeqCst);
        let written = self.producer.word(0).load(Ordering::Acquire);
        if written.wrapping_sub(self.given) <= self.size as u64 {
            return Some(Meddled::Whole);
        }
        self.read = written;
        self.give_back(written);
        Some(Meddled::Overwritten)
    }
}

/// A ring in a file, and the kernel's part of it: for tests without one.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use std::{fs::File, os::unix::fs::FileExt as _};

    /// Writes like the kernel.
    pub(crate) struct Writer {
        file: File,
        written: u64,
        size: u64,
    }

    /// An empty ring.
    pub(crate) fn ring(size: u32) -> (Ring, Writer) {
        let file = tempfile::tempfile().unwrap();
        let page = rustix::param::page_size() as u64;
        file.set_len(2 * page + u64::from(size)).unwrap();
        let ring = Ring::open(&file, size).unwrap();
        (ring, Writer { file, written: 0, size: u64::from(size) })
    }

    impl Writer {
        /// A record, with the bits of its length.
        pub(crate) fn put(&mut self, bits: u32, bytes: &[u8]) {
            let page = rustix::param::page_size() as u64;
            let mut whole = (bytes.len() as u32 | bits).to_ne_bytes().to_vec();
            whole.extend([0; 4]);
            whole.extend_from_slice(bytes);
            for (at, byte) in (self.written..).zip(&whole) {
                self.file.write_all_at(&[*byte], 2 * page + at % self.size).unwrap();
            }
            self.written += (whole.len() as u64).next_multiple_of(8);
            self.file.write_all_at(&self.written.to_ne_bytes(), page).unwrap();
        }

        /// Where room was given back to.
        pub(crate) fn given_back(&self) -> u64 {
            let mut word = [0; 8];
            self.file.read_exact_at(&mut word, 0).unwrap();
            u64::from_ne_bytes(word)
        }

        /// Gives room back as somebody else may who has mapped the ring.
        pub(crate) fn meddle(&self, to: u64) {
            self.file.write_all_at(&to.to_ne_bytes(), 0).unwrap();
        }

        /// The same ring for another reader.
        pub(crate) fn again(&self) -> Ring {
            Ring::open(&self.file, self.size as u32).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(ring: &mut Ring) -> Option<Vec<u8>> {
        let span = ring.take()?;
        let mut room = Vec::new();
        Some(ring.bytes(span, &mut room).to_vec())
    }

    #[test]
    fn records_are_read_in_order_and_those_given_up_are_not() {
        let (mut ring, mut kernel) = fake::ring(4096);
        assert_eq!(next(&mut ring), None);
        kernel.put(0, b"one");
        kernel.put(DISCARDED, b"given up");
        kernel.put(0, b"two");
        kernel.put(BUSY, b"being written");
        assert_eq!(next(&mut ring).as_deref(), Some(&b"one"[..]));
        assert_eq!(next(&mut ring).as_deref(), Some(&b"two"[..]));
        assert_eq!(next(&mut ring), None);
    }

    #[test]
    fn a_record_that_wraps_is_whole() {
        let (mut ring, mut kernel) = fake::ring(4096);
        for round in 0..9_u8 {
            let record: Vec<u8> = (0..1500_u32).map(|n| n as u8 ^ round).collect();
            kernel.put(0, &record);
            assert_eq!(next(&mut ring), Some(record), "round {round}");
            ring.give_back(ring.position());
        }
    }

    #[test]
    fn room_that_somebody_else_gives_back_is_taken_again() {
        let (mut ring, mut kernel) = fake::ring(4096);
        kernel.put(0, b"one");
        assert_eq!(ring.mend(), None);
        kernel.meddle(16);
        assert_eq!(ring.mend(), Some(Meddled::Whole));
        assert_eq!((kernel.given_back(), ring.mend()), (0, None));
        assert_eq!(next(&mut ring).as_deref(), Some(&b"one"[..]));
        // The kernel went round.
        kernel.meddle(1 << 20);
        (0..3).for_each(|_| kernel.put(0, &[7; 2000]));
        assert_eq!(ring.mend(), Some(Meddled::Overwritten));
        assert_eq!(next(&mut ring), None, "it may be anything");
        kernel.put(0, b"two");
        assert_eq!(next(&mut ring).as_deref(), Some(&b"two"[..]));
        assert_eq!(ring.mend(), None);
    }

    #[test]
    fn what_was_not_given_back_is_there_for_the_next_reader() {
        let (mut ring, mut kernel) = fake::ring(4096);
        for record in [&b"safe"[..], b"read", b"unread"] {
            kernel.put(0, record);
        }
        next(&mut ring);
        let second = ring.take().unwrap();
        ring.give_back(second.begin());
        assert_eq!(kernel.given_back(), 16);
        drop(ring);
        let mut ring = kernel.again();
        assert_eq!(next(&mut ring).as_deref(), Some(&b"read"[..]));
        assert_eq!(next(&mut ring).as_deref(), Some(&b"unread"[..]));
        assert_eq!(next(&mut ring), None);
    }
}
