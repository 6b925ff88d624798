//! The catalog: a store answers alike with it, without it, and with a wrong one.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use afterimage_format::{
    BootNanos, CatalogUse, ClockPair, ContainerRecord, ContainerUid, DefectKind, Fact, FactKey, FactSource,
    FindingKind, Loss, LossCause, Pin, Query, Recording, StoreOptions, StoreWriter, VerifyOptions, verify,
};

use crate::crash::copy_store;
use crate::generate::{events, options, origin, push_all, read, writer};

/// Everything that a recording says.
fn answers(recording: &Recording) -> String {
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        recording.origin(),
        recording.containers(),
        recording.losses(),
        recording.pins(),
        recording.evictions(),
        recording.clock().pairs(),
        recording.blocks(),
        recording.defects(),
        recording.time_range(),
        recording.sealed_range(),
        recording.unsealed(),
        recording.keyframes(),
    )
}

fn open(dir: &Path) -> (CatalogUse, String) {
    let recording = Recording::open(dir).unwrap();
    (recording.catalog(), answers(&recording))
}

fn catalog(dir: &Path) -> PathBuf {
    dir.join("catalog")
}

fn record(uid: u64, time: u64) -> ContainerRecord {
    let fact = |value: String| Fact {
        key: FactKey::Label,
        value: value.into_bytes(),
        source: FactSource::OciBundle,
        time: BootNanos(time),
    };
    let facts = vec![fact(format!("{uid}=a")), fact(format!("{uid}={time}"))];
    ContainerRecord { uid: ContainerUid(uid), facts, ..ContainerRecord::host(BootNanos(time)) }
}

fn small_segments(dir: &Path, budget_bytes: u64) -> StoreWriter {
    let options = StoreOptions { segment_bytes: 32 << 10, budget_bytes, ..options() };
    StoreWriter::open(dir, origin(), options).unwrap()
}

/// Pushes events and everything else that a store tells, in segments of 32 KiB.
fn fill(store: &mut StoreWriter, seed: u64, count: usize) {
    for (number, chunk) in events(seed, count, 4).chunks(500).enumerate() {
        let time = chunk[0].1.time;
        for uid in 0..4 {
            store.put_container(&record(uid, time.0)).unwrap();
        }
        let container = (number % 2 == 0).then_some(ContainerUid(number as u64 % 4));
        let (cause, count) = (LossCause::RingFull, Some(number as u64));
        store.put_loss(&Loss { container, cause, cpu: None, from: time, to: time, count }).unwrap();
        store.put_clock(ClockPair { boot: time, real: number as i64 }).unwrap();
        push_all(store, chunk);
        store.commit(BootNanos(u64::MAX)).unwrap();
    }
}

/// A store with a segment that a killed writer left, evicted and kept blocks, pins, and one segment that is not in
/// the catalog.
fn store_of_all_sorts(dir: &Path) {
    let mut store = small_segments(dir, 0);
    fill(&mut store, 1, 4000);
    drop(store);
    let mut store = small_segments(dir, 600 << 10);
    let pin = Pin { id: "p".to_owned(), containers: vec![ContainerUid(1)], ..Pin::default() };
    store.pin(Pin { end: Some(BootNanos(1 << 40)), ..pin.clone() }).unwrap();
    store.pin(Pin { id: "q".to_owned(), end: Some(BootNanos(5)), ..pin }).unwrap();
    fill(&mut store, 2, 40_000);
    store.unpin("q").unwrap();
    assert!(store.stats().evicted_events > 0, "{:?}", store.stats());
    store.seal().unwrap();
    let mut store = small_segments(dir, 0);
    fill(&mut store, 3, 600);
    drop(store);
}

fn without_catalog(dir: &Path) -> String {
    let aside = dir.join("catalog.aside");
    fs::rename(catalog(dir), &aside).unwrap();
    let (used, answers) = open(dir);
    assert_eq!(used, CatalogUse::Absent);
    fs::rename(&aside, catalog(dir)).unwrap();
    answers
}

#[test]
fn a_store_says_the_same_with_and_without_its_catalog() {
    let dir = tempfile::tempdir().unwrap();
    store_of_all_sorts(dir.path());
    let names: Vec<String> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("kept-")), "{names:?}");
    let (used, answers_with) = open(dir.path());
    assert!(matches!(used, CatalogUse::Used { files } if files > 3), "{used:?}");
    assert_eq!(answers_with, without_catalog(dir.path()));
    let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{:?}", report.first_damage());
    let recording = Recording::open(dir.path()).unwrap();
    let rows = read(&recording, &Query::default());
    let mut recording = recording;
    fs::remove_file(catalog(dir.path())).unwrap();
    recording.refresh().unwrap();
    assert_eq!(recording.catalog(), CatalogUse::Absent);
    assert_eq!(answers(&recording), answers_with);
    assert_eq!(read(&recording, &Query::default()), rows);
}

#[test]
fn a_reader_that_follows_takes_a_new_catalog_and_what_it_does_not_list_yet() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = small_segments(dir.path(), 0);
    fill(&mut store, 4, 1000);
    let mut recording = Recording::open(dir.path()).unwrap();
    for seed in 5..9 {
        fill(&mut store, seed, 3000);
        recording.refresh().unwrap();
        assert_eq!(answers(&recording), without_catalog(dir.path()));
    }
    store.seal().unwrap();
    recording.refresh().unwrap();
    assert!(matches!(recording.catalog(), CatalogUse::Used { files } if files > 3));
    assert_eq!(answers(&recording), without_catalog(dir.path()));
}

#[test]
fn a_damaged_catalog_is_no_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = small_segments(dir.path(), 0);
    fill(&mut store, 6, 1000);
    store.seal().unwrap();
    let bytes = fs::read(catalog(dir.path())).unwrap();
    let wanted = without_catalog(dir.path());
    assert_eq!(open(dir.path()).1, wanted);
    let file = fs::OpenOptions::new().write(true).open(catalog(dir.path())).unwrap();
    let ignored = |what: &str| {
        let (used, answers) = open(dir.path());
        assert!(matches!(used, CatalogUse::Ignored(_)), "{what}: {used:?}");
        assert_eq!(answers, wanted, "{what}");
    };
    for (at, &byte) in bytes.iter().enumerate() {
        file.write_all_at(&[byte ^ 1 << (at % 8)], at as u64).unwrap();
        ignored(&format!("bit {} of byte {at}", at % 8));
        file.write_all_at(&[byte], at as u64).unwrap();
    }
    for cut in (0..bytes.len()).rev().step_by(7) {
        file.set_len(cut as u64).unwrap();
        ignored(&format!("cut at {cut}"));
    }
    fs::write(catalog(dir.path()), [&bytes[..], &[0]].concat()).unwrap();
    ignored("a byte more");
    let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    let kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::BadCatalog]);
    // The next recorder makes it anew.
    writer(dir.path()).seal().unwrap();
    assert!(matches!(open(dir.path()).0, CatalogUse::Used { .. }));
}

#[test]
fn a_catalog_of_another_time_or_store_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let store_dir = dir.path().join("store");
    let mut store = small_segments(&store_dir, 600 << 10);
    fill(&mut store, 7, 9000);
    store.seal().unwrap();
    let early = fs::read(catalog(&store_dir)).unwrap();
    let mut store = small_segments(&store_dir, 600 << 10);
    fill(&mut store, 8, 6000);
    store.seal().unwrap();
    let current = fs::read(catalog(&store_dir)).unwrap();
    let wanted = without_catalog(&store_dir);
    // What came since is read beside it.
    fs::write(catalog(&store_dir), &early).unwrap();
    let (used, answers) = open(&store_dir);
    assert!(matches!(used, CatalogUse::Used { .. }), "{used:?}");
    assert_eq!(answers, wanted);
    let mut store = small_segments(&store_dir, 600 << 10);
    fill(&mut store, 9, 40_000);
    store.seal().unwrap();
    let wanted = without_catalog(&store_dir);
    fs::write(catalog(&store_dir), &current).unwrap();
    let (used, answers) = open(&store_dir);
    assert!(matches!(used, CatalogUse::Ignored(_)), "it lists files that are gone: {used:?}");
    assert_eq!(answers, wanted);
    // Stale is not wrong.
    let report = verify(&store_dir, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{:?}", report.first_damage());

    let other = dir.path().join("other");
    let mut store =
        StoreWriter::open(&other, afterimage_format::Origin { store_uuid: [9; 16], ..origin() }, options())
            .unwrap();
    fill(&mut store, 7, 1000);
    store.seal().unwrap();
    let wanted = without_catalog(&other);
    fs::write(catalog(&other), &current).unwrap();
    let (used, answers) = open(&other);
    assert!(matches!(used, CatalogUse::Ignored(_)), "{used:?}");
    assert_eq!(answers, wanted);
}

#[test]
fn a_segment_that_is_not_the_listed_one_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    let mut store = small_segments(&good, 0);
    fill(&mut store, 10, 3000);
    store.seal().unwrap();
    let name = "seg-0000000000000000.aft";
    let bytes = fs::read(good.join(name)).unwrap();

    let longer = dir.path().join("longer");
    copy_store(&good, &longer);
    fs::write(longer.join(name), [&bytes[..], &[0]].concat()).unwrap();
    let (used, answers) = open(&longer);
    assert!(matches!(used, CatalogUse::Ignored(_)), "{used:?}");
    assert_eq!(answers, without_catalog(&longer));

    // As long as before, and its footer damaged: seen when it is read from.
    let same = dir.path().join("same");
    copy_store(&good, &same);
    let mut changed = bytes.clone();
    let trailer = &bytes[bytes.len() - 64..];
    let footer = u64::from_le_bytes(trailer[8..16].try_into().unwrap()) as usize;
    changed[footer + 90] ^= 1;
    fs::write(same.join(name), &changed).unwrap();
    let recording = Recording::open(&same).unwrap();
    assert!(matches!(recording.catalog(), CatalogUse::Used { .. }));
    assert_eq!(recording.defects(), []);
    let rows = read(&recording, &Query::default());
    assert_eq!(rows.len(), 3000, "blocks prove themselves");
    let defects = recording.defects();
    assert_eq!(defects.len(), 1, "{defects:?}");
    assert_eq!(defects[0].kind, DefectKind::Corrupt);
    let report = verify(&same, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(!report.is_good());
}

/// A damaged header of a segment was met by nobody as long as the catalog was there.
#[test]
fn a_damaged_header_of_a_listed_segment_is_told_when_the_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = writer(dir.path());
    push_all(&mut store, &events(12, 100, 2));
    let segment = store.seal().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert!(matches!(recording.catalog(), CatalogUse::Used { .. }));
    let defects = recording.defects();
    assert!(defects.iter().any(|defect| defect.path == segment && defect.offset == 0), "{defects:?}");
}

#[test]
fn verify_names_a_catalog_that_says_other_than_the_segments() {
    let dir = tempfile::tempdir().unwrap();
    let stores = ["one", "two"].map(|name| dir.path().join(name));
    for (number, store_dir) in stores.iter().enumerate() {
        // The same but for the facts of the containers, which are as long.
        let mut store = writer(store_dir);
        store.put_container(&record(1, 1_000_000 + number as u64)).unwrap();
        push_all(&mut store, &events(11, 100, 2));
        store.seal().unwrap();
    }
    fs::copy(catalog(&stores[0]), catalog(&stores[1])).unwrap();
    let report = verify(&stores[1], &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    let kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&FindingKind::BadCatalog), "{kinds:?}");
    assert!(kinds.iter().all(|kind| *kind == FindingKind::BadCatalog), "{kinds:?}");
}

#[test]
fn one_container_among_many_segments_is_read_from_its_own_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = small_segments(dir.path(), 0);
    fill(&mut store, 12, 12_000);
    let (_, mut rare) = events(13, 1, 1).remove(0);
    rare.time = BootNanos(1 << 40);
    push_all(&mut store, &[(ContainerUid(99), rare)]);
    store.finish_container(ContainerUid(99)).unwrap();
    let path = store.seal().unwrap();
    // All other segments become unreadable behind their headers, which opening compares, without changing in length.
    let mut spoiled = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let other = entry.unwrap().path();
        if other.extension().is_some_and(|end| end == "aft") && other != path {
            let mut bytes = fs::read(&other).unwrap();
            bytes[4096..].fill(0);
            fs::write(&other, bytes).unwrap();
            spoiled += 1;
        }
    }
    assert!(spoiled > 3);
    let recording = Recording::open(dir.path()).unwrap();
    let query = Query { containers: vec![ContainerUid(99)], ..Query::default() };
    assert_eq!(read(&recording, &query).len(), 1);
    assert_eq!(recording.defects(), []);
}
