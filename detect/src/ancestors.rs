//! What is asked of other processes than the event's own: they may be the host's, which no event of a container tells of.

use crate::program::Node;

/// Fields that tell of a parent, an ancestor, or the leader of a session or group.
const FIELDS: [&str; 24] = [
    "proc.aargs",
    "proc.acmdline",
    "proc.aenv",
    "proc.aexe",
    "proc.aexepath",
    "proc.aname",
    "proc.apid",
    "proc.loginshellid",
    "proc.pcmdline",
    "proc.pexe",
    "proc.pexepath",
    "proc.pgid.exe",
    "proc.pgid.exepath",
    "proc.pgid.name",
    "proc.pname",
    "proc.ppid",
    "proc.ppid.duration",
    "proc.ppid.ts",
    "proc.pvpid",
    "proc.sid",
    "proc.sid.exe",
    "proc.sid.exepath",
    "proc.sname",
    "proc.pgid",
];

pub(crate) fn is_of_ancestors(field: &str) -> bool {
    FIELDS.contains(&field)
}

/// Whether a filter asks for such a field, or for events within or under others.
pub(crate) fn asks_ancestors(node: &Node) -> bool {
    node.asks(is_of_ancestors) || node.any(&|node| matches!(node, Node::Within(..)))
}

#[cfg(test)]
mod tests {
    use crate::Filter;

    #[test]
    fn ancestors_are_asked_by_fields_and_by_scopes() {
        for name in super::FIELDS {
            assert!(crate::lookup(name).is_some(), "{name}");
        }
        let asks = |text: &str| Filter::parse(text).expect(text).asks_ancestors();
        assert!(asks("evt.type = open and proc.aname = sshd") && asks("proc.pname = sh"));
        assert!(asks("not within proc.name = sh") && asks("under proc.name = sh"));
        assert!(!asks("proc.name = sh and proc.args contains x") && !asks("fd.name = /x"));
    }
}
