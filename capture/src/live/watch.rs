//! The watching thread: keeps the state, evaluates rules, serves those who look on.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use afterimage_detect::{EventContext, Filter, Frame, RuleSet, Tracker};
use afterimage_format::{BootNanos, ClockMap, ContainerRecord, ContainerUid, Event};
use afterimage_model::changes_state;
use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::{
    mpsc::{Sender, error::TrySendError},
    oneshot,
};
use tracing::{info, warn};

use super::{
    batch::{Batch, Item},
    feed::{Feed, Queue},
    rules::{Rules, shed_json},
    show,
};
use crate::{
    config::RulesConfig,
    helpers::control::back::Desk,
    host,
    metrics::RuleFigures,
    trigger::{Body, engine::Handle as Engine},
};

/// How long a deleted container's state is kept for late events. Nanoseconds.
const LATE: u64 = 2_000_000_000;
/// How often clocks are compared, and costs looked at, when nothing happens.
const IDLE: Duration = Duration::from_secs(1);
/// Most who look on at a time.
pub const MAX_SUBSCRIBERS: usize = 16;

/// What the thread is told.
pub enum Message {
    /// Events.
    Batch(Batch),
    /// Somebody looks on.
    Subscribe(Subscriber, oneshot::Sender<bool>),
    /// Other rules from now on.
    Rules(Box<Prepared>),
    /// End.
    Stop,
}

/// Rules that were read and are not in force yet.
pub struct Prepared {
    rules: Option<Rules>,
    /// Whether hits go anywhere.
    told: bool,
}

/// Somebody who looks on.
pub struct Subscriber {
    filter: Option<Filter>,
    containers: Vec<ContainerUid>,
    lines: Sender<Bytes>,
    dropped: u64,
}

impl Subscriber {
    /// Gets what `filter` passes of these containers, or of all.
    pub fn new(filter: Option<Filter>, containers: Vec<ContainerUid>, lines: Sender<Bytes>) -> Self {
        Self { filter, containers, lines, dropped: 0 }
    }

    fn wants(&self, cx: &EventContext<'_>) -> bool {
        (self.containers.is_empty() || self.containers.contains(&cx.container()))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(cx))
    }

    /// Sends a line; `false` when nobody looks on any more.
    fn send(&mut self, line: &Bytes) -> bool {
        if self.dropped > 0 {
            let told = format!("{}\n", json!({ "kind": "dropped", "count": self.dropped }));
            match self.lines.try_send(Bytes::from(told)) {
                Ok(()) => self.dropped = 0,
                Err(TrySendError::Full(_)) => {
                    self.dropped += 1;
                    return true;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        match self.lines.try_send(line.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.dropped += 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

/// Rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A file of them.
    #[error(transparent)]
    Load(#[from] afterimage_detect::rules::LoadError),
    /// No thread.
    #[error("no thread for rules: {0}")]
    Thread(std::io::Error),
}

/// The way to the watching thread.
#[derive(Clone)]
pub struct Handle {
    sender: mpsc::Sender<Message>,
    queue: Arc<Queue>,
    figures: Arc<Mutex<RuleFigures>>,
    undelivered: Arc<AtomicU64>,
}

impl Handle {
    /// Reads the rules; those that are in force stay.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn prepare(&self, config: &RulesConfig) -> Result<Prepared, RulesError> {
        let rules = load(config)?;
        Ok(Prepared { rules, told: !config.outputs.is_empty() })
    }

    /// Puts rules in force. No event is left out: what comes before is judged by the rules before, what comes after by
    /// these.
    pub fn install(&self, prepared: Prepared) {
        // A thread that has ended needs no rules.
        let _ = self.sender.send(Message::Rules(Box::new(prepared)));
    }

    /// Lets somebody look on, and answers whether there was a place.
    pub fn subscribe(&self, subscriber: Subscriber, seated: oneshot::Sender<bool>) {
        // Without the thread nobody answers, which says enough.
        let _ = self.sender.send(Message::Subscribe(subscriber, seated));
    }

    /// Ends the thread when everything in waiting is done.
    pub fn stop(&self) {
        let _ = self.sender.send(Message::Stop);
    }

    /// What the rules did.
    pub fn figures(&self) -> RuleFigures {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        figures.skipped = self.queue.skipped.load(Ordering::Relaxed);
        figures.undelivered = self.undelivered.load(Ordering::Relaxed);
        figures
    }
}

fn load(config: &RulesConfig) -> Result<Option<Rules>, RulesError> {
    if config.files.is_empty() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for path in &config.files {
        files.extend(rule_files(path));
    }
    let set = RuleSet::load(&files)?;
    for warning in set.warnings() {
        warn!("{warning}");
    }
    for warning in set.needs_recording() {
        warn!("{warning}");
    }
    let rules = Rules::new(set, config.budget);
    info!("{} rules in force", rules.active());
    Ok(Some(rules))
}

/// A file, or the YAML files of a directory by name.
fn rule_files(path: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let is_yaml =
        |path: &std::path::PathBuf| path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    files
}

/// The watching thread's state.
struct Watch {
    queue: Arc<Queue>,
    engine: Engine,
    tracker: Tracker,
    records: HashMap<ContainerUid, ContainerRecord>,
    ended: VecDeque<(BootNanos, ContainerUid)>,
    frame: Frame,
    rules: Option<Rules>,
    desk: Desk,
    told: bool,
    subscribers: Vec<Subscriber>,
    number: u64,
    figures: Arc<Mutex<RuleFigures>>,
}

/// Whether rules can be used as configured.
///
/// # Errors
/// [`RulesError`].
pub fn check(config: &RulesConfig) -> Result<(), RulesError> {
    let files: Vec<_> = config.files.iter().flat_map(|path| rule_files(path)).collect();
    if !files.is_empty() {
        RuleSet::load(&files)?;
    }
    Ok(())
}

/// Starts the watching thread, and gives the recording thread's end.
///
/// # Errors
/// [`RulesError`].
pub fn start(
    config: &RulesConfig,
    engine: Engine,
    (desk, undelivered): (Desk, Arc<AtomicU64>),
) -> Result<(Handle, Feed, std::thread::JoinHandle<()>), RulesError> {
    let (sender, messages) = mpsc::channel();
    let (queue, figures) = (Arc::new(Queue::default()), Arc::new(Mutex::new(RuleFigures::default())));
    let watch = Watch {
        queue: Arc::clone(&queue),
        engine,
        tracker: Tracker::new(),
        records: HashMap::from([(ContainerUid::HOST, ContainerRecord::host(host::boot_now()))]),
        ended: VecDeque::new(),
        frame: Frame { hostname: host::origin(&[]).hostname, ..Frame::default() },
        rules: load(config)?,
        desk,
        told: !config.outputs.is_empty(),
        subscribers: Vec::new(),
        number: 0,
        figures: Arc::clone(&figures),
    };
    watch.want();
    let thread = std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            crate::privilege::settle();
            watch.run(&messages);
        })
        .map_err(RulesError::Thread)?;
    let feed = Feed::new(Arc::clone(&queue), sender.clone(), config.queue);
    Ok((Handle { sender, queue, figures, undelivered }, feed, thread))
}

impl Watch {
    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        loop {
            match messages.recv_timeout(IDLE) {
                Ok(Message::Batch(batch)) => {
                    self.batch(&batch);
                    self.queue.waiting.fetch_sub(batch.size(), Ordering::Relaxed);
                }
                Ok(Message::Subscribe(subscriber, seated)) => {
                    self.look();
                    let place = self.subscribers.len() < MAX_SUBSCRIBERS;
                    if place {
                        self.subscribers.push(subscriber);
                        self.want();
                    }
                    let _ = seated.send(place);
                }
                Ok(Message::Rules(prepared)) => {
                    (self.rules, self.told) = (prepared.rules, prepared.told);
                    self.want();
                }
                Ok(Message::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.look();
        }
    }

    /// Hands a hit to the outputs, where there are any.
    fn tell(&self, line: &str) {
        if self.told {
            self.desk.deliver(line);
        }
    }

    /// Says what is looked at.
    fn want(&self) {
        let rules = self.rules.as_ref().filter(|rules| rules.active() > 0);
        self.queue.wanted.set(
            |code| rules.is_some_and(|rules| rules.admits(code) || changes_state(code)),
            !self.subscribers.is_empty(),
        );
    }

    fn batch(&mut self, batch: &Batch) {
        self.frame.clock = ClockMap::new(vec![host::clock_pair()]);
        batch.for_each(|item| match item {
            Item::Container(record) => self.container(record),
            Item::Event(uid, event) => self.event(uid, event),
        });
    }

    fn container(&mut self, record: &ContainerRecord) {
        if let Some(removed) = record.removed {
            self.ended.push_back((removed, record.uid));
        }
        self.records.insert(record.uid, record.clone());
    }

    fn event(&mut self, uid: ContainerUid, event: &Event<'_>) {
        self.number += 1;
        while let Some((removed, ended)) = self.ended.front().copied()
            && removed.0 + LATE < event.time.0
        {
            self.ended.pop_front();
            self.records.remove(&ended);
            self.tracker.forget(ended);
        }
        self.tracker.apply(uid, event);
        let Self { rules, tracker, records, frame, number, subscribers, desk, told, engine, .. } = self;
        let record = records.get(&uid);
        let cx = EventContext::new(event, (uid, record), tracker, frame, *number);
        if !subscribers.is_empty() {
            let mut line = None;
            subscribers.retain_mut(|subscriber| {
                if subscriber.lines.is_closed() {
                    return false;
                }
                !subscriber.wants(&cx) || {
                    let line = line.get_or_insert_with(|| {
                        let wall = frame.clock.real(event.time);
                        Bytes::from(format!("{}\n", show::event(uid, record, event, tracker, wall)))
                    });
                    subscriber.send(line)
                }
            });
        }
        let Some(rules) = rules.as_mut().filter(|rules| rules.admits(event.code)) else { return };
        for hit in rules.evaluate(&cx) {
            let json = hit.to_falco_json();
            if *told {
                desk.deliver(&json);
            }
            if let Some(trigger) = rules.trigger(&hit, event.task.tgid)
                && engine.submit(vec![trigger], Body::new(json.into_bytes(), "rules"), None).is_err()
            {
                warn!("too many triggers in waiting: a hit of `{}` pins nothing", hit.name);
            }
        }
    }

    /// Looks at costs, and at who has gone.
    fn look(&mut self) {
        let before = self.subscribers.len();
        self.subscribers.retain(|subscriber| !subscriber.lines.is_closed());
        let mut changed = before != self.subscribers.len();
        if let Some(shed) = self.rules.as_mut().and_then(Rules::look) {
            let hostname = afterimage_model::text::escape(&self.frame.hostname).into_string();
            self.tell(&shed_json(&shed, &hostname, host::clock_pair().real));
            changed = true;
        }
        if changed {
            self.want();
        }
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.events = self.number;
        figures.cpu = super::rules::cpu_time().as_secs_f64();
        if let Some(rules) = &self.rules {
            (figures.active, figures.shed, figures.hits) = (rules.active(), rules.shed.len(), rules.hits);
        }
    }
}
