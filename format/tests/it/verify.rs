//! Tampering is found and named.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use afterimage_format::{
    BootNanos, ContainerUid, FindingKind, Origin, Recording, SegmentState, Signer, StoreOptions, StoreWriter,
    VerifyOptions, VerifyReport, extract, verify,
};

use crate::generate::{events, options, origin, push_all, read_path, writer};

fn check_with(path: &Path, options: &VerifyOptions) -> VerifyReport {
    let mut last = (0, 0);
    let report = verify(path, options, &mut |done, total| last = (done, total)).unwrap();
    assert!(last.0 <= last.1);
    report
}

fn check(path: &Path) -> VerifyReport {
    check_with(path, &VerifyOptions::default())
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("seg-{number:016x}.aft"))
}

/// A store of `segments` segments of a few blocks each; gives the first segment's public key.
fn store(dir: &Path, seed: u64, segments: usize) -> [u8; 32] {
    let small = StoreOptions { segment_bytes: 20_000, ..options() };
    let mut store = StoreWriter::open(dir, origin(), small).unwrap();
    let key = store.public_key();
    let rows = events(seed, segments * 2000, 3);
    for (number, chunk) in rows.chunks(1000).enumerate() {
        push_all(&mut store, chunk);
        (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
        if number % 2 == 0 {
            store.checkpoint().unwrap();
        }
        store.commit(chunk[0].1.time).unwrap();
    }
    store.seal().unwrap();
    assert!(segment(dir, segments as u64 - 1).exists());
    key
}

fn kinds(report: &VerifyReport) -> Vec<FindingKind> {
    report.findings.iter().map(|f| f.kind).collect()
}

#[test]
fn an_untouched_store_is_good_and_its_key_can_be_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let key = store(dir.path(), 51, 3);
    let report = check(dir.path());
    assert!(report.is_good() && report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.signer, Signer::NotPinned);
    assert_eq!(report.events, 6000);
    assert!(report.segments.len() >= 3);
    assert!(report.segments.iter().all(|s| s.state == SegmentState::Sealed && s.checkpoints >= 1));
    // All but the last checkpoint of each segment itself.
    assert_eq!(report.signed_blocks + report.segments.len() as u64, report.blocks);
    let pinned = check_with(dir.path(), &VerifyOptions { key: Some(key), ..VerifyOptions::default() });
    assert!(pinned.is_good());
    assert_eq!(pinned.signer, Signer::Pinned { from: 0 });
    let other = check_with(dir.path(), &VerifyOptions { key: Some([1; 32]), ..VerifyOptions::default() });
    assert_eq!(kinds(&other), [FindingKind::WrongKey]);
}

#[test]
fn any_flipped_byte_is_found_and_the_first_bad_block_named() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 52, 3);
    for number in [0, 1, 2] {
        let path = segment(dir.path(), number);
        let bytes = fs::read(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for at in (number as usize..bytes.len()).step_by(509) {
            file.write_all_at(&[bytes[at] ^ 0x10], at as u64).unwrap();
            let report = check(dir.path());
            let damage = report.first_damage();
            let damage = damage.unwrap_or_else(|| panic!("byte {at} of {} is not noticed", bytes.len()));
            assert_eq!(damage.sequence, Some(number), "byte {at}: {damage:?}");
            if let Some(offset) = damage.offset {
                assert!(offset <= at as u64, "byte {at}: {damage:?}");
            }
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
    }
    assert!(check(dir.path()).is_good());
}

#[test]
fn a_segment_that_is_gone_moved_or_cut_is_named() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 53, 4);
    let (one, two) = (segment(dir.path(), 1), segment(dir.path(), 2));
    let aside = dir.path().join("aside");
    let damage = |path: &Path| {
        let report = check(path);
        report.first_damage().map(|f| (f.kind, f.sequence))
    };
    fs::rename(&one, &aside).unwrap();
    assert!(kinds(&check(dir.path())).contains(&FindingKind::MissingSegment));
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    assert_eq!(damage(dir.path()), Some((FindingKind::ReorderedSegment, Some(1))));
    fs::rename(&two, &aside).unwrap();
    fs::rename(&one, &two).unwrap();
    fs::rename(&aside, &one).unwrap();
    assert_eq!(damage(dir.path()), None);

    // Cut behind a block: what is left is a good beginning of a segment.
    let recording = Recording::open(&one).unwrap();
    let bytes = fs::read(&one).unwrap();
    let cut = 4096 + recording.blocks()[0].stored;
    fs::write(&one, &bytes[..cut as usize]).unwrap();
    assert!(kinds(&check(dir.path())).contains(&FindingKind::CutSegment));
    fs::write(&one, &bytes).unwrap();
    assert_eq!(damage(dir.path()), None);
}

#[test]
fn a_cut_at_the_very_end_is_found_by_a_checkpoint_kept_elsewhere_alone() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(54, 3000, 1);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows);
    store.finish_container(ContainerUid(0)).unwrap();
    let note = store.checkpoint().unwrap();
    let path = store.seal().unwrap();
    let newest = check(dir.path()).segments.last().unwrap().last_checkpoint.clone().unwrap();
    let saved = VerifyOptions { checkpoints: vec![newest], ..VerifyOptions::default() };
    assert!(check_with(dir.path(), &saved).is_good());
    let kept = VerifyOptions { checkpoints: vec![note], ..VerifyOptions::default() };
    assert!(check_with(dir.path(), &kept).is_good());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..4096]).unwrap();
    assert_eq!(check(dir.path()).first_damage().unwrap().kind, FindingKind::BadCatalog, "it was forgotten");
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let report = check(dir.path());
    assert!(report.is_good(), "nothing here can tell that there was more");
    assert_eq!(kinds(&report), [FindingKind::Unfinished]);
    let report = check_with(dir.path(), &kept);
    assert_eq!(report.first_damage().unwrap().kind, FindingKind::CheckpointMismatch);
    assert!(!check_with(dir.path(), &saved).is_good(), "what verify gave out is as good");
}

/// Taking the last segment away passed as consistent, although the catalog beside it lists one more.
#[test]
fn a_last_segment_that_only_the_catalog_misses_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 61, 3);
    let last = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let last = last.filter(|path| path.extension().is_some_and(|e| e == "aft")).max().unwrap();
    let early = fs::read(dir.path().join("catalog")).unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    let report = check(dir.path());
    assert_eq!(kinds(&report), [FindingKind::MissingSegment], "{:?}", report.findings);
    assert_eq!(report.findings[0].path, last);
    // A catalog of an earlier moment lists fewer files, and that is no finding.
    fs::write(&last, bytes).unwrap();
    let small = StoreOptions { segment_bytes: 20_000, ..options() };
    let mut store = StoreWriter::open(dir.path(), origin(), small).unwrap();
    push_all(&mut store, &events(62, 200, 1));
    store.seal().unwrap();
    fs::write(dir.path().join("catalog"), early).unwrap();
    assert!(check(dir.path()).is_good());
}

#[test]
fn a_damaged_header_spoils_no_proof_but_its_own_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(57, 3000, 3);
    let mut store = writer(&dir.path().join("store"));
    push_all(&mut store, &rows);
    (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
    let path = store.seal().unwrap();
    let recording = Recording::open(&dir.path().join("store")).unwrap();
    let out = dir.path().join("before.aftx");
    extract(&recording, &[ContainerUid(2)], &out).unwrap();
    let signed = check(&out).signed_blocks;
    assert!(signed > 0);
    // The header of the block of container 0.
    let mut bytes = fs::read(&path).unwrap();
    let is_its = |at: &usize| bytes[*at..].starts_with(b"AFB1") && bytes[at + 6] == 1 && bytes[at + 16] == 0;
    let at = (4096..bytes.len()).step_by(8).find(is_its).unwrap();
    bytes[at + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let recording = Recording::open(&dir.path().join("store")).unwrap();
    let out = dir.path().join("after.aftx");
    extract(&recording, &[ContainerUid(2)], &out).unwrap();
    let report = check(&out);
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!(report.signed_blocks, signed);
    // What was damaged is in no extract.
    let out = dir.path().join("damaged.aftx");
    assert_eq!(extract(&recording, &[ContainerUid(0)], &out).unwrap().events, 0);
}

#[test]
fn a_segment_rewritten_with_another_key_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (real, forged) = (dir.path().join("real"), dir.path().join("forged"));
    let key = store(&real, 55, 3);
    store(&forged, 56, 3);
    fs::copy(segment(&forged, 1), segment(&real, 1)).unwrap();
    let report = check(&real);
    assert!(kinds(&report).contains(&FindingKind::BrokenChain), "{:?}", report.findings);
    assert!(kinds(&report).contains(&FindingKind::ChainRestart));
    // All of it forged: consistent with itself, and not the pinned key.
    let segments = |dir: &Path| (0..).map(|n| segment(dir, n)).take_while(|s| s.exists()).count() as u64;
    (0..segments(&real)).for_each(|number| fs::remove_file(segment(&real, number)).unwrap());
    for number in 0..segments(&forged) {
        fs::copy(segment(&forged, number), segment(&real, number)).unwrap();
    }
    fs::copy(forged.join("catalog"), real.join("catalog")).unwrap();
    assert!(check(&real).is_good());
    let pinned = VerifyOptions { key: Some(key), ..VerifyOptions::default() };
    assert_eq!(check_with(&real, &pinned).signer, Signer::Other);
    assert!(!check_with(&real, &pinned).is_good());
    let elsewhere = dir.path().join("elsewhere");
    let foreign = Origin { store_uuid: [9; 16], ..origin() };
    StoreWriter::open(&elsewhere, foreign, options()).unwrap().seal().unwrap();
    fs::copy(segment(&elsewhere, 0), segment(&real, 2)).unwrap();
    assert!(kinds(&check(&real)).contains(&FindingKind::ForeignSegment));
}

#[test]
fn a_crash_breaks_no_chain_and_a_lost_key_does() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(57, 4000, 2);
    for (number, chunk) in rows.chunks(1000).enumerate() {
        let mut store = writer(dir.path());
        push_all(&mut store, chunk);
        store.finish_container(ContainerUid(0)).unwrap();
        store.commit(BootNanos(0)).unwrap();
        if number == 1 {
            // A crash between preparing the next key and using it.
            fs::write(dir.path().join("key.next"), b"half").unwrap();
        }
        if number == 2 {
            // A crash between using the next key and giving it its name: the only copy is under the other one.
            fs::rename(dir.path().join("key"), dir.path().join("key.next")).unwrap();
            fs::write(dir.path().join("key"), [0; 44]).unwrap();
        }
        drop(store);
    }
    writer(dir.path()).seal().unwrap();
    let report = check(dir.path());
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!(report.events, 4000);
    assert_eq!(report.segments.iter().filter(|s| s.state == SegmentState::Unfinished).count(), 4);
    assert_eq!(read_path(dir.path()).len(), 4000);
    fs::remove_file(dir.path().join("key")).unwrap();
    writer(dir.path()).seal().unwrap();
    let report = check(dir.path());
    assert_eq!(
        report.first_damage().map(|f| (f.kind, f.sequence)),
        Some((FindingKind::ChainRestart, Some(5)))
    );
}

#[test]
fn a_live_store_is_signed_up_to_its_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(58, 2000, 1);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows[..1000]);
    store.finish_container(ContainerUid(0)).unwrap();
    store.checkpoint().unwrap();
    push_all(&mut store, &rows[1000..]);
    store.finish_container(ContainerUid(0)).unwrap();
    let report = check(dir.path());
    assert!(report.is_good());
    assert_eq!(report.segments[0].state, SegmentState::Active);
    assert_eq!(kinds(&report), [FindingKind::NotSignedYet]);
    assert!(report.signed_blocks >= 1 && report.signed_blocks < report.blocks);
}

#[test]
fn an_extract_of_an_unfinished_store_continues_its_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(60, 900, 2);
    let source = dir.path().join("store");
    let mut store = writer(&source);
    for (number, chunk) in rows.chunks(300).enumerate() {
        push_all(&mut store, chunk);
        if number < 2 {
            store.finish_container(ContainerUid(1)).unwrap();
        }
        store.commit(BootNanos(0)).unwrap();
    }
    let out = dir.path().join("out.aftx");
    let recording = Recording::open(&source).unwrap();
    let events = extract(&recording, &[ContainerUid(1)], &out).unwrap().events;
    let report = check(&out);
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!(report.events, events);
    assert_eq!(events, rows.iter().filter(|(uid, _)| uid.0 == 1).count() as u64);
}

#[test]
fn an_extract_proves_itself_alone_and_so_does_an_extract_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("store");
    let key = store(&source, 59, 4);
    let pinned = VerifyOptions { key: Some(key), ..VerifyOptions::default() };
    let out = dir.path().join("two.aftx");
    let again = dir.path().join("one.aftx");
    let recording = Recording::open(&source).unwrap();
    extract(&recording, &[ContainerUid(1), ContainerUid(2)], &out).unwrap();
    extract(&Recording::open(&out).unwrap(), &[ContainerUid(2)], &again).unwrap();
    for path in [&out, &again] {
        let report = check_with(path, &pinned);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!(report.signer, Signer::Pinned { from: 0 });
        assert_eq!(report.segments[0].state, SegmentState::Extract);
        let bytes = fs::read(path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        // Of the end each byte: the padding between footer and trailer is under no checksum.
        let ends = bytes.len() - 100;
        for at in (0..ends).step_by(401).chain(ends..bytes.len()) {
            file.write_all_at(&[bytes[at] ^ 4], at as u64).unwrap();
            let noticed = verify(path, &pinned, &mut |_, _| {}).map_or(true, |report| !report.is_good());
            assert!(noticed, "byte {at} of {}", bytes.len());
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
    }
    assert!(read_path(&again).iter().all(|(uid, _)| uid.0 == 2));
}

#[test]
fn what_an_earlier_recorder_wrote_is_still_good() {
    for name in ["intrusion.aftx", "plain.aftx"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name);
        let report = check(&path);
        assert!(report.is_good() && report.events > 0, "{name}: {:?}", report.findings);
    }
}
