//! Damaged and hostile files: they open or are refused, never a panic, never a row that was not written.

use std::{collections::HashSet, fs, os::unix::fs::FileExt, path::Path};

use afterimage_format::{
    BlockInfo, BootNanos, ClockPair, ContainerRecord, ContainerUid, DefectKind, LossCause, Query, Recording,
    VerifyOptions, extract, merge, verify,
};

use crate::generate::{Row, events, push_all, read, writer};

/// A small sealed file with two containers, records and a few blocks.
fn small(dir: &Path) -> (Vec<u8>, Vec<Row>) {
    let rows = events(41, 40, 2);
    let mut store = writer(dir);
    store
        .put_container(&ContainerRecord { uid: ContainerUid(1), ..ContainerRecord::host(BootNanos(1)) })
        .unwrap();
    store.put_clock(ClockPair { boot: BootNanos(1), real: 2 }).unwrap();
    push_all(&mut store, &rows[..20]);
    store.finish_container(ContainerUid(1)).unwrap();
    push_all(&mut store, &rows[20..]);
    let path = store.seal().unwrap();
    (fs::read(path).unwrap(), rows)
}

/// Opens the file and reads all; asserts that every row found was written. `None` when it is refused.
fn check(path: &Path, written: &HashSet<String>) -> Option<(usize, Recording)> {
    let recording = Recording::open(path).ok()?;
    let found = read(&recording, &Query::default());
    let mut distinct = HashSet::new();
    for row in &found {
        let row = format!("{row:?}");
        assert!(written.contains(&row), "a row that was never written: {row}");
        assert!(distinct.insert(row), "a row twice");
    }
    Some((found.len(), recording))
}

/// A file of these bytes that is then changed in place: writing it anew each time is many times slower.
fn file_of(path: &Path, bytes: &[u8]) -> fs::File {
    fs::write(path, bytes).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn a_file_cut_at_any_byte_opens_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, rows) = small(&dir.path().join("store"));
    let written: HashSet<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    assert_eq!(written.len(), rows.len());
    let path = dir.path().join("cut.aft");
    let file = file_of(&path, &bytes);
    let mut most = rows.len();
    for cut in (0..=bytes.len()).rev() {
        file.set_len(cut as u64).unwrap();
        match check(&path, &written) {
            Some((count, recording)) => {
                assert!(cut >= 4096);
                assert!(count <= most, "a shorter file has no more rows");
                most = count;
                assert_eq!(recording.unsealed(), cut < bytes.len());
            }
            None => assert!(cut < 4096, "{cut}"),
        }
    }
    assert_eq!(most, 0);
}

/// Flips each of these bits of a small file in turn.
fn flip(bits: impl Fn(usize) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, rows) = small(&dir.path().join("store"));
    let written: HashSet<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    let path = dir.path().join("flip.aft");
    let file = file_of(&path, &bytes);
    for bit in (0..bytes.len() * 8).filter(|&bit| bits(bit)) {
        let at = bit / 8;
        file.write_all_at(&[bytes[at] ^ 1 << (bit % 8)], at as u64).unwrap();
        match check(&path, &written) {
            None => assert!(at < 4096, "only the header's damage refuses the file"),
            Some((count, recording)) => {
                assert!(count > 0);
                let noticed = recording.defects().iter().any(|d| d.kind != DefectKind::Unknown);
                assert!(noticed || count == rows.len(), "bit {bit}: rows are missing and nothing says so");
                let all =
                    |blocks: &[BlockInfo]| blocks.iter().map(|block| block.rows as usize).sum::<usize>();
                let unread = recording.unread();
                assert_eq!(
                    count + all(&unread),
                    all(recording.blocks()),
                    "bit {bit}: what is missing is named"
                );
                if !unread.is_empty() {
                    let opened = Recording::open(&path).unwrap();
                    assert!(opened.unread().is_empty() && opened.damage_known() < recording.damage_known());
                    opened.read_again(&recording);
                    assert_eq!(opened.unread(), unread, "bit {bit}: what was known stays known");
                }
            }
        }
        file.write_all_at(&bytes[at..=at], at as u64).unwrap();
    }
}

#[test]
fn a_flipped_bit_costs_its_block_at_most_and_is_found() {
    flip(|bit| bit % 8 == (bit / 8) % 8);
}

#[test]
#[ignore = "takes a minute; part of the soak"]
fn any_flipped_bit_costs_its_block_at_most_and_is_found() {
    flip(|_| true);
}

#[test]
fn random_bytes_behind_a_good_header_are_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, _) = small(&dir.path().join("store"));
    let path = dir.path().join("random.aft");
    let mut random = crate::generate::Random::new(5);
    for _ in 0..50 {
        let mut file = bytes[..4096].to_vec();
        file.extend((0..5000).flat_map(|_| random.next().to_le_bytes()));
        fs::write(&path, &file).unwrap();
        let (count, recording) = check(&path, &HashSet::new()).unwrap();
        assert_eq!(count, 0);
        assert_eq!(recording.defects().len(), 1);
        assert_eq!(recording.defects()[0].kind, DefectKind::Torn);
    }
}

#[test]
fn a_block_in_the_middle_that_is_overwritten_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(42, 9000, 3);
    let mut store = writer(&dir.path().join("store"));
    for chunk in rows.chunks(1000) {
        push_all(&mut store, chunk);
        (0..3).for_each(|uid| store.finish_container(ContainerUid(uid)).unwrap());
    }
    let bytes = fs::read(store.seal().unwrap()).unwrap();
    let whole = dir.path().join("whole.aft");
    fs::write(&whole, &bytes).unwrap();
    let recording = Recording::open(&whole).unwrap();
    let block = recording.blocks()[7].clone();
    // Its place: the blocks lie one behind the other.
    let begin = bytes.len() / 3;
    for cut in [0, 200] {
        let mut damaged = bytes.clone();
        damaged[begin..begin + 64].fill(0xa5);
        damaged.truncate(bytes.len() - cut);
        let path = dir.path().join("damaged.aft");
        fs::write(&path, &damaged).unwrap();
        let recording = Recording::open(&path).unwrap();
        let found = read(&recording, &Query::default()).len();
        assert!(found >= rows.len() - 2 * block.rows as usize && found < rows.len(), "{found}");
        assert!(
            recording.defects().iter().any(|d| d.kind == DefectKind::Corrupt),
            "{:?}",
            recording.defects()
        );
    }
}

/// An extract of a damaged store verified as consistent, told of no damage, and had half of the events.
#[test]
fn what_was_damaged_is_missed_by_every_copy_until_a_whole_one_brings_it() {
    let dir = tempfile::tempdir().unwrap();
    let [source, bad, good, again, whole] =
        ["store", "bad.aftx", "good.aftx", "again.aftx", "whole.aftx"].map(|name| dir.path().join(name));
    small(&source);
    extract(&Recording::open(&source).unwrap(), &[ContainerUid(0), ContainerUid(1)], &good).unwrap();
    let segment = source.join("seg-0000000000000000.aft");
    let first =
        Recording::open(&source).unwrap().blocks().iter().find(|b| b.container.0 == 1).cloned().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let is_it = |at: &usize| {
        let field =
            |offset: usize| u64::from_le_bytes(bytes[at + offset..at + offset + 8].try_into().unwrap());
        bytes[*at..].starts_with(b"AFB1")
            && bytes[at + 6] == 1
            && field(16) == 1
            && field(24) == first.first_row
    };
    let at = (4096..bytes.len() - 128).step_by(8).find(is_it).unwrap();
    bytes[at + 140] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let uids = [ContainerUid(0), ContainerUid(1)];
    for (from, to) in [(&source, &bad), (&bad, &again)] {
        extract(&Recording::open(from).unwrap(), &uids, to).unwrap();
        let copy = Recording::open(to).unwrap();
        let gap = (ContainerUid(1), first.first, first.last, u64::from(first.rows));
        let told: Vec<_> = copy.losses().iter().filter(|loss| loss.cause == LossCause::Corrupt).collect();
        assert!(
            matches!(told.as_slice(), [l] if (l.container.unwrap(), l.from, l.to, l.count.unwrap()) == gap),
            "{told:?}"
        );
        assert_eq!(copy.containers().iter().map(|c| c.lost).sum::<u64>(), 0, "not lost: corrupt");
        let report = verify(to, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_whole_but_for_source(), "{:?}", report.findings);
        let found = report.first_damage().unwrap();
        assert_eq!((found.container, found.range), (Some(ContainerUid(1)), Some((first.first, first.last))));
    }
    // Walked, where nothing but the block's own header says whose it was.
    let report = verify(&source, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    let found = report.first_damage().unwrap();
    assert_eq!((found.container, found.range), (Some(ContainerUid(1)), Some((first.first, first.last))));
    let [bad, good] = [&bad, &good].map(|path| Recording::open(path).unwrap());
    merge(&[&bad, &good], &[], &whole, &mut |_, _| {}).unwrap();
    assert!(Recording::open(&whole).unwrap().losses().iter().all(|loss| loss.cause != LossCause::Corrupt));
    assert!(verify(&whole, &VerifyOptions::default(), &mut |_, _| {}).unwrap().is_good());
}

#[test]
fn a_segment_missing_in_the_middle_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut store = writer(dir.path());
        push_all(&mut store, &events(43, 10, 1));
        store.seal().unwrap();
    }
    fs::remove_file(dir.path().join("seg-0000000000000001.aft")).unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.defects().len(), 1);
    assert_eq!(recording.defects()[0].kind, DefectKind::Missing);
}
