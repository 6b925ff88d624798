//! What of a row decides a part of a filter.

use afterimage_format::{Event, EventCode, FieldTag, Wanted};

use crate::{fields::FieldRef, prefilter::of_container, program::Node, shape, term::Source};

/// What of a row decides a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing: it is the same for all rows of a block.
    Block,
    /// The code.
    Code,
    /// The code and the result.
    Result,
    Task,
    Time,
    Cpu,
    /// Code, result and numbers.
    Fd,
    /// Code, whether it failed, and the event's paths; not for all rows.
    Paths(Names),
    /// These and the numbers, of opens: whether a directory was asked for.
    Opened,
}

/// Which rows have their path in the event itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// `fd.name` and its like: of opens by absolute paths, and of events without a descriptor.
    Descriptor,
    /// `fs.path.*` made absolute: absolute ones.
    Absolute,
    /// As given: all.
    Given,
}

/// Fields that the code decides.
const OF_CODE: [&str; 14] = [
    "evt.type",
    "syscall.type",
    "evt.type.is",
    "evt.dir",
    "evt.source",
    "evt.is_async",
    "evt.hostname",
    "evt.count",
    "evt.count.exit",
    "evt.is_io",
    "evt.is_io_read",
    "evt.is_io_write",
    "evt.io_dir",
    "evt.is_wait",
];
/// Fields that code and result decide.
const OF_RESULT: [&str; 7] = [
    "evt.res",
    "evt.rawres",
    "evt.failed",
    "evt.count.error",
    "evt.buflen",
    "evt.buflen.in",
    "evt.buflen.out",
];
/// Fields that the thread's ids decide.
const OF_TASK: [&str; 3] = ["thread.tid", "thread.ismain", "proc.pid"];
/// Fields that the time decides.
const OF_TIME: [&str; 11] = [
    "evt.time",
    "evt.time.s",
    "evt.time.iso8601",
    "evt.datetime",
    "evt.datetime.s",
    "evt.rawtime",
    "evt.rawtime.s",
    "evt.rawtime.ns",
    "evt.reltime",
    "evt.reltime.s",
    "evt.reltime.ns",
];

impl Key {
    /// What decides a part; `None` where columns do not.
    pub(super) fn of(node: &Node) -> Option<Self> {
        match node {
            Node::Const(_) | Node::Life(..) => Some(Self::Block),
            Node::Codes(_) => Some(Self::Code),
            Node::Time(_) | Node::Around { .. } => Some(Self::Time),
            Node::Check(check) => Self::of_source(&check.source),
            Node::Exists(source) => Self::of_source(source),
            _ => None,
        }
    }

    fn of_source(source: &Source) -> Option<Self> {
        if of_container(source) {
            return Some(Self::Block);
        }
        let mut keys = Vec::new();
        source.each_field(&mut |field| keys.push(Self::of_field(field)));
        let first = (*keys.first()?)?;
        keys.iter().all(|key| *key == Some(first)).then_some(first)
    }

    fn of_field(field: &FieldRef) -> Option<Self> {
        let name = field.def().name;
        Some(match name {
            _ if OF_CODE.contains(&name) => Self::Code,
            _ if OF_RESULT.contains(&name) => Self::Result,
            _ if OF_TASK.contains(&name) => Self::Task,
            _ if OF_TIME.contains(&name) => Self::Time,
            "evt.cpu" => Self::Cpu,
            "fd.num" => Self::Fd,
            "fd.name" | "fd.nameraw" | "fd.filename" => Self::Paths(Names::Descriptor),
            "fd.directory" | "fd.typechar" => Self::Opened,
            "fs.path.name" | "fs.path.source" | "fs.path.target" => Self::Paths(Names::Absolute),
            "fs.path.nameraw" | "fs.path.sourceraw" | "fs.path.targetraw" => Self::Paths(Names::Given),
            _ => return None,
        })
    }

    /// Whether it is a number that each row has.
    pub(super) fn is_plain(self) -> bool {
        !matches!(self, Self::Fd | Self::Paths(_) | Self::Opened)
    }

    pub(super) fn wanted(self) -> Wanted {
        match self {
            Self::Block | Self::Code => Wanted::default(),
            Self::Task => Wanted::THREADS,
            Self::Result => Wanted::RESULTS,
            Self::Time => Wanted::TIMES,
            Self::Cpu => Wanted::CPUS,
            Self::Fd => Wanted::RESULTS.with(Wanted::NUMBERS),
            Self::Paths(_) => Wanted::FIELDS,
            Self::Opened => Wanted::FIELDS.with(Wanted::NUMBERS),
        }
    }

    /// What it costs for a row, as an order.
    pub(super) fn cost(self) -> u8 {
        match self {
            Self::Block => 0,
            Self::Task => 1,
            Self::Code => 2,
            Self::Cpu => 3,
            Self::Result => 4,
            Self::Fd => 5,
            Self::Time => 6,
            Self::Paths(_) => 7,
            Self::Opened => 8,
        }
    }
}

impl Names {
    /// Whether the event itself says what the path is.
    pub(super) fn is_decided(self, event: &Event<'_>) -> bool {
        let absolute = |tag| event.bytes(tag).is_none_or(|path| path.first() == Some(&b'/'));
        match self {
            Self::Given => true,
            Self::Absolute => event.ret < 0 || absolute(FieldTag::PATH) && absolute(FieldTag::PATH2),
            Self::Descriptor => {
                let shape = shape::of(event.code);
                if !shape.has_fd() && event.code != EventCode::OPEN_FD {
                    return true;
                }
                let known = event.ret < 0 || event.bytes(FieldTag::KPATH).is_some();
                shape.opens && shape.makes_fd && known && absolute(FieldTag::PATH)
            }
        }
    }
}

/// Whether the numbers of an open say that what it opens is, for all that is known, a file and no directory.
pub(super) fn is_plain(code: EventCode, numbers: &[u64]) -> bool {
    const O_DIRECTORY: u64 = 0o200_000;
    let flags = match shape::of(code).name {
        "open" => numbers.get(1),
        "openat" => numbers.get(2),
        _ => None,
    };
    flags.is_some_and(|flags| flags & O_DIRECTORY == 0)
}

/// Whether an event says what [`Key::Opened`] asks.
pub(super) fn is_opened(event: &Event<'_>) -> bool {
    is_plain(event.code, event.args)
        && event.bytes(FieldTag::PATH).is_some()
        && Names::Descriptor.is_decided(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_in_the_table() {
        for name in OF_CODE.iter().chain(&OF_RESULT).chain(&OF_TASK).chain(&OF_TIME) {
            assert!(crate::fields::fields().any(|def| def.name == *name), "{name}");
        }
    }
}
