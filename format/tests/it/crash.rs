//! What a killed writer leaves, and how it is brought home.

use std::{fs, path::Path};

use afterimage_format::{BootNanos, ContainerUid, DefectKind, LossCause, Query, Recording};

use crate::generate::{assert_same, events, push_all, read, read_path, writer};

pub(crate) fn copy_store(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn nothing_committed_is_lost_by_a_kill_and_the_next_writer_brings_it_home() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(31, 9000, 3);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows[..3000]);
    store.commit(BootNanos(0)).unwrap();
    store.finish_container(ContainerUid(1)).unwrap();
    push_all(&mut store, &rows[3000..6000]);
    store.commit(BootNanos(0)).unwrap();
    drop(store);
    let left = Recording::open(dir.path()).unwrap();
    assert!(left.unsealed());
    assert!(!left.is_live() && left.defects().is_empty(), "a kill tears nothing: {:?}", left.defects());
    assert_eq!(left.unfinished(), [dir.path().join("seg-0000000000000000.aft")]);
    assert_same(read(&left, &Query::default()), rows[..6000].to_vec());
    let before = fs::read(dir.path().join("seg-0000000000000000.aft")).unwrap();

    let mut store = writer(dir.path());
    assert_same(read_path(dir.path()), rows[..6000].to_vec());
    push_all(&mut store, &rows[6000..]);
    store.seal().unwrap();
    assert_same(read_path(dir.path()), rows);
    let went_on = Recording::open(dir.path()).unwrap();
    assert_eq!(
        (went_on.defects(), went_on.unfinished()),
        (vec![], left.unfinished()),
        "a kill tears nothing"
    );
    let after = fs::read(dir.path().join("seg-0000000000000000.aft")).unwrap();
    assert_eq!(before, after, "a damaged segment is never written to");
    let names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|n| n.starts_with("stage")), "{names:?}");
}

#[test]
fn a_segment_that_was_cut_between_two_blocks_since_the_next_began_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seg-0000000000000000.aft");
    let rows = events(33, 6000, 3);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows[..3000]);
    store.finish_container(ContainerUid(1)).unwrap();
    let boundary = fs::metadata(&path).unwrap().len();
    push_all(&mut store, &rows[3000..]);
    (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
    drop(store);
    writer(dir.path()).seal().unwrap();
    let whole = Recording::open(dir.path()).unwrap();
    assert_eq!((whole.defects(), whole.unfinished()), (vec![], &[path.clone()][..]));
    drop(whole);
    fs::File::options().write(true).open(&path).unwrap().set_len(boundary).unwrap();
    let cut = Recording::open(dir.path()).unwrap();
    let told = cut
        .defects()
        .iter()
        .any(|d| d.kind == DefectKind::Missing && d.detail.contains("when the next began"));
    assert!(told, "{:?}", cut.defects());
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(32, 4000, 2);
    let store_dir = dir.path().join("store");
    let mut store = writer(&store_dir);
    push_all(&mut store, &rows);
    store.commit(BootNanos(0)).unwrap();
    let crashed = dir.path().join("crashed");
    copy_store(&store_dir, &crashed);
    // The recovering writer dies before it removes the old stage: put that back beside what it wrote.
    drop(writer(&crashed));
    fs::copy(store_dir.join("stage-0000000000000000"), crashed.join("stage-0000000000000000")).unwrap();
    assert_same(read_path(&crashed), rows.clone());
    writer(&crashed).seal().unwrap();
    assert_same(read_path(&crashed), rows);
}

#[test]
fn a_stage_cut_anywhere_gives_a_prefix_and_says_torn() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(33, 60, 2);
    let store_dir = dir.path().join("store");
    let mut store = writer(&store_dir);
    for chunk in rows.chunks(10) {
        push_all(&mut store, chunk);
        store.commit(BootNanos(0)).unwrap();
    }
    let crashed = dir.path().join("crashed");
    copy_store(&store_dir, &crashed);
    let stage = crashed.join("stage-0000000000000000");
    let whole = fs::read(&stage).unwrap();
    let used = whole.iter().rposition(|&b| b != 0).unwrap() + 1;
    let mut counts = Vec::new();
    for cut in 0..=used {
        fs::write(&stage, &whole[..cut]).unwrap();
        let recording = Recording::open(&crashed).unwrap();
        let found = read(&recording, &Query::default());
        let count = found.len();
        assert_same(found, rows[..count].to_vec());
        assert_eq!(count % 10, 0, "whole batches");
        assert!(recording.defects().iter().all(|defect| defect.kind == DefectKind::Torn), "cut at {cut}");
        counts.push(count);
        // The rest reserved but never written: as after a power cut.
        let mut zeros = whole[..cut].to_vec();
        zeros.resize(used + 4096, 0);
        fs::write(&stage, &zeros).unwrap();
        assert!(read_path(&crashed).len() >= count);
    }
    assert!(counts.is_sorted());
    assert_eq!(counts.last(), Some(&60));
}

#[test]
fn what_was_changed_in_a_stage_is_corrupt_and_the_next_writer_tells_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(36, 20_000, 2);
    let store_dir = dir.path().join("store");
    let mut store = writer(&store_dir);
    for chunk in rows.chunks(500) {
        push_all(&mut store, chunk);
        store.commit(BootNanos(0)).unwrap();
    }
    drop(store);
    let name = "stage-0000000000000000";
    let whole = fs::read(store_dir.join(name)).unwrap();
    let used = whole.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let kinds = |path: &Path| -> Vec<_> {
        Recording::open(path).unwrap().defects().iter().map(|defect| defect.kind).collect()
    };
    for (number, at) in [300, used / 2, used - 20].into_iter().enumerate() {
        let crashed = dir.path().join(number.to_string());
        copy_store(&store_dir, &crashed);
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(crashed.join(name), &changed).unwrap();
        assert!(kinds(&crashed).contains(&DefectKind::Corrupt), "byte {at}: {:?}", kinds(&crashed));
        let left = read_path(&crashed);
        assert!(left.len() < rows.len());
        // Once, whatever becomes of the writer that takes it over.
        drop(writer(&crashed));
        fs::write(crashed.join(name), &changed).unwrap();
        writer(&crashed).seal().unwrap();
        let after = Recording::open(&crashed).unwrap();
        assert_same(read(&after, &Query::default()), left);
        let told: Vec<_> = after.losses().iter().filter(|loss| loss.cause == LossCause::Corrupt).collect();
        assert_eq!(told.len(), 1, "byte {at}: {:?}", after.losses());
    }
    // One of which nothing can be read.
    let mut changed = whole;
    changed[20] ^= 1;
    fs::write(store_dir.join(name), &changed).unwrap();
    assert_eq!(kinds(&store_dir), [DefectKind::Corrupt]);
    writer(&store_dir).seal().unwrap();
    assert_eq!(Recording::open(&store_dir).unwrap().losses()[0].cause, LossCause::Corrupt);
}

#[test]
fn a_segment_whose_seal_was_cut_is_walked() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(34, 2000, 2);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows);
    let segment = store.seal().unwrap();
    let whole = fs::read(&segment).unwrap();
    let file = dir.path().join("cut.aft");
    // The trailer says where the footer begins.
    let trailer = whole.len() - 64;
    let footer = u64::from_le_bytes(whole[trailer + 8..trailer + 16].try_into().unwrap()) as usize;
    assert!(footer > whole.len() / 2);
    for cut in footer..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        let recording = Recording::open(&file).unwrap();
        assert!(recording.unsealed());
        assert_eq!(read(&recording, &Query::default()).len(), 2000);
    }
}
