//! A real file system that is full, or has no inodes left.

use std::{fs, path::Path, process::Command};

use afterimage_format::{
    BootNanos, LossCause, Query, Recording, Space, StoreOptions, StoreWriter, VerifyOptions, verify,
};

use crate::generate::{events, options, origin, push, read};

/// A tmpfs that is unmounted in the end.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(how: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", how, "tmpfs"]).arg(dir.path()).status();
        assert!(done.unwrap().success(), "mount as root");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Records until events are refused, makes room, and records on; nothing may be unaccounted for.
fn fill_and_free(how: &str, make_room: impl Fn(&Path), reserve_bytes: u64) {
    let disk = Tmpfs::mount(how);
    let dir = disk.path().join("store");
    let options = StoreOptions { segment_bytes: 64 << 10, reserve_bytes, ..options() };
    let mut store = StoreWriter::open(&dir, origin(), options).unwrap();
    let rows = events(61, 400_000, 5);
    let mut pieces = rows.chunks(200);
    let (mut taken, mut refused) = (0u64, 0u64);
    let mut piece = |store: &mut StoreWriter| {
        let Some(rows) = pieces.next() else { return false };
        for row in rows {
            let done = row.1.with(|event| store.push(row.0, event));
            *if done.is_ok() { &mut taken } else { &mut refused } += 1;
        }
        let _ = store.commit(rows[0].1.time);
        true
    };
    if reserve_bytes > 0 {
        // As long as the store alone fills it, its oldest events go for the newest.
        while store.stats().evicted_events == 0 {
            assert!(piece(&mut store), "{how}: nothing was given up");
        }
        assert_eq!(store.stats().refused, 0, "{how}");
        // It ends where the disk is full.
        let _ = fs::write(disk.path().join("of another"), vec![1; 64 << 20]);
    }
    while store.stats().refused < 5000 && piece(&mut store) {}
    assert!(store.stats().refused >= 5000, "{how}: the disk was never full");
    assert_eq!(store.space(), Space::Stopped);
    make_room(disk.path());
    // It tries once a second.
    let begun = std::time::Instant::now();
    while store.space() == Space::Stopped && begun.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let _ = store.commit(BootNanos(0));
    }
    assert!(store.space() < Space::Shedding, "{how}");
    let before = store.stats().refused;
    (0..5).for_each(|_| assert!(piece(&mut store)));
    assert_eq!(store.stats().refused, before, "{how}: loss ends when there is room");
    store.seal().unwrap();
    let recording = Recording::open(&dir).unwrap();
    let evicted: u64 = recording.evictions().iter().map(|eviction| eviction.events).sum();
    assert_eq!(read(&recording, &Query::default()).len() as u64 + evicted, taken, "{how}");
    assert_eq!(evicted > 0, reserve_bytes > 0, "{how}: {evicted}");
    let full = recording.losses().iter().filter(|loss| loss.cause == LossCause::DiskFull);
    assert_eq!(full.map(|loss| loss.count.unwrap()).sum::<u64>(), refused, "{how}");
    let report = verify(&dir, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert!(report.is_good(), "{how}: {:?}", report.first_damage());
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn a_full_file_system_costs_what_is_counted_and_no_more() {
    fill_and_free(
        "size=3m",
        |disk| {
            assert!(
                Command::new("mount").args(["-o", "remount,size=64m"]).arg(disk).status().unwrap().success()
            )
        },
        0,
    );
    fill_and_free(
        "size=6m",
        |disk| {
            assert!(
                Command::new("mount").args(["-o", "remount,size=64m"]).arg(disk).status().unwrap().success()
            )
        },
        1 << 20,
    );
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn a_file_system_without_inodes_costs_what_is_counted_and_no_more() {
    fill_and_free(
        "size=64m,nr_inodes=12",
        |disk| {
            let more = Command::new("mount").args(["-o", "remount,nr_inodes=10000"]).arg(disk).status();
            assert!(more.unwrap().success());
        },
        0,
    );
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn a_file_system_made_read_only_is_told_of_by_opening() {
    let disk = Tmpfs::mount("size=8m");
    let dir = disk.path().join("store");
    let mut store = StoreWriter::open(&dir, origin(), options()).unwrap();
    for row in events(62, 100, 2) {
        push(&mut store, &row);
    }
    store.seal().unwrap();
    let read_only = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.path()).status();
    assert!(read_only.unwrap().success());
    let error = StoreWriter::open(&dir, origin(), options()).unwrap_err();
    assert!(error.to_string().contains("cannot"), "{error}");
    assert_eq!(
        read(&Recording::open(&dir).unwrap(), &Query::default()).len(),
        100,
        "reading needs no writing"
    );
    assert!(fs::read_dir(&dir).unwrap().count() > 0);
}
