//! One event, as the recorder hands it to the store and as readers get it back.

use crate::{BootNanos, EventCode, TaskKey, layout};

/// Most numbers one event can carry.
pub const MAX_ARGS: usize = 48;
/// Most byte fields one event can carry.
pub const MAX_FIELDS: usize = 16;
/// Most bytes in one field.
pub const MAX_FIELD_LEN: usize = 1 << 20;

/// An event, borrowed from wherever it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event<'a> {
    /// When it happened; for a system call, when it *returned*.
    pub time: BootNanos,
    /// How long the call took, where the time of entry was recorded.
    pub duration: Option<u64>,
    /// The thread it happened in.
    pub task: TaskKey,
    /// What it is.
    pub code: EventCode,
    /// What is special about it.
    pub flags: EventFlags,
    /// The CPU it was recorded on.
    pub cpu: u16,
    /// The result: of a system call the kernel's return value (negative errno on failure), of other events as
    /// [`crate::layout`] says.
    pub ret: i64,
    /// Numbers: a system call's argument registers, as many as the call has; of other events as
    /// [`crate::layout`] says. At most [`MAX_ARGS`].
    pub args: &'a [u64],
    /// Byte strings: paths, addresses, payloads. At most [`MAX_FIELDS`], in the order recorded.
    pub fields: &'a [Field<'a>],
}

/// A byte string of an event. The bytes are as recorded: never trusted, never altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// What it is.
    pub tag: FieldTag,
    /// What is special about it.
    pub flags: FieldFlags,
    /// The length it had when it was recorded; larger than `bytes.len()` where it was truncated, and then maybe
    /// a lower bound (paths and argv whose end was not seen).
    pub full_len: u32,
    /// The bytes kept.
    pub bytes: &'a [u8],
}

/// What a byte field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldTag(pub u8);

impl FieldTag {
    /// The call's (first) path, as the program claimed it in its memory.
    pub const PATH: Self = Self(1);
    /// The call's second path, as claimed.
    pub const PATH2: Self = Self(2);
    /// The path of what was really opened or executed, from the kernel's objects.
    pub const KPATH: Self = Self(3);
    /// A socket address as the program claimed it: the bytes of a `struct sockaddr`.
    pub const SOCKADDR: Self = Self(4);
    /// The socket's own address from the kernel, as a `struct sockaddr`.
    pub const LOCAL: Self = Self(5);
    /// The socket's peer from the kernel, as a `struct sockaddr`.
    pub const PEER: Self = Self(6);
    /// The first bytes that were read or written. `full_len` is what the call moved.
    pub const PAYLOAD: Self = Self(7);
    /// Arguments, each ended by a NUL.
    pub const ARGV: Self = Self(8);
    /// Environment, each `NAME=value` ended by a NUL.
    pub const ENVP: Self = Self(9);
    /// The name given to exec (`bprm->filename`): claimed; for a script, the script.
    pub const FILENAME: Self = Self(10);
    /// The interpreter run for a script (`bprm->interp`).
    pub const INTERP: Self = Self(11);
    /// Current working directory, from the kernel.
    pub const CWD: Self = Self(12);
    /// The task's `comm`: up to 15 bytes, no NUL.
    pub const COMM: Self = Self(13);
    /// Path of a cgroup from the root of its hierarchy.
    pub const CGROUP: Self = Self(14);
    /// What a descriptor is open on, as `/proc/PID/fd/N` reads.
    pub const TARGET: Self = Self(15);
    /// New descriptors a call returned through memory (pipe, socketpair): little-endian `i32`s.
    pub const FDS: Self = Self(16);
    /// The caller's old and new ids or another structure read from memory, raw.
    pub const DATA: Self = Self(17);
    /// The path of the task's root directory as the host sees it.
    pub const ROOT: Self = Self(18);
    /// The SHA-256 of a whole file.
    pub const HASH: Self = Self(19);
    /// A piece of a file's bytes.
    pub const CONTENT: Self = Self(20);
}

/// Bits of [`Event::flags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EventFlags(pub u32);

impl EventFlags {
    /// User memory and the kernel's objects disagree: both are kept.
    pub const DIFFERS: Self = Self(1);
    /// Something the event should have could not be read (see the fields' own flags).
    pub const INCOMPLETE: Self = Self(2);
    /// The call was restarted or interrupted to be restarted (`-512..=-516`): folded for display.
    pub const RESTART: Self = Self(4);
    /// A signal frame's return: only the number is meaningful.
    pub const SIGRETURN: Self = Self(8);
    /// The task was still being set up by the container's runtime: not the payload.
    pub const SETUP: Self = Self(16);
    /// Strings were copied when the call was entered, not when it returned.
    pub const FROM_ENTER: Self = Self(32);
    /// The task is a kernel thread acting for its owner (io_uring).
    pub const KERNEL_WORKER: Self = Self(64);
    /// A seccomp filter was on the task: a refused call may have been refused by it.
    pub const SECCOMP: Self = Self(128);
    /// A seccomp filter kept the call from being made, by a signal or by ending the program: `ret` is -1 (`EPERM`), in whose place
    /// the register held the call's own number.
    pub const DENIED: Self = Self(256);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Bits of [`Field::flags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FieldFlags(pub u8);

impl FieldFlags {
    /// Cut at a capture limit.
    pub const TRUNCATED: Self = Self(1);
    /// The memory could not be read: the bytes are what was had before.
    pub const FAULT: Self = Self(2);
    /// Masked by a policy.
    pub const REDACTED: Self = Self(4);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl<'a> Event<'a> {
    /// The same as its recorder had it, in the times of its boot: `base` was added by whoever read it.
    pub fn without_base<R>(&self, base: u64, then: impl FnOnce(&Event<'_>) -> R) -> R {
        let earlier = |time: u64| time.saturating_sub(base);
        let (time, mut task) = (BootNanos(earlier(self.time.0)), self.task);
        task.start.0 = earlier(task.start.0);
        let moved = layout::boot_time_index(self.code).filter(|_| base != 0);
        let Some(index) = moved else { return then(&Event { time, task, ..*self }) };
        let mut args = self.args.to_vec();
        if let Some(value) = args.get_mut(index).filter(|value| **value != layout::UNKNOWN) {
            *value = earlier(*value);
        }
        then(&Event { time, task, args: &args, ..*self })
    }

    /// The first field with this tag.
    pub fn field(&self, tag: FieldTag) -> Option<&Field<'a>> {
        self.fields.iter().find(|f| f.tag == tag)
    }

    /// The bytes of the first field with this tag.
    pub fn bytes(&self, tag: FieldTag) -> Option<&'a [u8]> {
        self.field(tag).map(|f| f.bytes)
    }

    /// Number at `index` of a [`crate::layout`]; `None` where it is missing or unknown.
    pub fn number(&self, index: usize) -> Option<u64> {
        self.args.get(index).copied().filter(|&n| n != layout::UNKNOWN)
    }
}
