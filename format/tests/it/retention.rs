//! The budget, the age, pins, and what is said of what was removed.

use std::{fs, path::Path};

use afterimage_format::{
    BootNanos, ContainerUid, EvictionReason, FindingKind, Pin, PinError, Query, Recording, SegmentState,
    Signer, StoreOptions, StoreWriter, VerifyOptions, VerifyReport, extract, verify,
};

use crate::crash::copy_store;
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
fn what_is_pinned_survives_and_is_released_by_unpin() {
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
    // Retention frees more than it must at a time: only now and then is there more than three quarters.
    let error = (0..1000).find_map(|round| {
        let rows = rows_of(6, round, 500, 1_000_000_000 + round * 100_000_000, 100_000);
        fill(&mut store, dir.path(), &rows);
        let refused = store.pin(pin("all", 6)).err();
        assert!(refused.is_some() || store.unpin("all").unwrap());
        refused
    });
    let error = error.expect("a pin of all that was refused");
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

fn check(path: &Path, key: Option<[u8; 32]>) -> VerifyReport {
    verify(path, &VerifyOptions { key, ..VerifyOptions::default() }, &mut |_, _| {}).unwrap()
}

/// A store with a quiet container (5) whose oldest blocks were moved, and a noisy one (6). Gives the first segment's key.
fn moved_store(dir: &Path) -> [u8; 32] {
    let mut store = open(dir, BUDGET, 0);
    let key = store.public_key();
    for round in 0..5 {
        let begin = 1_000_000_000 + round * 10_000_000_000;
        fill(&mut store, dir, &rows_of(5, round, 1000, begin, 1000));
        store.finish_container(ContainerUid(5)).unwrap();
        store.checkpoint().unwrap();
        fill(&mut store, dir, &rows_of(6, 2 + round, 40_000, begin + 1_000_000_000, 100_000));
    }
    assert!(store.stats().moved_bytes > 0);
    store.seal().unwrap();
    key
}

fn files(dir: &Path, prefix: &str) -> Vec<std::path::PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> =
        names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix)).collect();
    names.sort();
    names
}

#[test]
fn a_store_after_eviction_is_good_and_says_what_was_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let key = moved_store(&store);
    assert!(!files(&store, "kept-").is_empty());
    let report = check(&store, Some(key));
    assert!(report.is_good(), "{:?}", report.first_damage());
    assert_eq!(report.signer, Signer::Pinned { from: 0 }, "a key of a segment that is gone");
    assert!(report.segments.iter().any(|s| s.state == SegmentState::Kept));
    let evicted = report.findings.iter().filter(|f| f.kind == FindingKind::Evicted);
    let told: Vec<_> = evicted.map(|f| (f.sequence, f.container)).collect();
    assert!(told.contains(&(Some(0), None)), "{told:?}");
    assert!(told.contains(&(None, Some(ContainerUid(6)))), "{told:?}");

    for uid in [5, 6] {
        let out = dir.path().join(format!("{uid}.aftx"));
        let recording = Recording::open(&store).unwrap();
        let done = extract(&recording, &[ContainerUid(uid)], &out).unwrap();
        assert_eq!(done.events, events_of(&recording, uid));
        let alone = check(&out, Some(key));
        assert!(alone.is_good(), "{:?}", alone.first_damage());
        let of_extract = Recording::open(&out).unwrap();
        let evictions: Vec<_> =
            recording.evictions().iter().filter(|e| e.container == ContainerUid(uid)).cloned().collect();
        assert_eq!(of_extract.evictions(), evictions, "and nobody else's");
    }
}

#[test]
fn what_was_removed_without_a_tombstone_is_missing_and_not_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    moved_store(&store);
    for path in files(&store, "kept-").into_iter().chain(files(&store, "seg-").into_iter().take(2)) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        let report = check(&store, None);
        let missing = [FindingKind::MissingSegment, FindingKind::MissingBlock];
        assert!(report.findings.iter().any(|f| missing.contains(&f.kind)), "{name}: {:?}", report.findings);
        let recording = Recording::open(&store).unwrap();
        assert!(
            recording.defects().iter().any(|d| d.kind == afterimage_format::DefectKind::Missing),
            "{name}"
        );
        fs::rename(&aside, &path).unwrap();
    }
    // A block of a kept file that was changed, its checksums made right, is found by its proof.
    let kept = &files(&store, "kept-")[0];
    let mut bytes = fs::read(kept).unwrap();
    let at = 4096;
    bytes[at + 64] ^= 1;
    let crc = crc32c::crc32c(&bytes[at..at + 124]);
    bytes[at + 124..at + 128].copy_from_slice(&crc.to_le_bytes());
    fs::write(kept, bytes).unwrap();
    let report = check(&store, None);
    assert!(report.findings.iter().any(|f| f.kind == FindingKind::BadProof), "{:?}", report.findings);
}

#[test]
fn a_crash_at_any_step_of_retention_loses_nothing_that_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let mut store = open(&live, BUDGET, 0);
    store.pin(pin("p", 5)).unwrap();
    let mut quiet = Vec::new();
    let mut images = 0;
    let mut before: Option<std::path::PathBuf> = None;
    // How often something is moved depends on how often stage files are synced and go.
    for round in 0.. {
        assert!(round < 200, "{images} images");
        let begin = 1_000_000_000 + round * 1_000_000_000;
        let own = rows_of(5, round, 100, begin, 1000);
        fill(&mut store, &live, &own);
        quiet.extend(own);
        store.finish_container(ContainerUid(5)).unwrap();
        let moved = store.stats().moved_bytes;
        let evicted = store.stats().evicted_events;
        fill(&mut store, &live, &rows_of(6, round, 5_000, begin + 500_000_000, 50_000));
        let image = dir.path().join(format!("image{round}"));
        copy_store(&live, &image);
        if let Some(before) = &before
            && store.stats().moved_bytes > moved
            && store.stats().evicted_events > evicted
        {
            // As if the sources had not been removed yet; with and without what was told of it.
            for path in files(before, "seg-") {
                let back = image.join(path.file_name().unwrap());
                if !back.exists() {
                    fs::copy(&path, back).unwrap();
                }
            }
            images += 1;
            for name in ["seg-", "untold"] {
                if name == "untold" {
                    let last = files(&image, "seg-").pop().unwrap();
                    let earlier = before.join(last.file_name().unwrap());
                    if !earlier.exists() {
                        continue;
                    }
                    fs::copy(earlier, last).unwrap();
                }
                let query = Query { containers: vec![ContainerUid(5)], ..Query::default() };
                let found = read(&Recording::open(&image).unwrap(), &query);
                assert_eq!(found.len(), quiet.len(), "round {round}, {name}");
                drop(open(&image, BUDGET, 0));
                let found = read(&Recording::open(&image).unwrap(), &query);
                assert_eq!(found, quiet, "round {round}, {name}, and after the next writer");
                let report = check(&image, None);
                assert!(report.is_good(), "round {round}, {name}: {:?}", report.first_damage());
            }
        }
        before = Some(image);
        if images >= 2 {
            break;
        }
    }
}

#[test]
fn readers_beside_retention_never_miss_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut store = open(&path, BUDGET, 0);
    store.pin(pin("p", 5)).unwrap();
    let quiet = rows_of(5, 1, 2000, 1_000_000_000, 1000);
    fill(&mut store, &path, &quiet);
    store.finish_container(ContainerUid(5)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let query = Query { containers: vec![ContainerUid(5)], ..Query::default() };
            let mut looks = 0;
            while !done.load(relaxed) {
                let recording = Recording::open(&path).unwrap();
                assert_eq!(recording.defects(), []);
                assert_eq!(read(&recording, &query).len(), quiet.len());
                let report = check(&path, None);
                assert!(report.is_good(), "{:?}", report.first_damage());
                looks += 1;
            }
            looks
        });
        for round in 0..8 {
            let rows = rows_of(6, round, 20_000, 10_000_000_000 + round * 10_000_000_000, 100_000);
            fill(&mut store, &path, &rows);
        }
        done.store(true, relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert!(store.stats().moved_bytes > 0);
}
