//! What threads and processes share, and what they do not.

use afterimage_format::{ContainerUid, EventCode, OwnedEvent};

use super::*;
use crate::testing::{Build, call, exec, exit, fork, task, thread};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;
const FS: u64 = 0x200;
const FILES: u64 = 0x400;

fn world(events: &[OwnedEvent]) -> World {
    let mut world = World::new();
    events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
    check(&world);
    world
}

/// The books are right, and a keyframe and a snapshot keep everything.
fn check(world: &World) {
    let state = &world.containers[&BOX];
    assert_eq!(state.budget.used(), state.cost());
    let (bytes, _) = world.keyframe(BOX, true);
    let again = Restoring::begin(Limits::default(), &bytes, 0).unwrap().finish();
    assert_eq!(again.save(BOX), world.save(BOX));
    assert_eq!(World::load(&world.save(BOX)).unwrap().save(BOX), world.save(BOX));
}

/// An event of another thread of its process.
fn by(tid: u32, mut event: OwnedEvent) -> OwnedEvent {
    event.task.tid = tid;
    event
}

/// A thread of process 1 ends, and others live on.
fn gone(tid: u32, time: u64) -> OwnedEvent {
    by(tid, OwnedEvent { code: EventCode::EXIT, args: vec![0, 0], ..call(time, 1, "getpid", &[], 0) })
}

fn label(world: &World, (pid, tid): (u32, u32), fd: i32) -> String {
    let task = TaskKey { tid, ..task(pid) };
    world.fd(task, fd).map_or("none".to_owned(), |info| info.label().into_string())
}

fn open(time: u64, pid: u32, path: &str, fd: i64) -> OwnedEvent {
    call(time, pid, "openat", &[CWD, 0, 2, 0], fd).with_path(path).with_kpath(path)
}

fn cwd(world: &World, pid: u32, tid: u32) -> String {
    let process = world.process_by_pid(pid).unwrap();
    String::from_utf8(process.cwd_of(tid).unwrap_or(b"none").to_vec()).unwrap()
}

fn chdir(time: u64, pid: u32, path: &str) -> OwnedEvent {
    call(time, pid, "chdir", &[0], 0).with_path(path)
}

/// The tester's program: a thread takes leave of the table, and makes the number the others write to something else.
#[test]
fn a_thread_with_a_table_of_its_own_does_not_change_that_of_the_others() {
    let mut events = vec![
        open(1, 1, "/tmp/realfile", 3),
        call(2, 1, "dup2", &[3, 51], 51),
        thread(3, 1, 10),
        by(10, call(4, 1, "unshare", &[FILES], 0)),
        by(10, open(5, 1, "/tmp/decoyfile", 4)),
        by(10, call(6, 1, "dup2", &[4, 51], 51)),
        call(7, 1, "write", &[51], 6),
        by(10, call(8, 1, "write", &[51], 7)),
        // One that it makes has what it has.
        by(10, thread(9, 1, 11)),
    ];
    let there = world(&events);
    assert_eq!(label(&there, (1, 1), 51), "/tmp/realfile");
    assert_eq!(label(&there, (1, 10), 51), "/tmp/decoyfile");
    assert_eq!(label(&there, (1, 11), 51), "/tmp/decoyfile");
    assert_eq!(label(&there, (1, 1), 4), "none");
    let written = |tid| there.fd(TaskKey { tid, ..task(1) }, 51).unwrap().written;
    assert_eq!((written(1), written(10)), (6, 7));
    events.extend([gone(10, 20), gone(11, 21)]);
    let there = world(&events);
    assert_eq!(there.containers[&BOX].tables.len(), 1, "the threads' table is gone with them");
    assert_eq!(label(&there, (1, 1), 51), "/tmp/realfile");
}

#[test]
fn bytes_that_are_only_counted_go_to_the_thread_s_own_file() {
    let events = [
        open(1, 1, "/real", 3),
        thread(2, 1, 10),
        by(10, call(3, 1, "close_range", &[100, 200, 2], 0)),
        by(10, open(4, 1, "/decoy", 3)),
    ];
    let mut there = world(&events);
    let mut tally = Tally::default();
    for event in [call(5, 1, "write", &[3], 5), by(10, call(6, 1, "write", &[3], 9))] {
        assert!(event.with(|event| tally.takes(event)));
    }
    tally.tell(BOX, &mut there);
    let written = |tid| there.fd(TaskKey { tid, ..task(1) }, 3).unwrap().written;
    assert_eq!((written(1), written(10)), (5, 9));
}

#[test]
fn who_executes_keeps_what_was_its_own() {
    let there = world(&[
        open(1, 1, "/real", 3),
        thread(2, 1, 10),
        by(10, call(3, 1, "unshare", &[FILES | FS], 0)),
        by(10, open(4, 1, "/own", 3)),
        by(10, chdir(5, 1, "/own-directory")),
        by(10, call(6, 1, "chroot", &[0], 0).with_path("/own-root")),
        by(10, fork(7, 1, 2)),
        // The others end first, and the one that executes takes the first thread's id.
        gone(1, 8),
        exec(9, 1, "/bin/x", &["x"]),
    ]);
    assert_eq!(label(&there, (1, 1), 3), "/own");
    assert_eq!(cwd(&there, 1, 1), "/own-directory");
    assert_eq!(there.process_by_pid(1).unwrap().root.as_deref(), Some(&b"/own-root"[..]));
    // And so has what it forked.
    assert_eq!((label(&there, (2, 2), 3), cwd(&there, 2, 2)), ("/own".into(), "/own-directory".into()));
}

#[test]
fn a_shared_working_directory_moves_for_all() {
    let begin = [chdir(1, 1, "/tmp/dirA"), fork(2, 1, 2)];
    let cloned = |time, flags| call(time, 1, "clone", &[flags | 17], 2);
    let unlinks = |events: &[OwnedEvent]| {
        let there = world(&[&begin[..], events].concat());
        String::from_utf8(there.resolve(task(1), None, b"f")).unwrap()
    };
    let moves = chdir(4, 2, "/tmp/dirB");
    assert_eq!(unlinks(&[cloned(3, FS), moves.clone()]), "/tmp/dirB/f");
    assert_eq!(unlinks(&[cloned(3, 0), moves.clone()]), "/tmp/dirA/f");
    // The child was faster than its parent's return, and is gone by then.
    assert_eq!(unlinks(&[moves.clone(), cloned(5, FS)]), "/tmp/dirB/f");
    assert_eq!(unlinks(&[moves.clone(), exit(5, 2, 0), cloned(6, FS)]), "/tmp/dirB/f");
    // It has its own from then on.
    assert_eq!(unlinks(&[cloned(3, FS), call(4, 2, "unshare", &[FS], 0), chdir(5, 2, "/x")]), "/tmp/dirA/f");
    // The root is shared as well, and an exec changes nothing of that.
    let root = call(5, 2, "chroot", &[0], 0).with_path("/jail");
    let all = [&begin[..], &[cloned(3, FS), exec(4, 2, "/x", &["x"]), root]].concat();
    assert_eq!(world(&all).process_by_pid(1).unwrap().root.as_deref(), Some(&b"/jail"[..]));
}

#[test]
fn what_a_child_did_before_its_clone_returned_is_done_to_the_shared_table() {
    let begin = [open(1, 1, "/decoy", 50), open(2, 1, "/kept", 5), fork(3, 1, 2)];
    let acts = [open(4, 2, "/real", 3), call(5, 2, "dup2", &[3, 50], 50), call(6, 2, "close", &[5], 0)];
    let cloned = |time| call(time, 1, "clone", &[FILES | 17], 2);
    let there = world(&[&begin[..], &acts, &[cloned(7), open(8, 1, "/later", 6)]].concat());
    let names = |there: &World, pid| [3, 5, 6, 50].map(|fd| label(there, (pid, pid), fd));
    assert_eq!(names(&there, 1), ["/real", "none", "/later", "/real"]);
    assert_eq!(names(&there, 2), ["/real", "none", "/later", "/real"]);
    // Of one that is gone by then nobody can tell what it did.
    let there = world(&[&begin[..], &acts, &[exit(7, 2, 0), cloned(8)]].concat());
    assert_eq!(label(&there, (1, 1), 50), "unknown");
    let there = world(&[&begin[..], &acts, &[exec(7, 2, "/x", &["x"]), cloned(8)]].concat());
    assert_eq!(label(&there, (1, 1), 50), "unknown");
    assert_eq!(label(&there, (2, 2), 50), "/real");
}

#[test]
fn a_new_mount_namespace_is_for_who_has_its_directories_for_itself() {
    let there = world(&[
        chdir(1, 1, "/a"),
        thread(2, 1, 10),
        by(10, call(3, 1, "unshare", &[0x0002_0000], 0)),
        by(10, chdir(4, 1, "/b")),
    ]);
    assert_eq!((cwd(&there, 1, 1), cwd(&there, 1, 10)), ("/a".into(), "/b".into()));
}

/// What `clone3` was asked for lies in the caller's memory, and was rewritten before the call returned.
#[test]
fn what_the_kernel_says_is_shared_counts_and_not_what_a_call_claims() {
    let told = |fork: OwnedEvent, shares: u64| {
        let mut args = fork.args.clone();
        args.resize(afterimage_format::layout::fork::COUNT, afterimage_format::layout::UNKNOWN);
        args[afterimage_format::layout::fork::SHARES] = shares;
        OwnedEvent { args, ..fork }
    };
    let claimed = |flags: u64| call(6, 1, "clone", &[flags | 17], 2);
    let there = |shares: u64, flags: u64| {
        let there = world(&[
            open(1, 1, "/decoy", 3),
            chdir(2, 1, "/a"),
            told(fork(3, 1, 2), shares),
            open(4, 2, "/real", 9),
            call(5, 2, "dup2", &[9, 3], 3),
            claimed(flags),
            chdir(7, 2, "/b"),
        ]);
        (label(&there, (1, 1), 3), cwd(&there, 1, 1))
    };
    for claim in [0, FILES | FS] {
        assert_eq!(there(FILES | FS, claim), ("/real".into(), "/b".into()));
        assert_eq!(there(0, claim), ("/decoy".into(), "/a".into()));
    }
    // Threads, whatever the flags claim they are.
    let of_thread = |shares: u64, flags: u64| {
        let there = world(&[
            open(1, 1, "/decoy", 3),
            told(OwnedEvent { args: [thread(2, 1, 10).args, vec![0]].concat(), ..thread(2, 1, 10) }, shares),
            call(3, 1, "clone", &[flags], 10),
            by(10, open(4, 1, "/real", 9)),
            by(10, call(5, 1, "dup2", &[9, 3], 3)),
        ]);
        label(&there, (1, 1), 3)
    };
    for claim in [0, FILES, 0x1_0000, 0x1_0000 | FILES] {
        assert_eq!(of_thread(FILES | FS, claim), "/real", "{claim:x}");
        assert_eq!(of_thread(0, claim), "/decoy", "{claim:x}");
    }
}

/// A hostile recording, or a lost event: who has ended has no table to share.
#[test]
fn who_has_ended_shares_nothing_and_the_books_are_right() {
    let mut shared = fork(3, 4, 3);
    shared.args.resize(afterimage_format::layout::fork::COUNT, FILES | FS);
    for forked in [fork(3, 4, 3), shared] {
        let there = world(&[
            open(1, 1, "/a", 3),
            exit(2, 4, 0),
            forked,
            open(4, 3, "/own", 5),
            call(5, 4, "clone", &[FILES | 17], 3),
            open(6, 3, "/later", 6),
        ]);
        assert_eq!(label(&there, (3, 3), 6), "/later");
    }
}
