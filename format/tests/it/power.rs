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

use afterimage_format::{
    ContainerUid, Pin, Query, Recording, StoreOptions, StoreWriter, VerifyOptions, verify,
};

use crate::generate::{Random, Row, events, options, origin, push_all, read};
use disk::{Mounted, Op, Plugged, run};

/// Images in the tests that CI runs; `cargo xtask soak power` makes a thousand.
const IMAGES: usize = 100;
/// Of the store that retention is at work in: a part of what is written to it.
const BUDGET: u64 = 800_000;

const INSIDE: &str = "AFTERIMAGE_POWER_INSIDE";

/// What was promised when: position in the disk's log, rows.
struct Promise {
    position: usize,
    rows: usize,
}

/// A store that is written while the power is cut.
struct Workload {
    name: &'static str,
    options: StoreOptions,
    /// Retention removes what others have, and nothing of this container.
    pinned: Option<ContainerUid>,
    rows: Vec<Row>,
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

fn workloads(seed: u64) -> [Workload; 2] {
    // Every commit syncs, so that what each has promised is known exactly.
    let synced = StoreOptions { sync_interval: 0, segment_bytes: 300_000, block_age: 30_000, ..options() };
    let small = StoreOptions { budget_bytes: BUDGET, ..synced.clone() };
    let (all, most) = (numbered(seed, 12_000), numbered(seed + 1, 12_000));
    let pinned = Some(ContainerUid(3));
    [
        Workload { name: "all", options: synced, pinned: None, rows: all },
        Workload { name: "retention", options: small, pinned, rows: most },
    ]
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

impl Workload {
    fn open(&self, dir: &Path, syncs: bool) -> StoreWriter {
        let sync_interval = if syncs { 0 } else { u64::MAX };
        StoreWriter::open(dir, origin(), StoreOptions { sync_interval, ..self.options.clone() }).unwrap()
    }

    /// Writes, and notes what is promised from when on: what was committed, or what the next writer was told of by one that did
    /// not sync.
    fn write(&self, dir: &Path, disk: &disk::Disk, random: &mut Random) -> Vec<Promise> {
        let mut promises = Vec::new();
        let mut store = self.open(dir, true);
        if let Some(uid) = self.pinned {
            let pin = Pin { id: "p".to_owned(), containers: vec![uid], ..Pin::default() };
            store.pin(pin).unwrap();
        }
        let (mut done, mut syncs, mut moved) = (0, true, 0);
        while done < self.rows.len() {
            let count = (1 + random.below(60) as usize).min(self.rows.len() - done);
            push_all(&mut store, &self.rows[done..done + count]);
            done += count;
            match random.below(12) {
                0 => store.finish_container(ContainerUid(random.below(4))).unwrap(),
                1 => drop(store.checkpoint().unwrap()),
                _ => {}
            }
            store.commit(self.rows[done - 1].1.time).unwrap();
            if syncs {
                promises.push(Promise { position: disk.position(), rows: done });
            }
            if random.below(if syncs { 100 } else { 10 }) == 0 {
                moved += store.stats().moved_bytes;
                // Some writers seal, some die.
                if random.below(2) == 0 {
                    drop(store.seal().unwrap())
                } else {
                    drop(store)
                }
                syncs = random.below(3) > 0;
                store = self.open(dir, syncs);
                promises.push(Promise { position: disk.position(), rows: done });
            }
        }
        moved += store.stats().moved_bytes;
        assert!(self.pinned.is_none() || moved > 0, "nothing was kept");
        promises
    }

    /// Looks at a store after a power cut: says how many rows are there.
    fn look(&self, dir: &Path, promised: usize, image: usize) -> usize {
        let at = format!("image {image}, {}", self.name);
        if promised == 0 && !dir.join("STORE").exists() {
            return 0;
        }
        let recording = match Recording::open(dir) {
            Ok(recording) => recording,
            Err(error) => {
                assert_eq!(promised, 0, "{at}: {error}");
                return 0;
            }
        };
        let mut found = HashMap::new();
        for (uid, event) in read(&recording, &Query::default()) {
            let number = event.args[2] as usize;
            assert_eq!(self.rows[number], (uid, event), "{at}: a row that was not written");
            assert!(found.insert(number, ()).is_none(), "{at}: row {number} twice");
        }
        for number in 0..promised {
            let may_go = self.pinned.is_some_and(|uid| self.rows[number].0 != uid);
            assert!(may_go || found.contains_key(&number), "{at}: row {number} of {promised} synced is gone");
        }
        let evicted: u64 = recording.evictions().iter().map(|eviction| eviction.events).sum();
        let told = found.len() + evicted as usize;
        assert!(told >= promised, "{at}: {told} of {promised} synced rows are there or told of as removed");
        let report = verify(dir, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert!(report.is_good(), "{at}: {:?}", report.findings);
        found.len()
    }
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
    let workloads = workloads(seed);
    let promises = {
        let _mounted = Mounted::new(&plug.join("disk"), &live, "commit=1");
        workloads.each_ref().map(|work| work.write(&live.join(work.name), &plugged.disk, &mut random))
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
        let promised = promises.each_ref().map(|promises| {
            promises.iter().rev().find(|p| p.position <= moment).map_or(0, |promise| promise.rows)
        });
        let look_at_all = |promised: [usize; 2]| {
            let mut there = [0; 2];
            for (number, work) in workloads.iter().enumerate() {
                there[number] = work.look(&cut.join(work.name), promised[number], image);
            }
            there
        };
        let there = {
            // The file system's own recovery may write; reading a store may not.
            let _mounted = Mounted::new(&path, &cut, "rw");
            run("mount", &["-o", "remount,ro", &cut.display().to_string()]);
            look_at_all(promised)
        };
        survived += 1;
        beyond += there[0] - promised[0];
        if image % 4 == 0 {
            let _mounted = Mounted::new(&path, &cut, "rw");
            for (work, _) in workloads.iter().zip(promised).filter(|(_, promised)| *promised > 0) {
                work.open(&cut.join(work.name), true).seal().unwrap();
                recovered += 1;
            }
            let after = look_at_all(promised);
            assert_eq!(after[0], there[0], "image {image}: recovery changes nothing");
        }
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(survived, images);
    let flushes = log.iter().filter(|op| matches!(op, Op::Flush)).count();
    println!(
        "\npower cuts: {images} images of seed {seed}, {} writes and {flushes} flushes, {} promises; the stores of each \
         verified, {recovered} of them recovered and verified again, {beyond} rows beyond the promise, {:?}",
        log.len() - flushes,
        promises.iter().map(Vec::len).sum::<usize>(),
        Duration::from_secs(begun.elapsed().as_secs())
    );
}
