//! A recorder's keyframes of a real container say what all of its events say.

use std::ops::ControlFlow;

use afterimage_format::{Direction, Query, VerifyOptions, verify};
use afterimage_launch::{Launcher, Root, Stdio, Style, rootfs};
use afterimage_model::{Restoring, World, budget::Limits, process::Process};

use crate::harness::{Running, alone, container, open};

/// Enough for a keyframe: a block's worth of events and some more.
const PROGRAMS: &str =
    "i=0; while [ $i -lt 1500 ]; do /bin/busybox cat /etc/passwd > /dev/null; i=$((i+1)); done";

#[test]
#[ignore = "needs root and eBPF"]
fn the_state_by_a_recorders_keyframes_is_that_by_all_its_events() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    rootfs::busybox(root.path()).unwrap();
    let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().to_owned())).unwrap();
    let recorder = Running::start(&["--host", "none"]);
    let outcome = launcher.run(&["/bin/busybox", "sh", "-c", PROGRAMS], Stdio::default()).unwrap();
    let (store, _) = recorder.stop();
    let recording = open(store.path());
    let uid = container(&recording, &outcome.id.to_string()).record.uid;
    let keyframes = recording.keyframes_of(uid);
    let (newest, earlier) = keyframes.split_last().expect("a keyframe");
    let bytes = recording.state(newest).unwrap().expect("a whole keyframe");
    let mut restoring = Restoring::begin(Limits::default(), &bytes, newest.base).unwrap();
    for keyframe in earlier.iter().rev() {
        let bytes = recording.state(keyframe).unwrap().expect("a whole keyframe");
        restoring.earlier(&bytes, keyframe.base).unwrap();
    }
    let mut world = restoring.finish();
    let known = world.events(uid);
    assert_eq!(known, newest.row, "it knows every event before it");
    recording
        .walk_behind(newest, None, &mut |_, uid, event| {
            world.apply(uid, event);
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut full = World::new();
    let query = Query { containers: vec![uid], ..Query::default() };
    recording
        .walk(&query, None, Direction::Forward, &mut |_, uid, event| {
            full.apply(uid, event);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(world.events(uid), full.events(uid));
    let told = |world: &World| -> Vec<String> {
        let line = |p: &Process| format!("{} {} of {:?}: {:?}", p.key.tgid, p.title(), p.parent, p.end);
        world.processes(uid).into_iter().map(line).collect()
    };
    assert_eq!(told(&world), told(&full));
    let report = verify(store.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{:?}", report.findings);
}
