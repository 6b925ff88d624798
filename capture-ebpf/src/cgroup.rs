//! cgroups made, removed and joined: where containers begin and end.

use afterimage_capture_abi::record::kind;
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    emit::{self, Record, Ring},
    lineage,
    maps::{CONTROL, config, offset},
    read::{kernel, member, pointer},
    task::{Task, cgroup_id},
};

/// `FieldTag::CGROUP`.
const CGROUP: u8 = 14;
/// Longest path with its NUL.
const PATH_MAX: usize = 4096;

/// A cgroup was made.
#[btf_tracepoint(function = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    cgroup(kind::CGROUP_MKDIR, ctx.arg(0), ctx.arg(1), None);
    0
}

/// A cgroup was removed.
#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    cgroup(kind::CGROUP_RMDIR, ctx.arg(0), ctx.arg(1), None);
    0
}

/// A task was moved. Tasks put in at their creation (`CLONE_INTO_CGROUP`) never come here: their fork tells.
#[btf_tracepoint(function = "cgroup_attach_task")]
pub fn cgroup_attach_task(ctx: BtfTracePointContext) -> i32 {
    let moved = Task(ctx.arg(2));
    if let Some(counters) = emit::counters() {
        lineage::moved(counters, moved);
    }
    cgroup(kind::CGROUP_ATTACH, ctx.arg(0), ctx.arg(1), Some(moved));
    0
}

#[inline(always)]
fn cgroup(kind: u8, cgroup: *const u8, path: u64, moved: Option<Task>) {
    let Some(counters) = emit::counters() else { return };
    let hierarchy: u32 = kernel(pointer(cgroup, offset!(cgroup_root)) as u64, offset!(cgroup_root_id));
    if hierarchy != 0 && hierarchy != config!(v1_hierarchy) {
        return;
    }
    let level: u32 = member(cgroup, offset!(cgroup_level));
    let task = Task::current();
    let mut header = emit::header(counters, task, task.cgroup());
    header.kind = kind;
    header.nargs = if moved.is_some() { 6 } else { 3 };
    let Some(mut record) = Record::new() else { return };
    record.begin(&header);
    record.number(0, cgroup_id(cgroup));
    record.number(1, u64::from(hierarchy));
    record.number(2, u64::from(level));
    if let Some(moved) = moved {
        record.number(3, moved.pid_tgid());
        record.number(4, moved.start());
        record.number(5, moved.cgroup().0);
    }
    record.kernel_str::<PATH_MAX>(CGROUP, path);
    // What is recorded of a new container is decided when its cgroup is known.
    let kept = match kind {
        kind::CGROUP_MKDIR => record.submit_and_wake(&CONTROL),
        _ => record.submit(&CONTROL),
    };
    if kept {
        counters.control += 1;
    } else {
        emit::lost(counters, Ring::Control, header.cgroup, header.time);
    }
}
