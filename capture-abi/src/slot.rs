//! Calls that are numbers only, and those that moved few bytes, in a ring for each CPU: slots of one size, so that handing a
//! call over costs no lock, no reserve, and no copy.
//!
//! Each CPU's ring has one writer: the program at the return of a call does not run within itself, and the kernel leaves
//! out (and counts) a run that would. The writer says how many slots it ever wrote when the slot is whole, the reader how
//! many it gave back; a slot's place is its number modulo the ring's size. x86-64 keeps stores in their order, and the
//! programs are for x86-64 alone.

use crate::record::{FieldHeader, Header};

/// Most bytes of a call's payload that a slot has room for.
pub const PAYLOAD: usize = 64;

/// One call, as [`crate::record`] says. The header and the first number are one line of the cache, the rest is written where
/// there is more.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Header; says how many of the numbers mean something.
    pub header: Header,
    /// Numbers.
    pub args: [u64; 6],
    /// The one field, where the header has `flags::FIELD`; behind six numbers then.
    pub field: FieldHeader,
    /// Its bytes.
    pub payload: [u8; PAYLOAD],
    /// Up to whole lines of the cache.
    pub reserved: [u64; 2],
}

const _: () = assert!(size_of::<Slot>() == 192);
const _: () = assert!(core::mem::offset_of!(Slot, field) == size_of::<Header>() + 6 * 8);
const _: () = assert!(core::mem::offset_of!(Slot, payload) == core::mem::offset_of!(Slot, field) + 8);

/// How far a CPU's ring was written: a line of the cache, which the programs write and the recorder reads.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Slots that were ever written.
    pub count: u64,
    /// How many were given back when the writer looked last: it looks again when the ring seems full.
    pub given: u64,
    /// Half of the ring or more was taken at the writer's last look: 1 or 0. The recorder was woken then.
    pub half: u64,
    /// Up to a line.
    pub reserved: [u64; 5],
}

const _: () = assert!(size_of::<Written>() == 64);

/// How far it was given back: a line of the cache, which the recorder writes and the programs read.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Given {
    /// Slots that were ever given back.
    pub count: u64,
    /// Up to a line.
    pub reserved: [u64; 7],
}

const _: () = assert!(size_of::<Given>() == 64);

/// Slots of each CPU, a power of two, beside a shared ring of `data_ring` bytes: together a quarter of that. What does not
/// fit goes to the shared ring.
pub const fn slots(data_ring: u32, cpus: u32) -> u32 {
    let share = data_ring as u64 / 4 / size_of::<Slot>() as u64 / if cpus == 0 { 1 } else { cpus as u64 };
    if share == 0 { 0 } else { 1 << share.ilog2() }
}

/// Bytes that the slots of all CPUs take.
pub const fn bytes(data_ring: u32, cpus: u32) -> u64 {
    slots(data_ring, cpus) as u64 * cpus as u64 * size_of::<Slot>() as u64
}

const _: () = assert!(slots(32 << 20, 2) == 16_384);
const _: () = assert!(slots(32 << 20, 192) == 128);
const _: () = assert!(slots(1 << 14, 64) == 0);
