//! Power cuts: a store on a real ext4, on a disk that remembers every write and flush. Each image is what may be on the
//! disk when the power is cut at a random moment; on each, all that was synced is there, nothing is there that was not
//! written, and the next writer goes on.

mod disk;

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use afterimage_format::{ContainerUid, Query, Recording, StoreOptions, StoreWriter, VerifyOptions, verify};

use crate::generate::{Random, Row, events, options, origin, push_all, read};
use disk::{Mounted, Op, Plugged, run};

/// Images in the tests that CI runs; `cargo xtask soak power` makes a thousand.
const IMAGES: usize = 100;

const INSIDE: &str = "AFTERIMAGE_POWER_INSIDE";

/// What was promised when: position in the disk's log, rows.
struct Promise {
    position: usize,
    rows: usize,
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Every commit syncs, so that what each has promised is known exactly.
fn synced() -> StoreOptions {
    StoreOptions { sync_interval: 0, segment_bytes: 300_000, block_age: 30_000, ..options() }
}

/// Rows that can be told apart: each has its number as a number of its own.
fn numbered(seed: u64, count: usize) -> Vec<Row> {
    let mut rows = events(seed, count, 4);
    for (number, row) in rows.iter_mut().enumerate() {
        row.1.args.truncate(2);
        row.1.args.resize(2, 0);
        row.1.args.push(number as u64);
    }
    rows
}

/// Writes, and notes after each commit what is promised from then on.
fn write(dir: &Path, rows: &[Row], disk: &disk::Disk, random: &mut Random) -> Vec<Promise> {
    let mut promises = Vec::new();
    let mut store = StoreWriter::open(dir, origin(), synced()).unwrap();
    let mut done = 0;
    while done < rows.len() {
        let count = (1 + random.below(60) as usize).min(rows.len() - done);
        push_all(&mut store, &rows[done..done + count]);
        done += count;
        match random.below(12) {
            0 => store.finish_container(ContainerUid(random.below(4))).unwrap(),
            1 => drop(store.checkpoint().unwrap()),
            _ => {}
        }
        store.commit(rows[done - 1].1.time).unwrap();
        promises.push(Promise { position: disk.position(), rows: done });
        if random.below(150) == 0 {
            // Some writers seal, some die.
            if random.below(2) == 0 {
                drop(store.seal().unwrap())
            } else {
                drop(store)
            }
            store = StoreWriter::open(dir, origin(), synced()).unwrap();
        }
    }
    promises
}

/// Looks at a store after a power cut: says how many rows are there.
fn look(dir: &Path, rows: &[Row], promised: usize, image: usize) -> usize {
    if promised == 0 && !dir.join("STORE").exists() {
        return 0;
    }
    let recording = match Recording::open(dir) {
        Ok(recording) => recording,
        Err(error) => {
            assert_eq!(promised, 0, "image {image}: {error}");
            return 0;
        }
    };
    let mut found = HashMap::new();
    for (uid, event) in read(&recording, &Query::default()) {
        let number = event.args[2] as usize;
        assert_eq!(rows[number], (uid, event), "image {image}: a row that was not written");
        assert!(found.insert(number, ()).is_none(), "image {image}: row {number} twice");
    }
    for number in 0..promised {
        assert!(found.contains_key(&number), "image {image}: row {number} of {promised} synced is gone");
    }
    found.len()
}

#[test]
#[ignore = "needs root, FUSE and loop devices"]
fn what_was_synced_survives_any_power_cut() {
    // In a mount namespace of its own: somebody who makes one meanwhile would hold our mounts, and the loop devices
    // with them, longer than we do; and whatever happens here, nothing stays mounted.
    if std::env::var_os(INSIDE).is_none() {
        let test =
            ["--exact", "power::what_was_synced_survives_any_power_cut", "--include-ignored", "--nocapture"];
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap()).args(test);
        let output = inside.env(INSIDE, "1").output().unwrap();
        let [said, failed] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "{said}{failed}");
        let figures = said.lines().find(|line| line.starts_with("power cuts:"));
        return println!("{}", figures.expect("the test inside was run"));
    }
    let (images, seed) =
        (number("AFTERIMAGE_POWER_IMAGES", IMAGES), number("AFTERIMAGE_POWER_SEED", 81) as u64);
    let begun = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let [plug, live, cut] = ["plug", "live", "cut"].map(|name| dir.path().join(name));
    [&plug, &live, &cut].into_iter().for_each(|path| fs::create_dir(path).unwrap());
    let plugged = Plugged::at(&plug);
    run("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0", &plug.join("disk").display().to_string()]);
    let beginning = plugged.disk.begin();
    let mut random = Random::new(seed);
    let rows = numbered(seed, 12_000);
    let promises = {
        let _mounted = Mounted::new(&plug.join("disk"), &live, "commit=1");
        write(&live.join("store"), &rows, &plugged.disk, &mut random)
    };
    let log = plugged.disk.log();
    plugged.pull();
    let (mut durable, mut applied) = (beginning, 0);
    let mut moments: Vec<usize> = (0..images).map(|_| random.below(log.len() as u64 + 1) as usize).collect();
    moments.sort_unstable();
    let (mut survived, mut recovered, mut beyond) = (0, 0, 0);
    for (image, moment) in moments.into_iter().enumerate() {
        let flushed = log[..moment].iter().rposition(|op| matches!(op, Op::Flush)).map_or(0, |at| at + 1);
        for op in &log[applied.min(flushed)..flushed] {
            if let Op::Write { offset, bytes } = op {
                durable.write(*offset, bytes);
            }
        }
        applied = applied.max(flushed);
        // A name of its own: somebody's mount namespace may still hold the one before.
        let path = dir.path().join(format!("image-{image}"));
        durable.cut(&log[flushed..moment], &mut random).image(&path).unwrap();
        let promised = promises.iter().rev().find(|p| p.position <= moment).map_or(0, |p| p.rows);
        let store = cut.join("store");
        let there = {
            // The file system's own recovery may write; reading a store may not.
            let _mounted = Mounted::new(&path, &cut, "rw");
            run("mount", &["-o", "remount,ro", &cut.display().to_string()]);
            look(&store, &rows, promised, image)
        };
        survived += 1;
        beyond += there - promised;
        if image % 4 == 0 && promised > 0 {
            let _mounted = Mounted::new(&path, &cut, "rw");
            StoreWriter::open(&store, origin(), synced()).unwrap().seal().unwrap();
            assert_eq!(look(&store, &rows, there, image), there, "image {image}: recovery changes nothing");
            let report = verify(&store, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
            assert!(report.is_good(), "image {image}: {:?}", report.findings);
            recovered += 1;
        }
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(survived, images);
    let flushes = log.iter().filter(|op| matches!(op, Op::Flush)).count();
    println!(
        "\npower cuts: {images} images of seed {seed}, {} writes and {flushes} flushes, {} commits, {recovered} stores \
         recovered and verified, {beyond} rows beyond the promise, {:?}",
        log.len() - flushes,
        promises.len(),
        Duration::from_secs(begun.elapsed().as_secs())
    );
}
