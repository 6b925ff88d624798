//! Numbers that several places say: they are the same.

use std::path::Path;

use afterimage_format::{BootNanos, ContainerRecord, ContainerUid, merge};

use crate::tui::{
    fixture::{self, START},
    harness::Harness,
};

#[test]
fn the_summary_has_as_many_processes_as_the_tree() {
    for (sample, processes) in [("intrusion.aftx", 18), ("plain.aftx", 19)] {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(sample);
        let mut harness = Harness::on(&sample, 120, 40);
        harness.press("Enter 1");
        let screen = harness.text();
        assert!(screen.contains(&format!("processes  {processes}, ")), "{screen}");
        let tree = harness.app.story().and_then(|story| story.whole.as_ref()).map(|whole| whole.tree.len());
        assert_eq!(tree, Some(processes));
    }
}

#[test]
fn the_host_is_no_container_and_named_beside_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let staged = fixture::staged();
    let mut store = fixture::open_store(dir.path());
    store.put_clock(staged.clock).expect("clock");
    store.put_container(&ContainerRecord::host(BootNanos(START))).expect("the host");
    staged.containers.iter().for_each(|record| store.put_container(record).expect("container"));
    for (uid, event) in &staged.events {
        event.with(|event| store.push(*uid, event)).expect("event");
    }
    let (_, event) = staged.events.first().expect("an event");
    event.with(|event| store.push(ContainerUid::HOST, event)).expect("event");
    store.commit(BootNanos(START + 200_000_000_000)).expect("committed");
    store.seal().expect("sealed");
    let containers = staged.containers.len();

    let mut harness = Harness::on(dir.path(), 120, 40);
    assert_eq!(harness.app.catalog.containers.len(), containers + 1, "the host is listed");
    let screen = harness.text();
    assert!(screen.contains(&format!("{containers} containers and the host")), "{screen}");
    harness.press("/");
    harness.type_text("container.name = batch-job-7f9c");
    harness.press("Enter");
    let screen = harness.text();
    assert!(screen.contains(&format!("1 of {containers} containers  {} hidden", containers - 1)), "{screen}");
    harness.press("0");
    let screen = harness.text();
    assert!(screen.contains(&format!("containers {containers} and the host, ")), "{screen}");
    let merged = merge(&[&harness.trace.recording], &[], &dir.path().join("merged.aftx"), &mut |_, _| {});
    assert_eq!(merged.expect("merged").containers, containers as u64);
}
