//! Recordings put together, and what is saved of damaged ones.

use std::{fs, path::Path};

use afterimage_format::{
    BootNanos, ContainerUid, LossCause, MergeError, MergeReport, Query, Recording, StoreOptions, StoreWriter,
    VerifyOptions, extract, merge, verify,
};

use crate::generate::{Row, assert_same, events, options, origin, push_all, read, read_path};

/// A store of several segments that its writer left without sealing the last; gives its rows.
fn left(dir: &Path, seed: u64) -> Vec<Row> {
    let small = StoreOptions { segment_bytes: 20_000, ..options() };
    let mut store = StoreWriter::open(dir, origin(), small).unwrap();
    let rows = events(seed, 6000, 3);
    for chunk in rows.chunks(1000) {
        push_all(&mut store, chunk);
        if chunk.last() != rows.last() {
            (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
            store.checkpoint().unwrap();
        }
        store.commit(BootNanos(0)).unwrap();
    }
    rows
}

fn merged(paths: &[&Path], out: &Path) -> Result<MergeReport, MergeError> {
    let recordings: Vec<Recording> = paths.iter().map(|path| Recording::open(path).unwrap()).collect();
    let mut last = (0, 0);
    let done =
        merge(&recordings.iter().collect::<Vec<_>>(), &[], out, &mut |done, total| last = (done, total));
    assert_eq!(last.0, last.1);
    done
}

fn is_good(path: &Path) {
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{:?}", report.first_damage());
}

#[test]
fn extracts_and_their_store_are_put_together_with_each_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let rows = left(&store, 71);
    let recording = Recording::open(&store).unwrap();
    let parts: Vec<_> = [vec![0], vec![1, 2], vec![2]]
        .iter()
        .enumerate()
        .map(|(number, uids)| {
            let out = dir.path().join(format!("{number}.aftx"));
            let uids: Vec<ContainerUid> = uids.iter().map(|&uid| ContainerUid(uid)).collect();
            extract(&recording, &uids, &out).unwrap();
            out
        })
        .collect();
    let of_parts = dir.path().join("parts.aftx");
    let report = merged(&parts.iter().map(|p| p.as_path()).collect::<Vec<_>>(), &of_parts).unwrap();
    assert_eq!((report.events, report.containers, report.damaged_blocks), (6000, 2, 0), "uid 0 is the host");
    assert!(report.duplicates > 0);
    assert_same(read_path(&of_parts), rows.clone());
    is_good(&of_parts);
    // Later the store has more rows in the same places; its blocks are taken.
    StoreWriter::open(&store, origin(), options()).unwrap().seal().unwrap();
    let of_all = dir.path().join("all.aftx");
    let report = merged(&[&of_parts, &store, &parts[0]], &of_all).unwrap();
    assert_eq!(report.events, 6000);
    assert_same(read_path(&of_all), rows);
    is_good(&of_all);
    let again = merged(&[&of_parts], &of_all).unwrap_err();
    assert!(
        matches!(&again, MergeError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists)
    );
}

#[test]
fn recordings_of_different_stores_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    left(&one, 72);
    let other = afterimage_format::Origin { store_uuid: [9; 16], ..origin() };
    StoreWriter::open(&two, other, options()).unwrap().seal().unwrap();
    let out = dir.path().join("out.aftx");
    assert!(matches!(merged(&[&one, &two], &out), Err(MergeError::OtherStore { .. })));
    assert!(!out.exists());
}

#[test]
fn what_can_be_read_of_a_damaged_store_is_recovered_and_the_store_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let rows = left(&store, 73);
    let mut segments: Vec<_> = fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "aft"))
        .collect();
    segments.sort();
    assert!(segments.len() >= 3);
    // The header of one segment, and what is in the first block with rows of another.
    for (segment, header) in [(&segments[0], true), (&segments[1], false)] {
        let mut bytes = fs::read(segment).unwrap();
        let mut block = 4096;
        while bytes[block + 6] != 1 {
            block += u32::from_le_bytes(bytes[block + 8..block + 12].try_into().unwrap()) as usize;
        }
        bytes[if header { 20 } else { block + 128 + 60 }] ^= 0x10;
        fs::write(segment, bytes).unwrap();
    }
    let before: Vec<_> =
        fs::read_dir(&store).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
    let seen = read(&Recording::open(&store).unwrap(), &Query::default()).len() as u64;
    let out = dir.path().join("recovered.aftx");
    let report = merged(&[&store], &out).unwrap();
    assert_eq!(report.damaged_blocks, 1);
    assert!(report.salvaged_events > 0 && report.staged_events > 0, "{report:?}");
    assert_eq!(report.events + report.damaged_events, rows.len() as u64);
    assert_eq!(report.events, seen + report.salvaged_events);
    assert_eq!(read_path(&out).len() as u64, report.events);
    let after: Vec<_> = fs::read_dir(&store).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
    assert_eq!(before, after);
    let verified = verify(&out, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    let missing = verified.findings.iter().filter(|f| f.kind.is_damage());
    assert!(missing.clone().all(|f| f.kind == afterimage_format::FindingKind::DamagedSource), "{verified:?}");
    assert_eq!(missing.count(), 1, "the damaged one");
    let told = Recording::open(&out).unwrap().losses().to_vec();
    let told: Vec<_> = told.into_iter().filter(|loss| loss.cause == LossCause::Corrupt).collect();
    assert!(matches!(told.as_slice(), [loss] if loss.count == Some(report.damaged_events)), "{told:?}");
}
