//! Processes that a container's runtime is, or made: remembered by the programs, so that a container without a cgroup
//! of its own is recorded although its cgroup is the host's.

/// Most processes remembered. One that there is no room for is counted in `CpuCounters::unmarked`.
pub const MOST: u32 = 32_768;
/// Bytes of a task's `comm`, its NUL included.
pub const COMM_LEN: usize = 16;
/// Most programs known by name.
pub const PROGRAMS: u32 = 32;
/// The namespaces that set a container apart, as `CLONE_NEW*`: mount, user, pid.
pub const CONTAINING: u64 = 0x0002_0000 | 0x1000_0000 | 0x2000_0000;

/// What is remembered of a process, by its thread group id.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The cgroup its runtime was started in, as in a record's header. In another one the mark means nothing.
    pub cgroup: u64,
    /// Mount namespace of the runtime.
    pub mnt_ns: u32,
    /// One of [`state`].
    pub state: u32,
}

const _: () = assert!(size_of::<Mark>() == 16);

/// Values of [`Mark::state`].
pub mod state {
    /// A runtime, or made by one, but not in the container yet: forks, execs and exits are recorded.
    pub const RUNTIME: u32 = 1;
    /// In the container: recorded as by the default policy.
    pub const INSIDE: u32 = 2;
}

/// Words that tell whether there may be marks at all: there are none while both are the same.
pub mod marked {
    /// When the latest mark was set; written by the programs, before they set it.
    pub const LATEST: u32 = 0;
    /// What [`LATEST`] was when there were none any more; written by the recorder.
    pub const CLEARED: u32 = 1;
    /// How many words.
    pub const COUNT: u32 = 2;
}

/// What a program with a known `comm` is.
pub mod program {
    /// A runtime: its process is marked.
    pub const RUNTIME: u32 = 1;
    /// One that tells something of containers: its execs are recorded whatever the policy.
    pub const TELLS: u32 = 2;
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (size asserted above), valid for every bit pattern.
unsafe impl aya::Pod for Mark {}
