//! The runtime's set-up phase: what a container's tasks do before they are the payload.
//!
//! A task that came into a container from outside is in set-up until it executes a program that is not the runtime
//! itself; what payload tasks fork is payload. So a second task from outside (`docker exec`) passes through the same
//! phase.

use std::collections::HashMap;

use afterimage_format::{ContainerUid, Event, EventCode, FieldTag, layout};

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

/// Most threads remembered; a fork bomb cannot grow the recorder.
const MOST: usize = 1 << 20;

/// Who is payload, of the living threads.
#[derive(Debug, Default)]
pub struct Phases {
    payload: HashMap<u32, ContainerUid>,
}

impl Phases {
    /// Takes an event of `container` into account and tells whether its task is still in set-up *after* it.
    pub fn apply(&mut self, container: ContainerUid, event: &Event<'_>) -> bool {
        if container == ContainerUid::HOST {
            if event.code == EventCode::EXIT {
                self.payload.remove(&event.task.tid);
            }
            return false;
        }
        match event.code {
            EventCode::FORK => {
                let inherits = self.payload.get(&event.task.tid) == Some(&container);
                if let Some(tid) = event.number(layout::fork::CHILD_TID)
                    && inherits
                    && self.payload.len() < MOST
                {
                    self.payload.insert(tid as u32, container);
                }
            }
            EventCode::EXEC if !is_runtime(event) && self.payload.len() < MOST => {
                self.payload.insert(event.task.tid, container);
            }
            EventCode::PROCESS => {
                self.payload.insert(event.task.tid, container);
            }
            EventCode::EXIT => {
                return self.payload.remove(&event.task.tid) != Some(container);
            }
            _ => {}
        }
        self.payload.get(&event.task.tid) != Some(&container)
    }
}

/// Whether an exec is a runtime starting itself once more.
pub fn is_runtime(event: &Event<'_>) -> bool {
    let basename = |path: &[u8]| path.rsplit(|&b| b == b'/').next().unwrap_or(&[]).to_vec();
    let argv0 = event.bytes(FieldTag::ARGV).and_then(|argv| argv.split(|&b| b == 0).next()).map(basename);
    let filename = event.bytes(FieldTag::FILENAME).unwrap_or_default();
    let exe = event.bytes(FieldTag::KPATH).unwrap_or_default();
    let itself = filename == b"/proc/self/exe"
        || filename.starts_with(b"/dev/fd/")
        || filename.starts_with(b"/proc/") && filename.ends_with(b"/exe")
        || exe.starts_with(b"memfd:")
        || RUNTIMES.iter().any(|runtime| basename(exe) == *runtime);
    // Only the runtime's own names count: a payload that runs from a memfd is no runtime.
    itself && argv0.is_some_and(|name| RUNTIMES.iter().any(|runtime| name == *runtime) || name == b"exe")
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{BootNanos, EventFlags, Field, FieldFlags, TaskKey};

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
        phases.apply(BOX, &event)
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
    fn a_payload_cannot_hide_as_runtime_by_argv_alone() {
        let mut phases = Phases::default();
        let fake: &[(FieldTag, &[u8])] =
            &[(FieldTag::ARGV, b"runc\0"), (FieldTag::FILENAME, b"/tmp/x"), (FieldTag::KPATH, b"/tmp/x")];
        assert!(!apply(&mut phases, EventCode::EXEC, 7, &[], fake));
    }
}
