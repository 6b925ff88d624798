//! What the numbers of each non-syscall event mean, by position.
//!
//! An event's numbers (`Event::args`) are unsigned 64-bit; signed values are sign-extended. Positions are part of
//! the file format: they are only ever appended to. A writer may store fewer numbers than a layout names, a
//! reader treats the missing ones as [`UNKNOWN`].

/// A number that could not be had.
pub const UNKNOWN: u64 = u64::MAX;

/// Position of the number that is a moment of this boot, where the event has one: the one number that readers of
/// recordings of several boots move with the event's time.
pub(crate) const fn boot_time_index(code: crate::EventCode) -> Option<usize> {
    match code {
        crate::EventCode::FORK => Some(fork::CHILD_START),
        crate::EventCode::EXEC | crate::EventCode::PROCESS => Some(exec::PPID_START),
        crate::EventCode::ARTIFACT => Some(artifact::EXECUTED),
        _ => None,
    }
}

/// Numbers of `FORK`. The event belongs to the *parent* thread; `ret` is the child's tid.
pub mod fork {
    /// Child's thread group id.
    pub const CHILD_TGID: usize = 0;
    /// Child's thread id.
    pub const CHILD_TID: usize = 1;
    /// Child's start, boot nanoseconds.
    pub const CHILD_START: usize = 2;
    /// Child's pid in its own pid namespace.
    pub const CHILD_VPID: usize = 3;
    /// Namespace bits in which child and parent differ: the `CLONE_NEW*` constants.
    pub const NEW_NS: usize = 4;
    /// Child's cgroup id.
    pub const CHILD_CGROUP: usize = 5;
    /// What child and maker have in common in the kernel: the bits `CLONE_FS` (0x200) and `CLONE_FILES` (0x400). Absent in older
    /// recordings.
    pub const SHARES: usize = 6;
    /// Inode of the child's pid namespace. Absent in older recordings.
    pub const CHILD_NS_PID: usize = 7;
    /// The child's id in the pid namespace of who made it: what the call that made it returns. Absent in older recordings.
    pub const CHILD_PID_FOR_MAKER: usize = 8;
    /// How many numbers this version writes.
    pub const COUNT: usize = 9;
}

/// Numbers of `EXEC` and `PROCESS`.
pub mod exec {
    /// Parent's thread group id (`real_parent`).
    pub const PPID: usize = 0;
    /// Process id in its own pid namespace.
    pub const VPID: usize = 1;
    /// Process group id, initial namespace.
    pub const PGID: usize = 2;
    /// Session id, initial namespace.
    pub const SID: usize = 3;
    /// Controlling terminal as `major << 20 | minor` of the kernel's `dev_t`; 0 for none.
    pub const TTY: usize = 4;
    /// Real user id.
    pub const UID: usize = 5;
    /// Real group id.
    pub const GID: usize = 6;
    /// Effective user id.
    pub const EUID: usize = 7;
    /// Effective group id.
    pub const EGID: usize = 8;
    /// Audit login user id; 4294967295 when unset.
    pub const LOGINUID: usize = 9;
    /// Inheritable capabilities.
    pub const CAP_INHERITABLE: usize = 10;
    /// Permitted capabilities.
    pub const CAP_PERMITTED: usize = 11;
    /// Effective capabilities.
    pub const CAP_EFFECTIVE: usize = 12;
    /// pid namespace inode.
    pub const NS_PID: usize = 13;
    /// Mount namespace inode.
    pub const NS_MNT: usize = 14;
    /// Network namespace inode.
    pub const NS_NET: usize = 15;
    /// UTS namespace inode.
    pub const NS_UTS: usize = 16;
    /// IPC namespace inode.
    pub const NS_IPC: usize = 17;
    /// cgroup namespace inode.
    pub const NS_CGROUP: usize = 18;
    /// User namespace inode.
    pub const NS_USER: usize = 19;
    /// Executed file: inode number.
    pub const EXE_INO: usize = 20;
    /// Executed file: device of its superblock, kernel `dev_t`.
    pub const EXE_DEV: usize = 21;
    /// Executed file: change time, nanoseconds since 1970.
    pub const EXE_CTIME: usize = 22;
    /// Executed file: modification time, nanoseconds since 1970.
    pub const EXE_MTIME: usize = 23;
    /// Executed file: mode bits.
    pub const EXE_MODE: usize = 24;
    /// Executed file: size in bytes.
    pub const EXE_SIZE: usize = 25;
    /// Executed file: [`EXE_UPPER_LAYER`] and the bits beside it.
    pub const EXE_FLAGS: usize = 26;
    /// Argument count as the kernel has it (`bprm->argc`).
    pub const ARGC: usize = 27;
    /// Environment count as the kernel has it (`bprm->envc`).
    pub const ENVC: usize = 28;
    /// cgroup id at the exec.
    pub const CGROUP: usize = 29;
    /// Parent's start, boot nanoseconds, to tell reused pids apart.
    pub const PPID_START: usize = 30;
    /// Level of the pid namespace: 0 is the initial one.
    pub const PID_LEVEL: usize = 31;
    /// How many numbers this version writes.
    pub const COUNT: usize = 32;

    /// `EXE_FLAGS`: the file is on an overlay's upper layer: it is not part of the image.
    pub const EXE_UPPER_LAYER: u64 = 1;
    /// `EXE_FLAGS`: the file is a memfd.
    pub const EXE_MEMFD: u64 = 2;
    /// `EXE_FLAGS`: the file had no name left (link count 0) when it was executed.
    pub const EXE_UNLINKED: u64 = 4;
    /// `EXE_FLAGS`: an interpreter was run for a script (`bprm->interp` differs from `bprm->filename`).
    pub const EXE_SCRIPT: u64 = 8;
    /// `EXE_FLAGS`: the file is on an overlay's lower layer.
    pub const EXE_LOWER_LAYER: u64 = 16;
    /// `EXE_FLAGS`: the executing user may write the file.
    pub const EXE_WRITABLE: u64 = 32;
    /// `EXE_FLAGS`: executed by an `execveat` of a file descriptor (the kernel's name is `/dev/fd/N`).
    pub const EXE_FD: u64 = 64;
}

/// Numbers of `EXIT`. `ret` is the exit code for a normal exit, else minus the signal number.
pub mod exit {
    /// Raw `task_struct.exit_code`: `(code << 8) | signal | 0x80 if core`.
    pub const RAW: usize = 0;
    /// 1 when this was the last thread of its group, 0 when others live on.
    pub const GROUP_DEAD: usize = 1;
    /// The number of the system call the thread was in, as the kernel has it (`orig_ax`): `exit_group`'s for an
    /// orderly end, another for one that a signal cut off; negative for none.
    pub const IN_CALL: usize = 2;
    /// How many numbers this version writes.
    pub const COUNT: usize = 3;
}

/// Numbers of the cgroup events; the path is field `CGROUP`.
pub mod cgroup {
    /// The cgroup's id.
    pub const ID: usize = 0;
    /// Its hierarchy's id: 0 is the unified (v2) one.
    pub const HIERARCHY: usize = 1;
    /// Its level below the root of the hierarchy.
    pub const LEVEL: usize = 2;
    /// How many numbers this version writes, of cgroups made and removed.
    pub const COUNT: usize = 3;

    /// Of `CGROUP_ATTACH`: the process that was moved, in the upper half; the thread in the lower.
    pub const MOVED: usize = 3;
    /// Of `CGROUP_ATTACH`: start of the thread that was moved, boot nanoseconds.
    pub const MOVED_START: usize = 4;
    /// Of `CGROUP_ATTACH`: the cgroup that tells whose its calls are from now on; the top bit marks one of v1.
    pub const MOVED_TO: usize = 5;
}

/// Numbers of `IN_CALL`.
pub mod in_call {
    /// The call's event code.
    pub const CODE: usize = 0;
    /// The first of its argument registers, as many as the call has.
    pub const ARGS: usize = 1;
}

/// Numbers of `ARTIFACT`. An image of more than one piece has one event for each, in order, all with its `HASH`.
pub mod artifact {
    /// Size of the image.
    pub const SIZE: usize = 0;
    /// Its inode.
    pub const INO: usize = 1;
    /// When it was executed, boot nanoseconds.
    pub const EXECUTED: usize = 2;
    /// Where in the image this event's `CONTENT` begins.
    pub const OFFSET: usize = 3;
    /// What became of it.
    pub const OUTCOME: usize = 4;
    /// How many numbers this version writes.
    pub const COUNT: usize = 5;

    /// `OUTCOME`: hashed and kept.
    pub const KEPT: u64 = 0;
    /// `OUTCOME`: hashed; its bytes are in this container's recording already.
    pub const KNOWN: u64 = 1;
    /// `OUTCOME`: hashed, but larger than what is kept of one.
    pub const TOO_LARGE: u64 = 2;
    /// `OUTCOME`: hashed, but the budget for bytes was used up.
    pub const OVER_BUDGET: u64 = 3;
    /// `OUTCOME`: its process was gone before it could be opened.
    pub const GONE: u64 = 4;
    /// `OUTCOME`: the file changed or could not be read to its end.
    pub const UNREADABLE: u64 = 5;
}

/// Numbers of `OPEN_FD`; what it is open on is field `TARGET`, as `/proc/PID/fd` tells it; sockets have `LOCAL` and
/// `PEER`.
pub mod open_fd {
    /// The descriptor.
    pub const FD: usize = 0;
    /// Open flags (`O_*`) from fdinfo.
    pub const FLAGS: usize = 1;
    /// Position from fdinfo.
    pub const POS: usize = 2;
    /// Inode.
    pub const INO: usize = 3;
    /// How many numbers this version writes.
    pub const COUNT: usize = 4;
}

/// Numbers of `URING_SUBMIT` and `URING_COMPLETE`. Paths are the kernel's own copies, made when the request was taken
/// from the ring: `PATH`, `PATH2`; what an open really opened is `KPATH` of the completion, whose `ret` is the result.
pub mod uring {
    /// The operation: `IORING_OP_*`.
    pub const OPCODE: usize = 0;
    /// The program's own mark on the request, the same on its completion.
    pub const USER_DATA: usize = 1;
    /// The descriptor the request is about; `u64::MAX` on completions.
    pub const FD: usize = 2;
    /// How many numbers this version writes.
    pub const COUNT: usize = 3;
}
