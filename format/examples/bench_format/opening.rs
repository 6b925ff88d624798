//! Opening stores of many segments, by the catalog and by the footers, one container among very many, and copying many
//! containers out.

use std::{ops::ControlFlow, path::Path, time::Instant};

use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, Fact, FactKey, FactSource, Origin, OwnedEvent, Query,
    Recording, StoreOptions, StoreWriter, extract,
};

use super::{classify, cpu, number};

const CONTAINERS: u64 = 64;
/// One event of it, in one segment.
const RARE: ContainerUid = ContainerUid(1_000_000);

fn record(uid: ContainerUid) -> ContainerRecord {
    let fact = |key, value: String| Fact {
        key,
        value: value.into_bytes(),
        source: FactSource::OciBundle,
        time: BootNanos(1),
    };
    let mut facts = vec![
        fact(FactKey::Name, format!("name-{}", uid.0)),
        fact(FactKey::Image, format!("registry.example.org/team/image-{}:1.2.3", uid.0)),
    ];
    facts
        .extend((0..8).map(|n| fact(FactKey::Label, format!("org.example.label{n}=value {n} of {}", uid.0))));
    ContainerRecord { uid, facts, ..ContainerRecord::host(BootNanos(1)) }
}

/// Fills a store with segments of so many blocks of one row each, of 64 containers with ten facts each.
fn make(row: &OwnedEvent, origin: &Origin, dir: &Path, segments: usize, blocks: usize) {
    // So small that each commit begins a new one.
    let options = StoreOptions { segment_bytes: 1, classify, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir, origin.clone(), options).expect("the scratch store opens");
    let mut event = row.clone();
    let mut put = |store: &mut StoreWriter, uid: ContainerUid| {
        event.time.0 += 1000;
        event.with(|event| store.push(uid, event)).expect("the event is taken");
        store.finish_container(uid).expect("the block is written");
    };
    for segment in 0..segments {
        for uid in (1..=CONTAINERS.min(blocks as u64)).map(ContainerUid) {
            store.put_container(&record(uid)).expect("the record is taken");
        }
        if segment == segments / 2 {
            put(&mut store, RARE);
        }
        (0..blocks as u64).for_each(|block| put(&mut store, ContainerUid(1 + block % CONTAINERS)));
        store.commit(BootNanos(0)).expect("the commit succeeds");
    }
    store.seal().expect("the store is sealed");
}

/// Milliseconds of CPU and of waiting, the median of five.
fn median(mut run: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<(f64, f64)> = (0..5)
        .map(|_| {
            let (begun, wall) = (cpu(), Instant::now());
            run();
            ((cpu() - begun) / 1e6, wall.elapsed().as_secs_f64() * 1e3)
        })
        .collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times[2]
}

/// Opens a store of as many segments and blocks as 10 GB have (`BLOCKS=n` a segment, `SEGMENTS=n`), and one of a thousand
/// small segments. The blocks hold a row each: what is measured is opening, which reads none.
pub(super) fn measure(row: &OwnedEvent, origin: &Origin, dir: &Path) {
    println!(
        "opening, the files in the page cache, median of five (blocks of one row, {CONTAINERS} containers):"
    );
    let large = (number("SEGMENTS", 160), number("BLOCKS", 682));
    for (segments, blocks) in [large, (1000, 4)] {
        make(row, origin, dir, segments, blocks);
        let about = |name: &str| {
            let mut found = 0;
            let (taken, waited) = median(|| {
                found = Recording::open(dir).expect("the scratch store reads").blocks().len();
            });
            println!(
                "  {segments} segments, {found} blocks, {name}: {taken:8.2} ms of CPU, {waited:.2} ms waited"
            );
        };
        about("by the catalog");
        let query = Query { containers: vec![RARE], ..Query::default() };
        let recording = Recording::open(dir).expect("the scratch store reads");
        let (taken, waited) = median(|| {
            let mut count = 0;
            recording
                .for_each(&query, &mut |_, _| {
                    count += 1;
                    ControlFlow::Continue(())
                })
                .expect("the scratch store reads");
            assert_eq!(count, 1);
        });
        println!("  all events of one container among them: {taken:.3} ms of CPU, {waited:.3} ms waited");
        let catalog = dir.join("catalog");
        println!("  the catalog: {} bytes", std::fs::metadata(&catalog).map_or(0, |about| about.len()));
        std::fs::remove_file(catalog).expect("a sealed store has a catalog");
        about("by the footers");
        std::fs::remove_dir_all(dir).expect("the scratch store is ours");
    }
}

/// Copies all containers of a store into one file: a thousand of them, then three times as many, of ten blocks each.
pub(super) fn extracting(row: &OwnedEvent, origin: &Origin, dir: &Path) {
    println!("all containers copied out, median of five (ten blocks of one row each):");
    for containers in [1000, 3000] {
        let options = StoreOptions { classify, ..StoreOptions::default() };
        let mut store = StoreWriter::open(dir, origin.clone(), options).expect("the scratch store opens");
        let uids: Vec<ContainerUid> = (1..=containers).map(ContainerUid).collect();
        uids.iter().for_each(|uid| store.put_container(&record(*uid)).expect("the record is taken"));
        let mut event = row.clone();
        for uid in (0..10).flat_map(|_| &uids) {
            event.time.0 += 1000;
            event.with(|event| store.push(*uid, event)).expect("the event is taken");
            store.finish_container(*uid).expect("the block is written");
        }
        store.seal().expect("the store is sealed");
        let recording = Recording::open(dir).expect("the scratch store reads");
        let out = dir.with_extension("aftx");
        let (taken, waited) = median(|| {
            let done = extract(&recording, &uids, &out).expect("the containers are copied");
            assert_eq!((done.containers, done.events), (containers, 10 * containers));
            std::fs::remove_file(&out).expect("the copy is ours");
        });
        println!("  {containers} containers: {taken:8.1} ms of CPU, {waited:.1} ms waited");
        std::fs::remove_dir_all(dir).expect("the scratch store is ours");
    }
}
