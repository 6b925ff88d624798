//! Calls that are numbers only go to their CPU's own slots: `afterimage_capture_abi::slot` says how.

use core::sync::atomic::{Ordering, compiler_fence};

use afterimage_capture_abi::{record::Header, slot::Written};

use crate::maps::{GIVEN, SLOTS, WRITTEN, config};

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

/// Hands over a call; `false` where its CPU has no free slot.
#[inline(always)]
pub fn put(header: &Header, args: &[u64; 6]) -> bool {
    let cpu = (header.seq >> 48) as u32;
    let size = config!(slots);
    let Some(written) = written(cpu) else { return false };
    // Also where somebody gave back what was not written yet: the difference is larger than any ring then.
    if written.count.wrapping_sub(written.given) >= u64::from(size) {
        let Some(given) = given(cpu) else { return false };
        written.given = given;
        if written.count.wrapping_sub(given) >= u64::from(size) {
            return false;
        }
    }
    let place = cpu * size + (written.count as u32 & size.wrapping_sub(1));
    let Some(slot) = SLOTS.get_ptr_mut(place) else { return false };
    // SAFETY: a map's value that nobody reads before it is counted.
    let slot = unsafe { &mut *slot };
    slot.header = *header;
    slot.args[0] = args[0];
    if header.nargs > 1 {
        slot.args = *args;
    }
    compiler_fence(Ordering::Release);
    // SAFETY: as in `written`; volatile because the recorder reads it.
    unsafe { (&raw mut written.count).write_volatile(written.count + 1) };
    true
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
