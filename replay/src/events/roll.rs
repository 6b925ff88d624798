//! Rolls the state forward over events, for verbs that ask for state rather than rows.

use std::ops::ControlFlow;

use afterimage_format::{BootNanos, ContainerUid, Event, Query};
use afterimage_model::World;

use crate::{failure::Failure, progress::Progress, trace::Trace};

/// Applies every event of a container (or of all) up to `until`, each then shown to `visit` with the state after
/// it. Returns the state at the end.
///
/// # Errors
/// [`Failure::Read`].
pub fn roll(
    trace: &Trace,
    container: Option<ContainerUid>,
    until: Option<BootNanos>,
    visit: &mut dyn FnMut(&World, ContainerUid, &Event<'_>),
) -> Result<World, Failure> {
    let query = Query { containers: container.into_iter().collect(), begin: None, end: until };
    let mut progress = Progress::new(trace.recording.count_hint(&query), false);
    let mut world = World::new();
    trace.recording.for_each(&query, &mut |uid, event| {
        progress.tick();
        world.apply(uid, event);
        visit(&world, uid, event);
        ControlFlow::Continue(())
    })?;
    Ok(world)
}
