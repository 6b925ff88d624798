//! The runtime's set-up phase: what a container's tasks do before they are the payload.
//!
//! A process that came into a container from outside is in set-up until it executes a program that is not the runtime
//! itself; what payload processes fork is payload. So a second process from outside (`docker exec`) passes through the
//! same phase. Where the runtime's own exec was seen, an exec in another mount namespace than the runtime's is the
//! payload's, whatever it is called; else the program's name has to tell.

use std::collections::HashMap;

use afterimage_format::{BootNanos, ContainerUid, Event, EventCode, FieldTag, layout};
use foldhash::fast::RandomState;

/// Runtimes that execute themselves again inside the container's cgroup.
const RUNTIMES: [&[u8]; 9] = [
    b"runc",
    b"crun",
    b"youki",
    b"runsc",
    b"kata-runtime",
    b"conmon",
    b"conmonrs",
    b"lxc-start",
    b"crio-lxc",
];

/// Most processes remembered; a fork bomb cannot grow the recorder.
const MOST: usize = 1 << 20;

/// Who is payload, of the living processes.
#[derive(Debug, Default)]
pub struct Phases {
    payload: HashMap<u32, ContainerUid, RandomState>,
    /// Containers whose payload ran when an earlier recorder ended: who is older than that is payload.
    taken_over: HashMap<ContainerUid, BootNanos, RandomState>,
}

impl Phases {
    /// Takes an event of `container` into account and tells whether its process is still in set-up *after* it.
    /// `runtime` is the mount namespace of the runtime that made the process, where that is known.
    pub fn apply(&mut self, container: ContainerUid, event: &Event<'_>, runtime: Option<u64>) -> bool {
        let tgid = event.task.tgid;
        let ends = event.code == EventCode::EXIT && event.number(layout::exit::GROUP_DEAD) != Some(0);
        if container == ContainerUid::HOST {
            if ends {
                self.payload.remove(&tgid);
            }
            return false;
        }
        if let Some(end) = self.taken_over.get(&container)
            && event.task.start <= *end
            && !self.payload.contains_key(&tgid)
        {
            self.is_payload(tgid, container);
        }
        match event.code {
            EventCode::FORK => {
                if let Some(child) = event.number(layout::fork::CHILD_TGID)
                    && self.payload.get(&tgid) == Some(&container)
                {
                    self.is_payload(child as u32, container);
                }
            }
            EventCode::EXEC => {
                let namespace = event.number(layout::exec::NS_MNT);
                let apart = runtime.is_some() && namespace.is_some() && namespace != runtime;
                if apart || !is_runtime(event) {
                    self.is_payload(tgid, container);
                }
            }
            EventCode::PROCESS => self.is_payload(tgid, container),
            _ if ends => return self.payload.remove(&tgid) != Some(container),
            _ => {}
        }
        self.payload.get(&tgid) != Some(&container)
    }

    /// A container's payload ran already when an earlier recorder ended.
    pub fn taken_over(&mut self, container: ContainerUid, end: BootNanos) {
        self.taken_over.insert(container, end);
    }

    /// A process that makes no containers acts in `container`: who is payload of the one around it has nothing to set up in there, and
    /// may only have made a cgroup with such a name to be taken for set-up.
    pub fn enters(&mut self, container: ContainerUid, tgid: u32) {
        if container != ContainerUid::HOST
            && let Some(known) = self.payload.get_mut(&tgid)
        {
            *known = container;
        }
    }

    /// The container that a process is payload of.
    pub fn container(&self, tgid: u32) -> Option<ContainerUid> {
        self.payload.get(&tgid).copied()
    }

    /// A process is payload of `container` from now on.
    pub fn is_payload(&mut self, tgid: u32, container: ContainerUid) {
        if self.payload.len() < MOST {
            self.payload.insert(tgid, container);
        }
    }
}

/// Whether an exec is a runtime starting itself once more.
pub fn is_runtime(event: &Event<'_>) -> bool {
    fn basename(path: &[u8]) -> &[u8] {
        path.rsplit(|&b| b == b'/').next().unwrap_or(&[])
    }
    let argv0 = event.bytes(FieldTag::ARGV).and_then(|argv| argv.split(|&b| b == 0).next()).map(basename);
    let filename = event.bytes(FieldTag::FILENAME).unwrap_or_default();
    let exe = event.bytes(FieldTag::KPATH).unwrap_or_default();
    let itself = filename == b"/proc/self/exe"
        || filename.starts_with(b"/dev/fd/")
        || filename.starts_with(b"/proc/self/fd/")
        || filename.starts_with(b"/proc/") && filename.ends_with(b"/exe")
        || exe.starts_with(b"memfd:")
        || RUNTIMES.contains(&basename(exe));
    // Only the runtime's own names count: a payload that runs from a memfd is no runtime.
    itself && argv0.is_some_and(|name| RUNTIMES.contains(&name) || name == b"exe")
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{EventFlags, Field, FieldFlags, TaskKey};

    const BOX: ContainerUid = ContainerUid(1);

    fn apply(
        phases: &mut Phases,
        code: EventCode,
        tid: u32,
        args: &[u64],
        texts: &[(FieldTag, &[u8])],
    ) -> bool {
        let fields: Vec<Field<'_>> = texts
            .iter()
            .map(|(tag, bytes)| Field {
                tag: *tag,
                flags: FieldFlags::default(),
                full_len: bytes.len() as u32,
                bytes,
            })
            .collect();
        let event = Event {
            time: BootNanos(1),
            duration: None,
            task: TaskKey { tgid: tid, tid, start: BootNanos(1) },
            code,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args,
            fields: &fields,
        };
        phases.apply(BOX, &event, None)
    }

    #[test]
    fn who_ran_when_an_earlier_recorder_ended_is_payload_and_who_came_later_is_not() {
        let write = EventCode(1);
        let mut phases = Phases::default();
        // Tasks of this test start at 1.
        phases.taken_over(BOX, BootNanos(0));
        assert!(apply(&mut phases, write, 7, &[], &[]));
        phases.taken_over(BOX, BootNanos(1));
        assert!(!apply(&mut phases, write, 7, &[], &[]));
    }

    #[test]
    fn payload_begins_at_the_exec_that_is_not_the_runtime() {
        let mut phases = Phases::default();
        let write = EventCode(1);
        assert!(apply(&mut phases, write, 7, &[], &[]));
        let runc: &[(FieldTag, &[u8])] = &[
            (FieldTag::ARGV, b"runc\0init\0"),
            (FieldTag::FILENAME, b"/proc/self/exe"),
            (FieldTag::KPATH, b"/usr/sbin/runc"),
        ];
        assert!(apply(&mut phases, EventCode::EXEC, 7, &[], runc));
        let sh: &[(FieldTag, &[u8])] = &[(FieldTag::ARGV, b"sh\0"), (FieldTag::KPATH, b"/bin/sh")];
        assert!(!apply(&mut phases, EventCode::EXEC, 7, &[], sh));
        assert!(!apply(&mut phases, EventCode::FORK, 7, &[8, 8], &[]));
        assert!(!apply(&mut phases, write, 8, &[], &[]));
        assert!(!apply(&mut phases, EventCode::EXIT, 8, &[0, 1], &[]));
        assert!(apply(&mut phases, write, 9, &[], &[]), "a second task from outside is in set-up again");
    }

    #[test]
    fn payload_that_enters_a_container_within_its_own_is_payload_there_too() {
        let inner = ContainerUid(2);
        let mut phases = Phases::default();
        phases.enters(inner, 7);
        assert_eq!(phases.container(7), None, "from outside: a runtime's process that is in set-up");
        apply(&mut phases, EventCode::EXEC, 7, &[], &[(FieldTag::ARGV, b"sh\0")]);
        phases.enters(ContainerUid::HOST, 7);
        assert_eq!(phases.container(7), Some(BOX));
        phases.enters(inner, 7);
        assert_eq!(phases.container(7), Some(inner));
        // What it executes from here on is the inner one's.
        assert!(apply(&mut phases, EventCode(1), 7, &[], &[]), "not payload of the outer one");
    }

    #[test]
    fn a_thread_that_ends_leaves_its_process_as_it_was() {
        let mut phases = Phases::default();
        apply(&mut phases, EventCode::EXEC, 7, &[], &[(FieldTag::ARGV, b"sh\0")]);
        assert!(!apply(&mut phases, EventCode::EXIT, 7, &[0, 0], &[]));
        assert!(!apply(&mut phases, EventCode(1), 7, &[], &[]));
        assert!(!apply(&mut phases, EventCode::EXIT, 7, &[0, 1], &[]));
        assert!(apply(&mut phases, EventCode(1), 7, &[], &[]), "the number is free again");
    }

    #[test]
    fn another_mount_namespace_than_the_runtimes_is_the_payload_whatever_it_is_called() {
        // CVE-2019-5736: an image whose entry point is `/proc/self/exe` executes the runtime itself.
        let texts: [(FieldTag, &[u8]); 3] = [
            (FieldTag::ARGV, b"/proc/self/exe\0"),
            (FieldTag::FILENAME, b"/proc/self/exe"),
            (FieldTag::KPATH, b"/usr/sbin/runc"),
        ];
        let fields =
            texts.map(|(tag, bytes)| Field { tag, flags: FieldFlags::default(), full_len: 0, bytes });
        let mut args = [0; layout::exec::COUNT];
        args[layout::exec::NS_MNT] = 4;
        let exec = Event {
            time: BootNanos(1),
            duration: None,
            task: TaskKey { tgid: 7, tid: 7, start: BootNanos(1) },
            code: EventCode::EXEC,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args: &args,
            fields: &fields,
        };
        assert!(Phases::default().apply(BOX, &exec, Some(4)), "the runtime's own second exec");
        assert!(!Phases::default().apply(BOX, &exec, Some(3)));
    }

    #[test]
    fn a_payload_cannot_hide_as_runtime_by_argv_alone() {
        let mut phases = Phases::default();
        let fake: &[(FieldTag, &[u8])] =
            &[(FieldTag::ARGV, b"runc\0"), (FieldTag::FILENAME, b"/tmp/x"), (FieldTag::KPATH, b"/tmp/x")];
        assert!(!apply(&mut phases, EventCode::EXEC, 7, &[], fake));
    }
}
