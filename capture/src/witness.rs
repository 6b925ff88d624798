//! Who is told what the recorder stores, on the recording thread: never waits, never fails.

use afterimage_format::{ContainerRecord, ContainerUid, Event, Loss};

/// Is told of everything in the order in which it is stored.
pub trait Witness {
    /// A container was learnt of, or more of it.
    fn container(&mut self, record: &ContainerRecord);

    /// A gap was found.
    fn gap(&mut self, loss: &Loss);

    /// An event was stored.
    fn event(&mut self, uid: ContainerUid, event: &Event<'_>);

    /// Containers that ended and of which retention has removed everything.
    fn gone(&mut self, uids: &[ContainerUid]);

    /// Everything so far is safe from a kill.
    fn committed(&mut self);
}
