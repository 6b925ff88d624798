//! Classes of events, for timelines.

use crate::Event;

/// What an event is about; each event has exactly one. The rows of every timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Programs executed, processes made and ended.
    Exec = 0,
    /// Files opened, read, looked at.
    File = 1,
    /// Files created, written, renamed, deleted, made executable.
    FileWrite = 2,
    /// Sockets.
    Net = 3,
    /// DNS: traffic with port 53.
    Dns = 4,
    /// Credentials, capabilities, namespaces, mounts, modules, ptrace, bpf.
    Priv = 5,
    /// Memory mapping and protection.
    Mem = 6,
    /// Signals and other inter-process communication.
    Signal = 7,
    /// Everything else.
    Other = 8,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 9;
    /// All classes, in order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Exec,
        Self::File,
        Self::FileWrite,
        Self::Net,
        Self::Dns,
        Self::Priv,
        Self::Mem,
        Self::Signal,
        Self::Other,
    ];

    /// Its short name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::File => "file",
            Self::FileWrite => "write",
            Self::Net => "net",
            Self::Dns => "dns",
            Self::Priv => "priv",
            Self::Mem => "mem",
            Self::Signal => "signal",
            Self::Other => "other",
        }
    }
}

/// Tells an event's class; `afterimage-model` has the one that the recorder uses.
pub type Classify = fn(&Event<'_>) -> Class;
