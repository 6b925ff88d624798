//! Which processes belong to a runtime and to what it makes, for containers that no cgroup of their own tells apart.
//!
//! The rules are those of `capture/src/identity/lineage.rs`, which gives such a process its container: a runtime's
//! exec marks its process, forks inherit, and whoever is in another mount, user or pid namespace is inside. A mark
//! counts only in the cgroup that the runtime was started in, so that nearly all marks are gone after milliseconds.

use afterimage_capture_abi::{
    lineage::{COMM_LEN, CONTAINING, Mark, marked, program, state},
    record::CpuCounters,
};
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;

use crate::{
    maps::{MARKED, MARKS, PROGRAMS, config, offset},
    read::kernel,
    sys_exit::{Call, policy_of},
    task::Task,
};

/// `unshare` of x86-64.
const UNSHARE: u32 = 272;

#[inline(always)]
fn tgid(task: Task) -> u32 {
    (task.pid_tgid() >> 32) as u32
}

#[inline(always)]
fn mnt_ns(task: Task) -> u32 {
    let proxy: u64 = kernel(task.0 as u64, offset!(task_nsproxy));
    let namespace: u64 = kernel(proxy, offset!(ns_mnt));
    kernel(namespace, offset!(mnt_inum))
}

#[inline(always)]
fn set(counters: &mut CpuCounters, tgid: u32, mark: Mark) {
    if let Some(latest) = MARKED.get_ptr_mut(marked::LATEST) {
        // SAFETY: the map's value, one aligned word. No preconditions of the helper.
        unsafe { latest.write_volatile(bpf_ktime_get_boot_ns()) };
    }
    if MARKS.insert(tgid, mark, 0).is_err() {
        counters.unmarked += 1;
    }
}

/// Whether there may be marks.
#[inline(always)]
fn any() -> bool {
    MARKED.get(marked::LATEST).copied() != MARKED.get(marked::CLEARED).copied()
}

/// The mark of a process.
#[inline(always)]
pub fn mark_of(task: Task) -> Option<Mark> {
    if !any() {
        return None;
    }
    // SAFETY: a copy of two words; a torn one can only misjudge the state at its very change.
    unsafe { MARKS.get(tgid(task)) }.copied()
}

/// Takes an exec into account; whether it is to be told of whatever the policy says.
#[inline(always)]
pub fn executed(counters: &mut CpuCounters, task: Task, cgroup: u64) -> bool {
    let comm: [u8; COMM_LEN] = kernel(task.0 as u64, offset!(task_comm));
    // SAFETY: the table does not change while the programs are attached.
    let known = unsafe { PROGRAMS.get(comm) }.copied().unwrap_or(0);
    let mark = mark_of(task).filter(|mark| mark.cgroup == cgroup);
    match mark {
        Some(Mark { state: state::INSIDE, .. }) => return true,
        Some(mark) if mark.mnt_ns != mnt_ns(task) => {
            set(counters, tgid(task), Mark { state: state::INSIDE, ..mark });
            return true;
        }
        _ => {}
    }
    if known == program::RUNTIME {
        let mark = Mark { cgroup, mnt_ns: mnt_ns(task), state: state::RUNTIME };
        set(counters, tgid(task), mark);
    }
    known != 0 || mark.is_some()
}

/// Takes a fork by a marked process into account.
#[inline(always)]
pub fn forked(counters: &mut CpuCounters, parent: Mark, child: Task, new_namespaces: u64, of_child: u64) {
    let ids = child.pid_tgid();
    // Threads share their process's mark.
    if ids >> 32 != ids & 0xffff_ffff || of_child != parent.cgroup {
        return;
    }
    let inside = parent.state == state::INSIDE || new_namespaces & CONTAINING != 0;
    let state = if inside { state::INSIDE } else { state::RUNTIME };
    set(counters, (ids >> 32) as u32, Mark { state, ..parent });
}

/// A process has ended.
#[inline(always)]
pub fn ended(task: Task) {
    let _ = MARKS.remove(tgid(task));
}

/// A process was moved: in another cgroup its mark means nothing. One that is in a mount namespace of its own and comes
/// where less is kept may have left its container by that: it is marked until the recorder has judged.
#[inline(always)]
pub fn moved(counters: &mut CpuCounters, task: Task) {
    let cgroup = task.cgroup().0;
    if let Some(mark) = mark_of(task) {
        if mark.cgroup != cgroup {
            let _ = MARKS.remove(tgid(task));
        } else {
            return;
        }
    }
    let usual = config!(default_policy);
    let apart = config!(host_mnt_ns) != 0 && mnt_ns(task) != config!(host_mnt_ns);
    if apart && policy_of(cgroup) & usual != usual {
        set(counters, tgid(task), Mark { cgroup, mnt_ns: 0, state: state::INSIDE });
    }
}

/// Whether a task is in a container that only its lineage tells.
#[inline(always)]
pub fn is_inside(task: Task, cgroup: u64) -> bool {
    mark_of(task).is_some_and(|mark| mark.state == state::INSIDE && mark.cgroup == cgroup)
}

/// Whether a call is kept although its cgroup's policy leaves it out: its process is in a container.
#[inline(always)]
pub fn keeps(call: &Call, cgroup: u64) -> bool {
    if !any() {
        return false;
    }
    let Some(mark) = MARKS.get_ptr_mut(tgid(call.task)) else { return false };
    // SAFETY: the map's value; its state only ever goes from one value to the other.
    let mark = unsafe { &mut *mark };
    if mark.cgroup != cgroup {
        return false;
    }
    if mark.state == state::RUNTIME
        && call.nr == UNSHARE
        && !call.compat
        && call.ret == 0
        && call.args()[0] & CONTAINING != 0
    {
        mark.state = state::INSIDE;
    }
    mark.state == state::INSIDE
}
