//! Keyframes lie where they hold, say what was put into them, and go where their blocks go.

use std::{ops::ControlFlow, path::Path};

use afterimage_format::{
    BootNanos, ContainerUid, Incident, Keyframe, OwnedEvent, Part, Query, Recording, StateDue, StoreOptions,
    StoreWriter, VerifyOptions, WriteError, extract, extract_parts, merge, verify,
};

use crate::generate::{Row, events, options, origin, push_all, read, state_before, writer};

const BOX: ContainerUid = ContainerUid(0);

/// A store of several segments, with keyframes.
fn store(dir: &Path, rows: &[Row]) -> Recording {
    let small = StoreOptions { segment_bytes: 150_000, block_age: 20_000_000, ..options() };
    let mut store = StoreWriter::open(dir, origin(), small).unwrap();
    for chunk in rows.chunks(500) {
        push_all(&mut store, chunk);
        store.commit(chunk.last().unwrap().1.time).unwrap();
    }
    let stats = store.stats();
    store.seal().unwrap();
    let recording = Recording::open(dir).unwrap();
    assert_eq!(recording.keyframes().len() as u64, stats.keyframes);
    let bytes: u64 = recording.keyframes().iter().map(|keyframe| keyframe.stored).sum();
    assert_eq!(bytes, stats.keyframe_bytes);
    recording
}

fn text(recording: &Recording, keyframe: &Keyframe) -> Vec<u8> {
    recording.state(keyframe).unwrap().expect("a whole keyframe")
}

fn is_good(path: &Path) -> bool {
    let report = verify(path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.findings.iter().all(|f| !f.detail.contains("missing")), "{:?}", report.findings);
    report.is_good()
}

#[test]
fn a_keyframe_holds_before_the_row_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(1, 60_000, 2);
    let recording = store(dir.path(), &rows);
    let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|end| end == "aft")).count();
    assert!(segments > 3, "{segments} segments");
    for uid in [0, 1].map(ContainerUid) {
        let own: Vec<&Row> = rows.iter().filter(|row| row.0 == uid).collect();
        let keyframes = recording.keyframes_of(uid);
        assert!(keyframes.len() + 1 >= segments, "one in each segment but the first");
        for keyframe in keyframes {
            let row = usize::try_from(keyframe.row).unwrap();
            assert_eq!(text(&recording, keyframe), state_before(own[row]));
            assert_eq!(keyframe.at, own[row - 1].1.time);
            let mut found = Vec::new();
            let end = own[(row + 3000).min(own.len() - 1)].1.time;
            let mut visit = |_, uid, event: &afterimage_format::Event<'_>| {
                found.push((uid, OwnedEvent::from_event(event)));
                ControlFlow::Continue(())
            };
            recording.walk_behind(keyframe, Some(end), &mut visit).unwrap();
            let wanted: Vec<Row> =
                own[row..].iter().take_while(|row| row.1.time <= end).map(|&row| row.clone()).collect();
            crate::generate::assert_same(found, wanted);
        }
        let middle = keyframes[keyframes.len() / 2];
        let before = recording.keyframes_before(uid, middle.at);
        assert!(before.iter().all(|keyframe| keyframe.at < middle.at));
        let behind = recording.keyframes_before(uid, BootNanos(middle.at.0 + 1));
        assert_eq!(behind.last().map(|keyframe| keyframe.row), Some(middle.row));
    }
    assert!(is_good(dir.path()));
}

#[test]
fn keyframes_are_wanted_as_often_as_their_bytes_allow() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = writer(dir.path());
    let rows = events(2, 140_000, 1);
    assert_eq!(store.state_due(BOX), StateDue::Nothing);
    let mut asked = Vec::new();
    let mut noise = crate::generate::Random::new(9);
    for (number, row) in rows.iter().enumerate() {
        if matches!(store.state_due(BOX), StateDue::Now { .. }) {
            asked.push(number);
            let bytes = if asked.len() == 1 { 10 } else { 9_600 };
            let state: Vec<u8> = (0..bytes).map(|_| noise.next() as u8).collect();
            let repeated = if asked.len() < 3 { bytes } else { bytes / 2 };
            store.push_state(BOX, &state, repeated).unwrap();
        }
        row.1.with(|event| store.push(BOX, event)).unwrap();
    }
    // The first two are a block apart; what 9,600 bytes and the block around them cost is paid for by 32,000 rows.
    assert_eq!(asked[..2], [16_384, 32_768]);
    assert!((64_768..66_768).contains(&asked[2]), "{asked:?}");
    // Half of the third is told once: only the other half and the block's header are to be paid for.
    let next = asked[3] - asked[2];
    assert!((16_384..17_500).contains(&next), "{asked:?}");
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.keyframes().len(), asked.len());
    assert!(recording.blocks().iter().all(|block| block.rows <= 16_384));
}

#[test]
fn a_state_that_is_unknown_or_too_large_is_not_written_and_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = writer(dir.path());
    let rows = events(3, 600_000, 1);
    let mut asked = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        if matches!(store.state_due(BOX), StateDue::Now { .. }) {
            asked.push(number);
            match asked.len() {
                1 => store.push_state(BOX, &[], 0).unwrap(),
                _ => {
                    let error = store.push_state(BOX, &vec![0; (8 << 20) + 1], 0).unwrap_err();
                    assert!(matches!(error, WriteError::TooLarge { limit, .. } if limit == 8 << 20));
                }
            }
        }
        row.1.with(|event| store.push(BOX, event)).unwrap();
    }
    assert_eq!(asked, [16_384, 32_768, 532_768]);
    assert_eq!(store.stats().keyframes, 0);
}

#[test]
fn a_writer_asks_nothing_of_containers_that_an_earlier_one_had_rows_of() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(4, 100, 1);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows[..50]);
    store.commit(rows[49].1.time).unwrap();
    drop(store);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows[50..]);
    assert_eq!(store.state_due(BOX), StateDue::NotNow, "what the first writer saw is not known to this one");
}

#[test]
fn an_extract_of_a_late_part_brings_the_keyframe_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(5, 60_000, 2);
    let recording = store(dir.path(), &rows);
    let whole = dir.path().join("whole.aftx");
    extract(&recording, &[BOX], &whole).unwrap();
    let copied = Recording::open(&whole).unwrap();
    let places = |recording: &Recording| -> Vec<u64> {
        recording.keyframes_of(BOX).iter().map(|keyframe| keyframe.row).collect()
    };
    assert_eq!(places(&copied), places(&recording));
    assert!(is_good(&whole));

    let begin = rows[50_000].1.time;
    let part = Part { container: BOX, begin: Some(begin), end: None };
    let late = dir.path().join("late.aftx");
    let incident = Incident { id: "i".to_owned(), document: b"{}".to_vec() };
    extract_parts(&recording, &[part], &[incident], &late).unwrap();
    let copied = Recording::open(&late).unwrap();
    let first = read(&copied, &Query::default())[0].1.time;
    let keyframe = copied.keyframes_of(BOX).first().expect("the keyframe before the part");
    assert!(keyframe.at <= first && keyframe.at < begin);
    assert_eq!(text(&copied, keyframe), text(&recording, &keyframe_at(&recording, keyframe.row)));
    assert!(copied.keyframes().len() < recording.keyframes_of(BOX).len());

    let merged = dir.path().join("merged.aftx");
    merge(&[&copied, &recording], &[], &merged, &mut |_, _| {}).unwrap();
    assert_eq!(places(&Recording::open(&merged).unwrap()), places(&recording), "each once");
}

fn keyframe_at(recording: &Recording, row: u64) -> Keyframe {
    *recording.keyframes_of(BOX).iter().find(|keyframe| keyframe.row == row).unwrap()
}

#[test]
fn a_damaged_keyframe_is_told_and_a_missing_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(6, 40_000, 1);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows);
    store.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    let keyframe = recording.keyframes()[0];
    let wanted = text(&recording, &keyframe);
    drop(recording);
    let path = dir.path().join("seg-0000000000000000.aft");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(wanted.len()).position(|window| window == wanted).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.state(&recording.keyframes()[0]).unwrap(), None);
    assert_eq!(recording.defects().len(), 1);
    let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(!report.is_good());
    assert!(
        report.findings.iter().any(|finding| finding.detail.contains("`1` blocks with `0` rows are missing")),
        "{:?}",
        report.findings
    );
}
