//! How a recorder begins: with programs of its own, or with those that a killed recorder left running, and what they wrote
//! since.
//!
//! Rules. Nothing that is pinned is touched before the store is locked: until then it may be a living recorder's. A record
//! in the rings that is in the store already changes the state and is not stored again; it is known by its time and CPU,
//! which no two records share. Where nothing can be taken over, the gap is told.

use std::{collections::HashSet, ops::ControlFlow};

use afterimage_format::{BootNanos, ContainerRecord, Event, Loss, Query, Recording, StoreWriter};
use tracing::{info, warn};

use crate::{
    bpffs::Place,
    btf::Btf,
    host,
    losses::LossBook,
    programs::{self, LoadError, LoadOptions, Programs},
    recorder::{Options, RecordError},
};

/// Programs and store, and what there was before.
pub struct Ground {
    /// Loaded, or running since an earlier recorder.
    pub programs: Programs,
    /// Open.
    pub store: StoreWriter,
    /// An earlier recording of this boot in the same store.
    pub earlier: Option<Earlier>,
    /// The programs are an earlier recorder's.
    pub taken_over: bool,
    /// Where things are pinned.
    pub place: Option<Place>,
}

/// What an earlier recording of this boot tells; its times are those of this boot.
#[derive(Debug)]
pub struct Earlier {
    /// When it ended.
    pub end: BootNanos,
    /// Its containers.
    pub containers: Vec<ContainerRecord>,
    /// Its gaps.
    pub losses: Vec<Loss>,
}

impl Earlier {
    fn of(recording: &Recording, base: BootNanos) -> Option<Self> {
        let at = |time: BootNanos| BootNanos(time.0.saturating_sub(base.0));
        let of_this_boot = |time: BootNanos| time >= base;
        // Where nothing happened, it was there at least when it began: the host's record tells.
        let seen = recording.containers().iter().map(|summary| summary.record.first_seen);
        let end = seen.chain(recording.time_range().map(|(_, end)| end)).max()?;
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
        Some(Self { end: at(end), containers: containers.collect(), losses: losses.collect() })
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
    let before = Recording::open(&options.store).ok();
    let before = before.filter(|recording| recording.origin().boot_id == host::boot_id());
    let left = before.as_ref().and_then(|recording| place(options, recording.store_uuid(), btf, load));
    let left = left.filter(Place::is_taken);
    // What cannot be loaded is told before there is a store.
    let mut loaded = if left.is_none() { Some(Programs::load(btf, load)?) } else { None };
    degraded.extend(programs::missing(btf, load));
    let store = StoreWriter::open(&options.store, host::origin(&degraded), options.store_options.clone())?;
    let base = store.store_time(BootNanos(0));
    let earlier = before.and_then(|recording| Earlier::of(&recording, base));
    let place = place(options, store.store_uuid(), btf, load);
    if let (None, Some(place)) = (&loaded, &left) {
        loaded = match Programs::take_over(btf, load, place) {
            Ok(programs) => {
                info!("the programs of an earlier recorder went on: its rings are taken over");
                // One that was killed before it wrote anything.
                let nothing = Earlier { end: host::boot_now(), containers: Vec::new(), losses: Vec::new() };
                let earlier = Some(earlier.unwrap_or(nothing));
                return Ok(Ground { programs, store, earlier, taken_over: true, place: left });
            }
            Err(error) => {
                warn!("what an earlier recorder pinned is of no use: {error}");
                None
            }
        };
    }
    // Of another build, or not whole.
    place.iter().for_each(Place::clear);
    let programs = match loaded {
        Some(programs) => programs,
        None => Programs::load(btf, load)?,
    };
    let pinned = place.as_ref().map(|place| programs.pin_maps(place));
    if let Some(Err(why)) = &pinned {
        warn!("a recorder that is killed will leave a gap: nothing can be pinned: {why}");
        place.iter().for_each(Place::clear);
    }
    let place = place.filter(|_| matches!(pinned, Some(Ok(()))));
    Ok(Ground { programs, store, earlier, taken_over: false, place })
}

fn place(options: &Options, store: [u8; 16], btf: &Btf, load: &LoadOptions) -> Option<Place> {
    let bpffs = options.pin.as_ref()?;
    match Place::of(bpffs, store, load.fingerprint(btf)) {
        Ok(place) => Some(place),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            info!("a recorder that is killed will leave a gap: {error}{}", source.unwrap_or_default());
            None
        }
    }
}

/// Pins the programs, once they run; without that, a recorder that is killed leaves a gap.
pub fn pin(programs: &mut Programs, place: Option<Place>) -> Option<Place> {
    let place = place?;
    let Err(why) = programs.pin_links(&place) else { return Some(place) };
    warn!("a recorder that is killed will leave a gap: programs cannot be pinned: {why}");
    place.clear();
    None
}

/// Which events from `since` on are in the store: their times and CPUs.
pub fn stored(options: &Options, store: &StoreWriter, since: BootNanos) -> HashSet<(u64, u16)> {
    let base = store.store_time(BootNanos(0));
    let query = Query { begin: Some(store.store_time(since)), ..Query::default() };
    let mut known = HashSet::new();
    let read = Recording::open(&options.store).map_err(|error| error.to_string()).and_then(|recording| {
        let each = &mut |_, event: &Event<'_>| {
            known.insert((event.time.0.saturating_sub(base.0), event.cpu));
            ControlFlow::Continue(())
        };
        recording.for_each(&query, each).map_err(|error| error.to_string())
    });
    if let Err(error) = read {
        warn!("some events may be recorded twice: the store cannot be read: {error}");
    }
    known
}

/// The book of losses, which goes on where an earlier recorder's ended.
///
/// # Errors
/// [`LoadError`]: the counts cannot be read.
pub fn book(
    programs: &mut Programs,
    earlier: Option<&Earlier>,
    now: BootNanos,
) -> Result<LossBook, LoadError> {
    let Some(earlier) = earlier else {
        programs.tell(&[], now.0)?;
        return Ok(LossBook::new(now));
    };
    let (told, noted) = programs.told()?;
    Ok(LossBook::resume((told, BootNanos(noted)), earlier.losses.iter().copied(), earlier.end))
}
