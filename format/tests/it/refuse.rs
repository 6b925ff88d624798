//! What cannot be opened, and how that is said.

use std::fs;

use afterimage_format::{
    FindingKind, OpenError, Recording, StoreOptions, StoreWriter, VerifyOptions, WriteError, merge, verify,
};

use crate::generate::{Row, events, options, origin, push_all, read_path, writer};

#[test]
fn a_second_writer_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let rows = events(21, 100, 1);
    let mut store = writer(dir.path());
    push_all(&mut store, &rows);
    let second = StoreWriter::open(dir.path(), origin(), options());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    store.seal().unwrap();
    assert_eq!(read_path(dir.path()).len(), 100);
    drop(writer(dir.path()));
}

#[test]
fn what_is_no_recording_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    for contents in [&b""[..], b"PK\x03\x04", &[0; 9000]] {
        fs::write(&file, contents).unwrap();
        assert!(matches!(Recording::open(&file), Err(OpenError::NotARecording { .. })));
    }
    assert!(matches!(Recording::open(dir.path()), Err(OpenError::NotARecording { .. })));
    assert!(matches!(Recording::open(&dir.path().join("none")), Err(OpenError::Io { .. })));
    let never = StoreWriter::open(dir.path(), origin(), options());
    assert!(matches!(never, Err(OpenError::NotARecording { .. })), "no store among somebody's files");
}

#[test]
fn another_version_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let segment = writer(dir.path()).seal().unwrap();
    for path in [segment, dir.path().join("STORE")] {
        let mut bytes = fs::read(&path).unwrap();
        bytes[12] = 9;
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let opened = StoreWriter::open(dir.path(), origin(), options());
        assert!(matches!(opened, Err(OpenError::Version { found: 9, supported: 1, .. })), "{opened:?}");
        if path.extension().is_some() {
            assert!(matches!(Recording::open(&path), Err(OpenError::Version { found: 9, .. })));
        } else {
            assert!(matches!(Recording::open(dir.path()), Err(OpenError::Version { found: 9, .. })));
        }
    }
}

#[test]
fn a_damaged_identity_file_is_told_and_the_segments_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreOptions { segment_bytes: 1, ..options() };
    let mut store = StoreWriter::open(dir.path(), origin(), small).unwrap();
    for chunk in events(23, 300, 2).chunks(100) {
        push_all(&mut store, chunk);
        store.commit(chunk.last().unwrap().1.time).unwrap();
    }
    store.seal().unwrap();
    let path = dir.path().join("STORE");
    let good = fs::read(&path).unwrap();
    for (at, what) in
        [(0, "does not begin"), (12, "format version `"), (40, "checksum is wrong"), (511, "checksum")]
    {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let recording = Recording::open(dir.path()).unwrap();
        let rows: u32 = recording.blocks().iter().map(|block| block.rows).sum();
        let [defect] = recording.defects().try_into().unwrap();
        assert_eq!((rows, defect.path.as_path()), (300, path.as_path()));
        assert!(defect.detail.contains(what), "{defect:?}");
        let report = verify(dir.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(!report.is_good());
        let told = report.findings.iter().filter(|found| found.kind != FindingKind::BadCatalog);
        assert!(told.clone().all(|found| found.path == path && found.detail.contains(what)), "{report:?}");
        assert_eq!(told.count(), 1);
        let copy = dir.path().join(format!("{at}.aftx"));
        merge(&[&recording], &[], &copy, &mut |_, _| {}).unwrap();
        assert!(verify(&copy, &VerifyOptions::default(), &mut |_, _| {}).unwrap().is_good());
        fs::remove_file(copy).unwrap();
        assert!(StoreWriter::open(dir.path(), origin(), options()).is_err(), "nothing is written into it");
    }
    // Where nothing can be read, why not.
    for entry in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|end| end == "aft") {
            fs::write(entry, b"no segment").unwrap();
        }
    }
    assert!(matches!(Recording::open(dir.path()), Err(OpenError::Damaged { .. })));
}

#[test]
fn an_event_larger_than_the_format_is_refused_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = events(22, 10, 1);
    let mut store = writer(dir.path());
    let mut large = rows[0].clone();
    large.1.args = vec![0; 49];
    let refused = large.1.with(|event| store.push(large.0, event));
    assert!(matches!(refused, Err(WriteError::TooLarge { found: 49, limit: 48, .. })), "{refused:?}");
    push_all(&mut store, &rows);
    store.seal().unwrap();
    assert_eq!(read_path(dir.path()).len(), 10);
}

#[cfg(unix)]
#[test]
fn files_are_the_owners_alone_and_links_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut store = writer(&path);
    push_all(&mut store, &events(23, 10, 1));
    store.commit(afterimage_format::BootNanos(0)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let about = entry.unwrap().metadata().unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
    }
    let segment = store.seal().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&segment, &elsewhere).unwrap();
    symlink(&elsewhere, &segment).unwrap();
    assert!(Recording::open(&path).is_err(), "a link inside a store");
    assert!(Recording::open(&elsewhere).is_ok());
}
