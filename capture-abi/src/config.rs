//! Settings the programs read: fixed at load, or per cgroup while running.

/// Fixed when the programs are loaded: a read-only global.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config {
    /// Most payload bytes of a call on a regular file.
    pub payload_file: u32,
    /// Most payload bytes of a call on a socket, pipe or terminal.
    pub payload_stream: u32,
    /// Bytes of a socket or a pipe, and eight times as many of a terminal, in a minute after which a call on it keeps as much as one on a regular file; 0 for never.
    pub payload_budget: u32,
    /// Index of the v1 controller that identifies containers where v2 does not; `u32::MAX` for none.
    pub v1_subsys: u32,
    /// Most bytes of argv, and of the environment.
    pub argv_bytes: u32,
    /// Whether to record the kernel's path of what was opened: 1 or 0.
    pub kernel_paths: u32,
    /// What to do with tasks of cgroups not in the policy map: bits of [`policy`].
    pub default_policy: u32,
    /// 1 where `sched_process_exit` tells by its second argument whether the group is dead, else 0.
    pub exit_tells_group: u32,
    /// Id of the v1 hierarchy of `v1_subsys`; `u32::MAX` for none.
    pub v1_hierarchy: u32,
    /// Id of the v2 hierarchy's root cgroup.
    pub root_cgroup: u32,
    /// Inode of the host's mount namespace; 0 where it is not known.
    pub host_mnt_ns: u32,
    /// Slots of each CPU's ring of calls, a power of two; 0 for none.
    pub slots: u32,
}

/// What changes while the programs run: one map value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// Counts up with each change of a policy: what CPUs remember of older ones is void.
    pub generation: u32,
    /// Thread group id of the recorder: its own calls are counted, not recorded. 0 where there is none: the programs go
    /// on without a recorder when it is killed, and the next has another.
    pub own_tgid: u32,
}

/// Bits of a cgroup's policy.
pub mod policy {
    /// Profiles to keep, as `spec::profile`, in the low byte.
    pub const PROFILES: u32 = 0xff;
    /// Record forks, execs and exits.
    pub const LIFECYCLE: u32 = 0x100;
    /// Keep payloads of sockets and pipes however many there were: `Config::payload_budget` does not hold.
    pub const WHOLE_STREAMS: u32 = 0x200;
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl aya::Pod for Config {}
#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl aya::Pod for Live {}
