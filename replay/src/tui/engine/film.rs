//! The state of a container at any event: kept pictures, and the way from the nearest one to the event asked for.

use std::ops::ControlFlow;

use afterimage_format::{Anchor, BootNanos, ContainerUid, Direction, Event, EventId, Query, ReadError};
use afterimage_model::World;

use crate::trace::Trace;

/// Events between two pictures, at first.
const STRIDE: u64 = 20_000;
/// Pictures kept; when there are more, every second one goes and the stride doubles.
const PICTURES: usize = 32;
/// Events of one moment that are looked at to tell their order.
const TIES: usize = 256;

/// A place between two events: everything earlier than `time` is before it, and `same` events of that very time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    time: BootNanos,
    same: u64,
}

/// The state of one container, movable in time.
#[derive(Debug, Default)]
pub(super) struct Film {
    of: Option<(ContainerUid, u64)>,
    world: World,
    at: Place,
    pictures: Vec<(Place, World)>,
    stride: u64,
    since: u64,
}

impl Film {
    /// The state just after event `id`; from another container or generation the film is begun anew.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub(super) fn after(
        &mut self,
        trace: &Trace,
        of: (ContainerUid, u64),
        id: EventId,
    ) -> Result<&World, ReadError> {
        let same = rank(trace, of.0, id)?;
        self.go(trace, of, Place { time: id.time, same })
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
        let same = rank(trace, of.0, id)?.saturating_sub(1);
        self.go(trace, of, Place { time: id.time, same })
    }

    /// Takes the next event in: for those who read on by themselves.
    pub(super) fn apply(&mut self, uid: ContainerUid, event: &Event<'_>) {
        if event.time > self.at.time {
            self.at = Place { time: event.time, same: 0 };
        }
        self.at.same += 1;
        self.world.apply(uid, event);
        self.since += 1;
        if self.since >= self.stride {
            self.keep();
        }
    }

    /// The state where the film stands.
    pub(super) fn world(&self) -> &World {
        &self.world
    }

    fn go(&mut self, trace: &Trace, of: (ContainerUid, u64), to: Place) -> Result<&World, ReadError> {
        if self.of != Some(of) {
            *self = Self { of: Some(of), stride: STRIDE, ..Self::default() };
        }
        if to < self.at {
            self.back(to);
        }
        let query = Query { containers: vec![of.0], begin: Some(self.at.time), end: Some(to.time) };
        let mut skip = Some(self.at);
        trace.recording.for_each(&query, &mut |uid, event| {
            // What the film has seen of its own moment is not seen twice.
            if let Some(place) = &mut skip {
                if event.time == place.time && place.same > 0 {
                    place.same -= 1;
                    return ControlFlow::Continue(());
                }
                skip = None;
            }
            if event.time == to.time && self.at >= to {
                return ControlFlow::Break(());
            }
            self.apply(uid, event);
            if self.at >= to { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(&self.world)
    }

    /// To the last picture not after `to`, or to the beginning.
    fn back(&mut self, to: Place) {
        let after = self.pictures.partition_point(|(place, _)| *place <= to);
        let (place, world) =
            after.checked_sub(1).and_then(|i| self.pictures.get(i)).cloned().unwrap_or_default();
        (self.at, self.world, self.since) = (place, world, 0);
    }

    fn keep(&mut self) {
        self.since = 0;
        if self.pictures.last().is_none_or(|(place, _)| *place < self.at) {
            self.pictures.push((self.at, self.world.clone()));
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

/// How many events of the moment of `id` there are up to it, itself included.
fn rank(trace: &Trace, uid: ContainerUid, id: EventId) -> Result<u64, ReadError> {
    let query = Query { containers: vec![uid], begin: Some(id.time), end: Some(id.time) };
    let mut count = 1;
    let mut from = Anchor::Event(id);
    loop {
        let ties = trace.recording.page(&query, from, Direction::Backward, TIES, &mut |_, _| true)?;
        count += ties.len() as u64;
        match ties.last() {
            Some((last, ..)) if ties.len() == TIES => from = Anchor::Event(*last),
            _ => return Ok(count),
        }
    }
}
