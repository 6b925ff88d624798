//! The state of a container at any event: kept pictures, and the way from the nearest one to the event asked for.

use std::ops::ControlFlow;

use afterimage_format::{Anchor, BootNanos, ContainerUid, Direction, Event, EventId, Query, ReadError};
use afterimage_model::{World, budget::Limits};

use crate::trace::Trace;

/// Events between two pictures, at first.
const STRIDE: u64 = 20_000;
/// Pictures kept; when there are more, every second one goes and the stride doubles.
const PICTURES: usize = 16;
/// Memory for the state of one container, bytes: beyond it the processes that ended first are forgotten. Pictures share
/// what did not change between them, so in the worst case all of them together take this many times their number.
const STATE: u64 = 8 << 20;

/// The state of one container, movable in time.
#[derive(Debug, Default)]
pub(super) struct Film {
    of: Option<(ContainerUid, u64)>,
    world: World,
    /// The last event that the state has seen.
    at: Option<EventId>,
    pictures: Vec<(EventId, World)>,
    stride: u64,
    since: u64,
}

impl Film {
    /// The state just after event `id`; of another container or generation the film is begun anew.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub(super) fn after(
        &mut self,
        trace: &Trace,
        of: (ContainerUid, u64),
        id: EventId,
    ) -> Result<&World, ReadError> {
        self.go(trace, of, id, true)
    }

    /// The state just before event `id`.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub(super) fn before(
        &mut self,
        trace: &Trace,
        of: (ContainerUid, u64),
        id: EventId,
    ) -> Result<&World, ReadError> {
        self.go(trace, of, id, false)
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
        to: EventId,
        with: bool,
    ) -> Result<&World, ReadError> {
        if self.of != Some(of) {
            *self = Self { of: Some(of), stride: STRIDE, world: fresh(), ..Self::default() };
        }
        let is_wanted = |id: EventId| if with { id <= to } else { id < to };
        if self.at.is_some_and(|at| !is_wanted(at)) {
            let after = self.pictures.partition_point(|(id, _)| is_wanted(*id));
            let picture = after.checked_sub(1).and_then(|at| self.pictures.get(at)).cloned();
            let (at, world) = picture.map_or_else(|| (None, fresh()), |(id, world)| (Some(id), world));
            (self.at, self.world, self.since) = (at, world, 0);
        }
        let query = Query { containers: vec![of.0], begin: None, end: Some(to.time) };
        let from = self.at.map_or(Anchor::Time(BootNanos(0)), Anchor::Event);
        trace.recording.walk(&query, Some(from), Direction::Forward, &mut |id, uid, event| {
            if !is_wanted(id) {
                return ControlFlow::Break(());
            }
            self.apply(id, uid, event);
            ControlFlow::Continue(())
        })?;
        Ok(&self.world)
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
    World::with_limits(Limits { container_bytes: STATE, total_bytes: STATE, ..Limits::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture;

    #[test]
    fn the_state_is_the_same_from_whatever_side_it_is_reached() {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        let trace = Trace::open(dir.path().to_owned(), false).expect("a recording");
        let query = Query { containers: vec![fixture::INCIDENT], ..Query::default() };
        let mut world = fresh();
        let mut states = Vec::new();
        let mut visit = |id, uid, event: &Event<'_>| {
            world.apply(uid, event);
            states.push((id, world.clone()));
            ControlFlow::Continue(())
        };
        trace.recording.walk(&query, None, Direction::Forward, &mut visit).expect("read");
        let of = (fixture::INCIDENT, 0);
        // Pictures every few events, so that going back uses them.
        let mut film = Film { of: Some(of), stride: 7, world: fresh(), ..Film::default() };
        for step in [1, 97, 13, 200, 59] {
            for i in 0..states.len() {
                let (id, state) = &states[i * step % states.len()];
                assert_eq!(film.after(&trace, of, *id).expect("read"), state);
            }
        }
        for i in (1..states.len()).rev().step_by(11) {
            assert_eq!(film.before(&trace, of, states[i].0).expect("read"), &states[i - 1].1);
        }
        assert!(film.pictures.len() <= PICTURES && film.stride > 7);
    }
}
