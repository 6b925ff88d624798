//! Which descriptors are a container's own standard streams, whatever their numbers are by now.
//!
//! What a descriptor is, its open file description says: `dup`, `fork` and `exec` keep it. A container's standard output is what
//! its first program had as descriptor 1, its standard error what it had as 2. Both were there before its first event, so
//! that they are known by nothing but their numbers, until the first event that tells of them: from then on by the
//! description that [`World`] made for them.

use std::collections::HashMap;

use afterimage_format::{ContainerUid, Event, EventCode, EventFlags, FieldTag, TaskKey, layout};

use crate::{
    World,
    fds::FdKind,
    syscalls::{self, ArgKind},
};

/// The last of the descriptors that a runtime gives.
const LAST: i32 = 2;
/// Descriptions that are remembered, of all containers together.
const MOST: usize = 65_536;

/// The standard streams of the containers whose events were applied.
#[derive(Debug, Default, Clone)]
pub struct Standard {
    /// The number under which a description was there first; none where that was none of the three, or both output and error.
    first: HashMap<(ContainerUid, u64), Option<i32>>,
}

impl Standard {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an event that `world` has applied already.
    pub fn apply(&mut self, world: &World, container: ContainerUid, event: &Event<'_>) {
        let Some(fd) = told_of(event) else { return };
        let Some((id, info)) = world.description(event.task, fd) else { return };
        // What was opened while it was recorded is none of them, and something unknown with a high number may be one
        // whose copy was not recorded.
        let is_standard = (0..=LAST).contains(&fd);
        if !info.inherited || !is_standard && info.kind == FdKind::Unknown {
            return;
        }
        // Where the first program had one open file as both, which of them is meant its number says.
        let other = |other: i32| world.description(event.task, other).is_some_and(|(same, _)| same == id);
        let is_both = !copies(event) && matches!(fd, 1 | 2) && other(3 - fd);
        if self.first.len() >= MOST {
            self.first.retain(|(uid, id), _| world.is_open(*uid, *id));
        }
        if self.first.len() < MOST {
            self.first.entry((container, id)).or_insert((is_standard && !is_both).then_some(fd));
        }
    }

    /// Which of the standard streams (0, 1 or 2) a descriptor of a thread's process is; `None` where it is none of them, was
    /// opened while it was recorded, or was output and error from the first.
    pub fn of(&self, world: &World, container: ContainerUid, task: TaskKey, fd: i32) -> Option<i32> {
        match world.description(task, fd) {
            // A process has what its parent had: what no event told of is what the first program had.
            None => (0..=LAST).contains(&fd).then_some(fd),
            Some((id, _)) => self.first.get(&(container, id)).copied().flatten(),
        }
    }
}

/// The descriptor that an event may be the first to tell of.
fn told_of(event: &Event<'_>) -> Option<i32> {
    if event.code == EventCode::OPEN_FD {
        return event.number(layout::open_fd::FD).and_then(|fd| i32::try_from(fd).ok());
    }
    if event.code.as_syscall().is_none() || event.ret < 0 || event.flags.contains(EventFlags::SIGRETURN) {
        return None;
    }
    let fd = *event.args.first()? as i32;
    let is_fd =
        || syscalls::signature(event.code).and_then(|s| s.args.first()).map(|a| a.kind) == Some(ArgKind::Fd);
    let tells = (0..=LAST).contains(&fd) || event.field(FieldTag::KPATH).is_some() || copies(event);
    (tells && is_fd()).then_some(fd)
}

fn copies(event: &Event<'_>) -> bool {
    matches!(syscalls::base_name(event.code), "dup" | "dup2" | "dup3" | "fcntl" | "fcntl64")
}

#[cfg(test)]
mod tests {
    use afterimage_format::OwnedEvent;

    use super::*;
    use crate::testing::{Build, call, exec, fork, open_fd, task};

    const BOX: ContainerUid = ContainerUid(7);

    /// Which of the standard streams the descriptors of a process are, after these events.
    fn standard(events: &[OwnedEvent], pid: u32, fds: &[i32]) -> Vec<Option<i32>> {
        let (mut world, mut standard) = (World::new(), Standard::new());
        for event in events {
            event.with(|e| {
                world.apply(BOX, e);
                standard.apply(&world, BOX, e);
            });
        }
        fds.iter().map(|&fd| standard.of(&world, BOX, task(pid), fd)).collect()
    }

    fn dup2(time: u64, pid: u32, old: u64, new: u64) -> OwnedEvent {
        call(time, pid, "dup2", &[old, new], new.cast_signed())
    }

    /// What a shell does at `exec 3>&1 1>&2 2>&3`, with a program between.
    #[test]
    fn copies_are_what_they_are_copies_of_whatever_their_numbers() {
        let swapped = [exec(1, 1, "/bin/sh", &["sh"]), dup2(2, 1, 1, 3), dup2(3, 1, 2, 1), dup2(4, 1, 3, 2)];
        assert_eq!(standard(&swapped, 1, &[0, 1, 2, 3, 4]), [Some(0), Some(2), Some(1), Some(1), None]);
        let mut program = swapped.to_vec();
        program.extend([fork(5, 1, 2), exec(6, 2, "/bin/ls", &["ls"])]);
        assert_eq!(standard(&program, 2, &[1, 2, 3]), [Some(2), Some(1), Some(1)]);
        // Each process tells of them anew.
        let apart = [
            exec(1, 1, "/bin/sh", &["sh"]),
            fork(2, 1, 2),
            call(3, 2, "fcntl", &[1, 0, 10], 10),
            call(4, 2, "close", &[1], 0),
            dup2(5, 2, 2, 1),
        ];
        assert_eq!(standard(&apart, 2, &[1, 2, 10]), [Some(2), Some(2), Some(1)]);
        assert_eq!(standard(&apart, 1, &[1, 2]), [Some(1), Some(2)]);
    }

    #[test]
    fn what_was_opened_is_no_standard_stream() {
        let events = [
            exec(1, 1, "/bin/sh", &["sh"]),
            call(2, 1, "openat", &[0, 0, 1], 3).with_path("/tmp/x"),
            dup2(3, 1, 3, 1),
            call(4, 1, "write", &[1, 0, 1], 1),
        ];
        assert_eq!(standard(&events, 1, &[1, 2, 3]), [None, Some(2), None]);
        // Nor what was open already under another number.
        let found = [open_fd(1, 1, 1, "pipe:[11]"), open_fd(1, 1, 5, "pipe:[15]"), dup2(2, 1, 5, 1)];
        assert_eq!(standard(&found, 1, &[1, 2, 5]), [None, Some(2), None]);
    }

    /// Its runtime made one open file of both.
    #[test]
    fn of_output_and_error_that_are_one_only_the_number_tells() {
        let both = [dup2(1, 1, 5, 1), dup2(2, 1, 5, 2), call(3, 1, "write", &[1, 0, 1], 1)];
        assert_eq!(standard(&both, 1, &[1, 2]), [None, None]);
        let later = [exec(1, 1, "/bin/sh", &["sh"]), dup2(2, 1, 1, 2), call(3, 1, "write", &[2, 0, 1], 1)];
        assert_eq!(standard(&later, 1, &[1, 2]), [Some(1), Some(1)]);
    }

    #[test]
    fn what_was_found_open_keeps_the_number_that_it_had() {
        let events = [
            open_fd(1, 1, 1, "pipe:[11]"),
            open_fd(1, 1, 2, "pipe:[12]"),
            dup2(2, 1, 1, 9),
            dup2(3, 1, 2, 1),
            dup2(4, 1, 9, 2),
        ];
        assert_eq!(standard(&events, 1, &[1, 2, 9]), [Some(2), Some(1), Some(1)]);
    }
}
