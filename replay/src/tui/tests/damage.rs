//! Damage that is found only when blocks are read: it is said everywhere, and is never shown as "nothing happened".

use std::{fs, ops::ControlFlow, path::Path};

use afterimage_format::{BootNanos, Query, Recording};

use crate::{
    trace::Partial,
    tui::{
        fixture::{self, START},
        harness::Harness,
        update,
    },
};

/// A store with the staged events, the incident's in `blocks` blocks.
fn write(dir: &Path, blocks: usize) {
    let staged = fixture::staged();
    let mut store = fixture::open_store(dir);
    store.put_clock(staged.clock).expect("clock");
    staged.containers.iter().for_each(|record| store.put_container(record).expect("container"));
    let of_incident = staged.events.iter().filter(|(uid, _)| *uid == fixture::INCIDENT).count();
    let mut own = 0;
    for (uid, event) in &staged.events {
        event.with(|event| store.push(*uid, event)).expect("event");
        own += usize::from(*uid == fixture::INCIDENT);
        if *uid == fixture::INCIDENT && own.is_multiple_of(of_incident.div_ceil(blocks)) {
            store.finish_container(fixture::INCIDENT).expect("a block is cut");
        }
    }
    store.commit(BootNanos(START + 200_000_000_000)).expect("committed");
    store.seal().expect("sealed");
}

/// Damages the first block of the incident so that opening does not see it; how many events it has.
fn damage(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let segments = entries.filter(|path| path.extension().is_some_and(|e| e == "aft"));
    for segment in segments.collect::<Vec<_>>() {
        let good = fs::read(&segment).expect("read");
        for at in (0..good.len()).step_by(32) {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            fs::write(&segment, bad).expect("written");
            let Ok(recording) = Recording::open(dir) else { continue };
            if !recording.defects().is_empty() {
                continue;
            }
            recording.scan(&Query::default(), &mut |_, _, _| ControlFlow::Continue(())).expect("read");
            let first = recording.blocks().iter().find(|block| block.container == fixture::INCIDENT);
            if recording.unread().first() == first {
                return u64::from(first.expect("a block").rows);
            }
        }
        fs::write(&segment, good).expect("written");
    }
    panic!("no byte damages the incident's first block alone");
}

fn opened(dir: &Path) -> Harness {
    let mut harness = Harness::on(dir, 120, 40);
    update::begin_in(&mut harness.app, fixture::INCIDENT);
    harness.settle();
    harness
}

#[test]
fn a_block_that_cannot_be_read_is_corrupt_everywhere_and_not_without_events() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), 1);
    let events = damage(dir.path());
    let mut harness = opened(dir.path());
    let screen = harness.text();
    assert!(screen.contains("afterimage  corrupt: 1 "), "{screen}");
    assert!(screen.contains(&format!("no event can be read: {events} events corrupt")), "{screen}");
    assert!(screen.contains(&format!("0 of {events} events  {events} corrupt")), "{screen}");
    assert!(screen.contains(" corrupt ░░░░"), "the timeline: {screen}");
    assert!(!screen.contains("····"), "nothing is known to be without events: {screen}");
    harness.press("? G");
    assert!(harness.text().contains("corrupt: recorded, and cannot be read"), "{}", harness.text());
    harness.press("Esc 0");
    let screen = harness.text();
    assert!(screen.contains("corrupt at offset"), "{screen}");
    assert!(screen.contains(&format!("{events} events cannot be read")), "{screen}");
    assert!(!screen.contains("none found so far"), "{screen}");
    harness.press("1");
    let of_damage =
        harness.app.catalog.containers.iter().filter(|row| row.life.partial.contains(&Partial::Damaged));
    assert_eq!(of_damage.map(|row| row.uid).collect::<Vec<_>>(), [fixture::INCIDENT], "and no other");
    assert!(harness.text().contains("nothing stands out in what can be read"), "{}", harness.text());
}

#[test]
fn what_is_readable_behind_corrupt_events_is_counted_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), 2);
    let corrupt = damage(dir.path());
    let mut harness = opened(dir.path());
    harness.press("g g");
    let screen = harness.text();
    assert!(screen.contains(&format!("░ corrupt: {corrupt} events within")), "{screen}");
    assert!(screen.contains(&format!("  {corrupt} corrupt")), "{screen}");
    harness.press("/");
    harness.type_text("evt.type = connect");
    harness.press("Enter");
    let screen = harness.text();
    assert!(screen.contains(" hidden  ") && screen.contains(&format!("  {corrupt} corrupt")), "{screen}");
}

#[test]
fn known_damage_stays_known_when_the_recording_has_grown() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), 1);
    damage(dir.path());
    let mut harness = opened(dir.path());
    harness.grow_slowly(dir.path(), |screen| assert!(screen.contains("corrupt: 1"), "{screen}"));
}
