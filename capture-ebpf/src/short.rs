//! Calls on a buffer that moved few bytes or none, as most do: all of it fits a slot, and nothing need be asked of the file.

use afterimage_capture_abi::{record::CpuCounters, slot::PAYLOAD, spec::CallSpec};

use crate::{
    slots,
    sys_exit::Call,
    sys_exit_fields::{arg, tag},
};

/// Records the call, unless it moved more, names an address, or there is no slot: the program for buffers does it then.
#[inline(always)]
pub fn buffer(counters: &mut CpuCounters, call: &Call, spec: &CallSpec) -> bool {
    if call.ret > PAYLOAD as i64 {
        return false;
    }
    let args = call.args();
    if arg(&args, spec.c).unwrap_or(0) != 0 {
        return false;
    }
    let Some(free) = slots::free() else { return false };
    let header = call.header(counters, 6);
    if call.ret <= 0 {
        free.numbers(&header, &args);
    } else {
        let moved = call.ret as u64;
        // As in `call_buffer`: behind a buffer that is shorter is something else.
        let size = arg(&args, spec.b + 1).unwrap_or(0);
        let len = if moved > size { size } else { moved };
        let address = arg(&args, spec.b).unwrap_or(0);
        let read = free.payload(&header, &args, tag::PAYLOAD, (address, len), moved);
        counters.faults += u64::from(!read);
    }
    counters.calls += 1;
    true
}
