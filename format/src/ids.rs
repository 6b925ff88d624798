//! Newtypes for every number that could be mistaken for another.

/// Nanoseconds of `CLOCK_BOOTTIME` since the boot named by the segment header. Orders everything; wall-clock
/// time is derived from it through [`crate::ClockPair`]s and never used for order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootNanos(pub u64);

/// A container within one store and boot: assigned by the recorder, never reused, unlike cgroup ids, pids and
/// the engine's own ids (a stopped container that is started again keeps its 64 digits and gets a new uid).
/// Uid 0 is [`ContainerUid::HOST`]: the tasks outside any container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ContainerUid(pub u64);

impl ContainerUid {
    /// Tasks outside any container.
    pub const HOST: Self = Self(0);
}

/// One thread, told apart from every other thread of the boot by its start time.
///
/// `tgid` and `tid` are the kernel's (what user space calls pid and tid), in the initial pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TaskKey {
    /// Thread group id: the process.
    pub tgid: u32,
    /// Thread id; equal to `tgid` for the group leader.
    pub tid: u32,
    /// `task_struct.start_boottime` of this thread in nanoseconds; 0 where unknown.
    pub start: BootNanos,
}
