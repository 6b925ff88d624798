//! The task a program runs in: who it is and where it belongs.

use afterimage_capture_abi::{
    offsets::ABSENT,
    record::{V1_BIT, flags},
};
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;

use crate::{
    maps::{config, offset},
    read::{member, pointer},
};

/// A `task_struct`, typed for the verifier.
#[derive(Clone, Copy)]
pub struct Task(pub *const u8);

impl Task {
    /// The running task.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the helper has no preconditions.
        Self(unsafe { bpf_get_current_task_btf() }.cast_const().cast())
    }

    /// `tgid << 32 | tid`.
    #[inline(always)]
    pub fn pid_tgid(self) -> u64 {
        let tgid: u32 = member(self.0, offset!(task_tgid));
        let tid: u32 = member(self.0, offset!(task_pid));
        u64::from(tgid) << 32 | u64::from(tid)
    }

    /// Start time of the thread, boot nanoseconds.
    #[inline(always)]
    pub fn start(self) -> u64 {
        member(self.0, offset!(task_start))
    }

    /// cgroup id and the header flag that tells its hierarchy: the v2 one, or where that is the root and there is a
    /// v1 hierarchy that tells more, its, with [`V1_BIT`] set.
    #[inline(always)]
    pub fn cgroup(self) -> (u64, u16) {
        let set = pointer(self.0, offset!(task_cgroups));
        if set.is_null() {
            return (0, 0);
        }
        let id = cgroup_id(pointer(set, offset!(css_set_dfl)));
        if id != u64::from(config!(root_cgroup)) || config!(v1_subsys) == u32::MAX {
            return (id, 0);
        }
        let subsys = offset!(css_set_subsys);
        if subsys == ABSENT {
            return (id, 0);
        }
        let state = pointer(set, subsys + config!(v1_subsys) * 8);
        if state.is_null() {
            return (id, 0);
        }
        (cgroup_id(pointer(state, offset!(css_cgroup))) | V1_BIT, flags::V1_CGROUP)
    }

    /// Whether a seccomp filter or strict mode is on the task.
    #[inline(always)]
    pub fn has_seccomp(self) -> bool {
        member::<u32>(self.0, offset!(task_seccomp)) != 0
    }

    /// Whether the task is in a 32-bit system call.
    #[inline(always)]
    pub fn is_compat(self) -> bool {
        const TS_COMPAT: u32 = 2;
        member::<u32>(self.0, offset!(task_status)) & TS_COMPAT != 0
    }
}

/// Id of a typed `struct cgroup`.
#[inline(always)]
pub fn cgroup_id(cgroup: *const u8) -> u64 {
    if cgroup.is_null() {
        return 0;
    }
    let node = pointer(cgroup, offset!(cgroup_kn));
    if node.is_null() {
        return 0;
    }
    member(node, offset!(kernfs_id))
}
