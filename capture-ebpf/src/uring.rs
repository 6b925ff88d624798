//! io_uring requests: what a program does without system calls.
//!
//! Submitted by the program itself or by the ring's kernel thread, which belongs to the same process and cgroup, so
//! that the requests are the owner's either way.

use afterimage_capture_abi::{
    offsets::ABSENT,
    record::{CpuCounters, kind},
    spec::profile,
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit::{self, Record, Ring},
    file, lineage,
    maps::{DATA, LIVE, config, offset},
    path::{self, Place},
    read::kernel,
    sys_exit::policy_of,
    task::Task,
};

/// Field tags of the file format that are written here.
mod tag {
    pub const PATH: u8 = 1;
    pub const PATH2: u8 = 2;
    pub const KPATH: u8 = 3;
}

const OPENAT: u8 = 18;
const OPENAT2: u8 = 28;
const RENAMEAT: u8 = 35;
const UNLINKAT: u8 = 36;
const MKDIRAT: u8 = 37;
/// Longest path with its NUL.
const PATH_MAX: usize = 4096;
/// `format::layout::UNKNOWN`.
const UNKNOWN: u64 = u64::MAX;

/// Begins a record, unless the policy leaves it out.
#[inline(always)]
fn begin(
    counters: &mut CpuCounters,
    kind: u8,
    numbers: [u64; 3],
    ret: i64,
) -> Option<(Record, Task, u64, u64)> {
    const KEPT: u8 = profile::MINIMAL | profile::FORENSIC | profile::FULL;
    let task = Task::current();
    let cgroup = task.cgroup();
    if LIVE.get(0).is_none_or(|live| (task.pid_tgid() >> 32) as u32 == live.own_tgid) {
        return None;
    }
    if policy_of(cgroup.0) & u32::from(KEPT) == 0 && !lineage::is_inside(task, cgroup.0) {
        return None;
    }
    if emit::throttled(counters, cgroup.0) {
        return None;
    }
    let mut header = emit::header(counters, task, cgroup);
    header.kind = kind;
    header.nargs = 3;
    header.ret = ret;
    let mut record = Record::new()?;
    record.begin(&header);
    record.number(0, numbers[0]);
    record.number(1, numbers[1]);
    record.number(2, numbers[2]);
    Some((record, task, cgroup.0, header.time))
}

#[inline(always)]
fn submit(counters: &mut CpuCounters, record: &Record, cgroup: u64, time: u64) {
    if record.submit(&DATA) {
        counters.uring += 1;
    } else {
        emit::lost(counters, Ring::Data, cgroup, time);
    }
}

/// Adds the kernel's copy of a path that a request has at `member`.
#[inline(always)]
fn name(record: &mut Record, tag: u8, request: u64, member: u32) {
    if member == ABSENT || offset!(filename_name) == ABSENT {
        return;
    }
    let filename: u64 = kernel(request, member);
    record.kernel_str::<PATH_MAX>(tag, kernel(filename, offset!(filename_name)));
}

/// A request was taken from the ring. Before Linux 6.3 the tracepoint was called `io_uring_submit_sqe`.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn uring_submit(ctx: BtfTracePointContext) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    let request: u64 = ctx.arg(0);
    let opcode: u8 = kernel(request, offset!(kiocb_opcode));
    let user_data: u64 = kernel(request, offset!(kiocb_user_data));
    let fd: i32 = kernel(request, offset!(kiocb_fd));
    let numbers = [u64::from(opcode), user_data, fd as i64 as u64];
    let Some((mut record, _, cgroup, time)) = begin(counters, kind::URING_SUBMIT, numbers, 0) else {
        return 0;
    };
    match opcode {
        OPENAT | OPENAT2 => name(&mut record, tag::PATH, request, offset!(io_open_name)),
        UNLINKAT => name(&mut record, tag::PATH, request, offset!(io_unlink_name)),
        MKDIRAT => name(&mut record, tag::PATH, request, offset!(io_mkdir_name)),
        RENAMEAT => {
            name(&mut record, tag::PATH, request, offset!(io_rename_old));
            name(&mut record, tag::PATH2, request, offset!(io_rename_new));
        }
        _ => {}
    }
    submit(counters, &record, cgroup, time);
    0
}

/// A request was completed.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn uring_complete(ctx: BtfTracePointContext) -> i32 {
    let entry: u64 = ctx.arg(2);
    let result: i32 = kernel(entry, offset!(cqe_res));
    completed(ctx.arg(1), kernel(entry, offset!(cqe_user_data)), result)
}

/// The same on kernels that hand over what the entry has, not the entry (before Linux 6.8).
#[btf_tracepoint(function = "io_uring_complete")]
pub fn uring_complete_by_value(ctx: BtfTracePointContext) -> i32 {
    completed(ctx.arg(1), ctx.arg(2), ctx.arg(3))
}

#[inline(always)]
fn completed(request: u64, user_data: u64, result: i32) -> i32 {
    let Some(counters) = emit::counters() else { return 0 };
    // Further completions of one request may come without it.
    let opcode = if request == 0 { UNKNOWN } else { u64::from(kernel::<u8>(request, offset!(kiocb_opcode))) };
    let numbers = [opcode, user_data, UNKNOWN];
    let Some((mut record, task, cgroup, time)) =
        begin(counters, kind::URING_COMPLETE, numbers, i64::from(result))
    else {
        return 0;
    };
    let opens = opcode == u64::from(OPENAT) || opcode == u64::from(OPENAT2);
    if opens && result >= 0 && config!(kernel_paths) == 1 {
        let open = file::of_descriptor(task, i64::from(result));
        if open != 0 {
            path::add(&mut record, tag::KPATH, Place::of_file(open), Place::root_of(task));
        }
    }
    submit(counters, &record, cgroup, time);
    0
}
