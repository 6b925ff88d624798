//! One run of the TUI: keys, answers, signals and time in, drawings out.
//!
//! Everything that can happen comes through one channel. The thread that draws waits for nothing else; it draws
//! only when something changed.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crossterm::event::{self, Event, KeyEventKind};

use crate::{
    trace::Trace,
    tui::{
        app::App,
        case_file::CaseFile,
        engine,
        feed::Reply,
        keys::Key,
        moment::TimeStyle,
        player::Motion,
        terminal::Screen,
        update::{self, Effect, Growth},
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
    /// The recording has grown: opened anew.
    Grown(Arc<Trace>),
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
pub(super) fn run(mut app: App, trace: &Arc<Trace>, case: &mut CaseFile) -> io::Result<Ended> {
    let (tell, happenings) = mpsc::channel();
    let replies = tell.clone();
    let worker = Worker::start(move |reply| {
        // When the screen is gone, so is the need for answers.
        let _ = replies.send(Happening::Reply(Box::new(reply)));
    })?;
    let mut screen = Screen::take()?;
    listen(&tell)?;
    if trace.recording.unsealed() || trace.path.is_dir() {
        watch(trace, app.time_style == TimeStyle::Local, tell.clone())?;
    }
    drop(tell);
    screen.mouse(app.mouse)?;
    let ended = until_quit(&mut app, &mut screen, &worker, Arc::clone(trace), case, &happenings);
    update::leave(&mut app);
    case.append(&mut app);
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
    mut trace: Arc<Trace>,
    case: &mut CaseFile,
    happenings: &mpsc::Receiver<Happening>,
) -> io::Result<Ended> {
    let mut changed = true;
    let (begin, mut last) = (Instant::now(), Instant::now());
    let mut waiting = Waiting::default();
    loop {
        app.uptime = begin.elapsed();
        changed |= waiting.take_in(app, &mut trace, worker);
        if trace.recording.damage_known() != app.catalog.damage_known {
            update::damaged(app, engine::catalog::catalog(&trace, app.catalog.generation));
            changed = true;
        }
        app.size = screen.size()?;
        for request in wants::requests(app) {
            worker.ask(&trace, request);
        }
        if changed {
            screen.draw(app)?;
            worker.free(std::mem::take(&mut app.spent));
            changed = false;
        }
        let playing = app.opened.as_ref().is_some_and(|o| o.player.motion != Motion::Paused);
        // What a recording that grows makes necessary to read again may have to wait for its time.
        let wait = if playing { FRAME.saturating_sub(last.elapsed()) } else { LOOK.0 };
        let first = match happenings.recv_timeout(wait) {
            Ok(happening) => Some(happening),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Ended::Gone),
        };
        if !playing {
            last = Instant::now();
        }
        app.uptime = begin.elapsed();
        for happening in first.into_iter().chain(happenings.try_iter().take(BATCH)) {
            if let Happening::Grown(grown) = happening {
                waiting.newest = Some(grown);
                continue;
            }
            changed = true;
            match happen(app, happening) {
                Step::On => {}
                Step::Out(ended) => return Ok(ended),
                Step::Do(Effect::Quit) => return Ok(Ended::Quit),
                Step::Do(effect) => carry_out(app, screen, effect)?,
            }
            for effect in std::mem::take(&mut app.outbox) {
                carry_out(app, screen, effect)?;
            }
        }
        case.append(app);
        if playing && last.elapsed() >= FRAME {
            changed |= update::tick(app, last.elapsed());
            last = Instant::now();
        }
    }
}

/// Recordings that were found to have grown and are not taken in yet.
#[derive(Default)]
struct Waiting {
    newest: Option<Arc<Trace>>,
    /// Something is asked of it before it is taken in.
    asked: Option<Arc<Trace>>,
}

impl Waiting {
    /// Goes on with what has grown; whether anything changed.
    fn take_in(&mut self, app: &mut App, trace: &mut Arc<Trace>, worker: &Worker) -> bool {
        if self.newest.is_none() && self.asked.is_none() {
            return false;
        }
        let taken = match update::growth(app) {
            Growth::Wait => None,
            Growth::Ask(request) => {
                self.asked = self.newest.take().or_else(|| self.asked.take());
                if let Some(asked) = &self.asked {
                    worker.ask(asked, request);
                }
                None
            }
            // What was asked is answered of that one, whatever is newer.
            Growth::Take => self.asked.take().or_else(|| self.newest.take()),
        };
        let Some(grown) = taken else { return false };
        grown.recording.read_again(&trace.recording);
        *trace = grown;
        let generation = app.catalog.generation + 1;
        update::grown(app, engine::catalog::catalog(trace, generation));
        true
    }
}

/// Does outside what an update asks for.
fn carry_out(app: &mut App, screen: &mut Screen, effect: Effect) -> io::Result<()> {
    match effect {
        Effect::Quit => {}
        Effect::Suspend => {
            screen.suspend()?;
            screen.mouse(app.mouse)?;
        }
        Effect::Redraw => screen.forget()?,
        Effect::Copy(text) => screen.copy(&text)?,
        Effect::Mouse(ours) => screen.mouse(ours)?,
        Effect::Save(evidence) => evidence.save(app),
    }
    Ok(())
}

/// What a happening leads to.
enum Step {
    On,
    Do(Effect),
    Out(Ended),
}

fn happen(app: &mut App, happening: Happening) -> Step {
    match happening {
        // It waits for its time.
        Happening::Grown(_) => Step::On,
        Happening::Reply(reply) => {
            update::receive(app, *reply);
            Step::On
        }
        Happening::Input(event) => {
            fail_on_purpose();
            app.now = now();
            input(app, event).map_or(Step::On, Step::Do)
        }
        Happening::Suspend => Step::Do(Effect::Suspend),
        Happening::Stop(signal) => Step::Out(Ended::Signal(signal)),
        Happening::Gone => Step::Out(Ended::Gone),
    }
}

/// A test's way to a panic with the terminal taken: the words of it are in this variable.
#[cfg(debug_assertions)]
fn fail_on_purpose() {
    if let Some(words) = std::env::var_os("AFTERIMAGE_TEST_PANIC") {
        panic!("{}", words.to_string_lossy());
    }
}

#[cfg(not(debug_assertions))]
const fn fail_on_purpose() {}

fn input(app: &mut App, event: Event) -> Option<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => update::key(app, Key::of(key)),
        Event::Paste(text) => {
            update::paste(app, &text);
            None
        }
        Event::Mouse(mouse) => {
            update::pointer(app, mouse);
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

/// Least time between two looks at a recording that may grow; and how many times longer than opening it takes.
const LOOK: (Duration, u32) = (Duration::from_millis(500), 4);

/// Starts the thread that looks whether a recording has grown. To a store whose recorder has stopped another one may come.
fn watch(trace: &Arc<Trace>, local: bool, tell: mpsc::Sender<Happening>) -> io::Result<()> {
    let mut seen = Arc::clone(trace);
    let is_store = seen.path.is_dir();
    // The first look opens it whatever is there: since it was opened, a recorder may have begun.
    let mut files = None;
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        let mut wait = LOOK.0;
        loop {
            thread::sleep(wait);
            let begin = Instant::now();
            let there = Some(files_in(&seen.path));
            if !seen.recording.unsealed() && there == files {
                continue;
            }
            // What cannot be opened at the moment, because it is being rotated, can at the next.
            let Ok(now) = Trace::open(seen.path.clone(), local) else { continue };
            files = there;
            wait = LOOK.0.max(begin.elapsed() * LOOK.1);
            if measure(&now) == measure(&seen) {
                continue;
            }
            let is_over = !is_store && !now.recording.unsealed();
            seen = Arc::new(now);
            if tell.send(Happening::Grown(Arc::clone(&seen))).is_err() || is_over {
                return;
            }
        }
    })?;
    Ok(())
}

/// The names in a store's directory: where it is sealed, nothing is written without a new one.
fn files_in(path: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

/// What changes when something is written.
fn measure(trace: &Trace) -> impl PartialEq + use<> {
    let recording = &trace.recording;
    let rows: u64 = recording.blocks().iter().map(|block| u64::from(block.rows)).sum();
    let ended = recording.containers().iter().filter(|c| c.record.exited.is_some()).count();
    let removed = recording.containers().iter().filter(|c| c.record.removed.is_some()).count();
    let facts: usize = recording.containers().iter().map(|c| c.record.facts.len()).sum();
    let counts = (recording.containers().len(), ended, removed, facts, recording.losses().len());
    (rows, counts, recording.defects().len(), recording.unsealed())
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
    attend(tell.clone())?;
    signals(tell.clone())
}

/// Time between two looks whether the terminal is still there.
const ATTENTION: Duration = Duration::from_millis(500);

/// Starts the thread that sees the terminal go. Where the signal that says so is ignored (`nohup`), reading keys does
/// not end: the end of a terminal that was hung up is read again and again.
fn attend(tell: mpsc::Sender<Happening>) -> io::Result<()> {
    let has_size = || terminal_size::terminal_size_of(io::stdout()).is_some();
    if !has_size() {
        // A serial line has none from the beginning; nothing can be told by it.
        return Ok(());
    }
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        while has_size() {
            thread::sleep(ATTENTION);
        }
        let _ = tell.send(Happening::Gone);
    })?;
    Ok(())
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
