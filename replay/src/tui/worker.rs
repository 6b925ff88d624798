//! The background: threads that read the recording, so that the keys never wait.
//!
//! Each kind of question has its lane, a thread of its own: a long scan delays no page. A newer question about the same
//! thing ends the one under way, where only the newest is waited for. What reads whole lives is read by a thread that ends
//! with it: an allocator that keeps memory by thread then gives what one reading freed to the next, in whatever lane.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::{
    trace::Trace,
    tui::{
        engine::{self, Cache, Job},
        feed::{Moment, Reply, Request},
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
    Lists,
    Sweeps,
    Values,
    Rules,
}

impl Lane {
    const ALL: [Self; 11] = [
        Self::Pages,
        Self::Moments,
        Self::Seeks,
        Self::Hits,
        Self::Stories,
        Self::Tallies,
        Self::Streams,
        Self::Lists,
        Self::Sweeps,
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
            Request::Rules(..) | Request::Diff(_) | Request::Streams(_) => Self::Rules,
            Request::Hits(..) => Self::Hits,
            Request::Story(_) => Self::Stories,
            Request::Tally(_) | Request::Alerts(_) => Self::Tallies,
            Request::Stream(_) => Self::Streams,
            Request::Until(..) => Self::Lists,
            Request::Sweep(..) => Self::Sweeps,
        }
    }

    /// Whether its questions read whole lives.
    const fn is_long(self) -> bool {
        !matches!(self, Self::Pages | Self::Moments | Self::Tallies)
    }

    /// Whether somebody looks at the screen for its answers.
    const fn is_urgent(self) -> bool {
        matches!(self, Self::Pages | Self::Moments)
    }

    /// Whether its readings rest while such answers are made.
    const fn gives_way(self) -> bool {
        matches!(self, Self::Hits | Self::Stories | Self::Sweeps | Self::Values | Self::Rules)
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
            Self::Lists => "lists",
            Self::Sweeps => "all containers",
            Self::Values => "values",
            Self::Rules => "rules",
        }
    }
}

/// What only the newest question is waited for of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Seek,
    Hits,
    Story,
    Stream,
    Values,
    /// The lists at the playhead.
    Until,
    Sweep,
    /// The state at the playhead.
    Moment,
    /// The state along a page.
    Names,
}

impl Topic {
    const COUNT: usize = Self::Names as usize + 1;

    /// Nothing for questions that are all answered.
    const fn of(request: &Request) -> Option<Self> {
        match request {
            Request::Seek(..) => Some(Self::Seek),
            Request::Hits(..) => Some(Self::Hits),
            Request::Story(_) => Some(Self::Story),
            Request::Stream(_) => Some(Self::Stream),
            Request::Values(_) => Some(Self::Values),
            Request::Until(..) => Some(Self::Until),
            Request::Sweep(..) => Some(Self::Sweep),
            Request::Moment(_) => Some(Self::Moment),
            Request::Names(..) => Some(Self::Names),
            _ => None,
        }
    }
}

/// Number of the newest question of each topic.
type Newest = [AtomicU64; Topic::COUNT];

/// How many answers somebody looks at the screen for.
#[derive(Debug, Default)]
struct Urgent {
    count: Mutex<usize>,
    none: Condvar,
}

/// Longest that a reading rests at a time: where answers are wanted all the time, it goes on between them.
const REST: Duration = Duration::from_millis(50);

impl Urgent {
    /// Waits until there are none, but not for long.
    fn rest(&self) {
        // What was counted when a thread failed is still right.
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.none.wait_timeout_while(count, REST, |count| *count > 0));
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = change(*count);
        if *count == 0 {
            self.none.notify_all();
        }
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Wanted(Arc<Urgent>);

impl Wanted {
    fn new(urgent: &Arc<Urgent>) -> Self {
        urgent.change(|count| count + 1);
        Self(Arc::clone(urgent))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.change(|count| count.saturating_sub(1));
    }
}

/// A question, with its topic and its number there.
struct Question {
    topic: Option<(Topic, u64)>,
    trace: Arc<Trace>,
    request: Request,
    /// Where somebody looks at the screen for its answer: until there is one, or nobody waits for it.
    wanted: Option<Wanted>,
}

impl Question {
    fn new(newest: &Newest, urgent: &Arc<Urgent>, trace: &Arc<Trace>, request: Request) -> Self {
        let number = |topic: Topic| newest[topic as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let topic = Topic::of(&request).map(|topic| (topic, number(topic)));
        let wanted = Lane::of(&request).is_urgent().then(|| Wanted::new(urgent));
        Self { topic, trace: Arc::clone(trace), request, wanted }
    }
}

/// Whether nobody waits for a question any more.
fn is_over(topic: Option<(Topic, u64)>, newest: &Newest) -> bool {
    topic.is_some_and(|(topic, number)| newest[topic as usize].load(Ordering::Relaxed) != number)
}

/// A lane's way in.
#[derive(Debug)]
struct Entrance {
    lane: Lane,
    questions: mpsc::Sender<Question>,
}

/// The background threads. They end when this is dropped and their question is answered.
#[derive(Debug)]
pub(crate) struct Worker {
    entrances: Vec<Entrance>,
    newest: Arc<Newest>,
    urgent: Arc<Urgent>,
    spent: mpsc::Sender<Vec<Moment>>,
}

impl Worker {
    /// Starts the threads; `tell` takes the answers.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(tell: impl Fn(Reply) + Clone + Send + 'static) -> std::io::Result<Self> {
        let mut entrances = Vec::new();
        let (newest, urgent) = (Arc::new(Newest::default()), Arc::new(Urgent::default()));
        for lane in Lane::ALL {
            let (questions, receiver) = mpsc::channel();
            let (tell, seen, others) = (tell.clone(), Arc::clone(&newest), Arc::clone(&urgent));
            thread::Builder::new()
                .name(lane.name().to_owned())
                .spawn(move || serve(lane, &receiver, (&seen, &others), tell))?;
            entrances.push(Entrance { lane, questions });
        }
        let (spent, receiver) = mpsc::channel();
        thread::Builder::new().name("spent".to_owned()).spawn(move || {
            step_back();
            receiver.into_iter().for_each(drop);
        })?;
        Ok(Self { entrances, newest, urgent, spent })
    }

    /// Asks; the answer comes later.
    pub(crate) fn ask(&self, trace: &Arc<Trace>, request: Request) {
        let lane = Lane::of(&request);
        if let Some(entrance) = self.entrances.iter().find(|e| e.lane == lane) {
            // A lane that has ended answers nothing; that was told when it ended.
            let _ = entrance.questions.send(Question::new(&self.newest, &self.urgent, trace, request));
        }
    }

    /// Frees states that are not shown any more, which takes as long as to draw several times.
    pub(crate) fn free(&self, spent: Vec<Moment>) {
        if !spent.is_empty() {
            // Where the thread is gone, they are freed here.
            let _ = self.spent.send(spent);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        for newest in self.newest.iter() {
            newest.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The next question. While there is none, what the answers before left over is freed.
fn next(questions: &mpsc::Receiver<Question>, cache: &mut Cache) -> Option<Question> {
    match questions.try_recv() {
        Err(mpsc::TryRecvError::Empty) => {
            cache.tidy();
            questions.recv().ok()
        }
        next => next.ok(),
    }
}

fn serve(
    lane: Lane,
    questions: &mpsc::Receiver<Question>,
    (newest, urgent): (&Newest, &Urgent),
    tell: impl Fn(Reply) + Clone + Send,
) {
    let mut cache = Cache::default();
    // `_wanted` ends with the answer.
    while let Some(Question { topic, trace, request, wanted: _wanted }) = next(questions, &mut cache) {
        let over = || {
            if lane.gives_way() {
                urgent.rest();
            }
            is_over(topic, newest)
        };
        if over() {
            continue;
        }
        let (asked, known) = (request.clone(), &mut cache);
        // Whoever waits for the answer has to know that none comes.
        let teller = {
            let tell = tell.clone();
            move |reply: Reply| {
                let failed = matches!(reply, Reply::Failed(_));
                tell(reply);
                if failed {
                    tell(Reply::Unanswered(Box::new(asked.clone())));
                }
            }
        };
        let told = teller.clone();
        let read = move || {
            let job = Job { over: &over, tell: &teller };
            panic::catch_unwind(AssertUnwindSafe(|| engine::answer(&trace, known, request, &job)))
        };
        let answered = if lane.is_long() { apart(lane, read) } else { read() };
        match answered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => told(Reply::Failed(safe!("{}", crate::failure::Failure::from(error)))),
            Err(_) => {
                told(Reply::Failed(safe!(
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use afterimage_format::{BootNanos, ContainerUid};

    use super::*;
    use crate::tui::{
        feed::{Center, HitsKey, MomentKey, PageKey, Purpose},
        filter::Library,
        fixture,
        hits::Hits,
    };

    #[test]
    fn a_newer_question_ends_the_one_about_the_same_and_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        let trace = Arc::new(Trace::open(dir.path().to_owned(), false).expect("a recording"));
        let newest = Newest::default();
        let at = |time| Center::Time(BootNanos(time));
        let uid = ContainerUid(1);
        let moment = |time| MomentKey { uid, at: at(time), generation: 0 };
        let urgent = Arc::new(Urgent::default());
        let ask = |request| Question::new(&newest, &urgent, &trace, request).topic;
        let names = |time| {
            let key = PageKey { uid, center: at(time), filter: None, setup: true, reach: 9, generation: 0 };
            Request::Names(key, Hits::default())
        };
        let (first, page) = (ask(Request::Moment(moment(1))), ask(names(1)));
        let cells = ask(Request::Cells(moment(1), Purpose::Copy));
        assert!(![first, page, cells].into_iter().any(|topic| is_over(topic, &newest)));
        let second = ask(Request::Moment(moment(2)));
        assert!(is_over(first, &newest), "a newer seek ends it");
        assert!(![second, page, cells].into_iter().any(|topic| is_over(topic, &newest)));
        let next = ask(names(2));
        assert!(is_over(page, &newest) && !is_over(next, &newest) && !is_over(second, &newest));
    }

    #[test]
    fn a_reading_rests_while_an_answer_is_looked_for_and_not_longer_than_that() {
        let urgent = Arc::new(Urgent::default());
        let begin = Instant::now();
        let (first, second) = (Wanted::new(&urgent), Wanted::new(&urgent));
        let (began, over) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                urgent.rest();
                began.send(()).expect("heard");
            });
            drop(first);
            // One is looked for still. It may take longer than a reading rests, where the machine is busy.
            assert!(over.recv_timeout(REST / 2).is_err() || begin.elapsed() >= REST);
            drop(second);
            over.recv_timeout(Duration::from_secs(600)).expect("it goes on");
        });
        let held = Wanted::new(&urgent);
        urgent.rest();
        drop(held);
        assert_eq!(*urgent.count.lock().expect("a count"), 0);
    }

    #[test]
    fn what_the_screen_waits_for_is_counted_until_it_is_answered_or_dropped() {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        let trace = Arc::new(Trace::open(dir.path().to_owned(), false).expect("a recording"));
        let (newest, urgent) = (Newest::default(), Arc::new(Urgent::default()));
        let key = MomentKey { uid: ContainerUid(1), at: Center::Time(BootNanos(1)), generation: 0 };
        let ask = |request| Question::new(&newest, &urgent, &trace, request);
        let (moment, alerts) = (ask(Request::Moment(key)), ask(Request::Alerts(0)));
        let count = || *urgent.count.lock().expect("a count");
        assert_eq!(count(), 1, "alerts are on no screen's way");
        drop(alerts);
        assert_eq!(count(), 1);
        drop(moment);
        assert_eq!(count(), 0);
        let (tell, replies) = mpsc::channel();
        let worker = Worker::start(move |reply| tell.send(reply).expect("heard")).expect("threads");
        worker.ask(&trace, Request::Moment(key));
        assert!(matches!(replies.recv_timeout(Duration::from_secs(600)), Ok(Reply::Moment(..))));
        // The answer is told before its question is dropped.
        let begin = Instant::now();
        while *worker.urgent.count.lock().expect("a count") > 0 {
            assert!(begin.elapsed() < Duration::from_secs(600));
            thread::yield_now();
        }
    }

    #[test]
    fn a_question_without_an_answer_is_told_with_why() {
        let dir = tempfile::tempdir().expect("a directory");
        fixture::write_store(dir.path(), &fixture::staged());
        let trace = Arc::new(Trace::open(dir.path().to_owned(), false).expect("a recording"));
        let (tell, replies) = mpsc::channel();
        let worker = Worker::start(move |reply| tell.send(reply).expect("heard")).expect("threads");
        let key = HitsKey { uid: ContainerUid(1), text: "proc.name =".into(), setup: false, generation: 0 };
        worker.ask(&trace, Request::Hits(key.clone(), Library::default()));
        let next = || replies.recv_timeout(Duration::from_secs(600)).expect("a reply");
        assert!(matches!(next(), Reply::Failed(_)));
        let Reply::Unanswered(asked) = next() else { panic!("nothing says what has no answer") };
        assert!(matches!(*asked, Request::Hits(asked, _) if asked == key));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_long_reading_lets_others_go_first_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(None).expect("a priority");
        let own = nice();
        let reader = apart(Lane::Hits, || Ok(nice()));
        assert_eq!(reader.expect("read"), (own + NICE).min(19));
        assert_eq!(nice(), own);
    }
}
