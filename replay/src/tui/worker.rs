//! The background: threads that read the recording, so that the keys never wait.
//!
//! Each kind of question has its lane, a thread of its own: a long scan delays no page. In a lane whose questions
//! are long a newer question ends the one under way, and each is read by a thread that ends with it: an allocator that
//! keeps memory by thread then gives what one reading freed to the next, in whatever lane.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use crate::{
    trace::Trace,
    tui::{
        engine::{self, Cache, Job},
        feed::{Reply, Request},
        text::safe,
    },
};

/// A lane: questions that are answered one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Pages,
    Moments,
    Seeks,
    Hits,
    Stories,
    Tallies,
    Streams,
    Values,
    Rules,
}

impl Lane {
    const ALL: [Self; 9] = [
        Self::Pages,
        Self::Moments,
        Self::Seeks,
        Self::Hits,
        Self::Stories,
        Self::Tallies,
        Self::Streams,
        Self::Values,
        Self::Rules,
    ];

    const fn of(request: &Request) -> Self {
        match request {
            Request::Page(..) | Request::Density(_) | Request::Keep(..) | Request::Explain(..) => Self::Pages,
            Request::Moment(_) | Request::Names(..) | Request::Cells(..) | Request::Report(..) => {
                Self::Moments
            }
            Request::Seek(..) => Self::Seeks,
            Request::Values(_) => Self::Values,
            Request::Rules(..) | Request::Diff(_) => Self::Rules,
            Request::Hits(..) => Self::Hits,
            Request::Story(_) => Self::Stories,
            Request::Tally(_) | Request::Alerts(_) => Self::Tallies,
            Request::Stream(_) => Self::Streams,
        }
    }

    /// Whether its questions read whole lives.
    const fn is_long(self) -> bool {
        self.gives_way() || matches!(self, Self::Rules)
    }

    /// Whether a newer question ends the one under way.
    const fn gives_way(self) -> bool {
        matches!(self, Self::Seeks | Self::Hits | Self::Stories | Self::Streams | Self::Values)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Moments => "moments",
            Self::Seeks => "seeks",
            Self::Hits => "hits",
            Self::Stories => "stories",
            Self::Tallies => "tallies",
            Self::Streams => "streams",
            Self::Values => "values",
            Self::Rules => "rules",
        }
    }
}

/// A lane's way in.
#[derive(Debug)]
struct Entrance {
    lane: Lane,
    questions: mpsc::Sender<(u64, Arc<Trace>, Request)>,
    /// Number of the newest question.
    newest: Arc<AtomicU64>,
}

/// The background threads. They end when this is dropped and their question is answered.
#[derive(Debug)]
pub(crate) struct Worker {
    entrances: Vec<Entrance>,
}

impl Worker {
    /// Starts the threads; `tell` takes the answers.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(tell: impl Fn(Reply) + Clone + Send + 'static) -> std::io::Result<Self> {
        let mut entrances = Vec::new();
        for lane in Lane::ALL {
            let (questions, receiver) = mpsc::channel();
            let newest = Arc::new(AtomicU64::new(0));
            let (tell, seen) = (tell.clone(), Arc::clone(&newest));
            thread::Builder::new()
                .name(lane.name().to_owned())
                .spawn(move || serve(lane, &receiver, &seen, tell))?;
            entrances.push(Entrance { lane, questions, newest });
        }
        Ok(Self { entrances })
    }

    /// Asks; the answer comes later.
    pub(crate) fn ask(&self, trace: &Arc<Trace>, request: Request) {
        let lane = Lane::of(&request);
        if let Some(entrance) = self.entrances.iter().find(|e| e.lane == lane) {
            let number = entrance.newest.fetch_add(1, Ordering::Relaxed) + 1;
            // A lane that has ended answers nothing; that was told when it ended.
            let _ = entrance.questions.send((number, Arc::clone(trace), request));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        for entrance in &self.entrances {
            entrance.newest.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn serve(
    lane: Lane,
    questions: &mpsc::Receiver<(u64, Arc<Trace>, Request)>,
    newest: &AtomicU64,
    tell: impl Fn(Reply) + Clone + Send,
) {
    let mut cache = Cache::default();
    while let Ok((number, trace, request)) = questions.recv() {
        let over = || lane.gives_way() && newest.load(Ordering::Relaxed) != number;
        if over() {
            continue;
        }
        let (teller, known) = (tell.clone(), &mut cache);
        let read = move || {
            let job = Job { over: &over, tell: &teller };
            panic::catch_unwind(AssertUnwindSafe(|| engine::answer(&trace, known, request, &job)))
        };
        let answered = if lane.is_long() { apart(lane, read) } else { read() };
        match answered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tell(Reply::Failed(safe!("{}", crate::failure::Failure::from(error)))),
            Err(_) => {
                tell(Reply::Failed(safe!(
                    "internal error while reading {}; what is shown may be old",
                    lane.name()
                )));
                cache = Cache::default();
            }
        }
    }
}

/// By how much long readings let others go first: a third of what the thread that draws gets, where both want a CPU.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// Lets the thread that draws, and those that read what it waits for, go first. Linux counts this by thread.
#[cfg(target_os = "linux")]
fn step_back() {
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    // Where it is refused, all are equal as before.
    let _ = rustix::process::setpriority_process(None, nice.saturating_add(NICE));
}

#[cfg(not(target_os = "linux"))]
const fn step_back() {}

/// Reads in a thread that ends with the reading; here, where none can be had.
fn apart<T: Send>(lane: Lane, read: impl FnOnce() -> thread::Result<T> + Send) -> thread::Result<T> {
    // Taken out by whoever reads.
    let read = Mutex::new(Some(read));
    let take = || read.lock().ok().and_then(|mut read| read.take());
    thread::scope(|scope| {
        let reader =
            thread::Builder::new().name(format!("{} reader", lane.name())).spawn_scoped(scope, || {
                step_back();
                take().map(|read| read())
            });
        let answered = match reader {
            Ok(reader) => reader.join().unwrap_or_else(|panic| Some(Err(panic))),
            Err(_) => take().map(|read| read()),
        };
        answered.unwrap_or_else(|| Err(Box::new("the question was lost")))
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_long_reading_lets_others_go_first_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(None).expect("a priority");
        let own = nice();
        let reader = apart(Lane::Hits, || Ok(nice()));
        assert_eq!(reader.expect("read"), (own + NICE).min(19));
        assert_eq!(nice(), own);
    }
}
