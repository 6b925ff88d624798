//! How a recorder begins: with programs of its own, or with those that a killed recorder left running, and what they wrote
//! since.
//!
//! Rules. Nothing that is pinned is touched before the store is locked: until then it may be a living recorder's. A record
//! in the rings that is in the store already tells whose things are and is not stored again; it is known by its time and CPU,
//! which no two records share. The state of a container is that behind what is stored. Where nothing can be taken over, the
//! gap is told.

use std::{collections::HashSet, ops::ControlFlow};

use afterimage_format::{BootNanos, ContainerRecord, Event, Loss, Query, ReadError, Recording, StoreWriter};
use tracing::{info, warn};

use crate::{
    bpffs::Place,
    btf::Btf,
    drain::WINDOW,
    host,
    losses::{LossBook, Told},
    programs::{self, LoadError, LoadOptions, Programs},
    recorder::{COMMIT, Options, RecordError},
};

/// How long an event may have been out of the rings without being staged, at most. Nanoseconds.
pub const UNSTAGED: u64 = 2 * COMMIT.as_nanos() as u64 + WINDOW;

/// Programs and store, and what there was before.
pub struct Ground {
    /// Loaded, or running since an earlier recorder.
    pub programs: Programs,
    /// Open.
    pub store: StoreWriter,
    /// What there was before.
    pub before: Before,
    /// What is pinned.
    pub hold: Hold,
    /// What this kernel or place does not offer, and is missing in the recording.
    pub degraded: Vec<String>,
}

/// What is pinned. A recorder that fails takes it away, since nobody would know of programs that go on; what it took over
/// stays for the next one, which misses nothing then. So does all where it panics: that is as good as a kill.
#[derive(Debug, Default)]
pub struct Hold {
    place: Option<Place>,
    taken_over: bool,
}

impl Hold {
    /// Where it is.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Whether an earlier recorder pinned it.
    pub fn is_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Takes it away: the recorder stops.
    pub fn clear(&mut self) {
        if let Some(place) = self.place.take() {
            place.clear();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(place) = &self.place else { return };
        if self.taken_over {
            warn!("the programs of an earlier recorder go on without one: `{}`", place.path().display());
        } else if !std::thread::panicking() {
            place.clear();
        }
    }
}

/// What was recorded in the same store before.
#[derive(Debug)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Until then, or in an earlier boot; nobody has looked since.
    Until(BootNanos),
    /// By a recorder whose programs have run since.
    TakenOver(Earlier),
}

/// What a recorder that was killed had recorded; its times are those of this boot.
#[derive(Debug)]
pub struct Earlier {
    /// When it ended.
    pub end: BootNanos,
    /// Its containers.
    pub containers: Vec<ContainerRecord>,
    /// Its gaps.
    pub losses: Vec<Loss>,
}

/// When a recording ended.
fn end(recording: &Recording, base: BootNanos) -> Option<BootNanos> {
    // One that stopped in order read the clocks for the last time before it detached, and has the last word: what it asked the
    // kernel afterwards (calls that had not returned) is younger. Of others, events may be missing that are older than a reading.
    let stopped = recording.clock().pairs().last().filter(|_| !recording.unsealed()).map(|pair| pair.boot);
    // Where nothing happened, it was there at least when it began: the host's record tells.
    let seen = recording.containers().iter().map(|summary| summary.record.first_seen);
    let end = stopped.or_else(|| seen.chain(recording.time_range().map(|(_, end)| end)).max());
    end.map(|end| BootNanos(end.0.saturating_sub(base.0)))
}

impl Earlier {
    fn of(recording: &Recording, base: BootNanos) -> Self {
        let at = |time: BootNanos| BootNanos(time.0.saturating_sub(base.0));
        let of_this_boot = |time: BootNanos| time >= base;
        let containers = recording.containers().iter().map(|summary| summary.record.clone());
        let containers = containers.filter(|record| of_this_boot(record.first_seen)).map(|mut record| {
            record.first_seen = at(record.first_seen);
            record.removed = record.removed.map(at);
            record.started = record.started.map(at);
            record.exited = record.exited.map(|(time, status)| (at(time), status));
            record.init.iter_mut().for_each(|init| init.start = at(init.start));
            record.facts.iter_mut().for_each(|fact| fact.time = at(fact.time));
            record
        });
        let losses = recording.losses().iter().filter(|loss| of_this_boot(loss.from));
        let losses = losses.map(|loss| Loss { from: at(loss.from), to: at(loss.to), ..*loss });
        // One that was killed before it wrote anything ended when it began.
        let end = end(recording, base).unwrap_or_else(host::boot_now);
        Self { end, containers: containers.collect(), losses: losses.collect() }
    }
}

/// Opens the store and loads the programs, or takes those over that a killed recorder of this store left running.
///
/// # Errors
/// [`RecordError`].
pub fn begin(
    options: &Options,
    btf: &Btf,
    load: &LoadOptions,
    mut degraded: Vec<String>,
) -> Result<Ground, RecordError> {
    let build = load.fingerprint(btf);
    let recording = Recording::open(&options.store).ok();
    let is_older = recording.as_ref().is_some_and(|recording| recording.origin().boot_id != host::boot_id());
    let recording = recording.filter(|_| !is_older);
    let mut place = recording.as_ref().and_then(|recording| place_of(options, recording.store_uuid(), build));
    let is_left = place.as_ref().is_some_and(Place::is_taken);
    // What cannot be loaded is told before there is a store.
    let mut loaded = if is_left { None } else { Some(Programs::load(btf, load)?) };
    degraded.extend(programs::missing(btf, load));
    let store = StoreWriter::open(&options.store, host::origin(&degraded), options.store_options.clone())?;
    let base = store.store_time(BootNanos(0));
    if let (None, Some(place), Some(recording)) = (&loaded, &place, &recording) {
        match Programs::take_over(btf, load, place) {
            Ok(programs) => {
                info!("the programs of an earlier recorder went on: its rings are taken over");
                let before = Before::TakenOver(Earlier::of(recording, base));
                let hold = Hold { place: Some(place.clone()), taken_over: true };
                return Ok(Ground { programs, store, before, hold, degraded });
            }
            Err(error) => warn!("what an earlier recorder pinned is of no use: {error}"),
        }
    }
    if recording.is_none() {
        place = place_of(options, store.store_uuid(), build);
    }
    // Of another build, or not whole.
    place.iter().for_each(Place::clear);
    let programs = match loaded.take() {
        Some(programs) => programs,
        None => Programs::load(btf, load)?,
    };
    let pinned = place.as_ref().map(|place| programs.pin_maps(place));
    if let Some(Err(why)) = &pinned {
        warn!("a recorder that is killed will leave a gap: nothing can be pinned: {why}");
        place.iter().for_each(Place::clear);
    }
    let place = place.filter(|_| matches!(pinned, Some(Ok(()))));
    // Of an earlier boot: nobody has looked in this one.
    let until = is_older.then_some(BootNanos(0)).or_else(|| {
        let recording = recording?;
        // Of one that was killed the last moments may not have been staged, although later events of others are in blocks.
        let unstaged = if recording.unsealed() { UNSTAGED } else { 0 };
        end(&recording, base).map(|end| BootNanos(end.0.saturating_sub(unstaged)))
    });
    let hold = Hold { place, taken_over: false };
    Ok(Ground { programs, store, before: until.map_or(Before::Nothing, Before::Until), hold, degraded })
}

fn place_of(options: &Options, store: [u8; 16], build: [u8; 8]) -> Option<Place> {
    let bpffs = options.pin.as_ref()?;
    match Place::of(bpffs, store, build) {
        Ok(place) => Some(place),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            info!("a recorder that is killed will leave a gap: {error}{}", source.unwrap_or_default());
            None
        }
    }
}

/// Pins the programs, once they run; without that, a recorder that is killed leaves a gap. Those that were taken over are.
pub fn pin(programs: &mut Programs, hold: &mut Hold) {
    let Some(place) = hold.place.as_ref().filter(|_| !hold.taken_over) else { return };
    if let Err(why) = programs.pin_links(place) {
        warn!("a recorder that is killed will leave a gap: programs cannot be pinned: {why}");
        hold.clear();
    }
}

/// Which events from `since` on are in a recording, whose writer adds `base`: their times and CPUs.
///
/// # Errors
/// [`ReadError`]: it cannot be read.
pub fn stored(
    recording: &Recording,
    base: BootNanos,
    since: BootNanos,
) -> Result<HashSet<(u64, u16)>, ReadError> {
    let query = Query { begin: Some(BootNanos(since.0.saturating_add(base.0))), ..Query::default() };
    let mut known = HashSet::new();
    recording.for_each(&query, &mut |_, event: &Event<'_>| {
        known.insert((event.time.0.saturating_sub(base.0), event.cpu));
        ControlFlow::Continue(())
    })?;
    Ok(known)
}

/// The book of losses, which goes on where an earlier recorder's ended.
///
/// # Errors
/// [`LoadError`]: the counts cannot be read.
pub fn book(programs: &mut Programs, before: &Before, now: BootNanos) -> Result<LossBook, LoadError> {
    let Before::TakenOver(earlier) = before else {
        programs.tell(&Told { noted: now, closed: Some(0), ..Told::default() })?;
        return Ok(LossBook::new(now));
    };
    Ok(LossBook::resume(programs.told()?, earlier.losses.iter().copied(), earlier.end))
}

#[cfg(test)]
mod tests {
    use afterimage_format::{ClockPair, ContainerUid, EventCode, EventFlags, StoreOptions, TaskKey};

    use super::*;

    /// Where a recording ends that has an event, a reading of the clocks, and what was looked at behind it; and their times.
    fn end_of(is_sealed: bool) -> (Option<BootNanos>, [BootNanos; 3]) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = StoreWriter::open(dir.path(), host::origin(&[]), StoreOptions::default()).unwrap();
        let begun = host::boot_now();
        let times = [1_000, 2_000, 3_000].map(|later| BootNanos(begun.0 + later));
        store.put_container(&ContainerRecord::host(begun)).unwrap();
        for time in [times[0], times[2]] {
            let event = Event {
                time,
                duration: None,
                task: TaskKey { tgid: 7, tid: 7, start: begun },
                code: EventCode::IN_CALL,
                flags: EventFlags::default(),
                cpu: 0,
                ret: 0,
                args: &[0],
                fields: &[],
            };
            store.push(ContainerUid::HOST, &event).unwrap();
        }
        store.put_clock(ClockPair { boot: times[1], real: 1 }).unwrap();
        store.commit(times[2]).unwrap();
        if is_sealed {
            store.seal().unwrap();
        }
        (end(&Recording::open(dir.path()).unwrap(), BootNanos(0)), times)
    }

    #[test]
    fn a_recording_that_stopped_in_order_ends_when_it_says_and_another_with_its_last_event() {
        let (end, times) = end_of(true);
        assert_eq!(end, Some(times[1]), "what was looked at behind it is no recording");
        let (end, times) = end_of(false);
        assert_eq!(end, Some(times[2]));
    }
}
