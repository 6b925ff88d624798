//! The recorder: attaches, scans, then drains until told to stop.

mod books;
mod peak;
pub mod rest;
mod tables;

use std::{
    collections::{BTreeSet, HashSet},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use afterimage_capture_abi::{
    config::{Config, policy},
    record::{CpuCounters, kind},
    spec::profile,
};
use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, EventCode, Loss, LossCause, OpenError, PinError, Recording,
    Space, StoreOptions, StoreWriter, WriteError,
};
use rest::{Bell, Rest};
use tracing::{debug, warn};

use crate::{
    artifacts::Artifacts,
    btf::Btf,
    control::link::Link,
    drain::{Pending, Taken, WINDOW},
    helpers::watch::Helpers,
    host,
    losses::LossBook,
    metadata::Metadata,
    programs::{LoadError, LoadOptions, Programs},
    pulse::Pulse,
    redact::{RedactError, Redaction, Redactor},
    sink::{HostPolicy, Sink, SinkCounts, census::Census, resume::Stored},
    snapshot::{self, Snapshot},
    specs,
    takeover::{self, Before, Earlier, Ground, Hold},
    translate::{Translator, head},
    trigger::pins::Pin,
    witness::Witness,
};

/// How often the kernel's books of losses are read.
const BOOKS: Duration = Duration::from_millis(100);
/// How often both clocks are written down.
const CLOCKS: Duration = Duration::from_secs(10);
/// How long the end of a recording waits for what is still to be learnt.
const ANSWERS: Duration = Duration::from_secs(2);
/// What came out of the rings is made safe so often: each time costs the same, however little it is. Until then it is
/// still in the rings.
pub const COMMIT: Duration = rest::MOST;
/// And when so much of the data ring waits for it: one part in so many.
const COMMIT_PART: u64 = 16;
/// And when so much of a CPU's slots is taken: before they are half full, which ends a rest.
const COMMIT_SLOTS: f64 = 0.25;

/// Scheduling priority of the recorder.
pub(crate) const NICE: i32 = -10;

/// Which calls are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Programs, opened files, connections, privileges.
    Minimal,
    /// Everything that changes or reveals state.
    Forensic,
    /// Every call.
    Full,
}

/// What is recorded of the host itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HostMode {
    /// Nothing.
    None,
    /// Programs executed, processes made and ended.
    Lifecycle,
    /// The same as of containers.
    Full,
}

impl Profile {
    /// What the programs are told.
    pub fn policy(self) -> u32 {
        let profiles = match self {
            Self::Minimal => profile::MINIMAL,
            Self::Forensic => profile::FORENSIC,
            Self::Full => profile::FULL,
        };
        u32::from(profiles) | policy::LIFECYCLE
    }

    /// What they are told of a container that has this profile for itself: whoever asked for all of it wants its streams
    /// to the end.
    pub fn own_policy(self) -> u32 {
        let streams = if self == Self::Full { policy::WHOLE_STREAMS } else { 0 };
        self.policy() | streams
    }
}

impl HostMode {
    /// What the programs are told of the host's cgroups.
    pub fn policy(self, profile: Profile) -> HostPolicy {
        match self {
            Self::None => HostPolicy { bits: 0, calls: false, lifecycle: false },
            Self::Lifecycle => HostPolicy { bits: policy::LIFECYCLE, calls: false, lifecycle: true },
            Self::Full => HostPolicy { bits: profile.policy(), calls: true, lifecycle: true },
        }
    }
}

/// How to record.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to.
    pub store: PathBuf,
    /// Which calls.
    pub profile: Profile,
    /// What of the host.
    pub host: HostMode,
    /// Bytes of the data ring.
    pub data_ring: u32,
    /// Bytes of the control ring.
    pub control_ring: u32,
    /// Most payload bytes of a call on a regular file.
    pub payload_file: u32,
    /// Most payload bytes of a call on a socket, pipe or terminal.
    pub payload_stream: u32,
    /// Bytes of a socket or a pipe in a minute after which a call on it keeps as much as one on a regular file; 0 for
    /// never.
    pub payload_budget: u32,
    /// Record the numbers of calls only.
    pub numbers_only: bool,
    /// The BPF file system in which programs and rings outlive a recorder that is killed.
    pub pin: Option<PathBuf>,
    /// Secrets to mask; none are without it.
    pub redact: Option<Redaction>,
    /// How the store is written.
    pub store_options: StoreOptions,
}

/// Recording could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The programs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What is to be masked.
    #[error("secrets cannot be masked: {0}")]
    Redact(#[from] RedactError),
    /// The store, at the start.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store, at the end.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The pause between two looks at the rings.
    #[error("nothing can be waited for: {0}")]
    Rest(#[source] io::Error),
}

/// Figures for the status line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Status {
    /// What the kernel counted.
    pub kernel: CpuCounters,
    /// What the recorder did.
    pub sink: SinkCounts,
    /// Records that could not be understood.
    pub malformed: u64,
    /// Processes that were there before and are not recorded, because the control ring was full.
    pub unseen: u64,
    /// Calls that had not returned when they were looked at and are not recorded, because the control ring was full.
    pub calls_unseen: u64,
    /// How often somebody else had changed what steers the programs, or their rings.
    pub maps_changed: u64,
    /// Requests for metadata, and claims, that there was no room for.
    pub unread: u64,
    /// Containers that are not deleted.
    pub containers: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// The store refuses events.
    pub refusing: bool,
    /// The store's room.
    pub store: StoreFigures,
    /// The most of the data ring that was taken at once in the last ten seconds or more, from 0 to 1.
    pub ring_fill: f64,
}

/// How much room the store has, and what it did to keep within it.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreFigures {
    /// Bytes that it takes.
    pub used: u64,
    /// Bytes that it may take; 0 for no limit.
    pub budget: u64,
    /// Bytes that pins hold.
    pub pinned: u64,
    /// Bytes free on the file system, when they are known.
    pub free: Option<u64>,
    /// How short the disk is of space.
    pub space: Space,
    /// Events removed to stay within the budget.
    pub evicted_events: u64,
    /// Bytes copied to keep them when their neighbours went.
    pub moved_bytes: u64,
    /// Pins ended early.
    pub pins_closed: u64,
    /// How far back its oldest event lies; `None` where it has none. Nanoseconds.
    pub reach: Option<u64>,
    /// How far back nothing was removed of any container. Nanoseconds.
    pub whole: Option<u64>,
}

impl Status {
    /// Events lost for any cause, throttled ones included.
    pub fn lost(&self) -> u64 {
        let kernel = self.kernel.lost_data + self.kernel.lost_control + self.kernel.throttled;
        kernel + self.malformed + self.unseen + self.calls_unseen + self.sink.refused
    }
}

/// Those who look at files, and which processes are the recorder's own.
pub struct Looking {
    /// What is known of containers beyond their cgroups.
    pub metadata: Metadata,
    /// Executed images that are no part of a container's.
    pub artifacts: Artifacts,
    /// The recorder's other processes.
    pub helpers: Arc<Helpers>,
}

/// A running recorder.
pub struct Recorder {
    programs: Programs,
    pending: Pending,
    translator: Translator,
    snapshot: Snapshot,
    sink: Sink,
    book: LossBook,
    /// What is pinned of the programs.
    hold: Hold,
    /// What is pinned is such that nobody takes it over.
    forgone: bool,
    /// The log says already that the kernel's counts cannot be read.
    complained: bool,
    /// And that some of its books cannot be closed.
    unclosed: bool,
    malformed: u64,
    /// Processes that were there before and did not fit the control ring.
    unseen: u64,
    /// Calls that had not returned and did not fit it.
    calls_unseen: u64,
    degraded: Vec<String>,
    full_host: bool,
    profile: Profile,
    host: HostMode,
    /// Bytes that the store may take.
    budget: u64,
    /// Who steers it between two passes.
    link: Option<Link>,
    asked: Asked,
    pulse: Pulse,
    tables: tables::Tables,
    begun: BootNanos,
    /// What the kernel had counted as lost at the last reading, and how many readings found the same.
    lost: u64,
    readings: u32,
    swept: Option<Instant>,
    /// When what came out of the rings was made safe, how much of it is not, and how much may be.
    committed: Instant,
    uncommitted: u64,
    commit_bytes: u64,
    /// How full the data ring was.
    fill: peak::Peak,
    rest: Rest,
}

/// Of whom the calls that have not returned are wanted.
#[derive(Debug, Default)]
struct Asked {
    containers: BTreeSet<ContainerUid>,
    all: bool,
    /// Every record of the last look is older.
    until: BootNanos,
}

impl Asked {
    fn wants(&self, uid: ContainerUid) -> bool {
        uid != ContainerUid::HOST && (self.all || self.containers.contains(&uid))
    }
}

impl Recorder {
    /// Attaches everything, and has the kernel tell what was there before: [`Self::begin`] takes that in.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn start(options: &Options, helpers: Looking) -> Result<Self, RecordError> {
        // A recorder that waits for a CPU loses events to a flood; it is best effort, since not everybody may ask.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            debug!("priority not raised: {error}");
        }
        let btf = Btf::of_kernel().map_err(LoadError::from)?;
        let (cgroups, degraded) = host::cgroups(&btf);
        let load = load_options(options, &btf, &cgroups);
        let redactor = options.redact.as_ref().map(Redactor::new).transpose()?;
        let Ground { mut programs, store, before, mut hold, degraded } =
            takeover::begin(options, &btf, &load, degraded)?;
        let rings = programs.take_rings()?;
        let rest = Rest::new(&rings.data, &rings.control).map_err(RecordError::Rest)?;
        let mut pending = Pending::new(rings);
        let tables = (programs.take_policy()?, programs.take_marks()?);
        let mut sink = Sink::new(store, helpers, tables, cgroups, options.host.policy(options.profile));
        sink.set_redactor(redactor);
        let now = host::boot_now();
        sink.store.put_clock(host::clock_pair())?;
        sink.store.put_container(&ContainerRecord::host(now))?;
        let mut translator = Translator::default();
        let mut malformed = 0;
        let book = takeover::book(&mut programs, &before, now)?;
        match &before {
            Before::TakenOver(earlier) => {
                malformed = pending.take().malformed;
                resume(options, (&mut pending, &mut translator), &mut sink, earlier);
                malformed += look_at_cgroups((&mut pending, &mut translator), &mut sink, earlier.end);
                sink.reset_policies();
            }
            Before::Until(_) | Before::Nothing => {}
        }
        // Once before attaching, so that the host's cgroups are known to the programs, and once after, so that no
        // cgroup made in between is missed.
        malformed += look_at_cgroups((&mut pending, &mut translator), &mut sink, now);
        programs.attach()?;
        if let Before::Until(end) = before {
            // Not before: what happened while the programs were being attached is missing too.
            let (from, to) = (end, host::boot_now());
            let cause = LossCause::RecorderDown;
            sink.store.put_loss(&Loss { container: None, cause, cpu: None, from, to, count: None })?;
        }
        takeover::pin(&mut programs, &mut hold);
        malformed += look_at_cgroups((&mut pending, &mut translator), &mut sink, host::boot_now());
        let unseen = see(&mut programs, &mut sink)?;
        Ok(Self {
            programs,
            pending,
            translator,
            snapshot: Snapshot::default(),
            sink,
            book,
            complained: false,
            unclosed: false,
            malformed,
            unseen,
            calls_unseen: 0,
            degraded,
            hold,
            forgone: false,
            full_host: options.host == HostMode::Full,
            profile: options.profile,
            host: options.host,
            budget: options.store_options.budget_bytes,
            link: None,
            asked: Asked::default(),
            pulse: Pulse::new(now),
            tables: tables::Tables::new(now),
            begun: now,
            lost: 0,
            readings: 0,
            swept: None,
            committed: Instant::now(),
            uncommitted: 0,
            commit_bytes: u64::from(options.data_ring) / COMMIT_PART,
            fill: peak::Peak::new(Instant::now()),
            rest,
        })
    }

    /// Takes in what was there before. Whoever is to see that must look on by now.
    pub fn begin(&mut self) {
        self.census();
        let now = host::boot_now();
        // All that a killed recorder left in the rings, as far as it is not more than comes.
        const PASSES: usize = 64;
        (0..PASSES).take_while(|_| self.pass(now).more).for_each(drop);
        if self.hold.is_taken_over() {
            self.sink.resumed(now);
        }
    }

    /// Looks at the kernel's record of each process that was there before, before any takes its turn.
    fn census(&mut self) {
        let walk = self.sink.walk();
        let taken = self.pending.take();
        self.malformed += taken.malformed;
        let mut census = Census::default();
        let Self { pending, translator, sink, .. } = self;
        pending.since(0, |record| {
            let Ok(stamp) = head(record) else { return };
            let cgroup = stamp.header.cgroup;
            match stamp.header.kind {
                kind::PROCESS => {
                    // What is malformed is counted when its turn comes.
                    let _ = translator.event(record, |event| {
                        snapshot::with_arguments(event, |event| census.count(sink, cgroup, event));
                    });
                }
                kind::EXEC => {
                    let _ = translator.event(record, |event| sink.look(event));
                }
                kind::CGROUP_MKDIR => {
                    let _ = translator.event(record, |event| sink.foretell(event));
                }
                _ => {}
            }
        });
        census.close(sink, walk, host::boot_now());
    }

    /// Processes found at the start.
    pub fn processes_found(&self) -> u64 {
        self.snapshot.processes
    }

    /// Lets others look on and steer from now on.
    pub fn attach(&mut self, link: Link, mut witness: Box<dyn Witness>) {
        witness.container(&ContainerRecord::host(self.begun));
        self.sink.set_witness(witness);
        self.link = Some(link);
    }

    /// What this kernel or place does not offer, and is missing in the recording.
    pub fn degraded(&self) -> &[String] {
        &self.degraded
    }

    /// Which calls are kept of containers, and what of the host.
    pub fn modes(&self) -> (Profile, HostMode) {
        (self.profile, self.host)
    }

    /// Records the host otherwise from now on.
    pub fn set_host(&mut self, host: HostMode) {
        self.host = host;
        self.sink.set_host_policy(host.policy(self.profile));
    }

    /// Keeps other calls from now on.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
        self.sink.set_container_policy(profile.policy());
        self.sink.set_host_policy(self.host.policy(profile));
    }

    /// Keeps other calls of one container from now on; `false` when there is none.
    pub fn set_own_profile(&mut self, uid: ContainerUid, profile: Option<Profile>) -> bool {
        self.sink.set_own_policy(uid, profile.map(Profile::own_policy), self.profile.policy())
    }

    /// Records what the tasks of these containers wait in at this moment.
    pub fn look_at_calls(&mut self, containers: &[ContainerUid]) {
        self.asked.containers.extend(containers);
        let from = host::boot_now();
        let looked = self.programs.in_calls();
        let to = host::boot_now();
        match looked {
            Ok(0) => {}
            Ok(count) => {
                self.calls_unseen += count;
                left_out(&mut self.sink, count, "calls that have not returned", (from, to));
            }
            Err(error) => debug!("calls that have not returned are not recorded: {error}"),
        }
        self.asked.until = to;
    }

    /// Has the store hold what is pinned.
    ///
    /// # Errors
    /// [`PinError`]: it is not held, or as it was before.
    pub fn hold(&mut self, pin: &Pin) -> Result<(), PinError> {
        let store = &mut self.sink.store;
        let at = |store: &StoreWriter, real: i64| store.store_time_at(real);
        let own = afterimage_format::Pin {
            id: pin.id.clone(),
            containers: vec![ContainerUid(pin.uid)],
            begin: Some(at(store, pin.from.0)),
            end: pin.to.map(|to| at(store, to.0)),
            reason: cut(&format!("{} {}: {}", pin.source, pin.rule, pin.reason)),
            until: None,
        };
        store.pin(own)
    }

    /// Lets go of a pin.
    ///
    /// # Errors
    /// [`WriteError`]: it is still held.
    pub fn let_go(&mut self, id: &str) -> Result<(), WriteError> {
        self.sink.store.unpin(id).map(drop)
    }

    /// Holds exactly what is pinned, whatever a crash cut off.
    pub fn hold_all<'a>(&mut self, pins: impl Iterator<Item = &'a Pin>) {
        let known: HashSet<String> = self.sink.store.pins().iter().map(|pin| pin.id.clone()).collect();
        let mut wanted = HashSet::new();
        for pin in pins {
            wanted.insert(pin.id.clone());
            if !known.contains(&pin.id)
                && let Err(error) = self.hold(pin)
            {
                warn!("pin {} is not held: {error}", pin.id);
            }
        }
        // Only those that triggers made: others are somebody else's.
        for id in known.iter().filter(|id| id.starts_with("p-") && !wanted.contains(*id)) {
            if let Err(error) = self.let_go(id) {
                warn!("pin {id} is still held: {error}");
            }
        }
    }

    /// Drains until `stop`, calling `report` every `interval`.
    pub fn run(&mut self, stop: &AtomicBool, interval: Duration, mut report: impl FnMut(&Status)) {
        let mut reported = Instant::now();
        let mut books = Instant::now();
        let mut clocks = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let now = host::boot_now();
            let horizon = BootNanos(now.0.saturating_sub(WINDOW));
            let taken = self.pass(horizon);
            if books.elapsed() >= BOOKS {
                books = Instant::now();
                self.look_after_programs(now);
                self.look_after_tables(false);
                let gone = self.sink.forget(now);
                self.book.ended(&gone);
                self.sweep();
            }
            if clocks.elapsed() >= CLOCKS {
                clocks = Instant::now();
                if let Err(error) = self.sink.store.put_clock(host::clock_pair()) {
                    debug!("clock reading not stored: {error}");
                }
            }
            if self.committed.elapsed() >= COMMIT
                || self.uncommitted >= self.commit_bytes
                || self.pending.fill_of_slots() >= COMMIT_SLOTS
            {
                self.commit(horizon);
            }
            if let Some(mut link) = self.link.take() {
                link.tend(self);
                self.link = Some(link);
            }
            if reported.elapsed() >= interval {
                reported = Instant::now();
                report(&self.status());
            }
            if !taken.more {
                self.rest.take();
            }
        }
    }

    /// Makes what came out of the rings safe, and gives its room there back.
    fn commit(&mut self, horizon: BootNanos) {
        self.sink.commit(horizon);
        self.pending.give_back();
        (self.committed, self.uncommitted) = (Instant::now(), 0);
        self.note_losses();
        self.mind_refusals();
    }

    /// What the store refuses is told when it takes something again. A recorder that is killed before cannot, so that
    /// meanwhile nobody can take over from it, and the next one tells a gap.
    fn mind_refusals(&mut self) {
        let Some(place) = self.hold.place() else { return };
        let refusing = self.sink.is_refusing();
        if refusing == self.forgone {
            return;
        }
        let done = if refusing { Programs::forgo(place) } else { self.programs.keep(place) };
        match done {
            Ok(()) => self.forgone = refusing,
            Err(why) => debug!("`{}`: {why}", place.path().display()),
        }
    }

    /// Detaches, takes out what is left, and seals the store.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn finish(mut self) -> Result<(Status, PathBuf), RecordError> {
        // So far everything is recorded, also where nothing happened: the next recorder's gap begins here.
        let last = host::clock_pair();
        self.look_after_tables(true);
        self.programs.detach();
        self.hold.clear();
        // The calls that have not returned want room in the control ring.
        while self.pass(BootNanos(u64::MAX)).more {}
        self.commit(host::boot_now());
        self.asked.all = true;
        self.look_at_calls(&[]);
        while self.pass(BootNanos(u64::MAX)).more {}
        let now = host::boot_now();
        self.close_books(now);
        self.end_tables(now);
        self.sink.learn_last(Instant::now() + ANSWERS);
        if let Err(error) = self.sink.store.put_clock(last) {
            warn!("when recording ended is not stored: {error}");
        }
        self.sink.commit(now);
        let status = self.status();
        let path = self.sink.store.seal()?;
        Ok((status, path))
    }

    /// One pass over the rings.
    fn pass(&mut self, horizon: BootNanos) -> Taken {
        self.fill.see(Instant::now(), self.pending.fill());
        let from = host::boot_now();
        let known = self.pending.len();
        let taken = self.pending.take();
        self.look_after_rings(from);
        self.malformed += taken.malformed;
        self.uncommitted += taken.bytes;
        // What is left in the data ring is older than what came out of the control ring behind it.
        let horizon = taken.latest_left.map_or(horizon, |left| horizon.min(left));
        let Self { pending, translator, snapshot, sink, malformed, full_host, asked, .. } = self;
        // What a runtime's exec points at may be gone when its turn comes.
        pending.since(known, |record| {
            if record.first() == Some(&kind::EXEC) {
                let _ = translator.event(record, |event| sink.look(event));
            }
        });
        pending.release(horizon, |record| {
            let Ok(stamp) = head(record) else { return };
            let done = translator.event_of(&stamp, record, |event| {
                if event.code == EventCode::PROCESS {
                    let uid = sink.owner_of(stamp.header.cgroup, event);
                    snapshot.take(sink, uid, event, *full_host);
                } else if event.code == EventCode::IN_CALL {
                    let uid = sink.owner_of(stamp.header.cgroup, event);
                    if asked.wants(uid) {
                        sink.put(uid, event);
                    }
                } else {
                    sink.take(stamp.header.cgroup, event);
                }
            });
            if let Err(error) = done {
                debug!("record not understood: {error}");
                *malformed += 1;
                let time = BootNanos(stamp.header.time);
                sink.lost(&Loss {
                    container: None,
                    cause: LossCause::Malformed,
                    cpu: Some(stamp.cpu),
                    from: time,
                    to: time,
                    count: Some(1),
                });
            }
        });
        if horizon > asked.until {
            asked.containers.clear();
        }
        sink.learn(horizon);
        taken
    }

    /// What ends its rest between two passes: somebody wants something of it.
    pub fn bell(&self) -> Bell {
        self.rest.bell()
    }

    /// Whether the rings go on when this recorder is killed, and whether they did when the one before was.
    pub fn keeping(&self) -> (bool, bool) {
        (self.hold.place().is_some(), self.hold.is_taken_over())
    }

    /// Figures up to now.
    pub fn status(&mut self) -> Status {
        let store = &mut self.sink.store;
        let stats = store.stats();
        let now = store.store_time(host::boot_now());
        let ago = |time: BootNanos| now.0.saturating_sub(time.0);
        let figures = StoreFigures {
            used: store.used_bytes(),
            budget: self.budget,
            pinned: store.pinned_bytes().0,
            free: store.free_bytes(),
            space: store.space(),
            evicted_events: stats.evicted_events,
            moved_bytes: stats.moved_bytes,
            pins_closed: stats.pins_closed,
            reach: store.oldest_event().map(ago),
            whole: store.whole_since().map(ago),
        };
        Status {
            kernel: self.programs.counters().unwrap_or_default(),
            sink: self.sink.counts(),
            malformed: self.malformed,
            unseen: self.unseen,
            calls_unseen: self.calls_unseen,
            maps_changed: self.tables.changed,
            unread: self.sink.unread(),
            containers: self.sink.living(),
            bytes: stats.bytes,
            refusing: self.sink.is_refusing(),
            store: figures,
            ring_fill: self.fill.most(),
        }
    }
}

/// Has the kernel tell of each process that was there before; what did not fit is told as lost, and given.
fn see(programs: &mut Programs, sink: &mut Sink) -> Result<u64, RecordError> {
    let from = host::boot_now();
    let unseen = programs.snapshot()?;
    if unseen > 0 {
        left_out(sink, unseen, "processes that were there before", (from, host::boot_now()));
    }
    Ok(unseen)
}

/// Tells of what was asked of the kernel within these times and did not fit the control ring.
fn left_out(sink: &mut Sink, count: u64, what: &str, (from, to): (BootNanos, BootNanos)) {
    warn!("{count} {what} are not recorded: `record.control_ring` is too small");
    let cause = LossCause::ControlRingFull;
    sink.lost(&Loss { container: None, cause, cpu: None, from, to, count: Some(count) });
}

/// Takes over what a killed recorder knew, as far as what is in the rings needs it.
fn resume(
    options: &Options,
    (pending, translator): (&mut Pending, &mut Translator),
    sink: &mut Sink,
    earlier: &Earlier,
) {
    let (mut made, mut removed) = (HashSet::new(), Vec::new());
    pending.since(0, |record| {
        let _ = translator.event(record, |event| match event.code {
            EventCode::CGROUP_MKDIR => {
                sink.foretell(event);
                made.extend(Sink::cgroup_of(event).map(|(key, _)| key));
            }
            EventCode::CGROUP_RMDIR => {
                removed.extend(Sink::cgroup_of(event).map(|(key, path)| (key, path.to_vec())));
            }
            _ => {}
        });
    });
    let recording = match Recording::open(&options.store) {
        Ok(recording) => Some(recording),
        Err(error) => {
            warn!("some events may be recorded twice: the store cannot be read: {error}");
            None
        }
    };
    let base = sink.store.store_time(BootNanos(0));
    let known = recording.as_ref().zip(pending.oldest()).map(|(recording, oldest)| {
        takeover::stored(recording, base, oldest).unwrap_or_else(|error| {
            warn!("some events may be recorded twice: {error}");
            HashSet::new()
        })
    });
    let stored = Stored::new(known.unwrap_or_default());
    sink.resume(&earlier.containers, (&made, &removed), (stored, earlier.end));
    if let Some(recording) = &recording {
        if let Err(error) = sink.resume_runtimes(recording, base, earlier.end) {
            warn!("containers that were being made may count as the host's: {error}");
        }
        sink.resume_states(recording);
    }
}

/// Takes in the cgroups that there are, but for those of whose making the rings tell. The rings are read after the look: what is
/// made meanwhile is not taken for something that was there before. Returns how many records had no header.
fn look_at_cgroups(
    (pending, translator): (&mut Pending, &mut Translator),
    sink: &mut Sink,
    now: BootNanos,
) -> u64 {
    let walk = sink.walk();
    let known = pending.len();
    let malformed = pending.take().malformed;
    pending.since(known, |record| {
        let _ = translator.event(record, |event| sink.foretell(event));
    });
    sink.found_at_start(walk, now);
    malformed
}

/// As much of a reason as a store keeps.
fn cut(reason: &str) -> Vec<u8> {
    const LONGEST: usize = 4096;
    let mut end = reason.len().min(LONGEST);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.as_bytes()[..end].to_vec()
}

/// How the programs are loaded.
pub fn load_options(options: &Options, btf: &Btf, cgroups: &host::Cgroups) -> LoadOptions {
    LoadOptions {
        config: config(options, btf, cgroups),
        data_ring: options.data_ring,
        control_ring: options.control_ring,
        specs: specs::table(options.numbers_only),
        hidden: Vec::new(),
        // 0 is nobody: of a pid namespace of its own, this would be another process's number.
        own_tgid: if host::shares_process_numbers() { std::process::id() } else { 0 },
    }
}

fn config(options: &Options, btf: &Btf, cgroups: &host::Cgroups) -> Config {
    let v1 = cgroups.v1.as_ref();
    Config {
        payload_file: options.payload_file,
        payload_stream: options.payload_stream,
        payload_budget: options.payload_budget,
        v1_subsys: v1.map_or(u32::MAX, |(_, number)| *number),
        argv_bytes: 4096,
        kernel_paths: 1,
        default_policy: options.profile.policy(),
        exit_tells_group: u32::from(btf.tracepoint_arguments("sched_process_exit") == Some(2)),
        v1_hierarchy: v1.map_or(u32::MAX, |(hierarchy, _)| hierarchy.id),
        root_cgroup: host::ROOT as u32,
        host_mnt_ns: host::host_mount_namespace(),
        ..Config::default()
    }
}
