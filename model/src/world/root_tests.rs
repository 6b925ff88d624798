//! Processes with another root than the container's: what their paths are outside of it.

use afterimage_format::{ContainerUid, EventFlags, FieldTag, OwnedEvent};

use super::*;
use crate::{
    describe,
    files::Files,
    findings,
    testing::{Build, call, exec, fork, task},
};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;

fn feed(world: &mut World, events: &[OwnedEvent]) {
    events.iter().for_each(|event| event.with(|event| world.apply(BOX, event)));
}

fn world(events: &[OwnedEvent]) -> World {
    let mut world = World::new();
    feed(&mut world, events);
    world
}

fn label(world: &World, pid: u32, fd: i32) -> String {
    world.fd(task(pid), fd).map_or("unknown".to_owned(), |info| info.label().into_string())
}

fn path(world: &World, event: &OwnedEvent) -> String {
    String::from_utf8(event.with(|event| world.path_of(event)).unwrap()).unwrap()
}

fn root(world: &World, pid: u32) -> Option<&str> {
    world.process_by_pid(pid)?.root.as_deref().map(|root| std::str::from_utf8(root).unwrap())
}

fn open(time: u64, pid: u32, claimed: &str, kernel: &str, fd: i64) -> OwnedEvent {
    call(time, pid, "openat", &[CWD, 0, 0, 0], fd).with_path(claimed).with_kpath(kernel)
}

fn chroot(time: u64, pid: u32, path: &str) -> OwnedEvent {
    call(time, pid, "chroot", &[0], 0).with_path(path)
}

/// The tester's program: the container's own secrets by the back door, and a decoy that looks like one of them.
#[test]
fn what_is_opened_in_another_root_is_told_from_outside() {
    let opened = open(20, 1, "/shadow", "/shadow", 3);
    let removed = call(21, 1, "unlink", &[0], 0).with_path("/shadow");
    let events = [
        exec(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/"),
        fork(2, 1, 2),
        chroot(10, 1, "/etc"),
    ];
    let mut world = world(&events);
    feed(&mut world, &[opened.clone(), removed.clone()]);
    assert_eq!(label(&world, 1, 3), "/etc/shadow");
    assert_eq!((path(&world, &opened), path(&world, &removed)), ("/etc/shadow".into(), "/etc/shadow".into()));
    let shown = opened.with(|event| describe::detail(event, Some(&world)).into_string());
    assert_eq!(shown, "/shadow (root /etc)");
    // The other process stays where it is.
    assert_eq!((root(&world, 1), root(&world, 2)), (Some("/etc"), None));

    feed(&mut world, &[chroot(30, 2, "/tmp/jail"), open(31, 2, "/etc/passwd", "/etc/passwd", 4)]);
    assert_eq!(label(&world, 2, 4), "/tmp/jail/etc/passwd");
    let image = exec(40, 2, "/bin/true", &["true"]).with_field(FieldTag::CWD, b"/");
    feed(&mut world, &[fork(35, 2, 3), call(36, 2, "chdir", &[0], 0).with_path("/"), image]);
    let process = world.process_by_pid(2).unwrap();
    assert_eq!(process.exec().unwrap().image.as_slice(), b"/tmp/jail/bin/true");
    assert_eq!(process.cwd.as_deref(), Some(&b"/tmp/jail"[..]));
    assert_eq!(root(&world, 3), Some("/tmp/jail"), "a fork has it as well");
}

#[test]
fn files_are_counted_by_their_paths_outside() {
    let (mut world, mut files) = (World::new(), Files::new());
    let events = [
        exec(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/"),
        chroot(2, 1, "/etc"),
        open(3, 1, "/shadow", "/shadow", 3),
        call(4, 1, "unlink", &[0], 0).with_path("/shadow"),
    ];
    for event in &events {
        event.with(|event| {
            world.apply(BOX, event);
            files.apply(&world, BOX, event);
        });
    }
    let paths: Vec<&[u8]> = files.list(BOX).map(|file| file.path.as_slice()).collect();
    assert_eq!(paths, [&b"/bin/sh"[..], b"/etc/shadow"]);
}

/// A link to the container's root makes what is opened there no other file: the key event stays, as what it may be.
#[test]
fn what_is_secret_in_another_root_is_told_by_both_paths() {
    let seen = |root: &str| {
        let (mut world, mut story) = (World::new(), findings::Story::new());
        let shell = exec(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/");
        let events = [shell, chroot(2, 1, root), open(3, 1, "/etc/shadow", "/etc/shadow", 3)];
        let mut found = Vec::new();
        for event in events {
            event.with(|event| {
                world.apply(BOX, event);
                found.extend(story.apply(&world, BOX, event).map(|f| (f.severity, f.detail.into_string())));
            });
        }
        found.pop().unwrap()
    };
    assert_eq!(
        seen("/tmp/link"),
        (findings::Severity::Notice, "/tmp/link/etc/shadow (/etc/shadow in its root) by 1 sh".to_owned())
    );
    // What `/proc` links to is not known by that name.
    let (severity, detail) = seen("/proc/1/root");
    assert_eq!((severity, detail.as_str()), (findings::Severity::Critical, "/etc/shadow by 1 sh"));
}

#[test]
fn roots_in_roots_and_ways_out_are_followed() {
    let mut world = world(&[
        exec(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/"),
        call(2, 1, "openat", &[CWD, 0, 0o200_000, 0], 9).with_path("/").with_kpath("/"),
        chroot(3, 1, "/a"),
        chroot(4, 1, "/b"),
    ]);
    assert_eq!(root(&world, 1), Some("/a/b"));
    // The kernel's way up ended at the container's root: what it opened is not below the process's.
    let outside = call(5, 1, "openat", &[9, 0, 0, 0], 5).with_path("etc/shadow").with_kpath("/etc/shadow");
    let outside_cwd = open(6, 1, "etc/passwd", "/etc/passwd", 6);
    feed(&mut world, &[outside, outside_cwd]);
    assert_eq!((label(&world, 1, 5), label(&world, 1, 6)), ("/etc/shadow".into(), "/etc/passwd".into()));
    // The old way out: the working directory was left outside.
    feed(&mut world, &[chroot(7, 1, ".")]);
    assert_eq!(root(&world, 1), None);
    feed(&mut world, &[open(8, 1, "/etc/shadow", "/etc/shadow", 7)]);
    assert_eq!(label(&world, 1, 7), "/etc/shadow");
}

#[test]
fn a_runtime_gives_the_container_its_root() {
    let mut chroot = chroot(2, 1, "/var/lib/x/merged");
    chroot.flags = chroot.flags.with(EventFlags::SETUP);
    let mut pivot = call(3, 1, "pivot_root", &[0, 0], 0).with_path(".").with_field(FieldTag::PATH2, b".");
    pivot.flags = pivot.flags.with(EventFlags::SETUP);
    let world = world(&[chroot, pivot, open(4, 1, "/etc/shadow", "/etc/shadow", 3)]);
    assert_eq!((root(&world, 1), label(&world, 1, 3)), (None, "/etc/shadow".into()));
}

#[test]
fn pivot_root_moves_the_root_and_who_stands_in_it() {
    let world = world(&[
        exec(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/"),
        call(2, 1, "unshare", &[0x0002_0000], 0),
        call(3, 1, "chdir", &[0], 0).with_path("/new"),
        call(4, 1, "pivot_root", &[0, 0], 0).with_path(".").with_field(FieldTag::PATH2, b"."),
        open(5, 1, "/etc/shadow", "/etc/shadow", 3),
    ]);
    assert_eq!((root(&world, 1), label(&world, 1, 3)), (Some("/new"), "/new/etc/shadow".into()));
}

#[test]
fn a_root_that_is_not_known_is_said_to_be_none() {
    let opened = open(4, 1, "/etc/shadow", "/etc/shadow", 3);
    let mut world = world(&[
        call(1, 1, "setns", &[5, 0x0002_0000], 0),
        chroot(2, 1, "/further"),
        // Where the path was not recorded.
        call(3, 2, "chroot", &[0], 0),
        opened.clone(),
    ]);
    assert_eq!((root(&world, 1), root(&world, 2)), (Some(""), Some("")));
    assert_eq!(label(&world, 1, 3), "/etc/shadow");
    let shown = opened.with(|event| describe::detail(event, Some(&world)).into_string());
    assert_eq!(shown, "/etc/shadow (root not known)");
    let (bytes, _) = world.keyframe(BOX, true);
    let again = Restoring::begin(Limits::default(), &bytes, 0).unwrap().finish();
    assert_eq!(root(&again, 1), Some(""), "a keyframe keeps that");
    feed(&mut world, &[chroot(5, 3, "/jail")]);
    let (bytes, _) = world.keyframe(BOX, true);
    let again = Restoring::begin(Limits::default(), &bytes, 0).unwrap().finish();
    assert_eq!(root(&again, 3), Some("/jail"));
}

#[test]
fn a_finding_tells_the_new_root_by_its_path_outside() {
    let (mut world, mut story) = (World::new(), findings::Story::new());
    let mut told = |event: &OwnedEvent| {
        event.with(|event| {
            world.apply(BOX, event);
            story.apply(&world, BOX, event).map(|found| found.detail.into_string())
        })
    };
    told(&exec(1, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/"));
    let by_1 = |path: &str| Some(format!("{path} by 1 sh"));
    assert_eq!(told(&chroot(2, 1, "/tmp/j1")), by_1("/tmp/j1"));
    assert_eq!(told(&chroot(3, 1, "/further")), by_1("/tmp/j1/further"));
    assert_eq!(
        told(&call(4, 1, "chroot", &[0], -1).with_path("/no")),
        Some("/tmp/j1/further/no by 1 sh (refused: EPERM)".to_owned())
    );
    told(&call(5, 1, "chdir", &[0], 0).with_path("/a"));
    assert_eq!(told(&chroot(6, 1, "b")), by_1("/tmp/j1/further/a/b"));
    // Through a descriptor of which nothing is known: where that leads is not known.
    told(&exec(7, 2, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/"));
    assert_eq!(told(&chroot(8, 2, "/proc/self/fd/9")).as_deref(), Some("/proc/self/fd/9 by 2 sh"));
}
