//! The state of a container at any event: kept pictures and the recording's keyframes, and the way from the nearest one
//! to the event asked for.

use std::ops::ControlFlow;

use afterimage_format::{
    Anchor, BootNanos, ContainerUid, Direction, Event, EventId, Keyframe, Query, ReadError,
};
use afterimage_model::{World, budget::Limits, nearest};

use super::Job;
use crate::trace::Trace;

/// Events between two pictures, at first.
const STRIDE: u64 = 20_000;
/// Pictures kept; when there are more, every second one goes and the stride doubles.
const PICTURES: usize = 8;
/// To restore a keyframe costs about as much as to roll over so many rows.
const RESTORED: u64 = 16_384;
/// Memory for the state of one container, bytes: beyond it the processes that ended first are forgotten. Pictures share
/// what did not change between them; those on the way from another keyframe would share nothing, so they go when one
/// is restored: the way back to them is by a keyframe as well.
const STATE: u64 = 8 << 20;
/// States of no use that are kept at most until somebody has the time to free them.
const LEFT: usize = 4;
/// Events between two looks whether anybody still waits.
pub(super) const LOOK: u64 = 64;

/// The state of one container, movable in time.
#[derive(Debug, Default)]
pub(super) struct Film {
    of: Option<(ContainerUid, u64)>,
    world: World,
    /// The last event that the state has seen.
    at: Option<EventId>,
    /// Where it began.
    begin: Option<Keyframe>,
    /// The keyframe that was restored last and its state, for the way back: restoring costs many times what a copy does,
    /// which shares the processes.
    restored: Option<(Keyframe, World)>,
    /// The state that somebody will come back to soon.
    mark: Option<(EventId, World)>,
    /// A keyframe is not worth it for fewer rows.
    near: u64,
    pictures: Vec<(EventId, World)>,
    stride: u64,
    since: u64,
    /// States that are of no use any more. To free one with thousands of processes takes as long as to restore it.
    left: Vec<World>,
}

impl Film {
    /// Frees what is of no use any more: to be called when nobody waits.
    pub(super) fn sweep(&mut self) {
        self.left.clear();
    }

    /// The state just after event `id`; of another container or generation the film is begun anew. `None` when nobody
    /// waits for it any more: the film then stands somewhere on the way, which is not lost for the next who asks.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub(super) fn after(
        &mut self,
        trace: &Trace,
        of: (ContainerUid, u64),
        id: EventId,
        job: &Job<'_>,
    ) -> Result<Option<&World>, ReadError> {
        self.go(trace, of, (id, true), job)
    }

    /// The state just before event `id`, as [`Self::after`].
    ///
    /// # Errors
    /// The recording cannot be read.
    pub(super) fn before(
        &mut self,
        trace: &Trace,
        of: (ContainerUid, u64),
        id: EventId,
        job: &Job<'_>,
    ) -> Result<Option<&World>, ReadError> {
        self.go(trace, of, (id, false), job)
    }

    /// Keeps the state where the film stands, for the way back to what is read from here on.
    pub(super) fn mark(&mut self) {
        if let Some(at) = self.at
            && let Some((_, before)) = self.mark.replace((at, self.world.clone()))
        {
            self.leave(before);
        }
    }

    /// Takes the next event in: for those who read on by themselves.
    pub(super) fn apply(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) {
        self.at = Some(id);
        self.world.apply(uid, event);
        self.since += 1;
        if self.since >= self.stride {
            self.keep(id);
        }
    }

    /// The last event that the state has seen.
    pub(super) fn at(&self) -> Option<EventId> {
        self.at
    }

    /// The state where the film stands.
    pub(super) fn world(&self) -> &World {
        &self.world
    }

    fn go(
        &mut self,
        trace: &Trace,
        of: (ContainerUid, u64),
        (to, with): (EventId, bool),
        job: &Job<'_>,
    ) -> Result<Option<&World>, ReadError> {
        if (job.over)() {
            return Ok(None);
        }
        if self.of != Some(of) {
            *self = Self { of: Some(of), stride: STRIDE, near: RESTORED, world: fresh(), ..Self::default() };
        }
        let is_wanted = |id: EventId| if with { id <= to } else { id < to };
        if self.at.is_some_and(|at| !is_wanted(at)) {
            let after = self.pictures.partition_point(|(id, _)| is_wanted(*id));
            let picture = after.checked_sub(1).and_then(|at| self.pictures.get(at));
            let mark = self.mark.as_ref().filter(|(id, _)| is_wanted(*id));
            let picture = picture.into_iter().chain(mark).max_by_key(|(id, _)| *id).cloned();
            let restored = self.restored.as_ref().filter(|(keyframe, _)| keyframe.at < to.time);
            let (at, begin, world) = match (picture, restored) {
                (Some((id, world)), _) => (Some(id), None, world),
                (None, Some((keyframe, world))) => (None, Some(*keyframe), world.clone()),
                (None, None) => (None, None, fresh()),
            };
            (self.at, self.begin, self.since) = (at, begin, 0);
            self.put(world);
        }
        if self.at.is_none() && self.begin.is_some_and(|keyframe| keyframe.at >= to.time) {
            self.begin = None;
            self.put(fresh());
        }
        self.jump(trace, of.0, to)?;
        let query = Query { containers: vec![of.0], begin: None, end: Some(to.time) };
        let from = self.at.map_or(Anchor::Time(BootNanos(0)), Anchor::Event);
        let begin = self.begin.filter(|_| self.at.is_none());
        let (mut over, mut number) = (false, 0_u64);
        let mut visit = |id, uid, event: &Event<'_>| {
            number += 1;
            over = over || number.is_multiple_of(LOOK) && (job.over)();
            if over || !is_wanted(id) {
                return ControlFlow::Break(());
            }
            self.apply(id, uid, event);
            ControlFlow::Continue(())
        };
        match begin {
            Some(keyframe) => trace.recording.walk_behind(&keyframe, Some(to.time), &mut visit)?,
            None => trace.recording.walk(&query, Some(from), Direction::Forward, &mut visit)?,
        }
        Ok((!over).then_some(&self.world))
    }

    /// To the newest keyframe before `to`, when that is much nearer than where the film stands.
    fn jump(&mut self, trace: &Trace, uid: ContainerUid, to: EventId) -> Result<(), ReadError> {
        let recording = &trace.recording;
        let Some(newest) = recording.keyframes_before(uid, to.time).last() else { return Ok(()) };
        let block = self.at.and_then(|at| recording.blocks().get(at.block as usize));
        let row = match (block, self.begin) {
            (Some(block), _) => block.first_row,
            (None, Some(keyframe)) => keyframe.row,
            (None, None) => 0,
        };
        if newest.row.saturating_sub(row) < self.near {
            return Ok(());
        }
        if let Some((keyframe, world)) = nearest(recording, uid, to.time, limits())? {
            let before = self.restored.replace((keyframe, world.clone()));
            (self.at, self.begin, self.since) = (None, Some(keyframe), 0);
            // Two generations at most.
            self.sweep();
            self.put(world);
            self.left.extend(before.map(|(_, world)| world));
            self.left.extend(self.mark.take().map(|(_, world)| world));
            self.left.extend(self.pictures.drain(..).map(|(_, world)| world));
            self.stride = self.stride.min(STRIDE);
        }
        Ok(())
    }

    /// Goes on from another state.
    fn put(&mut self, world: World) {
        let before = std::mem::replace(&mut self.world, world);
        self.leave(before);
    }

    /// A state is of no use any more.
    fn leave(&mut self, world: World) {
        if self.left.len() >= LEFT {
            self.sweep();
        }
        self.left.push(world);
    }

    fn keep(&mut self, id: EventId) {
        self.since = 0;
        if self.pictures.last().is_none_or(|(last, _)| *last < id) {
            self.pictures.push((id, self.world.clone()));
        }
        if self.pictures.len() > PICTURES {
            let mut odd = false;
            self.pictures.retain(|_| {
                odd = !odd;
                !odd
            });
            self.stride = self.stride.saturating_mul(2);
        }
    }
}

/// Nothing known yet.
fn fresh() -> World {
    World::with_limits(limits())
}

fn limits() -> Limits {
    Limits { container_bytes: STATE, total_bytes: STATE, ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use afterimage_format::{
        Incident, Origin, Part, Recording, StoreOptions, StoreWriter, WriteError, extract_parts,
    };
    use afterimage_model::keeper::Keeper;

    use super::*;
    use crate::{events, tui::fixture};

    /// Somebody waits for everything.
    const WAITED: Job<'static> = Job { over: &|| false, tell: &|_| {} };

    /// Each event of the incident and the state after it.
    fn states(trace: &Trace) -> Vec<(EventId, World)> {
        let query = Query { containers: vec![fixture::INCIDENT], ..Query::default() };
        let mut world = fresh();
        let mut states = Vec::new();
        let mut visit = |id, uid, event: &Event<'_>| {
            world.apply(uid, event);
            states.push((id, world.clone()));
            ControlFlow::Continue(())
        };
        trace.recording.walk(&query, None, Direction::Forward, &mut visit).expect("read");
        states
    }

    fn assert_same_from_all_sides(trace: &Trace, of: (ContainerUid, u64), mut film: Film) -> Film {
        let states = states(trace);
        for step in [1, 97, 13, 200, 59] {
            for i in 0..states.len() {
                if i % 7 == 0 {
                    film.mark();
                }
                let (id, state) = &states[i * step % states.len()];
                assert_eq!(film.after(trace, of, *id, &WAITED).expect("read"), Some(state));
            }
        }
        for i in (1..states.len()).rev().step_by(11) {
            assert_eq!(film.before(trace, of, states[i].0, &WAITED).expect("read"), Some(&states[i - 1].1));
        }
        film
    }

    #[test]
    fn the_state_is_the_same_from_whatever_side_it_is_reached() {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        let trace = Trace::open(dir.path().to_owned(), false).expect("a recording");
        let of = (fixture::INCIDENT, 0);
        // Pictures every few events, so that going back uses them.
        let film = Film { of: Some(of), stride: 7, world: fresh(), ..Film::default() };
        let film = assert_same_from_all_sides(&trace, of, film);
        assert!(film.pictures.len() <= PICTURES && film.stride > 7);
    }

    #[test]
    fn a_way_that_is_left_is_gone_on_with_by_the_next_who_asks() {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        let trace = Trace::open(dir.path().to_owned(), false).expect("a recording");
        let of = (fixture::INCIDENT, 0);
        let states = states(&trace);
        let (last, state) = states.last().expect("events");
        assert!(states.len() as u64 > 3 * LOOK);
        let looks = std::cell::Cell::new(0);
        let leaves = || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        };
        let mut film = Film::default();
        let left = film.after(&trace, of, *last, &Job { over: &leaves, tell: &|_| {} }).expect("read");
        assert_eq!(left, None, "nobody waits");
        let at = film.at().expect("it is on the way");
        let seen = states.iter().position(|(id, _)| *id == at).expect("an event of it");
        assert!((1..2 * LOOK as usize).contains(&seen), "{seen} events were taken in");
        assert_eq!(film.world(), &states[seen].1);
        let begun = looks.get();
        assert_eq!(film.after(&trace, of, *last, &Job { over: &leaves, tell: &|_| {} }).expect("read"), None);
        assert_eq!((film.at(), looks.get()), (Some(at), begun + 1), "nothing is begun for nobody");
        assert_eq!(film.after(&trace, of, *last, &WAITED).expect("read"), Some(state));
        let (early, state) = &states[seen / 2];
        assert_eq!(film.after(&trace, of, *early, &WAITED).expect("read"), Some(state));
    }

    /// The staged recording in segments of some thirty events, each with its keyframes.
    fn write_segments(dir: &std::path::Path) {
        let origin = Origin { store_uuid: [7; 16], boot_id: [9; 16], ..Origin::default() };
        let options = StoreOptions { segment_bytes: 1, ..StoreOptions::default() };
        let mut store = StoreWriter::open(dir, origin, options).expect("a store");
        let mut keeper = Keeper::default();
        for (number, (uid, event)) in fixture::staged().events.iter().enumerate() {
            keeper.before(&mut store, *uid).expect("a keyframe");
            let pushed = event.with(|event| {
                store.push(*uid, event)?;
                keeper.apply(*uid, event);
                Ok::<_, WriteError>(())
            });
            pushed.expect("an event");
            if number % 30 == 29 {
                store.commit(event.time).expect("a segment");
            }
        }
        store.seal().expect("sealed");
    }

    #[test]
    fn the_state_by_keyframes_is_that_by_all_events() {
        let dir = tempfile::tempdir().expect("a directory");
        write_segments(dir.path());
        let trace = Trace::open(dir.path().to_owned(), false).expect("a recording");
        assert!(trace.recording.keyframes_of(fixture::INCIDENT).len() > 5);
        let of = (fixture::INCIDENT, 0);
        // No pictures.
        let film = Film { of: Some(of), stride: u64::MAX, world: fresh(), ..Film::default() };
        let mut film = assert_same_from_all_sides(&trace, of, film);
        let states = states(&trace);
        film.after(&trace, of, states[states.len() - 1].0, &WAITED).expect("read");
        assert!(film.begin.is_some(), "it began at a keyframe");
        for (id, state) in states.iter().step_by(17) {
            let begun = events::state_at(&trace, fixture::INCIDENT, Some(id.time)).expect("a state");
            if begun.events(fixture::INCIDENT) == state.events(fixture::INCIDENT) {
                assert_eq!(begun.save(fixture::INCIDENT), state.save(fixture::INCIDENT));
            }
        }
    }

    #[test]
    fn a_late_part_alone_knows_parents_names_and_descriptors() {
        let dir = tempfile::tempdir().expect("a directory");
        write_segments(&dir.path().join("store"));
        let recording = Recording::open(&dir.path().join("store")).expect("a recording");
        let whole = Trace::open(dir.path().join("store"), false).expect("a recording");
        let states = states(&whole);
        // The last instant at which a process is known to have something open.
        let has_open = |world: &World| {
            world.processes(fixture::INCIDENT).iter().any(|process| !world.fds(process).is_empty())
        };
        let (at, state) = states.iter().rev().find(|(_, world)| has_open(world)).expect("descriptors");
        let part = Part { container: fixture::INCIDENT, begin: Some(at.time), end: Some(at.time) };
        let path = dir.path().join("late.aftx");
        let incident = Incident { id: "late".to_owned(), document: b"{}".to_vec() };
        extract_parts(&recording, &[part], &[incident], &path).expect("an extract");
        let late = Trace::open(path, false).expect("a recording");
        let rows = late.recording.count_hint(&Query::default());
        assert!(rows < states.len() as u64 / 2, "{rows} of {} rows", states.len());
        let first = late.recording.time_range().expect("events").0;
        assert!(first > states[states.len() / 4].0.time, "what was before is not there");
        let alone = events::state_at(&late, fixture::INCIDENT, Some(at.time)).expect("a state");
        let running = |world: &World| -> Vec<String> {
            let all = world.processes(fixture::INCIDENT).into_iter().filter(|process| process.is_running());
            all.map(|process| {
                let parents: Vec<_> = world.ancestors(process).map(|p| p.title()).collect();
                format!("{} {} < {parents:?}: {:?}", process.key.tgid, process.title(), world.fds(process))
            })
            .collect()
        };
        let known = running(&alone);
        assert_eq!(known, running(state));
        assert!(known.iter().any(|line| !line.ends_with(": []")), "one has descriptors");
    }
}
