//! Names of events.

use std::borrow::Cow;

use afterimage_format::EventCode;

/// Events that are no system calls, by the names that lists and filters use.
static OTHERS: &[(EventCode, &str)] = &[
    (EventCode::FORK, "fork"),
    (EventCode::EXEC, "exec"),
    (EventCode::EXIT, "exit"),
    (EventCode::CGROUP_MKDIR, "cgroup_mkdir"),
    (EventCode::CGROUP_RMDIR, "cgroup_rmdir"),
    (EventCode::CGROUP_ATTACH, "cgroup_attach"),
    (EventCode::PROCESS, "process"),
    (EventCode::OPEN_FD, "open_fd"),
    (EventCode::IN_CALL, "in_call"),
    (EventCode::ARTIFACT, "artifact"),
    (EventCode::URING_SUBMIT, "uring_submit"),
    (EventCode::URING_COMPLETE, "uring_complete"),
];

/// The name of any event: a system call's, `exec`, `exit`, `process`, or `event_8fff` for one of a later version.
pub fn event_name(code: EventCode) -> Cow<'static, str> {
    if code.as_syscall().is_some() {
        return crate::syscalls::name(code);
    }
    match OTHERS.iter().find(|(c, _)| *c == code) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("event_{:x}", code.0)),
    }
}

/// The codes that a name may mean: the event's own and every ABI's system call of that name.
pub fn event_codes(name: &str) -> Vec<EventCode> {
    let others = OTHERS.iter().filter(|(_, n)| *n == name).map(|(c, _)| *c);
    others.chain(crate::syscalls::codes_by_name(name).iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_has_a_name_and_later_ones_show_their_code() {
        for (code, name) in OTHERS {
            assert_eq!(event_name(*code), *name);
            assert!(event_codes(name).contains(code));
        }
        assert_eq!(event_name(EventCode(0x8fff)), "event_8fff");
        assert_eq!(event_name(EventCode(0)), "read");
        // Both the task's creation and the call that asked for it.
        assert_eq!(event_codes("fork").len(), 4);
    }
}
