//! Handing records over: sequence, reserve, loss.
//!
//! The sequence number is taken before the reserve, so that each record that does not fit leaves a hole, and the loss
//! is booked on its cgroup at the same moment.

use afterimage_capture_abi::record::{CpuCounters, FieldHeader, Header, LossSlot, Share, flags};
use aya_ebpf::{
    helpers::generated::{
        bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_probe_read_kernel_str,
        bpf_probe_read_user, bpf_probe_read_user_str, bpf_ringbuf_output,
    },
    maps::RingBuf,
};

use crate::{
    maps::{COUNTERS, DATA, LOSSES, SCRATCH, SCRATCHES, SHARES, SNAPSHOT},
    slots,
    task::Task,
};

/// The reader drains on a timer. Left to the kernel, it would be woken while it drains, and stalled.
const NO_WAKEUP: u64 = 1;
/// It is woken for what may be gone soon, and decides itself how often it lets itself be.
const FORCE_WAKEUP: u64 = 2;

/// Largest field a record can take, its header included.
const FIELD_MAX: usize = 4096 + 8;
/// Where the scratch keeps the record's length, and the length of a path in the making. In memory rather than in a
/// register on purpose: what the verifier knows of a register's range multiplies the states it walks, what it reads
/// back from memory is unknown, checked once, and the same on every way.
const LEN_AT: usize = SCRATCH - 8;
const PART_AT: usize = SCRATCH - 16;
/// And so with what is counted down from one vector to the next.
const VECTORS_AT: usize = SCRATCH - 48;
/// No field begins behind this: one more of the largest still fits.
const FIELD_LIMIT: usize = SCRATCH - FIELD_MAX - 56;

/// This CPU's counters.
#[inline(always)]
pub fn counters() -> Option<&'static mut CpuCounters> {
    let counters = COUNTERS.get_ptr_mut(0)?;
    // SAFETY: the pointer is to this CPU's value, and programs on one CPU do not interleave here.
    Some(unsafe { &mut *counters })
}

/// Which ring a record goes to.
#[derive(Clone, Copy, PartialEq)]
pub enum Ring {
    /// System calls.
    Data,
    /// What identity hangs on.
    Control,
}

/// Fills a header for the running task; takes a sequence number.
#[inline(always)]
pub fn header(counters: &mut CpuCounters, task: Task, cgroup: (u64, u16)) -> Header {
    let seq = counters.seq;
    counters.seq = seq + 1;
    // SAFETY: neither helper has preconditions.
    let (time, cpu) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_smp_processor_id()) };
    Header {
        kind: 0,
        nargs: 0,
        flags: cgroup.1,
        nr: 0,
        time,
        seq: u64::from(cpu) << 48 | seq & 0xffff_ffff_ffff,
        pid_tgid: task.pid_tgid(),
        start: task.start(),
        cgroup: cgroup.0,
        ret: 0,
    }
}

/// Books one record that did not fit.
#[inline(always)]
pub fn lost(counters: &mut CpuCounters, ring: Ring, cgroup: u64, time: u64) {
    let data = u64::from(ring == Ring::Data);
    counters.lost_data += data;
    counters.lost_control += 1 - data;
    book(counters, cgroup, LossSlot { data, control: 1 - data, throttled: 0, last: time });
}

/// Adds to a cgroup's losses.
#[inline(always)]
fn book(counters: &mut CpuCounters, cgroup: u64, more: LossSlot) {
    if let Some(slot) = LOSSES.get_ptr_mut(cgroup) {
        // SAFETY: this CPU's value of the map.
        let slot = unsafe { &mut *slot };
        slot.data += more.data;
        slot.control += more.control;
        slot.throttled += more.throttled;
        slot.last = more.last;
        return;
    }
    // Another CPU may make the entry at this moment: of one that is there, this sets this CPU's value, which is none yet.
    const ANY: u64 = 0;
    if LOSSES.insert(cgroup, more, ANY).is_err() {
        counters.lost_unbooked += 1;
    }
}

/// Ends the reader's rest each time when a sixteenth more of the data ring is taken than at the last look. What the reader
/// has read stays in the ring for a while, so that a mark that was passed says nothing new until the ring is below it.
///
/// So does half of this CPU's slots, where they are many.
#[inline(always)]
fn wake_as_it_fills(counters: &mut CpuCounters, used: u64, size: u64) {
    let marks = (used * 16).checked_div(size).unwrap_or(0);
    // SAFETY: no preconditions.
    let filled = slots::have_filled(unsafe { bpf_get_smp_processor_id() });
    if (marks > counters.marks || filled)
        && let Some(nothing) = DATA.reserve::<u64>(0)
    {
        // Of a record that is given up the reader hears, and reads nothing.
        nothing.discard(FORCE_WAKEUP);
    }
    counters.marks = marks;
}

/// Whether a cgroup has had its share of a data ring that is more than half full; books what it drops.
///
/// So the second half of the ring belongs to those who are not flooding it.
#[inline(always)]
pub fn throttled(counters: &mut CpuCounters, cgroup: u64) -> bool {
    /// The ring is looked at once in so many records: a look costs as much as a record's time stamp.
    const LOOK: u64 = 32;
    let is_due = counters.seq % LOOK == 0;
    if is_due || counters.pressure != 0 {
        const AVAILABLE: u64 = 0;
        const SIZE: u64 = 1;
        let (used, size) = (DATA.query(AVAILABLE), DATA.query(SIZE));
        let above = |eighths: u64| u64::from(used * 8 > size * eighths);
        counters.pressure = above(4) + above(6) + above(7);
        if is_due {
            wake_as_it_fills(counters, used, size);
        }
    }
    let limit = match counters.pressure {
        0 => return false,
        1 => Share::LIMITS[1],
        2 => Share::LIMITS[2],
        _ => Share::LIMITS[3],
    };
    // SAFETY: no preconditions.
    let time = unsafe { bpf_ktime_get_boot_ns() };
    let period = time >> Share::PERIOD_SHIFT;
    let Some(share) = SHARES.get_ptr_mut(cgroup) else {
        // No room counts as within the share: the ring itself is the last limit.
        let _ = SHARES.insert(cgroup, Share { period, used: 1 }, 0);
        return false;
    };
    // SAFETY: this CPU's value of the map.
    let share = unsafe { &mut *share };
    if share.period != period {
        *share = Share { period, used: 0 };
    }
    share.used += 1;
    if share.used <= limit {
        return false;
    }
    counters.throttled += 1;
    book(counters, cgroup, LossSlot { data: 0, control: 0, throttled: 1, last: time });
    true
}

/// `base + at` where `at` is at most `LIMIT`.
///
/// Comparison and addition are one piece, because the compiler may put a copy of `at` on the stack, compare one and add
/// the other: verifiers before Linux 6.8 then do not know that both are bounded, and refuse the program.
#[inline(always)]
pub fn within<const LIMIT: usize>(base: *mut u8, at: usize) -> Option<*mut u8> {
    let mut place = base;
    // SAFETY: adds to a register, or sets it to zero; touches no memory.
    unsafe {
        core::arch::asm!(
            "if {at} > {limit} goto 1f",
            "{place} += {at}",
            "goto 2f",
            "1:",
            "{place} = 0",
            "2:",
            at = in(reg) at,
            limit = const LIMIT,
            place = inout(reg) place,
            options(pure, nomem, nostack),
        );
    }
    if place.is_null() { None } else { Some(place) }
}

/// The lesser of `len` and `MAX`, for the reasons of [`within`] in one piece.
#[inline(always)]
pub fn at_most<const MAX: usize>(len: u64) -> u64 {
    let mut least = len;
    // SAFETY: changes a register; touches no memory.
    unsafe {
        core::arch::asm!(
            "if {least} <= {max} goto 1f",
            "{least} = {max}",
            "1:",
            least = inout(reg) least,
            max = const MAX,
            options(pure, nomem, nostack),
        );
    }
    least
}

/// What is said of a field of `len` bytes, of which there were `full`.
#[inline(always)]
pub fn field_header(tag: u8, len: u64, full: u64, failed: bool) -> FieldHeader {
    let full_len = if full > u64::from(u32::MAX) { u32::MAX } else { full as u32 };
    if failed {
        FieldHeader { tag, flags: 2, len: 0, full_len }
    } else {
        FieldHeader { tag, flags: u8::from(full > len), len: len as u16, full_len }
    }
}

/// Three counts in a record's scratch.
#[derive(Clone, Copy)]
pub struct Left(*mut u64);

impl Left {
    /// Bytes that were moved and are not among those looked at so far.
    pub const BYTES: usize = 0;
    /// Bytes that may still be kept.
    pub const ROOM: usize = 1;
    /// Vectors that may still be kept.
    pub const VECTORS: usize = 2;

    #[inline(always)]
    pub fn get<const WHICH: usize>(self) -> u64 {
        const { assert!(WHICH < 3) };
        // SAFETY: one of three aligned words of the scratch.
        unsafe { self.0.add(WHICH).read_volatile() }
    }

    #[inline(always)]
    pub fn set<const WHICH: usize>(self, value: u64) {
        const { assert!(WHICH < 3) };
        // SAFETY: as in `get`.
        unsafe { self.0.add(WHICH).write_volatile(value) };
    }
}

/// A record in the making, in this CPU's scratch.
pub struct Record {
    base: *mut u8,
}

impl Record {
    /// Begins one; the header and numbers are written by [`Self::begin`].
    #[inline(always)]
    pub fn new() -> Option<Self> {
        Some(Self { base: SCRATCHES.get_ptr_mut(0)?.cast() })
    }

    /// Begins one in the scratch of the task iterator.
    #[inline(always)]
    pub fn snapshot() -> Option<Self> {
        Some(Self { base: SNAPSHOT.get_ptr_mut(0)?.cast() })
    }

    /// Writes the header, leaving room for its numbers.
    #[inline(always)]
    pub fn begin(&mut self, header: &Header) {
        // SAFETY: the scratch is larger than a header and aligned to 8.
        unsafe { self.base.cast::<Header>().write(*header) };
        self.set_len(size_of::<Header>() + header.nargs as usize * 8);
    }

    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: inside the scratch, aligned.
        unsafe { self.base.add(LEN_AT).cast::<usize>().read_volatile() }
    }

    #[inline(always)]
    fn set_len(&mut self, len: usize) {
        // SAFETY: as in `len`.
        unsafe { self.base.add(LEN_AT).cast::<usize>().write_volatile(len) };
    }

    /// A length that is kept while a field is put together.
    #[inline(always)]
    pub fn part(&self) -> usize {
        // SAFETY: as in `len`.
        unsafe { self.base.add(PART_AT).cast::<usize>().read_volatile() }
    }

    /// Sets [`Self::part`].
    #[inline(always)]
    pub fn set_part(&mut self, len: usize) {
        // SAFETY: as in `len`.
        unsafe { self.base.add(PART_AT).cast::<usize>().write_volatile(len) };
    }

    /// Where what is counted from one vector to the next is kept.
    #[inline(always)]
    pub fn left(&mut self) -> Left {
        // SAFETY: inside the scratch, behind the last field, aligned.
        Left(unsafe { self.base.add(VECTORS_AT).cast() })
    }

    /// Writes number `index`, which the header announced.
    #[inline(always)]
    pub fn number(&mut self, index: usize, value: u64) {
        let at = size_of::<Header>() + index * 8;
        if at <= size_of::<Header>() + 63 * 8 {
            // SAFETY: inside the scratch by the check above; aligned because every part is a multiple of 8.
            unsafe { self.base.add(at).cast::<u64>().write(value) };
        }
    }

    /// Marks that not all that could be told is in the record.
    #[inline(always)]
    pub fn incomplete(&mut self) {
        // SAFETY: the header is inside the scratch.
        unsafe { (*self.base.cast::<Header>()).flags |= flags::OVERFLOW };
    }

    /// Where the next field begins; `None` when no field fits any more.
    #[inline(always)]
    pub fn room(&mut self) -> Option<(*mut u8, usize)> {
        let at = self.len();
        let place = within::<FIELD_LIMIT>(self.base, at);
        if place.is_none() {
            self.incomplete();
        }
        Some((place?, at))
    }

    /// Ends a field of `len` bytes that was written behind the header at `at`.
    #[inline(always)]
    pub fn end(&mut self, field: *mut u8, at: usize, head: FieldHeader) {
        // SAFETY: `room` gave the place for header and the largest field.
        unsafe { field.cast::<FieldHeader>().write_unaligned(head) };
        self.set_len(at + 8 + ((head.len as usize + 7) & !7));
    }

    /// Adds a user string of at most `MAX - 1` bytes. `false` where its memory could not be read.
    #[inline(always)]
    pub fn user_str<const MAX: usize>(&mut self, tag: u8, address: u64) -> bool {
        let Some((field, at)) = self.room() else { return true };
        // SAFETY: `room` leaves `FIELD_MAX` bytes, `MAX` is at most that less the header.
        let got = unsafe { bpf_probe_read_user_str(field.add(8).cast(), MAX as u32, address as *const _) };
        self.end_str::<MAX>(field, at, tag, got);
        got >= 0
    }

    /// Adds a kernel string of at most `MAX - 1` bytes.
    #[inline(always)]
    pub fn kernel_str<const MAX: usize>(&mut self, tag: u8, address: u64) {
        let Some((field, at)) = self.room() else { return };
        // SAFETY: as in `user_str`.
        let got = unsafe { bpf_probe_read_kernel_str(field.add(8).cast(), MAX as u32, address as *const _) };
        self.end_str::<MAX>(field, at, tag, got);
    }

    #[inline(always)]
    fn end_str<const MAX: usize>(&mut self, field: *mut u8, at: usize, tag: u8, got: i64) {
        const { assert!(MAX + 8 <= FIELD_MAX) };
        if got < 0 {
            self.end(field, at, FieldHeader { tag, flags: 2, len: 0, full_len: 0 });
            return;
        }
        let len = (got as usize & 0x1fff).saturating_sub(1);
        let cut = u8::from(got as usize >= MAX);
        // A string that filled its room may have been longer: its full length is a lower bound.
        self.end(
            field,
            at,
            FieldHeader { tag, flags: cut, len: len as u16, full_len: len as u32 + u32::from(cut) },
        );
    }

    /// Adds up to `MAX` bytes of user memory; `full` is how many there were.
    #[inline(always)]
    pub fn user_bytes<const MAX: usize>(&mut self, tag: u8, address: u64, len: u64, full: u64) -> bool {
        let Some((field, at)) = self.room() else { return true };
        let len = at_most::<MAX>(len);
        // SAFETY: as in `user_str`; `len` is at most `MAX`.
        let failed = unsafe { bpf_probe_read_user(field.add(8).cast(), len as u32, address as *const _) };
        self.end_bytes(field, at, tag, len, full, failed != 0);
        failed == 0
    }

    /// Adds that `full` bytes more belong to a field, of which none is in the record.
    #[inline(always)]
    pub fn cut(&mut self, tag: u8, full: u64) {
        let Some((field, at)) = self.room() else { return };
        self.end_bytes(field, at, tag, 0, full, false);
    }

    /// Adds `N` bytes of kernel memory.
    #[inline(always)]
    pub fn kernel_bytes<const MAX: usize>(&mut self, tag: u8, address: u64, len: u64) {
        let Some((field, at)) = self.room() else { return };
        let len = at_most::<MAX>(len);
        // SAFETY: as in `user_bytes`.
        let failed = unsafe { bpf_probe_read_kernel(field.add(8).cast(), len as u32, address as *const _) };
        self.end_bytes(field, at, tag, len, len, failed != 0);
    }

    #[inline(always)]
    fn end_bytes(&mut self, field: *mut u8, at: usize, tag: u8, len: u64, full: u64, failed: bool) {
        self.end(field, at, field_header(tag, len, full, failed));
    }

    /// Hands the record over.
    #[inline(always)]
    pub fn submit(&self, ring: &RingBuf) -> bool {
        self.output(ring, NO_WAKEUP)
    }

    /// The same, of what the recorder must look at before it is gone.
    #[inline(always)]
    pub fn submit_and_wake(&self, ring: &RingBuf) -> bool {
        self.output(ring, FORCE_WAKEUP)
    }

    #[inline(always)]
    fn output(&self, ring: &RingBuf, flags: u64) -> bool {
        let len = self.len();
        if len > SCRATCH {
            return false;
        }
        // SAFETY: `len` bytes of the scratch were written, and it is no longer than the scratch.
        let refused = unsafe {
            bpf_ringbuf_output((&raw const *ring).cast_mut().cast(), self.base.cast(), len as u64, flags)
        };
        refused == 0
    }
}

/// Hands over a record of fixed size.
#[inline(always)]
pub fn submit_plain<const ARGS: usize>(ring: &RingBuf, header: &Header, args: &[u64; ARGS]) -> bool {
    #[repr(C)]
    struct Plain<const N: usize> {
        header: Header,
        args: [u64; N],
    }
    let Some(mut entry) = ring.reserve::<Plain<ARGS>>(0) else { return false };
    entry.write(Plain { header: *header, args: *args });
    entry.submit(NO_WAKEUP);
    true
}
