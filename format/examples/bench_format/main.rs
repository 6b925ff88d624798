//! Measures the format on a recorded workload: `bench_format STORE [SCRATCH]`.
//!
//! `PAYLOAD=n` cuts payloads to n bytes, `TIMED=1` keeps durations.
//!
//! Reads the recording into memory, writes it again into SCRATCH (a directory that is made and removed; best on a
//! tmpfs), and reads that; then the same events as others keep them; then opens stores of many segments with and without
//! their catalog (`SEGMENTS=n BLOCKS=n`).
//!
//! `PARTS=write,read,rows,recover,many,open,extract` does only what it lists; `blocks`, `order` and `filter` are parts of `read`, which by
//! themselves read the store itself. `ROUNDS=n` writes and reads n times: on a machine that does other things
//! besides, take the least. All times are CPU time of one thread. `cargo xtask bench workload` makes a recording to
//! measure on.

mod opening;
mod parquet;
mod questions;
mod rows;

use std::{collections::BTreeMap, ops::ControlFlow, path::Path, process::ExitCode};

use afterimage_format::{
    Anchor, BootNanos, Class, ContainerUid, Direction, Event, FieldTag, Origin, OwnedEvent, Query, Recording,
    StoreOptions, StoreWriter, Wanted,
};

fn cpu() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn classify(event: &Event<'_>) -> Class {
    if event.code.0 < 4 { Class::File } else { Class::Other }
}

fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find(|l| l.starts_with("model name")).unwrap_or("model name: unknown");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{}, kernel {}", model.split(':').nth(1).unwrap_or("").trim(), kernel.trim())
}

fn load(path: &Path, timed: bool, longest: usize) -> Vec<(ContainerUid, OwnedEvent)> {
    let recording = Recording::open(path).expect("the recording opens");
    let mut rows = Vec::new();
    recording
        .for_each(&Query::default(), &mut |uid, event| {
            let mut event = OwnedEvent::from_event(event);
            if !timed {
                event.duration = None;
            }
            for field in event.fields.iter_mut().filter(|f| f.tag == FieldTag::PAYLOAD) {
                field.bytes.truncate(longest);
            }
            rows.push((uid, event));
            ControlFlow::Continue(())
        })
        .expect("the recording reads");
    rows
}

/// The moment from nothing to the first hundred events.
fn first_result(dir: &Path) {
    let (begun, wall) = (cpu(), std::time::Instant::now());
    let recording = Recording::open(dir).expect("the scratch store reads");
    let middle = recording.time_range().map_or(BootNanos(0), |(a, b)| BootNanos(a.0 + (b.0 - a.0) / 2));
    let page =
        recording.page(&Query::default(), Anchor::Time(middle), Direction::Forward, 100, &mut |_, _| true);
    let count = page.expect("the scratch store reads").len();
    let (taken, waited) = ((cpu() - begun) / 1e6, wall.elapsed().as_secs_f64() * 1e3);
    println!("open, seek, {count} events:  {taken:8.3} ms of CPU, {waited:.3} ms waited");
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

fn write(rows: &[(ContainerUid, OwnedEvent)], origin: &Origin, dir: &Path) {
    let options = StoreOptions { classify, ..StoreOptions::default() };
    let mut store = StoreWriter::open(dir, origin.clone(), options).expect("the scratch store opens");
    let count = rows.len() as f64;
    let begun = cpu();
    for chunk in rows.chunks(1000) {
        for (uid, event) in chunk {
            event.with(|event| store.push(*uid, event)).expect("the event is taken");
        }
        store.commit(chunk[0].1.time).expect("the commit succeeds");
    }
    let stats = store.stats();
    let path = store.seal().expect("the store is sealed");
    let all = (cpu() - begun) / count;
    let (encode, stage) = (stats.encode_time as f64 / count, stats.stage_time as f64 / count);
    let stored: u64 = std::fs::read_dir(path.parent().expect("a segment lies in a store"))
        .expect("the store lists")
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|about| about.len())
        .sum();
    println!("write, all:            {all:8.1} ns/event");
    println!("  encode blocks:       {encode:8.1} ns/event");
    println!("  stage:               {stage:8.1} ns/event");
    println!("  take over:           {:8.1} ns/event", all - encode - stage);
    println!("stored:                {:8.3} B/event", stored as f64 / count);
    println!("staged:                {:8.3} B/event", stats.stage_bytes as f64 / count);
    println!("blocks:                {:8}", stats.blocks);
}

fn read(dir: &Path) {
    let begun = cpu();
    let recording = Recording::open(dir).expect("the scratch store reads");
    println!("open:                  {:8.3} ms", (cpu() - begun) / 1e6);
    if wants("read") || wants("blocks") {
        decode_as_it_lies(&recording);
    }
    for (name, part, ordered) in [("decode, by block", "blocks", false), ("decode, in order", "order", true)]
    {
        if !wants("read") && !wants(part) {
            continue;
        }
        let (mut count, mut sum) = (0u64, 0u64);
        let begun = cpu();
        if ordered {
            recording.for_each(&Query::default(), &mut |_, event| {
                (count, sum) = (count + 1, sum.wrapping_add(event.ret as u64));
                ControlFlow::Continue(())
            })
        } else {
            recording.scan(&Query::default(), &mut |_, _, event| {
                (count, sum) = (count + 1, sum.wrapping_add(event.ret as u64));
                ControlFlow::Continue(())
            })
        }
        .expect("the scratch store reads");
        let nanos = (cpu() - begun) / count as f64;
        println!("{name}:      {:8.2} M events/s ({nanos:.1} ns, checksum {sum:x})", 1e3 / nanos);
    }
    if wants("read") || wants("filter") {
        questions::two_columns(dir);
    }
    let mut columns: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let (mut rows, mut stored) = (0u64, 0u64);
    for block in recording.blocks() {
        rows += u64::from(block.rows);
        stored += block.stored;
        for column in recording.columns(block.index).expect("the scratch store reads") {
            let sum = columns.entry(column.name).or_default();
            *sum = (sum.0 + column.stored, sum.1 + column.raw);
        }
    }
    println!("blocks' bytes:         {:8.3} B/event", stored as f64 / rows as f64);
    for (name, (stored, raw)) in columns {
        println!(
            "  {name:20} {:8.3} B/event, raw {:8.3}",
            stored as f64 / rows as f64,
            raw as f64 / rows as f64
        );
    }
}

/// Every column of every block, and each row lent as an event, in the order that they lie in: by thread, then by time.
fn decode_as_it_lies(recording: &Recording) {
    let (mut count, mut sum) = (0u64, 0u64);
    let begun = cpu();
    let mut reader = recording.column_reader();
    for block in recording.blocks() {
        let columns = reader.read(block.index, Wanted::ALL).expect("the scratch store reads");
        let columns = columns.expect("no block is damaged");
        for row in 0..columns.len() {
            sum = columns.with(row, |event| sum.wrapping_add(event.ret as u64)).expect("the row is there");
            count += 1;
        }
        reader.take_back(columns);
    }
    let nanos = (cpu() - begun) / count as f64;
    println!("decode, as it lies:     {:8.2} M events/s ({nanos:.1} ns, checksum {sum:x})", 1e3 / nanos);
}

/// Whether a part of the measurement is wanted: all are where `PARTS` does not list some.
fn wants(part: &str) -> bool {
    std::env::var("PARTS").map_or(true, |parts| parts.split(',').any(|wanted| wanted == part))
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(store) = arguments.next() else {
        eprintln!("usage: bench_format STORE [SCRATCH]");
        return ExitCode::from(2);
    };
    let scratch = arguments.next().unwrap_or_else(|| "/dev/shm/bench_format".into());
    let (store, scratch) = (Path::new(&store), Path::new(&scratch));
    println!("machine: {}", machine());
    if !["write", "rows", "open", "many", "recover", "extract"].into_iter().any(wants) {
        (0..number("ROUNDS", 1)).for_each(|_| read(store));
        return ExitCode::SUCCESS;
    }
    let timed = std::env::var_os("TIMED").is_some();
    let longest = std::env::var("PAYLOAD").ok().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let rows = load(store, timed, longest);
    let origin = Recording::open(store).expect("the recording opens").origin().clone();
    let containers: std::collections::HashSet<_> = rows.iter().map(|(uid, _)| *uid).collect();
    let first = rows.first().map_or(BootNanos(0), |r| r.1.time);
    let last = rows.last().map_or(BootNanos(0), |r| r.1.time);
    let seconds = (last.0 - first.0) as f64 / 1e9;
    println!("events: {}, containers: {}, seconds: {seconds:.1}", rows.len(), containers.len());
    for round in 0..if wants("write") { number("ROUNDS", 1) } else { 0 } {
        println!("== round {round}");
        write(&rows, &origin, scratch);
        if wants("read") {
            first_result(scratch);
            read(scratch);
        }
        std::fs::remove_dir_all(scratch).expect("the scratch store is ours");
    }
    if wants("rows") {
        rows::compare(&rows);
    }
    if wants("recover") {
        questions::recovery(&rows, &origin, scratch);
    }
    if wants("many") {
        questions::one_of_many(&rows, &origin, scratch);
    }
    if wants("open") {
        opening::measure(&rows[0].1, &origin, scratch);
    }
    if wants("extract") {
        opening::extracting(&rows[0].1, &origin, scratch);
    }
    ExitCode::SUCCESS
}
