//! What a filter asks of nothing but who an event's process is: where it is the wrong one, so it is for all its events until
//! it executes something else or takes another name ([`crate::Sieve`]).

use crate::{context::EventContext, program::Node, term::Source};

/// Fields that a process's name and its last execution decide.
const OWN: [&str; 9] = [
    "proc.args",
    "proc.cmdlenargs",
    "proc.cmdline",
    "proc.cmdnargs",
    "proc.exe",
    "proc.exeline",
    "proc.exe_sha256",
    "proc.exepath",
    "proc.name",
];

/// Fields that nothing but processes and their ancestors decides: not the event, its time or its thread.
const OTHERS: [&str; 33] = [
    "proc.aargs",
    "proc.acmdline",
    "proc.aexe",
    "proc.aexepath",
    "proc.aname",
    "proc.apid",
    "proc.exe_ino",
    "proc.exe_ino.ctime",
    "proc.exe_ino.mtime",
    "proc.is_exe_from_memfd",
    "proc.is_exe_lower_layer",
    "proc.is_exe_upper_layer",
    "proc.is_exe_writable",
    "proc.is_pgid_leader",
    "proc.is_sid_leader",
    "proc.is_vpgid_leader",
    "proc.loginshellid",
    "proc.pcmdline",
    "proc.pexe",
    "proc.pexepath",
    "proc.pgid",
    "proc.pid.ts",
    "proc.pname",
    "proc.ppid",
    "proc.pvpid",
    "proc.sid",
    "proc.sname",
    "proc.start",
    "proc.tty",
    "proc.vpid",
    "group.gid",
    "user.loginuid",
    "user.uid",
];

/// Families of fields that descriptors tell nothing of.
const FAMILIES: [&str; 7] =
    ["proc.", "thread.", "container.", "k8s.", "evt.time", "evt.rawtime", "evt.latency"];
/// Single ones.
const SINGLE: [&str; 14] = [
    "evt.cpu",
    "evt.datetime",
    "evt.dir",
    "evt.failed",
    "evt.num",
    "evt.rawarg",
    "evt.rawres",
    "evt.res",
    "evt.type",
    "evt.type.is",
    "group.gid",
    "syscall.type",
    "user.loginuid",
    "user.uid",
];
/// Fields of these families that descriptors tell something of: `fchdir` goes where a descriptor is open.
const BY_DESCRIPTORS: [&str; 8] = [
    "proc.cwd",
    "proc.fdopencount",
    "proc.stdin.type",
    "proc.stdout.type",
    "proc.stderr.type",
    "proc.stdin.name",
    "proc.stdout.name",
    "proc.stderr.name",
];

/// Whether descriptors tell a filter nothing.
pub(crate) fn asks_processes_only(node: &Node) -> bool {
    let is_other = |name: &str| {
        let is_of_family = FAMILIES.iter().any(|family| name.starts_with(family));
        !(is_of_family || SINGLE.contains(&name)) || BY_DESCRIPTORS.contains(&name)
    };
    // A word is looked for in the whole row, which names descriptors.
    !node.any(&|node| matches!(node, Node::Text(_))) && !node.asks(is_other)
}

/// The parts of a filter that must all hold and ask only that.
#[derive(Debug)]
pub struct OfProcess<'f> {
    parts: Vec<&'f Node>,
}

impl<'f> OfProcess<'f> {
    pub(crate) fn new(node: &'f Node) -> Self {
        let mut this = Self { parts: Vec::new() };
        this.collect(node);
        this
    }

    fn collect(&mut self, node: &'f Node) {
        match node {
            Node::And(nodes) => nodes.iter().for_each(|node| self.collect(node)),
            node if asks_process(node) == Some(Asks::Own) => self.parts.push(node),
            _ => {}
        }
    }

    /// Whether the filter does not hold, here and at the process's next events.
    pub fn fails(&self, cx: &EventContext<'_>) -> bool {
        self.parts.iter().any(|node| !node.holds(cx))
    }
}

/// What of processes is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asks {
    /// The name and the last execution of the event's process.
    Own,
    /// Also other things of it, or other processes.
    Others,
}

/// What of processes a part asks; `None` where it asks for anything else.
pub(crate) fn asks_process(node: &Node) -> Option<Asks> {
    let of = |source: &Source| {
        let mut all = Vec::new();
        source.each_field(&mut |field| all.push(field.def().name));
        let asks = |name: &str| match () {
            () if OWN.contains(&name) => Some(Asks::Own),
            () if OTHERS.contains(&name) => Some(Asks::Others),
            () => None,
        };
        all.into_iter().map(asks).reduce(most)?
    };
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(asks_process).reduce(most)?,
        Node::Not(node) => asks_process(node),
        Node::Within(_, node) => asks_process(node).map(|_| Asks::Others),
        Node::Check(check) => of(&check.source),
        Node::Exists(source) => of(source),
        _ => None,
    }
}

fn most(one: Option<Asks>, other: Option<Asks>) -> Option<Asks> {
    one.zip(other).map(|(one, other)| one.max(other))
}

#[cfg(test)]
mod tests {
    use crate::Filter;

    #[test]
    fn only_what_must_hold_and_asks_nothing_else_counts() {
        let parts = |text: &str| Filter::parse(text).expect("a filter").of_process().parts.len();
        assert_eq!(parts("proc.name = nginx and fd.name startswith /etc"), 1);
        assert_eq!(parts("(proc.name = sh or not proc.exe contains x) and proc.cmdline exists"), 2);
        assert_eq!(parts("proc.name = nginx or fd.name startswith /etc"), 0);
        assert_eq!(parts("proc.pname = sh and within proc.name = sh"), 0);
        assert_eq!(parts("(proc.name = sh or proc.cwd = /) and evt.type = read"), 0);
    }

    #[test]
    fn the_fields_are_in_the_table() {
        let all = super::OWN.iter().chain(&super::OTHERS).chain(&super::SINGLE).chain(&super::BY_DESCRIPTORS);
        assert!(all.into_iter().all(|name| crate::lookup(name).is_some()));
    }

    #[test]
    fn who_asks_only_processes_is_known() {
        let only = |text: &str| Filter::parse(text).expect("a filter").asks_processes_only();
        assert!(only("proc.name = nginx and evt.type = openat"));
        assert!(only("(proc.aname[2] = sh or not user.uid = 0) and within proc.exepath exists"));
        assert!(!only("proc.name = nginx and fd.name startswith /etc"));
        assert!(only("near(proc.name = sh, 1s)") && !only("near(fd.num = 3, 1s)"));
        assert!(!only("proc.cwd = /srv/"));
        assert!(!only("user.name = root"), "which is learnt by reads");
        assert!(!only("proc.name = nginx and shadow"));
    }
}
