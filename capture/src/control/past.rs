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

/// Reads the store on a thread of its own and tells the engine.
///
/// # Errors
/// When there can be no thread.
pub fn tell(store: PathBuf, engine: Handle) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("past".to_owned());
    thread.spawn(move || {
        crate::privilege::settle();
        match Recording::open(&store) {
            Ok(recording) => read(&recording, &engine),
            Err(error) => warn!("what the store knew before cannot be read: {error}"),
        }
    })?;
    Ok(())
}

fn read(recording: &Recording, engine: &Handle) {
    let real = |at: BootNanos| recording.clock().real(at).unwrap_or(0);
    for summary in recording.containers() {
        let mut known = Known::new(&summary.record, real);
        if let Some((first, last)) = summary.range {
            if summary.record.role == Role::Host {
                known.first_seen = known.first_seen.min(real(first));
            } else {
                // A recorder that was killed never saw the end: what is known of it ends with its last event.
                known.removed = known.removed.or(Some(real(last)));
            }
        }
        send(engine, || Update::Past(Box::new(known.clone())));
    }
    for loss in recording.losses() {
        send(engine, || Update::Gap(Gap::new(loss, real)));
    }
    debug!("the store knew {} containers", recording.containers().len());
}

fn send(engine: &Handle, update: impl Fn() -> Update) {
    while !engine.update(update()) {
        std::thread::sleep(PAUSE);
    }
}
