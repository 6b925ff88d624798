//! Acts of which the plain record says something else than what happened, each in a container, and what is told of them.
//!
//! The acts are in `tests/evasion/seen.c`.

use std::{path::Path, process::Command, sync::OnceLock};

use afterimage_format::{ContainerUid, EventFlags, OwnedEvent};
use afterimage_launch::{ExitStatus, Launcher, Root, Stdio, Style, rootfs};
use afterimage_model::{
    World, describe,
    findings::Story,
    net::{Direction, Network},
    streams::Streams,
    syscalls,
};
use tempfile::TempDir;

use crate::harness::{Running, alone, container, events, open};

/// A busybox root with the acts in it, made once.
fn root() -> &'static Path {
    static ROOT: OnceLock<TempDir> = OnceLock::new();
    ROOT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        rootfs::busybox(dir.path()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evasion/seen.c");
        let program = dir.path().join("bin/seen");
        let built =
            Command::new("gcc").args(["-O1", "-static", "-no-pie", "-o"]).arg(program).arg(source).status();
        assert!(built.unwrap().success());
        dir
    })
    .path()
}

/// What became of an act's container.
#[derive(Default)]
struct Told {
    uid: ContainerUid,
    events: Vec<OwnedEvent>,
    network: Network,
    streams: Streams,
    findings: Vec<String>,
}

/// Runs one act, and gives what is told of it.
fn act(name: &str) -> (Told, ExitStatus) {
    let _alone = alone();
    let recorder = Running::start(&["--profile", "full", "--host", "none"]);
    let launcher = Launcher::new(Style::Docker, Root::Overlay(root().to_owned())).unwrap();
    let outcome = launcher.run(&["/bin/seen", name], Stdio::default()).unwrap();
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    let uid = container(&recording, &outcome.id.to_string()).record.uid;
    let mut told = Told { uid, events: events(&recording, uid), ..Told::default() };
    told.events.retain(|event| !event.flags.contains(EventFlags::SETUP));
    let (mut world, mut story) = (World::new(), Story::new());
    for event in &told.events {
        event.with(|e| {
            world.apply(uid, e);
            told.network.apply(&world, uid, e);
            told.streams.apply(&world, uid, e);
            told.findings.extend(story.apply(&world, uid, e).map(|f| format!("{}: {}", f.title, f.detail)));
        });
    }
    (told, outcome.status)
}

impl Told {
    /// The calls of this name, each with its result in words.
    fn calls(&self, name: &str) -> Vec<String> {
        let is_it =
            |event: &&OwnedEvent| event.code.as_syscall().is_some() && syscalls::name(event.code) == name;
        let result = |event: &OwnedEvent| event.with(describe::result).into_string();
        self.events.iter().filter(is_it).map(result).collect()
    }
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn a_scan_of_ports_is_told_with_each_port() {
    let (told, status) = act("scan");
    assert!(status.success(), "{status}");
    let talks = told.network.conversations(told.uid).iter();
    let ports: Vec<_> =
        talks.map(|t| (t.peer.as_ref().and_then(|p| p.port()).unwrap(), t.connections, t.failures)).collect();
    assert_eq!(ports, [(4440, 0, 1), (4441, 0, 1), (4442, 0, 1)]);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn calls_that_seccomp_trapped_or_killed_for_are_told_as_denied() {
    let (told, status) = act("trapped");
    assert!(!status.success(), "{status}");
    for (name, denied) in [("setuid", 1), ("unlink", 1), ("connect", 1), ("rmdir", 1)] {
        assert_eq!(told.calls(name), vec!["denied by seccomp"; denied], "{name}");
    }
    assert_eq!(told.calls("openat")[1..], ["denied by seccomp"], "behind the one that makes the victim");
    assert!(told.calls("access").iter().all(|result| result == "0"));
    let [talk] = told.network.conversations(told.uid) else { panic!("one attempt to connect") };
    assert_eq!((talk.connections, talk.failures), (0, 1));
    let secrets = told.findings.iter().find(|finding| finding.contains("/etc/shadow")).unwrap();
    assert!(secrets.ends_with("(denied by seccomp)"), "{secrets}");
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn a_call_that_a_tracer_skipped_is_no_return_from_a_handler() {
    let (told, status) = act("skipped");
    assert!(status.success(), "{status}");
    assert_eq!((told.calls("rt_sigreturn").len(), told.calls("mkdir").len()), (0, 0));
    assert_eq!(told.calls("syscall_4095"), ["0"]);
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn a_terminal_that_its_master_opened_is_played_back() {
    let (told, status) = act("terminal");
    assert!(status.success(), "{status}");
    let terminal = told.streams.list(told.uid).iter().find(|stream| stream.kind == "tty").unwrap();
    assert_eq!((terminal.bytes_in, terminal.bytes_out, terminal.is_complete()), (6, 6, true));
}

#[test]
#[ignore = "needs root, eBPF and gcc"]
fn what_is_said_through_a_ring_is_counted() {
    let (told, status) = act("ring-talk");
    assert!(status.success(), "{status}");
    let talks = told.network.conversations(told.uid).iter();
    let sums: Vec<_> = talks.map(|t| (t.protocol, t.direction, t.connections, t.sent, t.received)).collect();
    assert_eq!(sums, [("tcp", Direction::Out, 1, 6, 0), ("tcp", Direction::In, 1, 0, 6)]);
    assert!(
        told.findings.iter().any(|finding| finding.starts_with("connection made: tcp")),
        "{:?}",
        told.findings
    );
}
