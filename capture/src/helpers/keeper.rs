//! Keeps one process going: notices its end, counts it, has the spawner start another.

use std::{
    io,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use bincode::{Decode, Encode};
use tracing::{error, warn};

use super::{
    frame::{self, FrameError},
    watch::Helpers,
};
use crate::privilege::{Role, spawner::Spawner};

/// First pause before another is started, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// One that lived so long was well.
const WELL: Duration = Duration::from_secs(10);

/// How long one may take to say that it has begun.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the other end says first: what the kernel refused it, and why it cannot do its work, where it cannot.
#[derive(Debug, Default, Encode, Decode)]
pub struct Hello {
    /// What was not confined.
    pub refused: Vec<String>,
    /// Why it ends at once.
    pub failed: Option<String>,
}

/// The way to a process, whichever has the role.
#[derive(Debug, Default)]
pub struct Line(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    socket: Option<UnixStream>,
    /// Nothing more is asked: its end is no accident.
    closed: bool,
}

impl Line {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, socket: Option<UnixStream>) {
        self.state().socket = socket;
    }

    /// Sends a message, having done `before` first. What fails is told to the one who asked; a process that has ended
    /// while it was being sent is answered for by its keeper.
    ///
    /// # Errors
    /// There is no process, or it has ended.
    pub fn send<T: Encode>(&self, message: &T, before: impl FnOnce()) -> io::Result<()> {
        let bytes = frame::encode(message)?;
        let state = self.state();
        let socket = state.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        before();
        io::Write::write_all(&mut &*socket, &bytes)
    }

    /// Asks nothing more: the other end takes that as its end.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(socket) = &state.socket {
            // One that has ended already is closed.
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
    }
}

/// Whoever takes what a process sends.
pub trait Listener<T>: Send + 'static {
    /// A message. `false` when it answers nothing.
    fn take(&mut self, message: T) -> bool;

    /// The process has ended: what it was asked stays unanswered.
    fn ended(&mut self);
}

/// Keeps a process of a role.
pub struct Keeper {
    role: Role,
    spawner: Arc<Spawner>,
    helpers: Arc<Helpers>,
    line: Arc<Line>,
}

impl Keeper {
    /// Starts the process.
    ///
    /// # Errors
    /// When it cannot be started, or says that it cannot do its work.
    pub fn start<T: Decode<()> + 'static>(
        role: Role,
        spawner: Arc<Spawner>,
        helpers: Arc<Helpers>,
        mut listener: impl Listener<T>,
    ) -> io::Result<Arc<Line>> {
        let line = Arc::new(Line::default());
        let keeper = Self { role, spawner, helpers, line: Arc::clone(&line) };
        let mut socket = keeper.another()?;
        std::thread::Builder::new().name(format!("{}-keeper", role.as_str())).spawn(move || {
            crate::privilege::settle_urgent();
            let mut pause = PAUSES.0;
            loop {
                let begun = Instant::now();
                let why = keeper.listen(&socket, &mut listener);
                keeper.line.set(None);
                keeper.helpers.of(role).ended();
                listener.ended();
                if keeper.line.state().closed {
                    return;
                }
                warn!("the {} process has ended ({why}): another takes its place", role.as_str());
                pause = if begun.elapsed() > WELL { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
                socket = loop {
                    std::thread::sleep(pause);
                    keeper.helpers.of(role).restarts.fetch_add(1, Ordering::Relaxed);
                    match keeper.another() {
                        Ok(socket) => break socket,
                        Err(why) => error!("no {} process: {why}", role.as_str()),
                    }
                    pause = (pause * 2).min(PAUSES.1);
                };
            }
        })?;
        Ok(line)
    }

    fn another(&self) -> io::Result<UnixStream> {
        let started = self.spawner.spawn(self.role)?;
        started.socket.set_read_timeout(Some(PATIENCE))?;
        let hello: Hello = frame::read(&started.socket).map_err(io::Error::other)?;
        started.socket.set_read_timeout(None)?;
        self.helpers.refuse(hello.refused);
        if let Some(why) = hello.failed {
            return Err(io::Error::other(why));
        }
        self.line.set(Some(started.socket.try_clone()?));
        self.helpers.of(self.role).began(started.pid.as_raw_nonzero().get());
        Ok(started.socket)
    }

    /// Takes what comes until it ends; the reason, unless it was asked nothing more.
    fn listen<T: Decode<()>>(&self, socket: &UnixStream, listener: &mut impl Listener<T>) -> FrameError {
        loop {
            match frame::read(socket) {
                Ok(message) => {
                    if !listener.take(message) {
                        self.helpers.of(self.role).rejected.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(error) => {
                    if !matches!(error, FrameError::Socket(_)) {
                        self.helpers.of(self.role).rejected.fetch_add(1, Ordering::Relaxed);
                    }
                    return error;
                }
            }
        }
    }
}
