//! Numbers of processes and threads among the arguments and results of calls.
//!
//! They are numbers of the caller's own pid namespace, where all else in a recording tells tasks by the host's.

use std::fmt;

use afterimage_format::{Event, EventFlags};

use super::FdNames;
use crate::{
    syscalls::{self, ArgKind, ArgSpec},
    text::Safe,
};

/// Which task a number is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// The caller is in the host's pid namespace: the number is the host's.
    Host {
        /// Name of the process, where one is known with that id.
        process: Option<Safe>,
    },
    /// A process or a thread that is known.
    Task {
        /// Its process's id on the host.
        pid: u32,
        /// The thread's id on the host, where it is not the first of its process.
        thread: Option<u32>,
        /// Name of the process.
        process: Option<Safe>,
    },
    /// It is not known which.
    NotKnown,
}

/// What a number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process or a thread.
    Task,
    /// The process group that has the number of a process.
    Group,
    /// The session that has the number of a process.
    Session,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Group => "group",
            Self::Session => "session",
        }
    }
}

/// A number for a task in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    /// Name of the argument, or `result`.
    pub(super) name: &'static str,
    /// The number, above 0.
    pub(super) number: u32,
    pub(super) kind: Kind,
}

/// A number for a task in a call, and what it is on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNumber {
    /// Name of the argument, or `result`.
    pub name: &'static str,
    /// The number in the caller's pid namespace.
    pub number: u32,
    /// What it stands for.
    pub kind: Kind,
    /// Which task that is, or gave its number to the group or session.
    pub task: Named,
}

/// As it stands in lines: `7:pid 4711 sh`.
impl fmt::Display for TaskNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match label(self.kind, &self.task) {
            Some(label) => write!(f, "{}:{label}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

/// All numbers for tasks in a call: those of its arguments, then its result.
pub fn tasks(event: &Event<'_>, names: &dyn FdNames) -> Vec<TaskNumber> {
    let args = syscalls::signature(event.code).map_or(&[][..], |signature| signature.args);
    let args = (0..args.len()).filter_map(|at| argument(event, at));
    let all = args.chain(result(event));
    all.filter_map(|told| {
        let Number { name, number, kind } = told;
        Some(TaskNumber { name, number, kind, task: named(event, told, names)? })
    })
    .collect()
}

/// The number for a task in an argument; `None` where there is none, or one with a meaning of its own, as 0 and -1 have.
pub(super) fn argument(event: &Event<'_>, at: usize) -> Option<Number> {
    let spec = syscalls::signature(event.code)?.args.get(at)?;
    let kind = kind_of(event, spec)?;
    let value = *event.args.get(at)? as i32;
    // A group in the place of a process.
    let kind = if value < 0 { Kind::Group } else { kind };
    let is_special = matches!(value, 0 | -1);
    (!is_special).then_some(Number { name: spec.name, number: value.unsigned_abs(), kind })
}

fn kind_of(event: &Event<'_>, spec: &ArgSpec) -> Option<Kind> {
    // `PRIO_PROCESS` and `PRIO_PGRP`; the `IOPRIO_WHO_` and `P_` constants are one more.
    let which = |first: u64| match event.args.first()?.checked_sub(first)? {
        0 => Some(Kind::Task),
        1 => Some(Kind::Group),
        _ => None,
    };
    match (syscalls::base_name(event.code), spec.name) {
        ("getpriority" | "setpriority", "who") => which(0),
        ("ioprio_get" | "ioprio_set", "who") | ("waitid", "id") => which(1),
        (_, "pgid") if spec.kind == ArgKind::Pid => Some(Kind::Group),
        _ if spec.kind == ArgKind::Pid => Some(Kind::Task),
        _ => None,
    }
}

/// The number for a task that a call returned.
pub(super) fn result(event: &Event<'_>) -> Option<Number> {
    let is_call = event.code.as_syscall().is_some() && !event.flags.contains(EventFlags::SIGRETURN);
    if !is_call || event.flags.contains(EventFlags::DENIED) {
        return None;
    }
    let kind = match syscalls::base_name(event.code) {
        "fork" | "vfork" | "clone" | "clone3" | "getpid" | "gettid" | "getppid" | "set_tid_address"
        | "wait4" | "waitpid" => Kind::Task,
        "getpgid" | "getpgrp" => Kind::Group,
        "getsid" | "setsid" => Kind::Session,
        _ => return None,
    };
    let number = u32::try_from(event.ret).ok().filter(|number| *number > 0)?;
    Some(Number { name: "result", number, kind })
}

/// Which task a number of a call is; `None` where nobody can be asked.
pub(super) fn named(event: &Event<'_>, told: Number, names: &dyn FdNames) -> Option<Named> {
    let of = syscalls::signature(event.code)?.args.iter().position(|spec| spec.name == "tgid");
    let of = of.and_then(|at| argument(event, at)).map(|number| number.number);
    let found = names.task_named(event.task, told.number, of)?;
    // The caller itself needs no name to be known.
    let thread = match syscalls::base_name(event.code) {
        "getpid" => None,
        "gettid" | "set_tid_address" => Some(event.task.tid).filter(|tid| *tid != event.task.tgid),
        _ => return Some(found),
    };
    let is_own = found == Named::NotKnown && told.name == "result";
    Some(if is_own { Named::Task { pid: event.task.tgid, thread, process: None } } else { found })
}

/// What a number is, to stand behind it: `pid 4711 sh`. `None` where the number is the host's own.
pub(super) fn label(kind: Kind, task: &Named) -> Option<String> {
    let (prefix, none) = match kind {
        Kind::Task => ("", "pid not known"),
        Kind::Group => ("group of ", "group not known"),
        Kind::Session => ("session of ", "session not known"),
    };
    let name = |process: &Option<Safe>| process.as_ref().map_or(String::new(), |name| format!(" {name}"));
    match task {
        Named::Host { .. } => None,
        Named::Task { pid, thread: None, process } => Some(format!("{prefix}pid {pid}{}", name(process))),
        Named::Task { thread: Some(tid), process, .. } => Some(format!("{prefix}tid {tid}{}", name(process))),
        Named::NotKnown => Some(none.to_owned()),
    }
}
