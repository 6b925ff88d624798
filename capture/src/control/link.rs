//! The recording thread's side of the control plane: commands taken between two passes, figures left behind.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use afterimage_format::ContainerUid;
use tokio::sync::oneshot;
use tracing::warn;

use super::figures::{Figures, Shared};
use crate::{
    host,
    recorder::{HostMode, Profile, Recorder, rest::Bell},
    trigger::{
        engine::{Held, Steer},
        pins::Pin,
    },
};

/// How often figures are left.
const FIGURES: Duration = Duration::from_millis(500);
/// Commands taken between two passes.
const COMMANDS: usize = 64;

/// What the recording thread is told to do.
#[derive(Debug)]
pub enum Command {
    /// Record the host so.
    Host(HostMode),
    /// Keep these calls of containers.
    Profile(Profile),
    /// Keep these calls of one container, or with `None` those of all others; the answer is whether there is such a
    /// container.
    Own(ContainerUid, Option<Profile>, oneshot::Sender<bool>),
    /// Record what the tasks of this container wait in at this moment.
    InCalls(ContainerUid),
    /// Hold what is pinned.
    Hold(Box<Pin>, mpsc::Sender<Held>),
    /// Let go of a pin.
    LetGo(String),
    /// Say when all before it is done, and leave figures that tell so.
    Done(oneshot::Sender<()>),
}

/// The way of commands to the recording thread.
#[derive(Debug, Clone)]
pub struct Commands {
    sender: mpsc::Sender<Command>,
    bell: Bell,
}

impl Commands {
    /// Has the recording thread do it soon.
    ///
    /// # Errors
    /// The command, where the thread has ended.
    pub fn send(&self, command: Command) -> Result<(), mpsc::SendError<Command>> {
        self.sender.send(command)?;
        self.bell.ring();
        Ok(())
    }
}

/// A recording thread that has ended needs no steering.
impl Steer for Commands {
    fn boost(&self, uid: ContainerUid, on: bool) {
        let (reply, _) = oneshot::channel();
        let _ = self.send(Command::Own(uid, on.then_some(Profile::Full), reply));
    }

    fn hold(&self, pin: &Pin, reply: mpsc::Sender<Held>) {
        if self.send(Command::Hold(Box::new(pin.clone()), reply.clone())).is_err() {
            // The store is sealed, and reads what is pinned when it is opened again.
            let _ = reply.send((pin.id.clone(), Ok(())));
        }
    }

    fn let_go(&self, id: &str) {
        let _ = self.send(Command::LetGo(id.to_owned()));
    }
}

/// The recording thread's end.
pub struct Link {
    commands: mpsc::Receiver<Command>,
    bell: Bell,
    shared: Arc<Shared>,
    left: Option<(Instant, u64)>,
}

impl Link {
    /// Both ends; `bell` ends the thread's rest.
    pub fn new(shared: Arc<Shared>, bell: Bell) -> (Self, Commands) {
        let (sender, commands) = mpsc::channel();
        (Self { commands, bell: bell.clone(), shared, left: None }, Commands { sender, bell })
    }

    /// Called between two passes.
    pub fn tend(&mut self, recorder: &mut Recorder) {
        self.shared.beat(host::boot_now());
        let (mut waiting, mut taken) = (Vec::new(), 0);
        let mut done = Vec::new();
        for command in self.commands.try_iter().take(COMMANDS) {
            taken += 1;
            match command {
                Command::Host(host) => recorder.set_host(host),
                Command::Profile(profile) => recorder.set_profile(profile),
                Command::Own(uid, profile, reply) => {
                    // Who asked may have gone.
                    let _ = reply.send(recorder.set_own_profile(uid, profile));
                }
                Command::InCalls(uid) => waiting.push(uid),
                Command::Done(reply) => done.push(reply),
                Command::Hold(pin, reply) => {
                    let _ =
                        reply.send((pin.id.clone(), recorder.hold(&pin).map_err(|error| error.to_string())));
                }
                Command::LetGo(id) => {
                    if let Err(error) = recorder.let_go(&id) {
                        // It is held for longer than asked for, and let go of at the next start.
                        warn!("pin {id} is still held: {error}");
                    }
                }
            }
        }
        if taken == COMMANDS {
            // The others come after the next pass, without a rest before it.
            self.bell.ring();
        }
        // However many ask, all tasks are looked at once.
        if !waiting.is_empty() {
            recorder.look_at_calls(&waiting);
        }
        if !done.is_empty() || self.left.is_none_or(|(at, _)| at.elapsed() >= FIGURES) {
            let status = recorder.status();
            let stored = status.sink.stored;
            let rate = self.left.map_or(0, |(at, before)| {
                let elapsed = at.elapsed().as_secs_f64();
                ((stored - before) as f64 / elapsed) as u64
            });
            self.left = Some((Instant::now(), stored));
            let (profile, host) = recorder.modes();
            self.shared.leave(Figures { status, profile, host, rate });
        }
        for reply in done {
            // Who asked may have gone.
            let _ = reply.send(());
        }
    }
}
