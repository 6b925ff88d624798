//! What whole lives of containers tell, for filters that ask for it: each is read once, before the filter is asked.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use afterimage_detect::{Ended, Filter, Frame, Gatherer, Tracker, Whole, WholeAsks};
use afterimage_format::{BootNanos, ContainerUid, Event, Query, ReadError};
use afterimage_model::World;

use super::Trace;

/// Most names and the like that are remembered of all containers together: of those behind that nothing is known.
const MOST: usize = 1_000_000;

/// Whole lives that were read already, alone or with those of others that processes came from.
pub(super) type Wholes = Mutex<BTreeMap<(ContainerUid, bool, WholeAsks), Arc<Whole>>>;

/// What whole lives tell, by whose they are.
type Told = BTreeMap<ContainerUid, Arc<Whole>>;

/// Told at every event that is read; an end to all where it breaks.
pub type Tick<'t> = dyn FnMut() -> ControlFlow<()> + 't;

impl Trace {
    /// What the whole lives of these containers tell; nothing where `tick` broke off. The state is as it is after the events of
    /// `besides` too: a filter has to be asked with the same, so that a path is the same to both.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub fn wholes(
        &self,
        (uids, besides): (&[ContainerUid], &[ContainerUid]),
        asks: WholeAsks,
        tick: &mut Tick<'_>,
    ) -> Result<Option<Told>, ReadError> {
        let key = |uid: ContainerUid| (uid, besides.is_empty(), asks);
        let known = |uid: &ContainerUid| {
            let wholes = self.wholes.lock().unwrap_or_else(PoisonError::into_inner);
            Some((*uid, wholes.get(&key(*uid))?.clone()))
        };
        let mut all: Told = uids.iter().filter_map(known).collect();
        let missing: Vec<ContainerUid> = uids.iter().filter(|uid| !all.contains_key(uid)).copied().collect();
        if missing.is_empty() {
            return Ok(Some(all));
        }
        let Some(read) = read(self, (&missing, besides), asks, tick)? else { return Ok(None) };
        let mut wholes = self.wholes.lock().unwrap_or_else(PoisonError::into_inner);
        wholes.extend(read.iter().map(|(uid, whole)| (key(*uid), whole.clone())));
        all.extend(read);
        Ok(Some(all))
    }

    /// The containers whose events tell the state that a filter is asked with, besides those of the containers that are asked: the
    /// host, and where all are asked those that they lie in.
    pub fn besides(&self, uids: &[ContainerUid], of: Option<ContainerUid>) -> Vec<ContainerUid> {
        let outer = |uid: &ContainerUid| {
            self.recording.containers().iter().find(|own| own.record.uid == *uid)?.record.outer
        };
        let around = |uid: &ContainerUid| std::iter::successors(outer(uid), outer).take(8);
        let outers = uids.iter().filter(|_| of.is_none()).flat_map(around);
        let mut all: Vec<ContainerUid> = outers.chain([ContainerUid::HOST]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The containers whose whole lives filters that must all hold have to know: the one that is asked, else those of which any
    /// event can pass. `near` and `seq` look at every container's.
    pub fn asked_whole(
        &self,
        filters: &[&Filter],
        frame: &Frame,
        of: Option<ContainerUid>,
    ) -> Vec<ContainerUid> {
        let surveyed = filters.iter().any(|filter| filter.needs_survey());
        let all = || self.recording.containers().iter().map(|container| container.record.uid);
        match of {
            // Theirs is what a survey of one container reads.
            Some(uid) if surveyed && uid != ContainerUid::HOST => return vec![ContainerUid::HOST, uid],
            Some(uid) => return vec![uid],
            None if surveyed => return all().collect(),
            None => {}
        }
        let blocks = self.recording.blocks();
        let passing = |filter: &&Filter| -> HashSet<ContainerUid> {
            let wanted = filter.prefilter(frame).blocks(&self.recording);
            wanted.iter().filter_map(|index| Some(blocks.get(*index)?.container)).collect()
        };
        let passing: Vec<_> = filters.iter().map(passing).collect();
        let uids: HashSet<ContainerUid> = blocks.iter().map(|block| block.container).collect();
        let mut uids: Vec<_> =
            uids.into_iter().filter(|uid| passing.iter().all(|own| own.contains(uid))).collect();
        uids.sort_unstable();
        uids
    }
}

/// Whose events are being gathered.
struct Reading {
    /// When each has its last event, the first to end last.
    ends: Vec<(BootNanos, ContainerUid)>,
    gatherers: BTreeMap<ContainerUid, Gatherer>,
    done: Told,
    /// How much those that are done remember.
    size: usize,
}

impl Reading {
    fn new(trace: &Trace, uids: &[ContainerUid], asks: WholeAsks) -> Self {
        let ranges: HashMap<ContainerUid, BootNanos> = trace
            .recording
            .containers()
            .iter()
            .filter_map(|container| Some((container.record.uid, container.range?.1)))
            .collect();
        let last = |uid: &ContainerUid| (ranges.get(uid).copied().unwrap_or_default(), *uid);
        let gatherers = uids.iter().map(|uid| (*uid, Gatherer::new(*uid, asks))).collect();
        let mut ends: Vec<_> = uids.iter().map(last).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        Self { ends, gatherers, done: Told::new(), size: 0 }
    }

    /// Those that ended before are done: what is gathered on the way takes more room than what was made of it.
    fn end(&mut self, before: BootNanos) {
        while let Some((_, uid)) = self.ends.pop_if(|(last, _)| *last < before) {
            self.finish(uid);
        }
    }

    fn finish(&mut self, uid: ContainerUid) {
        let Some(gatherer) = self.gatherers.remove(&uid) else { return };
        let whole = if self.size > MOST { Whole::left_out() } else { gatherer.finish() };
        self.size += whole.size();
        self.done.insert(uid, Arc::new(whole));
    }

    fn apply(&mut self, world: &World, uid: ContainerUid, event: &Event<'_>) {
        self.end(event.time);
        if let Some(gatherer) = self.gatherers.get_mut(&uid) {
            gatherer.apply(world, event);
        }
    }
}

fn read(
    trace: &Trace,
    (uids, besides): (&[ContainerUid], &[ContainerUid]),
    asks: WholeAsks,
    tick: &mut Tick<'_>,
) -> Result<Option<Told>, ReadError> {
    let mut reading = Reading::new(trace, uids, asks);
    let (mut tracker, mut ended) = (Tracker::new(), Ended::new(&trace.recording));
    let mut stopped = false;
    let query = Query { containers: [uids, besides].concat(), ..Query::default() };
    trace.recording.for_each(&query, &mut |uid, event| {
        if tick().is_break() {
            stopped = true;
            return ControlFlow::Break(());
        }
        ended.make_room(&mut tracker, event.time);
        tracker.apply(uid, event);
        reading.apply(tracker.world(), uid, event);
        ControlFlow::Continue(())
    })?;
    reading.end(BootNanos(u64::MAX));
    Ok((!stopped).then_some(reading.done))
}
