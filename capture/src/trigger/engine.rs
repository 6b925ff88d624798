//! The one thread that knows all containers and pins, and through which every trigger goes.
//!
//! Rules: what is in waiting is taken together, worked off, made safe with one sync, and only then answered. The
//! recording thread only ever sends, and never waits. An alert may come before its container is known here, because
//! senders see events at once and the recorder orders them first: what matches nothing is tried again for a while.

mod work;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant as Timer},
};

use afterimage_format::ContainerUid;
use tokio::sync::oneshot;

use super::{
    Body, Source, Trigger,
    action::Actions,
    directory::{Began, Directory, Gap, Known},
    journal::Journal,
    meters::Meters,
    neighbours::Ends,
    outcome::{Outcome, State},
    pins::{Pin, PinKeeper},
};
use crate::config::TriggerConfig;

/// Most containers that one trigger pins.
pub const MAX_MATCHES: usize = 64;
/// When a trigger that matches nothing is tried again, after it came.
const TRIES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(10)];
/// Outcomes that can be asked for.
const REMEMBERED: usize = 10_000;
/// Of an earlier recorder.
const READ_BACK: usize = 1000;
/// Alerts remembered to know them again.
const MAX_SEEN: usize = 65_536;
/// Messages taken together.
const BATCH: usize = 1024;
/// Updates in waiting, beyond which the recorder is told to come again.
const MAX_UPDATES: usize = 65_536;

/// Something the recorder learnt.
#[derive(Debug)]
pub enum Update {
    /// Of a container.
    Container(Box<Known>),
    /// Of a container of the store's past.
    Past(Box<Known>),
    /// Of containers of which retention has removed everything.
    Gone(Vec<ContainerUid>),
    /// Of a gap.
    Gap(Gap),
    /// Of processes that began.
    Processes(Vec<Began>),
    /// Of connections.
    Talks(Vec<(ContainerUid, Ends)>),
    /// A pin has its size, since then.
    Full(String, i64),
}

/// What the engine has the recording thread do.
pub trait Steer: Send {
    /// Records every call of a container, or as before.
    fn boost(&self, uid: ContainerUid, on: bool);

    /// Has the store hold what is pinned; it answers with the pin's id, and why not where it does not.
    fn hold(&self, pin: &Pin, reply: mpsc::Sender<Held>);

    /// Lets go of a pin.
    fn let_go(&self, id: &str);
}

/// What the store says to a pin: its id, and why it does not hold it.
pub type Held = (String, Result<(), String>);

/// Nobody records, and nothing is ever removed.
impl Steer for () {
    fn boost(&self, _: ContainerUid, _: bool) {}

    fn hold(&self, pin: &Pin, reply: mpsc::Sender<Held>) {
        let _ = reply.send((pin.id.clone(), Ok(())));
    }

    fn let_go(&self, _: &str) {}
}

/// A question to the engine's state.
type Query = Box<dyn FnOnce(&mut Engine) + Send>;

enum Message {
    Update(Update),
    Triggers { triggers: Vec<Trigger>, body: Body, reply: Option<oneshot::Sender<Vec<Outcome>>> },
    Query(Query),
    Configure(Box<TriggerConfig>),
    Stop,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many triggers in waiting")]
pub struct Full;

/// The engine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trigger engine has ended")]
pub struct Ended;

/// The way to the engine, for any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    sender: mpsc::Sender<Message>,
    waiting: Arc<Waiting>,
    meters: Arc<Meters>,
}

#[derive(Debug, Default)]
struct Waiting {
    triggers: AtomicUsize,
    most: AtomicUsize,
    updates: AtomicUsize,
}

impl Handle {
    /// Hands triggers over; what becomes of them is told to `reply`.
    ///
    /// # Errors
    /// [`Full`]: nothing of it is taken.
    pub fn submit(
        &self,
        triggers: Vec<Trigger>,
        body: Body,
        reply: Option<oneshot::Sender<Vec<Outcome>>>,
    ) -> Result<(), Full> {
        let count = triggers.len();
        let most = self.waiting.most.load(Ordering::Relaxed);
        let before = self.waiting.triggers.fetch_add(count, Ordering::Relaxed);
        // A single body may be larger than the queue: it is taken when nothing is in waiting.
        let sent = (before == 0 || before + count <= most)
            && self.sender.send(Message::Triggers { triggers, body, reply }).is_ok();
        if !sent {
            self.waiting.triggers.fetch_sub(count, Ordering::Relaxed);
            return Err(Full);
        }
        Ok(())
    }

    /// Tells of something learnt; `false` when too much is in waiting: then it must be told again.
    pub fn update(&self, update: Update) -> bool {
        if self.waiting.updates.load(Ordering::Relaxed) >= MAX_UPDATES {
            return false;
        }
        self.waiting.updates.fetch_add(1, Ordering::Relaxed);
        self.sender.send(Message::Update(update)).is_ok()
    }

    /// Asks something of the engine's state.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |engine: &mut Engine| {
            // Who asked may have gone.
            let _ = reply.send(question(engine));
        });
        self.sender.send(Message::Query(query)).map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }

    /// Sets what triggers do.
    pub fn configure(&self, config: TriggerConfig) {
        self.waiting.most.store(config.queue, Ordering::Relaxed);
        // An engine that has ended needs no configuration.
        let _ = self.sender.send(Message::Configure(Box::new(config)));
    }

    /// Ends the engine when everything in waiting is done.
    pub fn stop(&self) {
        let _ = self.sender.send(Message::Stop);
    }

    /// Meters of the pins that end at a size.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Triggers in waiting.
    pub fn waiting(&self) -> usize {
        self.waiting.triggers.load(Ordering::Relaxed)
    }
}

/// A trigger that matched nothing yet.
#[derive(Debug)]
struct Retry {
    due: Timer,
    try_number: usize,
    trigger: Trigger,
    outcome: Outcome,
}

/// What must be answered after the next sync.
struct Answer {
    outcomes: Vec<Outcome>,
    reply: oneshot::Sender<Vec<Outcome>>,
}

/// What triggers did so far.
pub type Counts = BTreeMap<(Source, State), u64>;

/// The state behind a [`Handle`].
pub struct Engine {
    /// All containers.
    pub directory: Directory,
    /// All pins.
    pub pins: Box<dyn PinKeeper>,
    /// What came of triggers, the latest last.
    pub outcomes: VecDeque<Outcome>,
    /// How many of each kind.
    pub counts: Counts,
    /// How long the latest triggers took from their arrival until they were safe. Nanoseconds.
    pub latencies: VecDeque<u64>,
    /// Pins that were made and could not be made safe from a power cut.
    pub unsafe_pins: u64,
    journal: Journal,
    config: TriggerConfig,
    actions: Actions,
    /// Alerts by their key: when they came, and as which trigger.
    seen: HashMap<String, (i64, String)>,
    seen_order: VecDeque<(i64, String)>,
    /// The pin that a rule made last on a container, and when.
    cooling: HashMap<(u64, Source, String), (i64, String)>,
    retries: Vec<Retry>,
    /// When those came that were pinned by a later try, and are not safe yet.
    late: Vec<i64>,
    /// Containers of which every call is recorded, and until when.
    boosted: HashMap<ContainerUid, Option<Timer>>,
    steer: Box<dyn Steer>,
    /// Answers of the store to pins, and how many are to come.
    held: (mpsc::Sender<Held>, mpsc::Receiver<Held>),
    asked: usize,
    waiting: Arc<Waiting>,
    meters: Arc<Meters>,
}

impl Engine {
    /// Starts the engine on a thread of its own.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        config: TriggerConfig,
        pins: Box<dyn PinKeeper>,
        journal: Journal,
        steer: Box<dyn Steer>,
    ) -> std::io::Result<(Handle, std::thread::JoinHandle<()>)> {
        let (sender, receiver) = mpsc::channel();
        let (waiting, meters) = (Arc::new(Waiting::default()), Arc::new(Meters::default()));
        waiting.most.store(config.queue, Ordering::Relaxed);
        let engine = Self {
            directory: Directory::default(),
            pins,
            outcomes: journal.latest(READ_BACK).into(),
            counts: Counts::new(),
            latencies: VecDeque::new(),
            unsafe_pins: 0,
            journal,
            actions: Actions::new(&config),
            config,
            seen: HashMap::new(),
            seen_order: VecDeque::new(),
            cooling: HashMap::new(),
            retries: Vec::new(),
            late: Vec::new(),
            boosted: HashMap::new(),
            steer,
            held: mpsc::channel(),
            asked: 0,
            waiting: Arc::clone(&waiting),
            meters: Arc::clone(&meters),
        };
        let thread = std::thread::Builder::new().name("triggers".to_owned()).spawn(move || {
            crate::privilege::settle_urgent();
            engine.run(&receiver);
        })?;
        Ok((Handle { sender, waiting, meters }, thread))
    }

    fn run(mut self, receiver: &mpsc::Receiver<Message>) {
        loop {
            let mut messages = Vec::new();
            let boosted = self.boosted.values().flatten().copied();
            match self.retries.iter().map(|retry| retry.due).chain(boosted).min() {
                None => match receiver.recv() {
                    Ok(message) => messages.push(message),
                    Err(_) => return,
                },
                Some(due) => match receiver.recv_timeout(due.saturating_duration_since(Timer::now())) {
                    Ok(message) => messages.push(message),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                },
            }
            messages.extend(receiver.try_iter().take(BATCH - 1));
            if self.batch(messages) {
                return;
            }
        }
    }

    /// Works off what came; `true` when it is to stop.
    fn batch(&mut self, messages: Vec<Message>) -> bool {
        let mut answers = Vec::new();
        let mut queries = Vec::new();
        let mut stop = false;
        for message in messages {
            match message {
                Message::Update(update) => {
                    self.waiting.updates.fetch_sub(1, Ordering::Relaxed);
                    self.learn(update);
                }
                Message::Triggers { triggers, body, reply } => {
                    self.waiting.triggers.fetch_sub(triggers.len(), Ordering::Relaxed);
                    let outcomes = self.take(triggers, &body);
                    if let Some(reply) = reply {
                        answers.push(Answer { outcomes, reply });
                    }
                }
                Message::Query(query) => queries.push(query),
                Message::Configure(config) => {
                    self.actions = Actions::new(&config);
                    self.config = *config;
                }
                Message::Stop => stop = true,
            }
        }
        self.retry();
        self.end_boosts(Timer::now());
        self.make_safe(&mut answers);
        for Answer { outcomes, reply } in answers {
            let _ = reply.send(outcomes);
        }
        for query in queries {
            query(self);
        }
        stop
    }

    fn learn(&mut self, update: Update) {
        match update {
            Update::Container(known) => {
                if known.removed.is_some() {
                    self.end_pins(&known);
                    self.meters.stop(known.uid);
                    self.boosted.remove(&known.uid);
                }
                self.directory.learn(*known);
            }
            Update::Past(known) => self.directory.learn_past(*known),
            Update::Gone(uids) => uids.into_iter().for_each(|uid| self.directory.learn_gone(uid)),
            Update::Gap(gap) => self.directory.learn_gap(gap),
            Update::Processes(began) => {
                began.into_iter().for_each(|began| self.directory.learn_process(began))
            }
            Update::Talks(talks) => {
                talks.into_iter().for_each(|(uid, ends)| self.directory.neighbours.learn(uid, ends))
            }
            Update::Full(pin, at) => self.full(&pin, at),
        }
    }
}

#[cfg(test)]
mod tests;
