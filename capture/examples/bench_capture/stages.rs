//! Where the recorder's CPU goes: a workload's records, taken out of the rings once, are put through the recorder's stages
//! again, each stage with the ones before it, and the difference is its own.
//!
//! All of it happens on one thread, by that thread's CPU clock, in passes of 5 ms of the workload's time as when recording.
//! What is not in it: what a pause of the recorder does to the caches, and the kernel's part of the rings.

mod replay;
mod taken;

use std::{cell::RefCell, path::Path, time::Duration};

use afterimage_capture::{
    drain::WINDOW,
    host,
    sink::{HostPolicy, Sink},
    translate::{Translator, head},
};
use afterimage_format::{BootNanos, ContainerUid, Event, StoreOptions, StoreStats, StoreWriter};
use afterimage_model::{class::classify, keeper::Keeper};
use sha2::{Digest as _, Sha256};

use crate::load::Load;
use replay::Replay;
use taken::Taken;

/// The workloads that are taken apart, unless others are asked for.
const USUAL: [&str; 4] = ["getppid", "open-read-close", "fork-exec", "c-build"];
/// Whoever's events these are where nobody finds out.
const SOMEBODY: ContainerUid = ContainerUid(1);

type Error = Box<dyn std::error::Error>;

/// Nanoseconds of this thread's CPU.
pub(crate) fn cpu() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32).as_nanos() as u64
}

/// CPU of the stages, nanoseconds in all.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    drain: u64,
    translate: u64,
    model: u64,
    rows: u64,
    stage: u64,
    encode: u64,
    hash: u64,
    keyframes: u64,
    whole: u64,
}

/// Takes the workloads apart.
pub(crate) fn run(only: Option<&str>, quick: bool, rounds: usize) -> Result<(), Error> {
    let wanted = |load: &Load| only.map_or(USUAL.contains(&load.name), |only| load.name.contains(only));
    println!(
        "CPU of the recording thread, ns per event, least of {rounds} rounds; the workload in a container"
    );
    println!(
        "{:<18} {:>9} {:>7} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9} {:>7}",
        "workload",
        "events",
        "drain",
        "translate",
        "model",
        "rows",
        "stage",
        "encode",
        "(hash)",
        "keyframes",
        "identity",
        "whole"
    );
    for load in Load::all(quick).iter().filter(|load| wanted(load)) {
        if let Some(missing) = load.missing() {
            println!("{}: not run: {missing} is not installed", load.name);
            continue;
        }
        let taken = Taken::from(load)?;
        let mut least: Option<Parts> = None;
        for _ in 0..rounds {
            let parts = measure(&taken)?;
            least = Some(least.map_or(parts, |least| least.least(&parts)));
        }
        println!("{}", least.unwrap_or_default().line(load.name, taken.len()));
    }
    Ok(())
}

impl Parts {
    fn least(&self, other: &Self) -> Self {
        Self {
            drain: self.drain.min(other.drain),
            translate: self.translate.min(other.translate),
            model: self.model.min(other.model),
            rows: self.rows.min(other.rows),
            stage: self.stage.min(other.stage),
            encode: self.encode.min(other.encode),
            hash: self.hash.min(other.hash),
            keyframes: self.keyframes.min(other.keyframes),
            whole: self.whole.min(other.whole),
        }
    }

    /// A row of the table; whose each event is, is what the stages that were measured alone leave of the whole.
    fn line(&self, name: &str, events: usize) -> String {
        let each = |ns: u64| ns as f64 / events as f64;
        let stored = self.rows + self.stage + self.encode + self.keyframes;
        let known = self.drain + self.translate + self.model + stored;
        format!(
            "{name:<18} {events:>9} {:>7.0} {:>9.0} {:>7.0} {:>7.0} {:>7.0} {:>7.0} {:>7.0} {:>9.0} {:>9.0} {:>7.0}",
            each(self.drain),
            each(self.translate),
            each(self.model),
            each(self.rows),
            each(self.stage),
            each(self.encode),
            each(self.hash),
            each(self.keyframes),
            self.whole as f64 / events as f64 - each(known),
            each(self.whole)
        )
    }
}

/// One round.
fn measure(taken: &Taken) -> Result<Parts, Error> {
    let drain = Replay::new(taken)?.run(|_| (), |_| ());
    let mut translator = Translator::default();
    let translate = Replay::new(taken)?.run(|record| translated(&mut translator, record, |_| ()), |_| ());
    let model = {
        let scratch = tempfile::tempdir()?;
        // It is asked, as a recorder asks it, and has no rows.
        let mut store = open(scratch.path())?;
        let mut keeper = Keeper::default();
        let mut each = |event: &Event<'_>| {
            let _ = keeper.before(&mut store, SOMEBODY);
            keeper.apply(SOMEBODY, event);
        };
        Replay::new(taken)?.run(|record| translated(&mut translator, record, &mut each), |_| ())
    };
    let (pushed, stats) = store(taken, None, &mut translator)?;
    let (with_states, _) = store(taken, Some(Keeper::default()), &mut translator)?;
    let before = translate;
    Ok(Parts {
        drain,
        translate: translate.saturating_sub(drain),
        model: model.saturating_sub(before),
        rows: pushed.saturating_sub(before + stats.stage_time + stats.encode_time),
        stage: stats.stage_time,
        encode: stats.encode_time,
        hash: hash(stats.bytes as usize),
        keyframes: with_states.saturating_sub(pushed + model.saturating_sub(before)),
        whole: whole(taken)?,
    })
}

fn translated(translator: &mut Translator, record: &[u8], then: impl FnOnce(&Event<'_>)) {
    if translator.event(record, then).is_err() {
        eprintln!("bench: a record could not be understood");
    }
}

fn open(dir: &Path) -> Result<StoreWriter, Error> {
    Ok(StoreWriter::open(dir, host::origin(&[]), StoreOptions { classify, ..StoreOptions::default() })?)
}

/// Everything pushed into a store, behind the states that it wants, and what it says of its own parts.
fn store(
    taken: &Taken,
    mut keeper: Option<Keeper>,
    translator: &mut Translator,
) -> Result<(u64, StoreStats), Error> {
    let scratch = tempfile::tempdir()?;
    let store = RefCell::new(open(scratch.path())?);
    let mut each = |event: &Event<'_>| {
        let mut store = store.borrow_mut();
        if let Some(keeper) = &mut keeper {
            let _ = keeper.before(&mut store, SOMEBODY);
        }
        let _ = store.push(SOMEBODY, event);
        if let Some(keeper) = &mut keeper {
            keeper.apply(SOMEBODY, event);
        }
    };
    let spent = Replay::new(taken)?.run(
        |record| translated(translator, record, &mut each),
        |horizon| {
            let _ = store.borrow_mut().commit(horizon);
        },
    );
    let mut store = store.into_inner();
    let begun = cpu();
    // The rest is cut, as it would be by those that follow.
    store.finish_container(SOMEBODY)?;
    Ok((spent + cpu() - begun, store.stats()))
}

/// What the store's bytes cost to be hashed once.
fn hash(bytes: usize) -> u64 {
    let bytes: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
    let begun = cpu();
    std::hint::black_box(Sha256::digest(&bytes));
    cpu() - begun
}

/// All of it, with whose each event is.
fn whole(taken: &Taken) -> Result<u64, Error> {
    let scratch = tempfile::tempdir()?;
    let (looking, _ends) = taken::looking();
    let (_, policies) = taken::programs(&taken.cgroups, (1 << 20, 1 << 20))?;
    let host = HostPolicy { bits: 0, calls: false, lifecycle: false };
    let sink = Sink::new(open(scratch.path())?, looking, policies, taken.cgroups.clone(), host);
    let sink = RefCell::new(sink);
    let mut translator = Translator::default();
    let spent = Replay::new(taken)?.run(
        |record| {
            let Ok(stamp) = head(record) else { return };
            translated(&mut translator, record, |event| sink.borrow_mut().take(stamp.header.cgroup, event));
        },
        |horizon| {
            let mut sink = sink.borrow_mut();
            sink.learn(horizon);
            sink.commit(horizon);
        },
    );
    let mut sink = sink.into_inner();
    let begun = cpu();
    sink.store.finish_container(taken.uid(&sink))?;
    let spent = spent + cpu() - begun;
    let stored = sink.counts().stored;
    if stored != taken.len() as u64 {
        eprintln!("bench: {stored} events were stored, of {}", taken.len());
    }
    Ok(spent)
}

/// Time up to which a pass hands records out.
fn horizon(now: u64) -> BootNanos {
    BootNanos(now.saturating_sub(WINDOW))
}
