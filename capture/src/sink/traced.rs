//! Calls whose numbers a tracer took away.
//!
//! The kernel hides the number of a return from a signal handler: it says -1. A tracer that has a call skipped puts the
//! same -1 in the place of its number. Which of both it is cannot be told: where anything of a container traces, such a
//! call is an unknown one.

use std::collections::HashSet;

use afterimage_format::{ContainerUid, Event, EventCode, EventFlags};
use afterimage_model::syscalls::{NO_NUMBER, NO_SUCH_CALL};

/// `ptrace` of x86-64, i386 and x32.
const PTRACE: [EventCode; 3] = [EventCode(101), EventCode(0x1000 + 26), EventCode(0x2000 + 521)];
/// Requests by which a process becomes traced: `PTRACE_TRACEME`, `PTRACE_ATTACH`, `PTRACE_SEIZE`.
const BEGINS: [u64; 3] = [0, 16, 0x4206];

/// The containers in which something was traced.
#[derive(Debug, Default)]
pub(super) struct Traced(HashSet<ContainerUid, foldhash::fast::RandomState>);

impl Traced {
    /// Takes in an event of a container; the host's are what they seem.
    pub(super) fn apply(&mut self, uid: ContainerUid, event: &mut Event<'_>) {
        if uid == ContainerUid::HOST {
            return;
        }
        if event.flags.contains(EventFlags::SIGRETURN) && self.0.contains(&uid) {
            event.code = NO_SUCH_CALL;
            event.flags.0 &= !EventFlags::SIGRETURN.0;
            event.args = &[NO_NUMBER];
        } else if PTRACE.contains(&event.code) && event.ret >= 0 && begins(event) {
            self.0.insert(uid);
        }
    }

    /// Forgets a container.
    pub(super) fn forget(&mut self, uid: ContainerUid) {
        self.0.remove(&uid);
    }
}

fn begins(event: &Event<'_>) -> bool {
    event.args.first().is_some_and(|request| BEGINS.contains(request))
}

#[cfg(test)]
mod tests {
    use afterimage_format::{BootNanos, TaskKey};
    use afterimage_model::{describe, syscalls};

    use super::*;

    const BOX: ContainerUid = ContainerUid(7);

    fn call<'a>(code: EventCode, flags: EventFlags, args: &'a [u64]) -> Event<'a> {
        let (time, task) = (BootNanos(1), TaskKey::default());
        Event { time, duration: None, task, code, flags, cpu: 0, ret: 0, args, fields: &[] }
    }

    /// What is made of a call without a number, after a request of `ptrace` in a container.
    fn after(uid: ContainerUid, request: u64) -> (String, String) {
        let mut traced = Traced::default();
        traced.apply(uid, &mut call(PTRACE[0], EventFlags::default(), &[request, 0, 0, 0]));
        let mut event = call(EventCode(15), EventFlags::SIGRETURN, &[]);
        traced.apply(BOX, &mut event);
        (syscalls::name(event.code).into_owned(), describe::detail(&event, None).into_string())
    }

    #[test]
    fn what_a_tracer_may_have_skipped_is_no_return_from_a_handler() {
        for request in BEGINS {
            let (name, detail) = after(BOX, request);
            assert_eq!(name, "syscall_4095");
            assert_eq!(detail, "without a number: skipped by a tracer, or a return from a signal handler");
        }
        // Nothing begins to trace in the container.
        assert_eq!(after(BOX, 7).0, "rt_sigreturn");
        assert_eq!(after(ContainerUid(8), 0).0, "rt_sigreturn");
        assert_eq!(after(ContainerUid::HOST, 0).0, "rt_sigreturn");
    }

    #[test]
    fn the_codes_are_those_of_ptrace() {
        assert_eq!(syscalls::codes_by_name("ptrace"), PTRACE);
    }
}
