//! One run of the TUI: keys, answers, signals and time in, drawings out.
//!
//! Everything that can happen comes through one channel. The thread that draws waits for nothing else; it draws
//! only when something changed.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crossterm::event::{self, Event, KeyEventKind};

use crate::{
    trace::Trace,
    tui::{
        app::App,
        evidence,
        feed::Reply,
        keys::Key,
        player::Motion,
        terminal::Screen,
        update::{self, Effect},
        wants,
        worker::Worker,
    },
};

/// Time between two drawings while the clock runs.
const FRAME: Duration = Duration::from_millis(33);
/// Most happenings taken before the next drawing.
const BATCH: usize = 64;

/// What can happen.
enum Happening {
    Input(Event),
    Reply(Box<Reply>),
    /// The program is asked to stop, by a signal of this number.
    Stop(i32),
    /// The program is asked to let the shell in.
    Suspend,
    /// Nobody is at the keys any more.
    Gone,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Quit,
    /// By a signal of this number.
    Signal(i32),
    /// The terminal went away.
    Gone,
}

/// Runs until the user quits, a signal comes or the terminal goes away.
///
/// # Errors
/// The terminal or a thread cannot be had.
pub(super) fn run(mut app: App, trace: &Arc<Trace>) -> io::Result<Ended> {
    let (tell, happenings) = mpsc::channel();
    let replies = tell.clone();
    let worker = Worker::start(move |reply| {
        // When the screen is gone, so is the need for answers.
        let _ = replies.send(Happening::Reply(Box::new(reply)));
    })?;
    let mut screen = Screen::take()?;
    listen(&tell)?;
    let ended = until_quit(&mut app, &mut screen, &worker, trace, &happenings);
    drop(screen);
    match ended {
        Err(error) if is_gone(&error) => Ok(Ended::Gone),
        other => other,
    }
}

fn until_quit(
    app: &mut App,
    screen: &mut Screen,
    worker: &Worker,
    trace: &Arc<Trace>,
    happenings: &mpsc::Receiver<Happening>,
) -> io::Result<Ended> {
    let mut changed = true;
    let mut last = Instant::now();
    loop {
        app.size = screen.size()?;
        for request in wants::requests(app) {
            worker.ask(trace, request);
        }
        if changed {
            screen.draw(app)?;
            changed = false;
        }
        let playing = app.opened.as_ref().is_some_and(|o| o.player.motion != Motion::Paused);
        let first = if playing {
            match happenings.recv_timeout(FRAME.saturating_sub(last.elapsed())) {
                Ok(happening) => Some(happening),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Ended::Gone),
            }
        } else {
            let Ok(happening) = happenings.recv() else { return Ok(Ended::Gone) };
            last = Instant::now();
            Some(happening)
        };
        for happening in first.into_iter().chain(happenings.try_iter().take(BATCH)) {
            changed = true;
            match happen(app, happening) {
                Step::On => {}
                Step::Out(ended) => return Ok(ended),
                Step::Do(Effect::Quit) => return Ok(Ended::Quit),
                Step::Do(Effect::Suspend) => screen.suspend()?,
                Step::Do(Effect::Redraw) => screen.forget()?,
                Step::Do(Effect::Save(name, bytes)) => evidence::save(app, &name, &bytes),
            }
        }
        if playing && last.elapsed() >= FRAME {
            changed |= update::tick(app, last.elapsed());
            last = Instant::now();
        }
    }
}

/// What a happening leads to.
enum Step {
    On,
    Do(Effect),
    Out(Ended),
}

fn happen(app: &mut App, happening: Happening) -> Step {
    match happening {
        Happening::Reply(reply) => {
            update::receive(app, *reply);
            Step::On
        }
        Happening::Input(event) => {
            app.now = now();
            input(app, event).map_or(Step::On, Step::Do)
        }
        Happening::Suspend => Step::Do(Effect::Suspend),
        Happening::Stop(signal) => Step::Out(Ended::Signal(signal)),
        Happening::Gone => Step::Out(Ended::Gone),
    }
}

fn input(app: &mut App, event: Event) -> Option<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => update::key(app, Key::of(key)),
        Event::Paste(text) => {
            update::paste(app, &text);
            None
        }
        Event::Resize(..) => Some(Effect::Redraw),
        _ => None,
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Starts the threads that wait for keys and for signals.
fn listen(tell: &mpsc::Sender<Happening>) -> io::Result<()> {
    let keys = tell.clone();
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        loop {
            let happening = event::read().map_or(Happening::Gone, Happening::Input);
            let last = matches!(happening, Happening::Gone);
            if keys.send(happening).is_err() || last {
                return;
            }
        }
    })?;
    signals(tell.clone())
}

#[cfg(unix)]
fn signals(tell: mpsc::Sender<Happening>) -> io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP},
        iterator::Signals,
    };
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let happening = if signal == SIGTSTP { Happening::Suspend } else { Happening::Stop(signal) };
            if tell.send(happening).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn signals(_: mpsc::Sender<Happening>) -> io::Result<()> {
    Ok(())
}

/// Whether the terminal at the other end is gone: no error, nobody is there to read it.
fn is_gone(error: &io::Error) -> bool {
    /// `EIO`: what a terminal that was hung up answers.
    const EIO: i32 = 5;
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO)
}
