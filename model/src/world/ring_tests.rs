//! Descriptors that come and go without a call of the process that has them: by its rings, by a seccomp listener.

use afterimage_format::{ContainerUid, EventCode, FieldTag, OwnedEvent};

use super::*;
use crate::{
    files::Files,
    testing::{Build, call, fork, open_fd, task},
};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;
const NO_FD: u64 = u64::MAX;

fn world(events: &[OwnedEvent]) -> World {
    let mut world = World::new();
    events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
    let state = &world.containers[&BOX];
    assert_eq!(state.budget.used(), state.cost());
    world
}

fn label(world: &World, pid: u32, fd: i32) -> String {
    world.fd(task(pid), fd).map_or("none".to_owned(), |info| info.label().into_string())
}

fn open(time: u64, pid: u32, path: &str, fd: i64) -> OwnedEvent {
    call(time, pid, "openat", &[CWD, 0, 2, 0], fd).with_path(path).with_kpath(path)
}

fn submitted(time: u64, operation: u64, fd: u64) -> OwnedEvent {
    OwnedEvent {
        code: EventCode::URING_SUBMIT,
        args: vec![operation, 77, fd],
        ..call(time, 1, "getpid", &[], 0)
    }
}

fn completed(time: u64, operation: u64, ret: i64) -> OwnedEvent {
    let args = vec![operation, 77, NO_FD];
    OwnedEvent { code: EventCode::URING_COMPLETE, args, ..call(time, 1, "getpid", &[], ret) }
}

/// The tester's program: a file of the ring gets the number of a decoy.
#[test]
fn a_ring_s_file_that_gets_a_descriptor_is_not_known() {
    let there = world(&[
        open(1, 1, "/tmp/decoyfile", 50),
        // The decoy was closed where nobody saw it: the number is the new file's all the same.
        submitted(2, 54, 0),
        completed(3, 54, 50),
        call(4, 1, "write", &[50], 6),
    ]);
    assert_eq!(label(&there, 1, 50), "unknown");
    assert_eq!(there.fd(task(1), 50).unwrap().written, 6);
    assert_eq!(there.process_by_pid(1).unwrap().bytes_written, 0, "to no file");
}

#[test]
fn slots_of_a_ring_are_no_descriptors() {
    let begin = [open_fd(1, 1, 0, "/dev/pts/0"), open(2, 1, "/kept", 5)];
    let with = |events: &[OwnedEvent]| world(&[&begin[..], events].concat());
    // To close a slot is asked with descriptor 0.
    assert_eq!(label(&with(&[submitted(3, 19, 0)]), 1, 0), "/dev/pts/0");
    assert_eq!(label(&with(&[submitted(3, 19, 5)]), 1, 5), "none");
    // An open into a slot gives 0 or the slot; the kernel's path is then that of what has this number.
    let there = with(&[call(3, 1, "read", &[0], 7), completed(4, 18, 0).with_kpath("/dev/pts/0")]);
    assert_eq!(there.fd(task(1), 0).unwrap().read, 7, "it is the same as before");
    for operation in [13, 45] {
        assert_eq!(label(&with(&[completed(3, operation, 5)]), 1, 5), "/kept");
        assert_eq!(label(&with(&[completed(3, operation, 6)]), 1, 6), "socket");
    }
}

#[test]
fn a_descriptor_from_a_seccomp_listener_is_not_known() {
    const ADDFD: u64 = 0x4018_2103;
    // As a runtime's filter has it that all have, and one of its own with a listener.
    let begin = [
        call(1, 1, "seccomp", &[1, 0], 0),
        fork(2, 1, 3),
        open(3, 1, "/tmp/decoy", 50),
        open(4, 3, "/other", 50),
        call(5, 1, "seccomp", &[1, 8], 5),
        fork(6, 1, 2),
    ];
    let there = world(&[&begin[..], &[call(7, 2, "ioctl", &[5, ADDFD, 0], 50)]].concat());
    assert_eq!(label(&there, 1, 50), "unknown");
    assert_eq!(label(&there, 2, 50), "/tmp/decoy", "who gives it is not who waits");
    assert_eq!(label(&there, 3, 50), "/other", "it has no filter that anybody listens to");
    let there = world(&[&begin[..], &[call(7, 2, "ioctl", &[5, ADDFD, 0], -2)]].concat());
    assert_eq!(label(&there, 1, 50), "/tmp/decoy");
}

#[test]
fn names_that_a_ring_changes_are_followed() {
    let (mut world, mut files) = (World::new(), Files::new());
    let renames = submitted(3, 35, CWD).with_path("/tmp/a").with_field(FieldTag::PATH2, b"/tmp/b");
    for event in [call(1, 1, "creat", &[0, 0], 3).with_path("/tmp/a").with_kpath("/tmp/a"), renames] {
        event.with(|event| {
            world.apply(BOX, event);
            files.apply(&world, BOX, event);
        });
    }
    let file = files.get(BOX, b"/tmp/b").unwrap();
    assert_eq!(file.formerly, [b"/tmp/a".to_vec()]);
}
