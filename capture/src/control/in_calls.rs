//! What a container waits in when a pin is made of it: asked of the recording thread by whoever keeps the pins.

use std::{sync::mpsc, time::SystemTime};

use afterimage_format::ContainerUid;

use super::link::{Command, Commands};
use crate::trigger::{
    outcome::Instant,
    pins::{Pin, PinError, PinKeeper},
};

/// Keeps pins as another does, and has the calls recorded that have not returned.
pub struct Asking {
    keeper: Box<dyn PinKeeper>,
    commands: Commands,
}

impl Asking {
    /// Before `keeper`.
    pub fn new(keeper: Box<dyn PinKeeper>, commands: Commands) -> Self {
        Self { keeper, commands }
    }
}

fn now() -> Instant {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Instant(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl PinKeeper for Asking {
    fn pin(&mut self, pin: Pin) -> Result<(), PinError> {
        let (uid, lives) = (ContainerUid(pin.uid), pin.to.is_none_or(|to| to >= now()));
        self.keeper.pin(pin)?;
        if lives {
            // A recorder that is about to end looks at all of them anyway.
            let _: Result<(), mpsc::SendError<Command>> = self.commands.send(Command::InCalls(uid));
        }
        Ok(())
    }

    fn unpin(&mut self, id: &str) -> Result<bool, PinError> {
        self.keeper.unpin(id)
    }

    fn sync(&mut self) -> Result<(), PinError> {
        self.keeper.sync()
    }

    fn get(&self, id: &str) -> Option<&Pin> {
        self.keeper.get(id)
    }

    fn all(&self) -> Box<dyn Iterator<Item = &Pin> + '_> {
        self.keeper.all()
    }
}
