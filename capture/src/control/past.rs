//! What the store knew before: its containers and gaps, for triggers about the dead of earlier runs.

use std::path::PathBuf;

use afterimage_format::{BootNanos, Recording, Role};
use tracing::{debug, warn};

use crate::trigger::{
    directory::{Gap, Known},
    engine::{Handle, Update},
};

/// How long to wait when the engine has too much in waiting.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What was recorded in a store before this recorder began.
#[derive(Debug)]
pub struct Past {
    /// The store.
    pub store: PathBuf,
    /// When this recorder began, wall clock: gaps it found itself the store tells of ([`super::tap`]).
    pub until: i64,
}

impl Past {
    /// Reads the store on a thread of its own and tells the engine.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn tell(self, engine: Handle) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("past".to_owned());
        thread.spawn(move || {
            crate::privilege::settle();
            match Recording::open(&self.store) {
                Ok(recording) => self.read(&recording, &engine),
                Err(error) => warn!("what the store knew before cannot be read: {error}"),
            }
        })?;
        Ok(())
    }

    fn read(&self, recording: &Recording, engine: &Handle) {
        let real = |at: BootNanos| recording.clock().real(at).unwrap_or(0);
        for summary in recording.containers() {
            let mut known = Known::new(&summary.record, real);
            match summary.range {
                Some((first, _)) if summary.record.role == Role::Host => {
                    known.first_seen = known.first_seen.min(real(first));
                }
                // A recorder that stopped before it never saw the end: what is known of it ends with its last event.
                Some((_, last)) => known.seen_until(real(last)),
                None => known.seen_until(known.first_seen),
            }
            send(engine, || Update::Past(Box::new(known.clone())));
        }
        let earlier = recording.losses().iter().map(|loss| Gap::new(loss, real));
        for gap in earlier.filter(|gap| gap.to < self.until) {
            send(engine, || Update::Gap(gap));
        }
        debug!("the store knew {} containers", recording.containers().len());
    }
}

fn send(engine: &Handle, update: impl Fn() -> Update) {
    while !engine.update(update()) {
        std::thread::sleep(PAUSE);
    }
}
