//! Calls that have not returned: what the tasks of containers wait in, looked at when somebody asks.
//!
//! A program at the return of calls cannot tell of one that does not return, and one at their entry would cost every
//! call. So the tasks are asked when it matters.

use afterimage_capture_abi::{
    offsets::ABSENT,
    record::{Header, flags, kind},
    spec::profile,
};
use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_task_pt_regs};

use crate::{
    emit::Record,
    lineage,
    maps::{CONTROL, offset},
    process::IterTask,
    read::{kernel, member},
    sys_exit::policy_of,
    task::Task,
};

/// Runs for each task when the recorder reads the iterator.
///
/// A task that is on a CPU has no registers to look at: only who waits is told of. Like the iterator of processes it
/// takes no sequence number, and what does not fit the ring is told to the iterator's reader.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub fn in_calls(ctx: *mut core::ffi::c_void) -> i32 {
    const ARGS: u8 = 6;
    // SAFETY: the kernel calls this program with such a context.
    let task = unsafe { (*ctx.cast::<IterTask>()).task };
    if task.is_null() || offset!(task_state) == ABSENT {
        return 0;
    }
    let task = Task(task);
    let waits = member::<u32>(task.0, offset!(task_state)) != 0;
    if !waits || kernel::<u64>(task.0 as u64, offset!(task_mm)) == 0 {
        return 0;
    }
    let (cgroup, mut header_flags) = task.cgroup();
    let keeps = policy_of(cgroup) & u32::from(profile::MINIMAL | profile::FORENSIC | profile::FULL) != 0;
    if !keeps && !lineage::is_inside(task, cgroup) {
        return 0;
    }
    // SAFETY: `task` is a BTF pointer, as the helper wants.
    let regs = unsafe { bpf_task_pt_regs(task.0.cast_mut().cast()) } as u64;
    let nr: i64 = kernel(regs, offset!(regs_orig_ax));
    if nr < 0 {
        return 0;
    }
    let compat = task.is_compat();
    if compat {
        header_flags |= flags::COMPAT;
    }
    if task.has_seccomp() {
        header_flags |= flags::SECCOMP;
    }
    let header = Header {
        kind: kind::IN_CALL,
        nargs: ARGS,
        flags: header_flags,
        nr: nr as u32,
        // SAFETY: no preconditions.
        time: unsafe { bpf_ktime_get_boot_ns() },
        seq: 0,
        pid_tgid: task.pid_tgid(),
        start: task.start(),
        cgroup,
        ret: 0,
    };
    let Some(mut record) = Record::snapshot() else { return 0 };
    record.begin(&header);
    if compat {
        // The lower halves, as in `sys_exit`.
        let lower = |register: u32| u64::from(kernel::<u32>(regs, register));
        record.number(0, lower(offset!(regs_bx)));
        record.number(1, lower(offset!(regs_cx)));
        record.number(2, lower(offset!(regs_dx)));
        record.number(3, lower(offset!(regs_si)));
        record.number(4, lower(offset!(regs_di)));
        record.number(5, lower(offset!(regs_bp)));
    } else {
        record.number(0, kernel(regs, offset!(regs_di)));
        record.number(1, kernel(regs, offset!(regs_si)));
        record.number(2, kernel(regs, offset!(regs_dx)));
        record.number(3, kernel(regs, offset!(regs_r10)));
        record.number(4, kernel(regs, offset!(regs_r8)));
        record.number(5, kernel(regs, offset!(regs_r9)));
    }
    if !record.submit(&CONTROL) {
        // SAFETY: as above.
        unsafe { (*ctx.cast::<IterTask>()).left_out() };
    }
    0
}
