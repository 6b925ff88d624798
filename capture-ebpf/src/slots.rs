//! A CPU's own slots, for small records of calls: `afterimage_capture_abi::slot` says how they are written.

use core::sync::atomic::{Ordering, compiler_fence};

use afterimage_capture_abi::{
    record::{Header, flags},
    slot::{PAYLOAD, Slot, Written},
};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_probe_read_user};

use crate::{
    emit::{at_most, field_header},
    maps::{GIVEN, SLOTS, WRITTEN, config},
};

/// This CPU's part, if it has one.
#[inline(always)]
fn written(cpu: u32) -> Option<&'static mut Written> {
    let written = WRITTEN.get_ptr_mut(cpu)?;
    // SAFETY: this CPU's value, of which the recorder reads the count alone; programs on one CPU do not interleave here.
    Some(unsafe { &mut *written })
}

/// How many slots were given back.
#[inline(always)]
fn given(cpu: u32) -> Option<u64> {
    let given = GIVEN.get_ptr(cpu)?;
    // SAFETY: a map's value; volatile because the recorder writes it.
    Some(unsafe { (&raw const (*given).count).read_volatile() })
}

/// A slot that nobody reads before it is handed over.
pub struct Free {
    written: &'static mut Written,
    slot: &'static mut Slot,
}

/// This CPU's next free slot.
#[inline(always)]
pub fn free() -> Option<Free> {
    // SAFETY: no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let size = config!(slots);
    let written = written(cpu)?;
    // Also where somebody gave back what was not written yet: the difference is larger than any ring then.
    if written.count.wrapping_sub(written.given) >= u64::from(size) {
        written.given = given(cpu)?;
        if written.count.wrapping_sub(written.given) >= u64::from(size) {
            return None;
        }
    }
    let place = cpu * size + (written.count as u32 & size.wrapping_sub(1));
    let slot = SLOTS.get_ptr_mut(place)?;
    // SAFETY: a map's value; the recorder reads it when it is counted.
    Some(Free { written, slot: unsafe { &mut *slot } })
}

impl Free {
    /// Hands over a call that is numbers only.
    #[inline(always)]
    pub fn numbers(self, header: &Header, args: &[u64; 6]) {
        self.slot.header = *header;
        self.slot.args[0] = args[0];
        if header.nargs > 1 {
            self.slot.args = *args;
        }
        self.hand_over();
    }

    /// Hands over a call with six numbers and up to [`PAYLOAD`] bytes of user memory, of which there were `full`; `false` where
    /// they could not be read.
    #[inline(always)]
    pub fn payload(self, header: &Header, args: &[u64; 6], tag: u8, bytes: (u64, u64), full: u64) -> bool {
        let (address, len) = bytes;
        let len = at_most::<PAYLOAD>(len);
        let slot = &mut *self.slot;
        slot.header = Header { flags: header.flags | flags::FIELD, ..*header };
        slot.args = *args;
        // SAFETY: the slot has room for as many bytes as `len` can be.
        let failed = unsafe {
            bpf_probe_read_user(
                (&raw mut slot.payload).cast(),
                len as u32,
                address as *const core::ffi::c_void,
            )
        };
        slot.field = field_header(tag, len, full, failed != 0);
        self.hand_over();
        failed == 0
    }

    #[inline(always)]
    fn hand_over(self) {
        compiler_fence(Ordering::Release);
        let count = self.written.count + 1;
        // SAFETY: as in `written`; volatile because the recorder reads it.
        unsafe { (&raw mut self.written.count).write_volatile(count) };
    }
}

/// Whether half of this CPU's slots have been taken since the last look, where they are so many that each time is worth a wake-up.
/// Of the small parts that many CPUs have, what does not fit until the reader comes by itself goes to the data ring.
#[inline(always)]
pub fn have_filled(cpu: u32) -> bool {
    const MANY: u32 = 16_384;
    if config!(slots) < MANY {
        return false;
    }
    let (Some(written), Some(given)) = (written(cpu), given(cpu)) else { return false };
    let half = u64::from(written.count.wrapping_sub(given) * 2 >= u64::from(config!(slots)));
    let anew = half > written.half;
    written.half = half;
    anew
}
