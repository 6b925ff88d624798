//! The fields a filter can ask for.

/// First parts of field names.
const FAMILIES: [&str; 10] =
    ["evt", "syscall", "proc", "thread", "fd", "fs", "user", "group", "container", "k8s"];

/// Whether a dotted name begins like a field.
pub(crate) fn in_family(name: &str) -> bool {
    name.split_once('.').is_some_and(|(family, _)| FAMILIES.contains(&family))
}
