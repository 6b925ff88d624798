//! What somebody forges who has the files and no key: checksums, roots and footers are made right again, and it is
//! found all the same.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    ContainerRecord, DefectKind, Event, EventCode, EventFlags, Loss, LossCause, Origin, Recording,
    StoreOptions, StoreWriter, TaskKey,
    block::{BlockHeader, HEADER_LEN, STORE_SCOPE, checked_payload, kind, seal_block},
    copy::BlockCopy,
    events::{
        decode::EventDecoder,
        encode::{Around, EventEncoder},
        ingest::OpenBlock,
    },
    extract, file,
    keeping::{FileId, KeptFile, Tombstone},
    meta::Record,
    note::Checkpoint,
    payload::Payload,
    proof::{Group, chain_block, proof_block, provenance},
    reader::scan::{self, Loaded},
    segment::{SegmentHeader, chain::Link, file::SegmentWriter, with_records},
    store::{KEPT, SEGMENTS},
};

fn event(time: u64, ret: i64) -> Event<'static> {
    Event {
        time: BootNanos(time),
        duration: None,
        task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
        code: EventCode(39),
        flags: EventFlags(0),
        cpu: 0,
        ret,
        args: &[],
        fields: &[],
    }
}

fn push(store: &mut StoreWriter, uid: u64, rows: u64) {
    for _ in 0..rows {
        let event = event(1000 * (store.stats().events + 1), 1);
        store.push(ContainerUid(uid), &event).unwrap();
    }
}

fn writer(dir: &Path) -> StoreWriter {
    let origin = Origin { boot_id: [1; 16], ..Origin::default() };
    StoreWriter::open(dir, origin, StoreOptions::default()).unwrap()
}

/// A store whose segment `n` has container `n + 1`, all of it, and a gap of that.
fn store(dir: &Path, segments: u64) {
    store_beside(dir, segments, 0);
}

/// As [`store`], with so many rows of container 50 in each segment.
fn store_beside(dir: &Path, segments: u64, rows: u64) {
    for uid in 1..=segments {
        let mut store = writer(dir);
        let record = ContainerRecord { uid: ContainerUid(uid), ..ContainerRecord::host(BootNanos(uid)) };
        store.put_container(&record).unwrap();
        push(&mut store, uid, 10);
        let (from, to) = (BootNanos(3), BootNanos(4));
        let container = Some(ContainerUid(uid));
        let cause = LossCause::RingFull;
        store.put_loss(&Loss { container, cause, cpu: None, from, to, count: Some(5) }).unwrap();
        store.finish_container(ContainerUid(uid)).unwrap();
        push(&mut store, 50, rows);
        store.seal().unwrap();
    }
}

fn check(path: &Path) -> VerifyReport {
    verify(path, &VerifyOptions::default(), &mut |_, _| {}).unwrap()
}

/// Kinds and files of the damage that is found.
fn damage(path: &Path) -> Vec<(FindingKind, PathBuf)> {
    let report = check(path);
    let damage = report.findings.into_iter().filter(|finding| finding.kind.is_damage());
    damage.map(|finding| (finding.kind, finding.path)).collect()
}

fn load(path: &Path) -> Loaded {
    scan::walk(path, true).unwrap()
}

fn encoded(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    records.iter().for_each(|record| assert!(record.encode(&mut out)));
    out
}

/// A block in which the store tells of itself.
fn keeping_block(records: &[Record]) -> (BlockHeader, Vec<u8>) {
    let encoded = encoded(records);
    let around = Around { container: STORE_SCOPE, records: &encoded, ..Around::default() };
    let mut payload = Vec::new();
    let header = EventEncoder::new().unwrap().encode(&OpenBlock::new(), &around, &mut payload);
    (BlockHeader { kind: kind::KEEPING, ..header }, payload)
}

/// Writes the file again with another header, the blocks that were there and these behind them; sealed or not.
fn rewrite(path: &Path, header: &SegmentHeader, more: &[Record], sealed: bool) {
    let loaded = load(path);
    fs::remove_file(path).unwrap();
    let mut segment = SegmentWriter::create(path.to_owned(), header).unwrap();
    for entry in &loaded.entries {
        let bytes = file::read_at_most(&loaded.file, entry.offset, entry.len as usize).unwrap();
        let header = BlockHeader::parse(&bytes).unwrap();
        let payload = Payload::parse(checked_payload(&header, &bytes).unwrap()).unwrap();
        let repeated = EventDecoder::new().unwrap().repeated(&payload).unwrap();
        segment.append_sealed(&header, &bytes, &repeated).unwrap();
    }
    let mut records = loaded.records.clone();
    if !more.is_empty() {
        let (mut header, payload) = keeping_block(more);
        segment.append(&mut header, &payload, &[]).unwrap();
        records.extend(more.iter().cloned());
    }
    if sealed {
        segment.seal(&encoded(&records)).unwrap();
    }
}

fn tombstone(file: FileId, moved_to: Option<u64>) -> Record {
    let reason = crate::EvictionReason::Budget;
    let (link, size, root) = (None, 0, [0; 32]);
    Record::Tombstone(Box::new(Tombstone {
        file,
        link,
        size,
        root,
        moved_to,
        moved_blocks: 0,
        reason,
        real: 0,
    }))
}

#[test]
fn a_footer_that_tells_other_records_than_the_blocks_is_found() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 2);
    // Readers would else be told so by it.
    fs::remove_file(dir.path().join("catalog")).unwrap();
    assert_eq!(damage(dir.path()), []);
    let path = SEGMENTS.path(dir.path(), 0);
    let good = fs::read(&path).unwrap();
    let records = load(&path).records;
    let losses = |records: &[Record]| records.iter().filter(|r| matches!(r, Record::Loss(_))).count();
    assert_eq!(losses(&records), 1);

    fs::write(&path, with_records(&good, &encoded(&records))).unwrap();
    assert_eq!(damage(dir.path()), [], "the same, made anew");
    let silent: Vec<Record> = records.iter().filter(|r| !matches!(r, Record::Loss(_))).cloned().collect();
    let mut renamed = records.clone();
    for record in &mut renamed {
        if let Record::Container(container) = record {
            container.id = b"another".to_vec();
        }
    }
    let removal = [records.clone(), vec![tombstone(FileId::Segment(1), None)]].concat();
    for forged in [silent, renamed, removal] {
        fs::write(&path, with_records(&good, &encoded(&forged))).unwrap();
        let found = damage(dir.path());
        assert!(found.contains(&(FindingKind::BadFooter, path.clone())), "{found:?}");
    }
}

#[test]
fn a_chain_without_its_beginning_is_found() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 3);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    fs::remove_file(SEGMENTS.path(dir.path(), 0)).unwrap();
    let path = SEGMENTS.path(dir.path(), 1);
    let mut header = load(&path).header;
    header.link.previous = None;
    header.link.endorsement = [0; 64];
    rewrite(&path, &header, &[], true);
    let found = damage(dir.path());
    assert!(found.contains(&(FindingKind::MissingSegment, path)), "{found:?}");
}

#[test]
fn a_chain_with_empty_files_for_its_beginning_is_found() {
    let dir = tempfile::tempdir().unwrap();
    // Crashes, each right after a segment was made.
    (0..2).for_each(|number| fs::write(SEGMENTS.path(dir.path(), number), []).unwrap());
    let begun = tempfile::tempdir().unwrap();
    drop(writer(begun.path()));
    fs::copy(begun.path().join("STORE"), dir.path().join("STORE")).unwrap();
    store(dir.path(), 3);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    assert_eq!(damage(dir.path()), [], "nothing came before segment 2");
    let path = SEGMENTS.path(dir.path(), 3);
    fs::write(SEGMENTS.path(dir.path(), 2), []).unwrap();
    let mut header = load(&path).header;
    header.link.previous = None;
    for endorsement in [[0; 64], load(&SEGMENTS.path(dir.path(), 4)).header.link.endorsement] {
        header.link.endorsement = endorsement;
        rewrite(&path, &header, &[], true);
        assert_eq!(damage(dir.path()), [(FindingKind::MissingSegment, path.clone())]);
    }
}

#[test]
fn a_segment_that_was_emptied_is_missing_and_one_that_was_begun_is_not() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 2);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    // A crash right after it was made.
    fs::write(SEGMENTS.path(dir.path(), 2), []).unwrap();
    store(dir.path(), 1);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    assert!(SEGMENTS.path(dir.path(), 3).exists());
    assert_eq!(damage(dir.path()), []);
    assert_eq!(Recording::open(dir.path()).unwrap().defects(), []);
    for zeros in [0, 8192] {
        let path = SEGMENTS.path(dir.path(), 1);
        fs::write(&path, vec![0; zeros]).unwrap();
        let found = damage(dir.path());
        assert!(found.iter().any(|(kind, _)| *kind == FindingKind::MissingSegment), "{found:?}");
        let defects = Recording::open(dir.path()).unwrap().defects();
        assert!(defects.iter().any(|d| d.kind == DefectKind::Missing && d.path == path), "{defects:?}");
    }
}

#[test]
fn nothing_can_be_added_behind_the_last_checkpoint_of_a_sealed_segment() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let path = SEGMENTS.path(dir.path(), 0);
    let pin = Record::Unpin("p".to_owned());
    rewrite(&path, &load(&path).header, &[pin], true);
    assert_eq!(damage(dir.path()), [(FindingKind::CutSegment, path)]);
}

#[test]
fn a_crash_before_the_seal_is_no_damage_and_a_spoilt_seal_is() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let path = SEGMENTS.path(dir.path(), 0);
    let bytes = fs::read(&path).unwrap();
    let end = load(&path).end as usize;
    for behind in [0, 512] {
        fs::write(&path, [&bytes[..end], &vec![0; behind]].concat()).unwrap();
        let kinds: Vec<_> = check(dir.path()).findings.iter().map(|found| found.kind).collect();
        assert_eq!(kinds, [FindingKind::TornTail, FindingKind::Unfinished]);
    }
    // Footer and trailer are one write, of which any beginning may be on disk.
    let trailer = bytes.len() - crate::segment::TRAILER_LEN;
    for cut in (end + 1..bytes.len()).step_by(13).chain([trailer, bytes.len() - 1]) {
        fs::write(&path, &bytes[..cut]).unwrap();
        let kinds: Vec<_> = check(dir.path()).findings.iter().map(|found| found.kind).collect();
        assert!(!kinds.iter().any(|kind| kind.is_damage()), "cut at {cut}: {kinds:?}");
        assert!(kinds.contains(&FindingKind::TornTail), "cut at {cut}: {kinds:?}");
    }
    let mut unwritten = bytes.clone();
    unwritten[trailer..].fill(0);
    fs::write(&path, unwritten).unwrap();
    assert_eq!(damage(dir.path()), []);
    for at in [end + 4, bytes.len() - 1] {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        fs::write(&path, spoilt).unwrap();
        assert!(!damage(dir.path()).is_empty(), "byte {at}");
    }
    let mut spoilt = bytes;
    *spoilt.last_mut().unwrap() ^= 1;
    fs::write(&path, spoilt).unwrap();
    assert_eq!(damage(dir.path()), [(FindingKind::BadFooter, path)]);
}

#[test]
fn the_last_block_before_a_crash_is_torn_where_some_of_it_is_missing_and_corrupt_where_all_is_there() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let path = SEGMENTS.path(dir.path(), 0);
    let loaded = load(&path);
    let (begin, end) = (loaded.entries.last().unwrap().offset as usize, loaded.end as usize);
    // Blocks are filled up to the next one's place.
    let filled = end - 8;
    let unsealed = fs::read(&path).unwrap()[..end].to_vec();
    let look = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let defects: Vec<_> = Recording::open(dir.path()).unwrap().defects().iter().map(|d| d.kind).collect();
        (defects, !damage(dir.path()).is_empty())
    };
    assert_eq!(look(&unsealed), (vec![], false));
    for cut in (begin + 1..filled).step_by(7) {
        assert_eq!(look(&unsealed[..cut]), (vec![DefectKind::Torn], false), "cut at {cut}");
    }
    let flipped = |at: usize| {
        let mut bytes = unsealed.clone();
        bytes[at] ^= 1;
        bytes
    };
    for at in (begin + HEADER_LEN..filled).step_by(5) {
        assert_eq!(look(&flipped(at)), (vec![DefectKind::Corrupt], true), "byte {at}");
    }
    // Whatever a crash left behind it.
    let more = [&flipped(filled - 1)[..], &unsealed[begin..filled]].concat();
    assert_eq!(look(&more), (vec![DefectKind::Corrupt, DefectKind::Torn], true));
    let reserved = [&flipped(filled - 1)[..], &[0; 4096]].concat();
    assert_eq!(look(&reserved), (vec![DefectKind::Corrupt], true));
}

#[test]
fn a_seal_of_which_a_power_cut_left_any_sectors_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = writer(dir.path());
    for uid in 1..=40 {
        push(&mut one, uid, 10);
        one.finish_container(ContainerUid(uid)).unwrap();
    }
    let path = one.seal().unwrap();
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let bytes = fs::read(&path).unwrap();
    let end = load(&path).end as usize;
    let sectors: Vec<usize> = (end.next_multiple_of(512)..bytes.len()).step_by(512).collect();
    assert!(sectors.len() > 3);
    for &lost in sectors.iter().chain([&end]) {
        let mut cut = bytes.clone();
        let to = (lost + 1).next_multiple_of(512).min(cut.len());
        cut[lost..to].fill(0);
        fs::write(&path, cut).unwrap();
        let kinds: Vec<_> = check(dir.path()).findings.iter().map(|found| found.kind).collect();
        assert!(!kinds.iter().any(|kind| kind.is_damage()), "without {lost}: {kinds:?}");
        assert!(kinds.contains(&FindingKind::TornTail), "without {lost}: {kinds:?}");
        let recording = Recording::open(dir.path()).unwrap();
        assert!(recording.defects().iter().all(|d| d.kind == DefectKind::Torn), "without {lost}");
        assert_eq!(recording.blocks().len(), 40);
    }
    let mut spoilt = bytes.clone();
    spoilt[sectors[1] + 100] ^= 1;
    fs::write(&path, spoilt).unwrap();
    assert!(!damage(dir.path()).is_empty());
}

#[test]
fn a_removal_that_nothing_signed_is_missing_evidence() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 2);
    let mut last = writer(dir.path());
    push(&mut last, 9, 1);
    last.finish_container(ContainerUid(9)).unwrap();
    last.checkpoint().unwrap();
    drop(last);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let gone = SEGMENTS.path(dir.path(), 0);
    let loaded = load(&gone);
    let Record::Tombstone(mut told) = tombstone(FileId::Segment(0), None) else { panic!() };
    let tree = loaded.tree().unwrap();
    (told.link, told.size, told.root) = (Some(loaded.header.link), tree.size(), tree.root());
    let path = SEGMENTS.path(dir.path(), 2);
    for moved_to in [None, Some(3)] {
        told.moved_to = moved_to;
        rewrite(&path, &load(&path).header, &[Record::Tombstone(told.clone())], false);
        assert_eq!(damage(dir.path()), [], "a crash came before it was signed, and it is there");
        assert_eq!(shown(dir.path(), 1), 10);
    }
    fs::remove_file(&gone).unwrap();
    assert_eq!(damage(dir.path()), [(FindingKind::MissingSegment, gone)]);
}

/// A store whose segment 0 was removed and whose container 1 lies in kept file `number` alone.
fn store_with_kept(dir: &Path) -> u64 {
    store_beside(dir, 3, 2);
    let options = StoreOptions { max_age: 1, ..StoreOptions::default() };
    let origin = Origin { boot_id: [1; 16], ..Origin::default() };
    let mut last = StoreWriter::open(dir, origin, options).unwrap();
    let pin = crate::Pin {
        id: "p".to_owned(),
        containers: vec![ContainerUid(1), ContainerUid(2)],
        ..crate::Pin::default()
    };
    last.pin(pin).unwrap();
    push(&mut last, 9, 1);
    last.commit(BootNanos(1_000_000_000)).unwrap();
    drop(last);
    let _ = fs::remove_file(dir.join("catalog"));
    let kept = KEPT.list(dir).unwrap();
    assert_eq!(kept.len(), 1, "of what is pinned");
    assert!(!SEGMENTS.path(dir, 0).exists());
    kept[0]
}

#[test]
fn a_kept_file_that_is_gone_or_was_written_anew_without_a_container_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let number = store_with_kept(dir.path());
    assert_eq!(damage(dir.path()), [], "a removal is signed before it is done");
    let path = KEPT.path(dir.path(), number);
    let loaded = load(&path);
    let without = |number: usize| loaded.entries[number].container != 1;
    fs::remove_file(&path).unwrap();
    assert_eq!(damage(dir.path()), [(FindingKind::MissingSegment, path.clone())]);

    let mut copy = BlockCopy::create(path.clone(), &loaded.header).unwrap();
    copy.add(&loaded, &|number, _| without(number)).unwrap();
    let told: Vec<Record> =
        loaded.records.iter().filter(|r| matches!(r, Record::Tombstone(_))).cloned().collect();
    copy.add_keeping(&told).unwrap();
    copy.finish(false).unwrap();
    assert_eq!(damage(dir.path()), [(FindingKind::BadProof, path)]);
}

/// Writes a kept file with invented events of container 7 that says it has what is of interest of these segments. Gives what
/// a segment would tell of it.
fn plant_kept(dir: &Path, number: u64, sources: &[u64]) -> KeptFile {
    let path = KEPT.path(dir, number);
    let store_uuid = load(&SEGMENTS.path(dir, SEGMENTS.list(dir).unwrap()[0])).header.store_uuid;
    let header = SegmentHeader::of_copy((store_uuid, [1; 16]), crate::segment::origin_kind::KEPT, 0, number);
    let mut open = OpenBlock::new();
    (0..15).for_each(|row| open.push(&event(1000 * (row + 1), 666), 0));
    let mut payload = Vec::new();
    let around = Around { container: 7, ..Around::default() };
    let mut block = EventEncoder::new().unwrap().encode(&open, &around, &mut payload);
    let mut bytes = Vec::new();
    seal_block(&mut block, &payload, &mut bytes);
    let mut copy = BlockCopy::create(path.clone(), &header).unwrap();
    copy.add_unproven(&bytes).unwrap();
    let told: Vec<Record> =
        sources.iter().map(|&source| tombstone(FileId::Segment(source), Some(number))).collect();
    copy.add_keeping(&told).unwrap();
    copy.finish(false).unwrap();
    let tree = load(&path).tree().unwrap();
    KeptFile { number, size: tree.size(), root: tree.root() }
}

/// Kinds of what is found in a file.
fn found_in(dir: &Path, path: &Path) -> Vec<FindingKind> {
    check(dir).findings.iter().filter(|found| found.path == path).map(|found| found.kind).collect()
}

#[test]
fn a_kept_file_of_which_nothing_signed_tells_is_not_used_while_all_is_there_without_it() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 2);
    let mut last = writer(dir.path());
    push(&mut last, 9, 1);
    last.finish_container(ContainerUid(9)).unwrap();
    last.checkpoint().unwrap();
    drop(last);
    fs::remove_file(dir.path().join("catalog")).unwrap();
    let (path, gone) = (KEPT.path(dir.path(), 5), SEGMENTS.path(dir.path(), 0));
    let segment = SEGMENTS.path(dir.path(), 2);
    let good = fs::read(&segment).unwrap();
    for sources in [&[][..], &[0], &[0, 1]] {
        let told = plant_kept(dir.path(), 5, sources);
        let moved = tombstone(FileId::Segment(0), Some(5));
        for more in [vec![], vec![Record::Kept(told)], vec![Record::Kept(told), moved]] {
            fs::write(&segment, &good).unwrap();
            rewrite(&segment, &load(&segment).header, &more, false);
            assert_eq!(damage(dir.path()), []);
            assert_eq!(found_in(dir.path(), &path), [FindingKind::Unfinished]);
            assert_eq!([1, 2, 7].map(|uid| shown(dir.path(), uid)), [10, 10, 0]);
            assert_eq!(Recording::open(dir.path()).unwrap().evictions(), []);
        }
        fs::remove_file(&path).unwrap();
    }

    // What is there alone is shown, and told.
    plant_kept(dir.path(), 5, &[0]);
    let bytes = fs::read(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    assert_eq!(shown(dir.path(), 7), 15);
    let found = damage(dir.path());
    assert!(found.contains(&(FindingKind::BadProof, path.clone())), "{found:?}");
    assert!(found.contains(&(FindingKind::MissingSegment, gone.clone())), "{found:?}");
    fs::write(&gone, bytes).unwrap();

    // The next recorder does not sign it either, and what only says that it is a copy goes.
    for (sources, stays) in [(&[][..], true), (&[0], false), (&[0, 1], false)] {
        fs::remove_file(&path).unwrap_or_default();
        plant_kept(dir.path(), 5, sources);
        drop(writer(dir.path()));
        assert_eq!(path.exists(), stays, "{sources:?}");
        assert_eq!(damage(dir.path()), []);
        assert_eq!([1, 2, 7].map(|uid| shown(dir.path(), uid)), [10, 10, 0], "{sources:?}");
        fs::remove_file(dir.path().join("catalog")).unwrap_or_default();
    }
    plant_kept(dir.path(), 5, &[0]);

    // A catalog could say that it is to be used.
    let parts = [
        (FileId::Kept(5), &path),
        (FileId::Segment(0), &gone),
        (FileId::Segment(1), &SEGMENTS.path(dir.path(), 1)),
    ];
    let parts = parts.map(|(id, path)| crate::catalog::Part::of(id, &scan::load(path, true).unwrap()));
    let uuid = load(&gone).header.store_uuid;
    let catalog = crate::catalog::encode(uuid, parts.iter()).unwrap().unwrap();
    fs::write(dir.path().join("catalog"), catalog).unwrap();
    assert_eq!([1, 2, 7].map(|uid| shown(dir.path(), uid)), [0, 10, 15]);
    assert_eq!(damage(dir.path()), [(FindingKind::BadCatalog, dir.path().join("catalog"))]);
}

/// A store whose three segments were removed whole, a signed block telling it. Gives the bytes that the second had.
fn store_with_removed(dir: &Path) -> Vec<u8> {
    store(dir, 3);
    let bytes = fs::read(SEGMENTS.path(dir, 1)).unwrap();
    let options = StoreOptions { max_age: 1, ..StoreOptions::default() };
    let origin = Origin { boot_id: [1; 16], ..Origin::default() };
    let mut last = StoreWriter::open(dir, origin, options).unwrap();
    push(&mut last, 9, 1);
    last.commit(BootNanos(1_000_000_000)).unwrap();
    drop(last);
    let _ = fs::remove_file(dir.join("catalog"));
    assert!(!SEGMENTS.path(dir, 1).exists() && KEPT.list(dir).unwrap().is_empty());
    bytes
}

/// Events of a container that a reader shows.
fn shown(dir: &Path, uid: u64) -> u64 {
    let recording = Recording::open(dir).unwrap();
    recording.containers().iter().find(|c| c.record.uid.0 == uid).map_or(0, |c| c.events)
}

#[test]
fn a_file_under_a_removed_one_s_name_is_found_and_what_a_crash_left_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = SEGMENTS.path(dir.path(), 1);
    let bytes = store_with_removed(dir.path());
    assert_eq!(damage(dir.path()), [], "it was told");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(damage(dir.path()), [], "a crash came before it was removed");
    assert_eq!(shown(dir.path(), 2), 10);
    // What the catalog says of it is compared too.
    let files: Vec<u64> = SEGMENTS.list(dir.path()).unwrap();
    let parts: Vec<_> = files
        .iter()
        .map(|&number| {
            let mut loaded = scan::load(&SEGMENTS.path(dir.path(), number), true).unwrap();
            loaded.records.retain(|record| !matches!(record, Record::Container(_)));
            crate::catalog::Part::of(FileId::Segment(number), &loaded)
        })
        .collect();
    let uuid = load(&path).header.store_uuid;
    let catalog = dir.path().join("catalog");
    fs::write(&catalog, crate::catalog::encode(uuid, parts.iter()).unwrap().unwrap()).unwrap();
    assert_eq!(damage(dir.path()), [(FindingKind::BadCatalog, catalog.clone())]);
    fs::remove_file(catalog).unwrap();

    // Without its seal, as a recorder leaves it that is killed; what was torn off is none of it.
    let end = load(&path).end as usize;
    fs::write(&path, &bytes[..end]).unwrap();
    assert_eq!(damage(dir.path()), []);

    let header = load(&path).header;
    let unsigned = SegmentHeader { link: Link { public_key: [0; 32], ..header.link }, ..header.clone() };
    for header in [header, unsigned] {
        fs::remove_file(&path).unwrap();
        let mut open = OpenBlock::new();
        (0..15).for_each(|row| open.push(&event(1000 * (row + 1), 666), 0));
        let mut payload = Vec::new();
        let around = Around { container: 7, ..Around::default() };
        let mut block = EventEncoder::new().unwrap().encode(&open, &around, &mut payload);
        let mut segment = SegmentWriter::create(path.clone(), &header).unwrap();
        segment.append(&mut block, &payload, &[]).unwrap();
        drop(segment);
        assert_eq!(shown(dir.path(), 7), 15);
        assert_eq!(damage(dir.path()), [(FindingKind::BadProof, path.clone())]);
    }

    // It was readable when it was removed.
    fs::write(&path, [1; 100]).unwrap();
    assert_eq!(damage(dir.path()), [(FindingKind::BadProof, path.clone())]);
    let mut spoilt = bytes;
    spoilt[5000] ^= 1;
    fs::write(&path, spoilt).unwrap();
    let found = damage(dir.path());
    assert!(!found.is_empty() && found.iter().all(|(_, file)| *file == path), "{found:?}");
}

#[test]
fn a_segment_may_tell_of_a_kept_file_once_only() {
    let mut evicted = evicted::Evicted::default();
    let told = |root| Record::Kept(KeptFile { number: 4, size: 2, root: [root; 32] });
    assert_eq!(evicted.is_as_kept(4, 2, [7; 32]), None);
    evicted.learn(&[told(7), told(7)]);
    assert_eq!(evicted.is_as_kept(4, 2, [7; 32]), Some(true));
    assert_eq!(evicted.is_as_kept(4, 3, [7; 32]), Some(false));
    evicted.learn(&[told(8)]);
    assert_eq!(evicted.is_as_kept(4, 2, [7; 32]), Some(false));
}

#[test]
fn what_is_in_the_stage_alone_is_told_and_damage_of_it_too() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1);
    let mut last = writer(dir.path());
    push(&mut last, 9, 7);
    last.commit(BootNanos(0)).unwrap();
    drop(last);
    let told = |report: &VerifyReport| {
        let of_stage =
            |f: &&Finding| f.path.file_name().is_some_and(|n| n.display().to_string().starts_with("stage"));
        let found = report.findings.iter().filter(of_stage);
        found.map(|f| (f.kind, f.detail.clone(), f.path.clone())).collect::<Vec<_>>()
    };
    let report = check(dir.path());
    assert!(report.is_good(), "{:?}", report.findings);
    let [(FindingKind::NotSignedYet, detail, path)] = &told(&report)[..] else {
        panic!("{:?}", report.findings);
    };
    assert!(detail.starts_with("`7` events"), "{detail}");
    let mut bytes = fs::read(path).unwrap();
    bytes[20] ^= 1;
    fs::write(path, bytes).unwrap();
    let report = check(dir.path());
    assert_eq!(told(&report)[0].0, FindingKind::BadBytes);
}

#[test]
fn a_checkpoint_kept_elsewhere_is_compared_with_an_extract_where_that_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut last = writer(&path);
    push(&mut last, 1, 10);
    last.finish_container(ContainerUid(1)).unwrap();
    let early = last.checkpoint().unwrap();
    push(&mut last, 1, 10);
    last.finish_container(ContainerUid(1)).unwrap();
    let late = last.checkpoint().unwrap();
    let out = dir.path().join("out.aftx");
    extract(&Recording::open(&path).unwrap(), &[ContainerUid(1)], &out).unwrap();
    let with = |note: &String| {
        let options = VerifyOptions { checkpoints: vec![note.clone()], ..VerifyOptions::default() };
        verify(&out, &options, &mut |_, _| {}).unwrap()
    };
    assert!(with(&late).is_good(), "{:?}", with(&late).findings);
    let report = with(&early);
    let found = report.first_damage().unwrap();
    assert_eq!(found.kind, FindingKind::CheckpointMismatch);
    assert!(found.detail.contains("compare the store"), "{found:?}");
}

#[test]
fn a_proof_by_a_key_of_the_forger_s_own_is_found_beside_the_genuine_chain() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    store(&path, 2);
    let out = dir.path().join("out.aftx");
    let recording = Recording::open(&path).unwrap();
    extract(&recording, &[ContainerUid(1), ContainerUid(2)], &out).unwrap();
    let (header, genuine) = (load(&out).header, provenance(&load(&out)).unwrap());
    let pinned = VerifyOptions { key: Some(genuine.links[0].public_key), ..VerifyOptions::default() };
    let with_key = |path: &Path| verify(path, &pinned, &mut |_, _| {}).unwrap();
    assert!(with_key(&out).is_good(), "{:?}", with_key(&out).findings);

    // The key of a later segment: nothing before it follows from that.
    let later = VerifyOptions { key: Some(genuine.links[1].public_key), ..VerifyOptions::default() };
    for path in [&out, &path] {
        let report = verify(path, &later, &mut |_, _| {}).unwrap();
        let told: Vec<_> = report.findings.iter().map(|found| (found.kind, found.sequence)).collect();
        assert_eq!(told, [(FindingKind::NotSignedYet, Some(0))], "{:?}", report.findings);
    }

    let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let public_key = key.verifying_key().to_bytes();
    for group in &genuine.groups {
        let forged = dir.path().join(format!("{}.aftx", group.link.sequence));
        let mut segment = SegmentWriter::create(forged.clone(), &header).unwrap();
        let (mut block, payload) = keeping_block(&[Record::Unpin("forged".to_owned())]);
        (block.kind, block.container) = (kind::META, 1);
        segment.append(&mut block, &payload, &[]).unwrap();
        let sequence = group.link.sequence;
        let (size, root) = (segment.tree().size(), segment.tree().root());
        let store_uuid = header.store_uuid;
        let note = Checkpoint { store_uuid, sequence, size, root, number: 0, boot: 1, real: 1, last: false }
            .sign(&key);
        let group = Group {
            link: Link { public_key, ..group.link },
            size,
            leaves: vec![(0, root)],
            entries: vec![0],
            pruned: Vec::new(),
            note,
            ..group.clone()
        };
        for (mut header, payload) in [proof_block(&group).unwrap(), chain_block(&genuine.links).unwrap()] {
            segment.append(&mut header, &payload, &[]).unwrap();
        }
        segment.seal(&encoded(&[Record::Unpin("forged".to_owned())])).unwrap();
        let report = with_key(&forged);
        let kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::BadProof], "{:?}", report.findings);
    }

    // Without any proof, beside the genuine chain.
    let forged = dir.path().join("bare.aftx");
    let mut segment = SegmentWriter::create(forged.clone(), &header).unwrap();
    let (mut block, payload) = keeping_block(&[Record::Unpin("forged".to_owned())]);
    (block.kind, block.container) = (kind::META, 1);
    segment.append(&mut block, &payload, &[]).unwrap();
    let (mut block, payload) = chain_block(&genuine.links).unwrap();
    segment.append(&mut block, &payload, &[]).unwrap();
    segment.seal(&encoded(&[Record::Unpin("forged".to_owned())])).unwrap();
    assert_eq!(with_key(&forged).first_damage().map(|found| found.kind), Some(FindingKind::WrongKey));
}

#[test]
fn a_merge_takes_nothing_unproven_where_proven_blocks_have_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut genuine = writer(&path);
    for _ in 0..2 {
        push(&mut genuine, 1, 10);
        genuine.finish_container(ContainerUid(1)).unwrap();
    }
    genuine.seal().unwrap();
    let recording = Recording::open(&path).unwrap();
    let header = recording.extract_header();

    // More rows than any of the proven blocks has.
    let forged = dir.path().join("forged.aftx");
    let mut open = OpenBlock::new();
    (0..15).for_each(|row| open.push(&event(1000 * (row + 1), 666), 0));
    let mut payload = Vec::new();
    let around = Around { container: 1, ..Around::default() };
    let mut block = EventEncoder::new().unwrap().encode(&open, &around, &mut payload);
    let mut bytes = Vec::new();
    seal_block(&mut block, &payload, &mut bytes);
    let mut copy = BlockCopy::create(forged.clone(), &header).unwrap();
    copy.add_unproven(&bytes).unwrap();
    copy.finish(true).unwrap();

    let out = dir.path().join("merged.aftx");
    let forged = Recording::open(&forged).unwrap();
    let report = crate::merge(&[&forged, &recording], &[], &out, &mut |_, _| {}).unwrap();
    assert_eq!((report.events, report.duplicates), (20, 1), "{report:?}");
    let mut results = Vec::new();
    let see = &mut |_, event: &Event<'_>| {
        results.push(event.ret);
        std::ops::ControlFlow::Continue(())
    };
    Recording::open(&out).unwrap().for_each(&crate::Query::default(), see).unwrap();
    assert_eq!(results, [1; 20]);
}

#[test]
fn a_hole_in_an_extract_is_told_where_only_the_extract_says_that_it_was_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut genuine = writer(&path);
    for _ in 0..3 {
        push(&mut genuine, 1, 10);
        genuine.finish_container(ContainerUid(1)).unwrap();
    }
    genuine.seal().unwrap();
    let out = dir.path().join("out.aftx");
    let recording = Recording::open(&path).unwrap();
    let mut copy = BlockCopy::create(out.clone(), &recording.extract_header()).unwrap();
    copy.add(&load(&SEGMENTS.path(&path, 0)), &|_, entry| entry.container == 1 && entry.number != 1).unwrap();
    let reason = crate::EvictionReason::Budget;
    let container = ContainerUid(1);
    let eviction = crate::Eviction { container, events: 10, blocks: 1, until: BootNanos(20_000), reason };
    copy.add_records(&[Record::Eviction(eviction)]).unwrap();
    copy.finish(true).unwrap();
    let report = check(&out);
    assert!(report.is_good(), "{:?}", report.findings);
    let told = report
        .findings
        .iter()
        .find(|found| found.kind == FindingKind::NotSignedYet && found.container == Some(container));
    assert!(told.is_some_and(|found| found.detail.contains("`1` blocks")), "{:?}", report.findings);
}

#[test]
fn what_is_behind_the_tombstones_that_are_kept_is_not_called_missing_and_is_told() {
    const LAST: u64 = 5000;
    let told = |first: u64| {
        let mut evicted = evicted::Evicted::default();
        // An old segment that is still there tells of one older still.
        evicted.learn(&[tombstone(FileId::Segment(5), None)]);
        let all: Vec<Record> = (first..LAST).map(|n| tombstone(FileId::Segment(n), None)).collect();
        evicted.learn(&all);
        evicted
    };
    let crowded = told(LAST - 4096);
    let gone = [5, 50, LAST - 4097, LAST - 4096].map(|n| crowded.is_forgotten(FileId::Segment(n)));
    assert_eq!(gone, [true, true, true, false]);
    let few = told(LAST - 4094);
    assert!(!few.is_forgotten(FileId::Segment(50)), "nothing was forgotten yet");
}
