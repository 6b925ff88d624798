//! What a question costs: two columns of everything without an index, one container among very many events, and what a
//! recorder that was killed left.

use std::{ops::ControlFlow, path::Path, time::Instant};

use afterimage_format::{
    ContainerUid, EventCode, Origin, OwnedEvent, Query, Recording, StoreOptions, StoreWriter, Wanted,
};

use super::{classify, cpu, number};

type Row = (ContainerUid, OwnedEvent);

/// Failed calls of one kind, by the columns of all blocks.
pub(super) fn two_columns(dir: &Path) {
    let recording = Recording::open(dir).expect("the store reads");
    let mut reader = recording.column_reader();
    let code = EventCode(257);
    let (mut rows, mut found) = (0, 0);
    let begun = cpu();
    for block in recording.blocks() {
        let columns =
            reader.read_of(block.index, Wanted::RESULTS, &|of| of == code).expect("the store reads");
        let columns = columns.expect("the block is whole");
        let both = columns.codes().iter().zip(columns.results());
        found += both.filter(|(of, result)| **of == code.0 && **result < 0).count();
        rows += columns.len();
        reader.take_back(columns);
    }
    let nanos = (cpu() - begun) / rows as f64;
    println!("two columns, no index: {:8.2} M events/s ({nanos:.2} ns, {found} of {rows})", 1e3 / nanos);
}

/// Pushes the rows again and again, each time later and of other containers, until `enough` says so.
fn repeat(rows: &[Row], store: &mut StoreWriter, mut enough: impl FnMut(&StoreWriter) -> bool) {
    let most = rows.iter().map(|row| row.0.0).max().unwrap_or(0) + 1;
    let last = rows.iter().map(|row| row.1.time.0).max().unwrap_or(0);
    for round in 0.. {
        for chunk in rows.chunks(1000) {
            for (uid, event) in chunk {
                event
                    .with(|event| {
                        let mut event = *event;
                        event.time.0 += round * last;
                        store.push(ContainerUid(uid.0 + round * most), &event)
                    })
                    .expect("the event is taken");
            }
            let mut now = chunk[0].1.time;
            now.0 += round * last;
            store.commit(now).expect("the commit succeeds");
            if enough(store) {
                return;
            }
        }
        for uid in 0..most {
            store.finish_container(ContainerUid(uid + round * most)).expect("the block is written");
        }
    }
}

/// A recorder that is killed when its segment is nearly full: opened for reading, and by the next recorder. How much is left
/// to be read of the stages depends on the moment, so many are tried and the slowest counts.
pub(super) fn recovery(rows: &[Row], origin: &Origin, dir: &Path) {
    /// Bytes of the segment in which there are moments, and commits from one to the next.
    const TRIED_BYTES: u64 = 6 << 20;
    const COMMITS: u64 = 10;
    let options = StoreOptions { classify, ..StoreOptions::default() };
    let wanted = options.segment_bytes - (2 << 20);
    let mut store = StoreWriter::open(dir, origin.clone(), options.clone()).expect("the scratch store opens");
    let left = dir.with_extension("left");
    let (mut commits, mut tried, mut slowest, mut stats) = (0, 0, 0.0, store.stats());
    repeat(rows, &mut store, |store| {
        let now = store.stats();
        commits += 1;
        if now.bytes + TRIED_BYTES >= wanted && commits % COMMITS == 0 {
            let begun = cpu();
            Recording::open(dir).expect("the scratch store reads");
            let taken = cpu() - begun;
            tried += 1;
            if taken > slowest {
                (slowest, stats) = (taken, now);
                copy_store(dir, &left);
            }
        }
        now.bytes >= wanted
    });
    drop(store);
    let staged = stage_bytes(&left) as f64 / 1e6;
    println!("an unsealed segment of {} bytes, {} events:", stats.bytes, stats.events);
    println!("  the slowest of {tried} moments, {staged:.1} MB in stage files");
    for round in 0..3 {
        let (begun, wall) = (cpu(), Instant::now());
        let recording = Recording::open(&left).expect("the scratch store reads");
        let (taken, waited) = ((cpu() - begun) / 1e6, wall.elapsed().as_secs_f64() * 1e3);
        let events: u64 = recording.blocks().iter().map(|block| u64::from(block.rows)).sum();
        assert_eq!(events, stats.events, "all that was committed is there");
        println!("  opened for reading ({round}): {taken:8.2} ms of CPU, {waited:.2} ms waited");
    }
    let (begun, wall) = (cpu(), Instant::now());
    let store = StoreWriter::open(&left, origin.clone(), options).expect("the scratch store opens");
    let (taken, waited) = ((cpu() - begun) / 1e6, wall.elapsed().as_secs_f64() * 1e3);
    println!("  the next recorder begins: {taken:8.2} ms of CPU, {waited:.2} ms waited");
    store.seal().expect("the store is sealed");
    for scratch in [dir, &left] {
        std::fs::remove_dir_all(scratch).expect("the scratch store is ours");
    }
}

/// Copies a store as it is at this moment; what its recorder had synced is synced here too.
fn copy_store(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).expect("the scratch directory can be made");
    for entry in std::fs::read_dir(from).expect("the scratch store lists") {
        let entry = entry.expect("the scratch store lists");
        let path = to.join(entry.file_name());
        std::fs::copy(entry.path(), &path).expect("the scratch store can be copied");
        let copy = std::fs::File::open(path).expect("the copy is there");
        copy.sync_all().expect("the copy is synced");
    }
}

/// Bytes of the stage files of a store, those reserved included.
fn stage_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the scratch store lists").map_while(Result::ok);
    let stages = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"stage-"));
    stages.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// All events of one container among `MANY` millions (60).
pub(super) fn one_of_many(rows: &[Row], origin: &Origin, dir: &Path) {
    let options = StoreOptions { classify, ..StoreOptions::default() };
    let many = 1_000_000 * number("MANY", 60) as u64;
    let mut store = StoreWriter::open(dir, origin.clone(), options).expect("the scratch store opens");
    repeat(rows, &mut store, |store| store.stats().events >= many);
    store.seal().expect("the store is sealed");
    let recording = Recording::open(dir).expect("the scratch store reads");
    let mut containers: Vec<(u64, ContainerUid)> =
        recording.containers().iter().map(|of| (of.events, of.record.uid)).collect();
    containers.sort_unstable();
    let events: u64 = containers.iter().map(|of| of.0).sum();
    println!("{events} events, {} containers, {} blocks:", containers.len(), recording.blocks().len());
    for part in [0, containers.len() / 4, containers.len() / 2, containers.len() * 9 / 10] {
        let (events, uid) = containers[part];
        let query = Query { containers: vec![uid], ..Query::default() };
        let mut times: Vec<f64> = (0..5)
            .map(|_| {
                let begun = cpu();
                let mut found = 0;
                recording
                    .scan(&query, &mut |_, _, _| {
                        found += 1;
                        ControlFlow::Continue(())
                    })
                    .expect("the scratch store reads");
                assert_eq!(found, events);
                (cpu() - begun) / 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("  all {events:8} events of one: {:8.3} ms of CPU", times[2]);
    }
    std::fs::remove_dir_all(dir).expect("the scratch store is ours");
}
