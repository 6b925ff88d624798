//! What the programs hand over: one header, numbers, then byte fields.
//!
//! ```text
//! Header (56 bytes) | nargs x u64 | { FieldHeader (8 bytes) | bytes | padding to 8 }*
//! ```
//! The record's end is the ring entry's end. User space treats every byte as hostile.

/// First part of every record.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// One of [`kind`].
    pub kind: u8,
    /// How many numbers follow.
    pub nargs: u8,
    /// Bits of [`flags`].
    pub flags: u16,
    /// System call number as the kernel has it (`orig_ax`), of calls.
    pub nr: u32,
    /// `CLOCK_BOOTTIME` nanoseconds.
    pub time: u64,
    /// This CPU's number in the top 16 bits, below it the CPU's own sequence, shared by both rings and taken before
    /// the reserve: a hole is a record that could not be handed over.
    pub seq: u64,
    /// `tgid << 32 | tid`.
    pub pid_tgid: u64,
    /// `start_boottime` of the thread.
    pub start: u64,
    /// cgroup id; with [`V1_BIT`] set it is one of the chosen v1 hierarchy.
    pub cgroup: u64,
    /// Return value of the call; of other kinds as the program says.
    pub ret: i64,
}

const _: () = assert!(size_of::<Header>() == 56);
const _: () = assert!(core::mem::offset_of!(Header, time) == 8);
const _: () = assert!(core::mem::offset_of!(Header, seq) == 16);
const _: () = assert!(core::mem::offset_of!(Header, ret) == 48);

/// Set in a cgroup id of the chosen v1 hierarchy, so that it cannot be taken for one of v2.
pub const V1_BIT: u64 = 1 << 63;

/// Values of [`Header::kind`].
pub mod kind {
    /// A system call returned.
    pub const SYSCALL: u8 = 1;
    /// A task was made; numbers as `format::layout::fork`.
    pub const FORK: u8 = 2;
    /// A program was executed; numbers as `format::layout::exec`.
    pub const EXEC: u8 = 3;
    /// A task ended; numbers as `format::layout::exit`.
    pub const EXIT: u8 = 4;
    /// A cgroup was made; numbers as `format::layout::cgroup`.
    pub const CGROUP_MKDIR: u8 = 5;
    /// A cgroup was removed; numbers as `format::layout::cgroup`.
    pub const CGROUP_RMDIR: u8 = 6;
    /// A task was moved; numbers: cgroup id, hierarchy, level, then the task's `pid_tgid` and start, and the cgroup
    /// that its records are stamped with from now on.
    pub const CGROUP_ATTACH: u8 = 7;
    /// A process that was there before, from the task iterator; numbers as `format::layout::exec`.
    pub const PROCESS: u8 = 8;
    /// An io_uring request was submitted; numbers as `format::layout::uring`.
    pub const URING_SUBMIT: u8 = 9;
    /// An io_uring request completed; numbers as `format::layout::uring`, the result is `ret`.
    pub const URING_COMPLETE: u8 = 10;
    /// A call that has not returned, from the task iterator; numbers are its arguments.
    pub const IN_CALL: u8 = 11;
}

/// Bits of [`Header::flags`].
pub mod flags {
    /// The call came through the 32-bit entry.
    pub const COMPAT: u16 = 1;
    /// The cgroup id is of the chosen v1 hierarchy: the task is at the root of v2.
    pub const V1_CGROUP: u16 = 2;
    /// Not all fields fitted the record, or not all that the call did is in them.
    pub const OVERFLOW: u16 = 4;
    /// A seccomp filter (or strict mode) was on the task.
    pub const SECCOMP: u16 = 8;
    /// A field is behind the numbers of the call's slot ([`crate::slot`]); elsewhere the record's end tells.
    pub const FIELD: u16 = 16;
}

/// Before each byte field.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldHeader {
    /// A tag of `format::FieldTag`, or one of [`tag`].
    pub tag: u8,
    /// Bits of `format::FieldFlags`.
    pub flags: u8,
    /// Bytes that follow, before the padding.
    pub len: u16,
    /// The length it had.
    pub full_len: u32,
}

const _: () = assert!(size_of::<FieldHeader>() == 8);

/// Field tags that only travel between kernel and recorder.
pub mod tag {
    /// A kernel path as its components from the leaf upwards, each ended by a NUL: turned round by the recorder.
    /// The tag it becomes is this plus the file's tag.
    pub const REVERSED: u8 = 0x80;
    /// A socket's addresses as a [`super::SockInfo`]: becomes `LOCAL` and `PEER`.
    pub const SOCK: u8 = 0x70;
}

/// A socket's two ends, from the kernel's `struct sock`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SockInfo {
    /// `AF_*`.
    pub family: u16,
    /// Own port, host order.
    pub local_port: u16,
    /// Peer's port, host order.
    pub peer_port: u16,
    /// `SOCK_*`.
    pub kind: u16,
    /// Own address; the first 4 bytes for IPv4.
    pub local: [u8; 16],
    /// Peer's address; the first 4 bytes for IPv4.
    pub peer: [u8; 16],
    /// `TCP_*` state.
    pub state: u32,
    /// Reserved, 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<SockInfo>() == 48);

/// What one CPU counted since the programs were loaded.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuCounters {
    /// Next sequence number.
    pub seq: u64,
    /// Runs of the sys_exit program.
    pub runs: u64,
    /// Call records handed over.
    pub calls: u64,
    /// A fork's child returning, and successful execs: told by the fork and exec records.
    pub merged: u64,
    /// Calls the profile or policy leaves out.
    pub filtered: u64,
    /// Calls of the recorder itself.
    pub own: u64,
    /// Calls throttled by a container's budget.
    pub throttled: u64,
    /// Call records that did not fit the data ring.
    pub lost_data: u64,
    /// Records that did not fit the control ring.
    pub lost_control: u64,
    /// Losses that could not be booked on a container because the loss map was full.
    pub lost_unbooked: u64,
    /// Control records handed over.
    pub control: u64,
    /// io_uring records handed over.
    pub uring: u64,
    /// Reads of user memory that failed.
    pub faults: u64,
    /// Processes of a runtime's lineage that there was no room to remember: calls of a container without a cgroup of
    /// its own may be missing.
    pub unmarked: u64,
    /// How full the data ring is, as last looked at on this CPU: an index of [`Share::LIMITS`].
    pub pressure: u64,
    /// The same in sixteenths, which decide when the recorder is woken.
    pub marks: u64,
    /// The cgroup whose policy is kept beside it.
    pub policy_cgroup: u64,
    /// That policy, in the low half; the generation of the policy table it is of, in the high half.
    pub policy: u64,
}

/// Losses of one cgroup.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LossSlot {
    /// Call records that did not fit the data ring.
    pub data: u64,
    /// Records that did not fit the control ring.
    pub control: u64,
    /// Calls throttled.
    pub throttled: u64,
    /// Time of the latest of them.
    pub last: u64,
}

/// What one cgroup has used of its share while the data ring is under pressure, on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The period: time shifted by [`Share::PERIOD_SHIFT`].
    pub period: u64,
    /// Records in it.
    pub used: u64,
}

impl Share {
    /// Length of a period: 2^27 ns, about 134 ms.
    pub const PERIOD_SHIFT: u32 = 27;
    /// Records that a cgroup may hand over on one CPU in a period, by how full the ring is: no limit up to one half,
    /// then less and less, so that what is left of the ring lasts for those who are not flooding it, also while the
    /// recorder waits for a CPU.
    pub const LIMITS: [u64; 4] = [u64::MAX, 2000, 250, 64];
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (sizes asserted above), valid for every bit pattern.
unsafe impl aya::Pod for CpuCounters {}
#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding, valid for every bit pattern.
unsafe impl aya::Pod for LossSlot {}
