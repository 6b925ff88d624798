//! Measures the state: `cargo xtask bench state -- STORE [EVENTS]`.
//!
//! The recording's events, repeated until there are EVENTS of them, are written twice into a scratch store: without the
//! state and with it. Then the state is sought at a hundred instants all over the life of the largest container. Whoever
//! records for long has many processes that have ended: each repetition has its own; a container is set up once. All times
//! are CPU time of one thread. Nothing is asserted.

use std::{ops::ControlFlow, path::Path};

use afterimage_format::{
    BootNanos, ContainerUid, EventFlags, Origin, OwnedEvent, Query, Recording, StoreOptions, StoreStats,
    StoreWriter, WriteError,
};
use afterimage_model::{budget::Limits, class::classify, keeper::Keeper, nearest};

const SEEKS: u64 = 100;
/// Between two repetitions, nanoseconds.
const PAUSE: u64 = 50_000_000;
/// What the TUI keeps of one container, and what a command does.
const READERS: [(&str, u64); 2] = [("8 MiB for a container", 8 << 20), ("32 MiB for a container", 32 << 20)];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn cpu() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// What is written, again and again.
struct Source {
    origin: Origin,
    rows: Vec<(ContainerUid, OwnedEvent)>,
    /// From one repetition to the next, nanoseconds.
    round: u64,
    rounds: u64,
}

impl Source {
    /// The events of one repetition.
    fn events(&self, number: u64) -> impl Iterator<Item = (ContainerUid, OwnedEvent)> {
        let rows = self.rows.iter().filter(move |(_, e)| number == 0 || !e.flags.contains(EventFlags::SETUP));
        rows.cloned().map(move |(uid, mut event)| {
            event.time.0 += number * self.round;
            event.task.start.0 += number * self.round;
            (uid, event)
        })
    }

    /// Writes all of it; nanoseconds of CPU for an event.
    fn write(&self, dir: &Path, mut keeper: Option<Keeper>) -> Result<(f64, StoreStats)> {
        let options = StoreOptions { classify, ..StoreOptions::default() };
        let mut store = StoreWriter::open(dir, self.origin.clone(), options)?;
        let mut taken = 0.0;
        for number in 0..self.rounds {
            let rows: Vec<_> = self.events(number).collect();
            let begun = cpu();
            for chunk in rows.chunks(1000) {
                chunk.iter().try_for_each(|(uid, event)| put(&mut store, keeper.as_mut(), *uid, event))?;
                store.commit(chunk.last().map_or(BootNanos(0), |(_, event)| event.time))?;
            }
            taken += cpu() - begun;
        }
        let stats = store.stats();
        let begun = cpu();
        store.seal()?;
        Ok(((taken + cpu() - begun) / stats.events as f64, stats))
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let source = args.next().ok_or("usage: bench_state STORE [EVENTS]")?;
    let recording = Recording::open(Path::new(&source))?;
    let mut rows = Vec::new();
    recording.for_each(&Query::default(), &mut |uid, event| {
        rows.push((uid, OwnedEvent::from_event(event)));
        ControlFlow::Continue(())
    })?;
    let (first, last) = recording.time_range().ok_or("the recording has no event")?;
    let events = args.next().map_or(Ok(rows.len()), |n| n.replace('_', "").parse())?;
    let rounds = events.div_ceil(rows.len()) as u64;
    let source = Source { origin: recording.origin().clone(), rows, round: last.0 - first.0 + PAUSE, rounds };
    let scratch = tempfile::tempdir()?;
    let (with, without) = (scratch.path().join("with"), scratch.path().join("without"));
    let (bare, _) = source.write(&without, None)?;
    std::fs::remove_dir_all(without)?;
    let (kept, stats) = source.write(&with, Some(Keeper::default()))?;
    println!("events:                {:8}, a recording of {} repeated", stats.events, source.rows.len());
    println!("written:               {kept:8.1} ns/event, {:.1} of it for the states", kept - bare);
    let bytes = stats.keyframe_bytes as f64 / stats.events as f64;
    println!("keyframes:             {:8}, {bytes:.3} B/event", stats.keyframes);
    seek(&with)
}

fn put(
    store: &mut StoreWriter,
    mut keeper: Option<&mut Keeper>,
    uid: ContainerUid,
    event: &OwnedEvent,
) -> std::result::Result<(), WriteError> {
    event.with(|event| {
        if let Some(keeper) = &mut keeper {
            keeper.before(store, uid)?;
        }
        store.push(uid, event)?;
        if let Some(keeper) = &mut keeper {
            keeper.apply(uid, event);
        }
        Ok(())
    })
}

/// The state at instants all over the life of the largest container.
fn seek(dir: &Path) -> Result<()> {
    let recording = Recording::open(dir)?;
    let rows = |uid| {
        recording.blocks().iter().filter(|b| b.container == uid).map(|b| u64::from(b.rows)).sum::<u64>()
    };
    let uids = recording.containers().iter().map(|c| c.record.uid).chain([ContainerUid::HOST]);
    let uid = uids.max_by_key(|uid| rows(*uid)).ok_or("no container")?;
    let (first, last) = recording.time_range().ok_or("no event")?;
    println!(
        "sought in:             {:8} events, {} keyframes",
        rows(uid),
        recording.keyframes_of(uid).len()
    );
    for (name, bytes) in READERS {
        let limits = Limits { container_bytes: bytes, ..Limits::default() };
        let (mut restored, mut rolled, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut processes = 0;
        for _ in 0..SEEKS {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let to = BootNanos(first.0 + random % (last.0 - first.0));
            let begun = cpu();
            let Some((keyframe, mut world)) = nearest(&recording, uid, to, limits)? else { continue };
            let between = cpu() - begun;
            recording.walk_behind(&keyframe, Some(to), &mut |_, uid, event| {
                world.apply(uid, event);
                ControlFlow::Continue(())
            })?;
            let whole = cpu() - begun;
            restored.push(between);
            rolled.push(whole - between);
            all.push(whole);
            processes = processes.max(world.processes(uid).len());
        }
        println!("{name}, at most {processes} processes:");
        for (what, mut times) in
            [("from the keyframes", restored), ("over the events", rolled), ("whole state", all)]
        {
            times.sort_by(f64::total_cmp);
            let at = |part: usize| times.get((times.len() - 1) * part / 100).map_or(0.0, |t| t / 1e6);
            println!("  {what:20} p50 {:7.1} ms  p99 {:7.1} ms  of {}", at(50), at(99), times.len());
        }
    }
    Ok(())
}
