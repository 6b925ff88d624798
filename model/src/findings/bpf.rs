//! eBPF programs that are loaded, and objects of others that are opened by their numbers and changed: how those who may do
//! anything blind who looks at them.

use std::collections::HashSet;

use afterimage_format::{BootNanos, FieldTag};

use super::{MOST_REMEMBERED, Severity, act::Act};
use crate::{fds::FdKind, symbols};

/// Where a command has the descriptor of what it changes, in bytes from the beginning of its attributes.
fn changed_at(command: &str) -> Option<usize> {
    Some(match command {
        "BPF_MAP_UPDATE_ELEM"
        | "BPF_MAP_DELETE_ELEM"
        | "BPF_MAP_LOOKUP_AND_DELETE_ELEM"
        | "BPF_MAP_FREEZE"
        | "BPF_LINK_UPDATE"
        | "BPF_LINK_DETACH" => 0,
        "BPF_MAP_LOOKUP_AND_DELETE_BATCH" | "BPF_MAP_UPDATE_BATCH" | "BPF_MAP_DELETE_BATCH" => 36,
        _ => return None,
    })
}

/// What a call of `bpf` tells. Descriptors that came from a number go to `numbered`, by when they were opened: whether the caller had
/// made the object itself is not known.
pub(super) fn look(
    act: &Act<'_>,
    numbered: &mut HashSet<BootNanos>,
) -> Option<(Severity, &'static str, &'static str, String)> {
    let command = symbols::BPF.name_of(act.arg(0))?;
    let what = command.to_owned();
    match command {
        "BPF_PROG_LOAD" => Some((Severity::Critical, "eBPF program loaded", "T1014", what)),
        "BPF_MAP_GET_FD_BY_ID" | "BPF_PROG_GET_FD_BY_ID" | "BPF_LINK_GET_FD_BY_ID" => {
            if act.succeeded() && numbered.len() < MOST_REMEMBERED {
                numbered.insert(act.event.time);
            }
            Some((Severity::Warning, "eBPF object opened by its number", "T1562.001", what))
        }
        _ => {
            let at = changed_at(command)?;
            let bytes = act.event.bytes(FieldTag::DATA)?.get(at..at + 4)?;
            let fd = act.fd(i32::from_le_bytes(bytes.try_into().ok()?))?;
            let is_of_others = fd.kind == FdKind::Bpf && numbered.contains(&fd.opened);
            let title = "eBPF object changed that was opened by its number";
            is_of_others.then_some((Severity::Critical, title, "T1562.001", what))
        }
    }
}
