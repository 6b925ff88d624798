//! The budget, the age, pins, and what is said of what was removed.

use std::{fs, path::Path};

use afterimage_format::{
    BootNanos, ContainerUid, EvictionReason, Pin, PinError, Query, Recording, StoreOptions, StoreWriter,
};

use crate::generate::{Row, events, options, origin, push_all, read};

/// A segment of a store with a budget of 2 MiB.
const SEGMENT: u64 = 128 << 10;
const BUDGET: u64 = 2 << 20;

fn open(dir: &Path, budget_bytes: u64, max_age: u64) -> StoreWriter {
    let options = StoreOptions { segment_bytes: SEGMENT, budget_bytes, max_age, ..options() };
    StoreWriter::open(dir, origin(), options).unwrap()
}

/// Bytes that the store's traces take on disk.
fn size(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    files.map(|file| file.metadata().unwrap().len()).sum()
}

/// Rows of `uid` alone, from `begin` on, one each `step`.
fn rows_of(uid: u64, seed: u64, count: usize, begin: u64, step: u64) -> Vec<Row> {
    let mut rows = events(seed, count, 1);
    for (number, (container, event)) in rows.iter_mut().enumerate() {
        *container = ContainerUid(uid);
        event.time = BootNanos(begin + step * number as u64);
    }
    rows
}

/// Pushes rows in pieces, and gives the most bytes there were on disk.
fn fill(store: &mut StoreWriter, dir: &Path, rows: &[Row]) -> u64 {
    let mut most = 0;
    for piece in rows.chunks(500) {
        push_all(store, piece);
        store.commit(piece.last().unwrap().1.time).unwrap();
        most = most.max(size(dir));
    }
    most
}

fn pin(id: &str, uid: u64) -> Pin {
    Pin { id: id.to_owned(), containers: vec![ContainerUid(uid)], ..Pin::default() }
}

fn events_of(recording: &Recording, uid: u64) -> u64 {
    let own = recording.containers().iter().find(|c| c.record.uid == ContainerUid(uid));
    own.map_or(0, |container| container.events)
}

#[test]
fn the_budget_holds_and_a_noisy_container_does_not_evict_a_quiet_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), BUDGET, 0);
    let quiet = rows_of(5, 1, 2000, 1_000_000_000, 1000);
    fill(&mut store, dir.path(), &quiet);
    let mut most = 0;
    for round in 0..8 {
        let noisy = rows_of(6, 2 + round, 40_000, 10_000_000_000 + round * 10_000_000_000, 100_000);
        most = most.max(fill(&mut store, dir.path(), &noisy));
    }
    assert!(most <= BUDGET + SEGMENT, "{most} bytes on disk");
    assert!(store.stats().evicted_events > 100_000, "{:?}", store.stats());
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.defects(), []);
    let query = Query { containers: vec![ContainerUid(5)], ..Query::default() };
    assert_eq!(read(&recording, &query), quiet, "the quiet one is whole");
    let evictions = recording.evictions();
    assert_eq!(evictions.len(), 1, "{evictions:?}");
    assert_eq!(evictions[0].container, ContainerUid(6));
    assert_eq!(evictions[0].reason, EvictionReason::Budget);
    assert_eq!(evictions[0].events + events_of(&recording, 6), 320_000, "exact: kept and evicted are all");
    assert!(events_of(&recording, 6) > 0);
}

#[test]
fn what_is_pinned_survives_by_moving_and_is_released_by_unpin() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), BUDGET, 0);
    let first = rows_of(6, 1, 10_000, 1_000_000_000, 1000);
    fill(&mut store, dir.path(), &first);
    let last = first.last().unwrap().1.time;
    let held = Pin { end: Some(last), reason: b"rule".to_vec(), ..pin("a", 6) };
    store.pin(held.clone()).unwrap();
    store.sync().unwrap();
    for round in 0..6 {
        let more = rows_of(6, 2 + round, 40_000, 10_000_000_000 + round * 10_000_000_000, 100_000);
        let most = fill(&mut store, dir.path(), &more);
        assert!(most <= BUDGET + SEGMENT, "{most} bytes on disk");
    }
    assert!(store.stats().moved_bytes > 0);
    assert_eq!(store.pins(), std::slice::from_ref(&held));
    drop(store);
    let recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.pins(), std::slice::from_ref(&held));
    let query = Query { end: Some(last), ..Query::default() };
    assert_eq!(read(&recording, &query), first, "pinned rows are whole");

    // A new writer knows the pin; without it the rows go.
    let mut store = open(dir.path(), BUDGET, 0);
    assert_eq!(store.pins(), std::slice::from_ref(&held));
    assert!(store.unpin("a").unwrap());
    assert!(!store.unpin("a").unwrap());
    for round in 0..3 {
        let more = rows_of(6, 12 + round, 40_000, 100_000_000_000 + round * 10_000_000_000, 100_000);
        fill(&mut store, dir.path(), &more);
    }
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.pins(), []);
    assert!(read(&recording, &query).is_empty(), "released");
    assert_eq!(recording.evictions()[0].events + events_of(&recording, 6), 370_000);
}

#[test]
fn a_pin_that_does_not_fit_is_refused_with_what_and_how_much() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), BUDGET, 0);
    for round in 0..4 {
        let rows = rows_of(6, round, 40_000, 1_000_000_000 + round * 10_000_000_000, 100_000);
        fill(&mut store, dir.path(), &rows);
    }
    let error = store.pin(pin("all", 6)).unwrap_err();
    let PinError::DoesNotFit { id, needed, available, limit } = &error else { panic!("{error}") };
    assert_eq!((id.as_str(), *limit), ("all", BUDGET / 4 * 3));
    assert!(needed > available, "{error}");
    assert!(error.to_string().contains(&needed.to_string()), "{error}");
    assert_eq!(store.pins(), []);
    let bad = store.pin(pin("", 6)).unwrap_err();
    assert!(matches!(bad, PinError::Refused { what: "id", .. }), "{bad}");
}

#[test]
fn a_pin_taken_away_stays_away_when_the_segment_that_said_so_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), BUDGET, 0);
    store.pin(pin("a", 5)).unwrap();
    store.pin(Pin { until: Some(1), ..pin("lapsed", 5) }).unwrap();
    let quiet = rows_of(5, 1, 500, 1_000_000_000, 1000);
    fill(&mut store, dir.path(), &quiet);
    fill(&mut store, dir.path(), &rows_of(6, 1, 40_000, 2_000_000_000, 1000));
    store.unpin("a").unwrap();
    for round in 0..5 {
        let rows = rows_of(6, round, 40_000, 10_000_000_000 + round * 10_000_000_000, 100_000);
        fill(&mut store, dir.path(), &rows);
    }
    drop(store);
    assert_eq!(Recording::open(dir.path()).unwrap().pins(), []);
    assert_eq!(open(dir.path(), BUDGET, 0).pins(), []);
}

#[test]
fn what_is_too_old_goes_and_what_is_pinned_stays() {
    let dir = tempfile::tempdir().unwrap();
    let second = 1_000_000_000;
    let mut store = open(dir.path(), 0, 100 * second);
    store.pin(pin("a", 5)).unwrap();
    let pinned = rows_of(5, 1, 3000, second, 1000);
    fill(&mut store, dir.path(), &pinned);
    let rows = rows_of(6, 2, 100_000, 2 * second, 3_000_000);
    fill(&mut store, dir.path(), &rows);
    // Retention looks at ages once a second.
    let end = rows.last().unwrap().1.time;
    std::thread::sleep(std::time::Duration::from_millis(1100));
    store.commit(end).unwrap();
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    let query = Query { containers: vec![ContainerUid(5)], ..Query::default() };
    assert_eq!(read(&recording, &query), pinned);
    let evicted = recording.evictions().iter().find(|e| e.container == ContainerUid(6)).unwrap();
    assert_eq!(evicted.reason, EvictionReason::Age);
    assert_eq!(evicted.events + events_of(&recording, 6), 100_000);
    assert!(evicted.until.0 < end.0 - 100 * second, "nothing younger went");
    let oldest = recording.blocks().iter().filter(|b| b.container == ContainerUid(6)).map(|b| b.first).min();
    let span = end.0 - oldest.unwrap().0;
    assert!(span < 150 * second, "{span} ns are left: the age and a segment");
}
