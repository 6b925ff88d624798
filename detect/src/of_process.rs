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
            node if asks_process(node) => self.parts.push(node),
            _ => {}
        }
    }

    /// Whether the filter does not hold, here and at the process's next events.
    pub fn fails(&self, cx: &EventContext<'_>) -> bool {
        self.parts.iter().any(|node| !node.holds(cx))
    }
}

fn asks_process(node: &Node) -> bool {
    let is_own = |source: &Source| {
        let (mut any, mut all) = (false, true);
        source.each_field(&mut |field| {
            any = true;
            all &= OWN.contains(&field.def().name);
        });
        any && all
    };
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().all(asks_process),
        Node::Not(node) => asks_process(node),
        Node::Check(check) => is_own(&check.source),
        Node::Exists(source) => is_own(source),
        _ => false,
    }
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
        assert!(super::OWN.iter().all(|name| crate::lookup(name).is_some()));
    }
}
