//! One event in words: what it did, to what, with what result.
//!
//! Everything here is [`Safe`]: bytes of the trace come through `text`, own words are literals. Where the kernel's
//! own path is known it is shown; what the program claimed stands beside it where both disagree.

mod args;
mod command;
mod detail;
pub(crate) mod payload;
mod tasks;

use afterimage_format::{Event, EventCode, EventFlags, FieldTag, TaskKey, layout};

pub(crate) use args::descriptors;
pub use args::{args, is_used, meaning};
pub(crate) use command::Command;
pub use command::{arguments, command_line, quote_words};
pub use detail::detail;
pub use tasks::{Kind as TaskKind, Named, TaskNumber, tasks};

use crate::{
    symbols, syscalls,
    text::{self, Safe},
};

/// Tells what the numbers of a process were at the time of an event: descriptors, for texts like `4:tcp 127.0.0.1:4444`, and tasks,
/// for texts like `7:pid 4711 sh`.
pub trait FdNames {
    /// What `fd` of the task's process is open on; `None` where it is not known.
    fn fd_name(&self, task: TaskKey, fd: i32) -> Option<Safe>;

    /// The root directory of the task's process, where that is not the container's: its path, or that it is `not known`.
    fn root(&self, _task: TaskKey) -> Option<Safe> {
        None
    }

    /// Which process or thread the task means by a number of its pid namespace; a thread of the process that it calls `of`, where that
    /// is told. `None` where numbers cannot be told at all.
    fn task_named(&self, _task: TaskKey, _number: u32, _of: Option<u32>) -> Option<Named> {
        None
    }
}

/// The result: a number, an address, an error's name, an exit code or a signal; empty where there is none.
pub fn result(event: &Event<'_>) -> Safe {
    match event.code {
        EventCode::EXEC => Safe::literal("0"),
        EventCode::FORK => Safe::format(format_args!("{}", event.ret)),
        EventCode::EXIT => exit_status(event.ret),
        EventCode::URING_COMPLETE => call_result(event),
        _ if event.code.as_syscall().is_none() || event.flags.contains(EventFlags::SIGRETURN) => {
            Safe::default()
        }
        _ => call_result(event),
    }
}

fn call_result(event: &Event<'_>) -> Safe {
    if event.flags.contains(EventFlags::DENIED) {
        return Safe::literal("denied by seccomp");
    }
    if let Some(name) = symbols::errno(event.ret) {
        return Safe::literal(name);
    }
    let is_address = matches!(
        syscalls::base_name(event.code),
        "mmap" | "mmap2" | "mremap" | "brk" | "shmat" | "map_shadow_stack"
    );
    if is_address {
        return Safe::format(format_args!("{:#x}", event.ret));
    }
    Safe::format(format_args!("{}", event.ret))
}

/// How a process ended: `0`, `127`, `SIGKILL`. `ret` as [`layout::exit`] has it.
pub fn exit_status(ret: i64) -> Safe {
    match Some(ret.unsigned_abs()).filter(|_| ret < 0).and_then(symbols::signal) {
        Some(signal) => Safe::format(format_args!("{signal}")),
        None => Safe::format(format_args!("{ret}")),
    }
}

/// The first path of an event as it should be shown: the kernel's, else the claimed one; both where they differ.
pub fn path(event: &Event<'_>) -> Option<Safe> {
    let claimed = event.field(FieldTag::PATH);
    match (event.field(FieldTag::KPATH), claimed) {
        (Some(real), Some(claimed)) if event.flags.contains(EventFlags::DIFFERS) => Some(Safe::format(
            format_args!("{} (claimed {})", text::escape(real.bytes), text::escape(claimed.bytes)),
        )),
        (Some(real), _) => Some(text::escape(real.bytes)),
        (None, Some(claimed)) => Some(text::escape(claimed.bytes)),
        (None, None) => None,
    }
}

/// What is special about an executed image, in words: `upper layer`, `memfd`, `deleted`, `script`.
pub fn image_marks(flags: u64) -> Vec<&'static str> {
    [
        (layout::exec::EXE_UPPER_LAYER, "upper layer"),
        (layout::exec::EXE_MEMFD, "memfd"),
        (layout::exec::EXE_UNLINKED, "deleted"),
        (layout::exec::EXE_SCRIPT, "script"),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, word)| word)
    .collect()
}

#[cfg(test)]
mod tests;
