//! kill -9 of the recorder: what it had taken over opens.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use afterimage_capture::takeover::UNSTAGED;
use afterimage_format::{DefectKind, EventCode, LossCause, VerifyOptions, verify};
use afterimage_launch::{Launcher, Root, Stdio, Style, rootfs};

use crate::harness::{Running, alone, container, events, open, patience};

/// Rounds in the tests that CI runs; `cargo xtask soak` runs a thousand.
const ROUNDS: u64 = 25;
/// A container that ended this long before the kill must have been taken over: a hundred passes of the recorder.
fn taken_over() -> Duration {
    // As slow as the machine is said to be.
    patience() / 40
}

#[test]
#[ignore = "needs root and eBPF"]
fn nothing_taken_over_is_lost_to_a_kill() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    rootfs::busybox(root.path()).unwrap();
    let rounds = std::env::var("AFTERIMAGE_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let mut witnessed = 0;
    for round in 0..rounds {
        let recorder = Running::start(&["--host", "none"]);
        let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().to_owned())).unwrap();
        let ended = Mutex::new(Vec::new());
        let stop = AtomicBool::new(false);
        let (mut recorder, mut killed, mut store) = (Some(recorder), None, None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let outcome = launcher.run(&["/bin/true"], Stdio::default()).unwrap();
                    ended.lock().unwrap().push((outcome.id.to_string(), Instant::now()));
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            // A different moment each round, spread over block cuts and group commits.
            std::thread::sleep(taken_over() + Duration::from_millis(200 + round * 137 % 1200));
            killed = Some(Instant::now());
            store = recorder.take().map(Running::kill);
            stop.store(true, Ordering::Relaxed);
        });
        let (killed, store) = (killed.unwrap(), store.unwrap());
        let recording = open(store.path());
        assert!(recording.unsealed(), "round {round}");
        for defect in recording.defects() {
            assert_eq!(defect.kind, DefectKind::Torn, "round {round}: {defect}");
        }
        let report = verify(store.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_good(), "round {round}: {:?}", report.findings);
        for (id, when) in ended.into_inner().unwrap() {
            if killed.saturating_duration_since(when) < taken_over() {
                continue;
            }
            witnessed += 1;
            let summary = container(&recording, &id);
            let exits = events(&recording, summary.record.uid);
            let exits = exits.iter().filter(|event| event.code == EventCode::EXIT).count();
            assert_eq!(exits, 1, "round {round}: container {id}");
        }
    }
    assert!(witnessed >= rounds, "only {witnessed} containers ended early enough to be asked for");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_restart_leaves_a_named_gap_and_goes_on_with_new_uids() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    rootfs::busybox(root.path()).unwrap();
    let launcher = Launcher::new(Style::Docker, Root::Chroot(root.path().to_owned())).unwrap();
    let first = Running::start(&["--host", "none"]);
    let before = launcher.run(&["/bin/true"], Stdio::default()).unwrap();
    std::thread::sleep(taken_over());
    let store = first.kill();
    let second = Running::on(store, &["--host", "none"]);
    let after = launcher.run(&["/bin/true"], Stdio::default()).unwrap();
    let (store, _) = second.stop();
    let recording = open(store.path());
    let (early, late) = (
        container(&recording, &before.id.to_string()).record.uid,
        container(&recording, &after.id.to_string()).record.uid,
    );
    assert!(early < late, "uids are not used twice");
    let gaps: Vec<_> =
        recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown).collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].count, gaps[0].container), (None, None));
    let last_before = events(&recording, early).last().unwrap().time;
    let first_after = events(&recording, late).first().unwrap().time;
    // What was not staged yet is in the gap, although later events may be in blocks already.
    let (from, to) = (gaps[0].from, gaps[0].to);
    assert!(last_before.0 <= from.0 + UNSTAGED, "{last_before:?} is long before the gap from {from:?}");
    assert!(from < to && to < first_after, "{from:?} to {to:?}, then {first_after:?}");
}
