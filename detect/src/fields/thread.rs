//! `thread.*`: the thread of the event.

use afterimage_model::symbols;

use super::{FieldArg, family};
use crate::{context::EventContext, value::Value};

family! {
    /// Threads.
    Thread as Thread {
        Tid = "thread.tid", Number, One, Never: "Thread id, initial namespace.";
        Vtid = "thread.vtid", Number, One, Never:
            "Thread id in its own namespace; known for the leader of a process only.";
        Ismain = "thread.ismain", Bool, One, Never: "Whether it is the leader of its process.";
        Nametid = "thread.nametid", Text, One, Never: "Name and thread id, one after the other.";
        CapPermitted = "thread.cap_permitted", Text, One, Never: "Permitted capabilities, with a blank between.";
        CapInheritable = "thread.cap_inheritable", Text, One, Never: "Inheritable capabilities, with a blank between.";
        CapEffective = "thread.cap_effective", Text, One, Never: "Effective capabilities, with a blank between.";
        Cgroups = "thread.cgroups", Text, One, Never: "The path of the container's cgroup.";
        Cgroup = "thread.cgroup", Text, One, MustName: "The path of the container's cgroup, of whichever controller that there is.";
    }
}

pub(super) fn get<'c>(field: Thread, arg: &FieldArg, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let task = cx.task();
    let process = || cx.process();
    let caps = |set: usize| process()?.caps[set].map(|bits| Value::made(capabilities(bits)));
    Some(match field {
        Thread::Tid => Value::number(task.tid),
        Thread::Ismain => Value::Bool(task.tid == task.tgid),
        Thread::Vtid if task.tid == task.tgid => Value::number(process()?.vpid?),
        Thread::Vtid => return None,
        Thread::Nametid => {
            let mut name = process()?.comm?.to_vec();
            name.extend_from_slice(task.tid.to_string().as_bytes());
            Value::made(name)
        }
        Thread::CapInheritable => caps(0)?,
        Thread::CapPermitted => caps(1)?,
        Thread::CapEffective => caps(2)?,
        Thread::Cgroup if !is_controller(arg) => return None,
        Thread::Cgroups | Thread::Cgroup => Value::text(&cx.record()?.cgroup_path),
    })
}

/// The kernel's cgroup controllers, of both versions.
const CONTROLLERS: [&str; 15] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "io",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

fn is_controller(arg: &FieldArg) -> bool {
    matches!(arg, FieldArg::Key(name) if CONTROLLERS.iter().any(|known| known.as_bytes() == &**name))
}

/// Names of a capability set, as Falco joins them; empty for none.
fn capabilities(bits: u64) -> String {
    if bits == 0 { String::new() } else { symbols::capabilities(bits).replace('|', " ") }
}
