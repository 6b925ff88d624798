//! `afterimaged run`.

use std::{
    cell::RefCell,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool, mpsc},
};

use afterimage_format::{Loss, OpenError, Space, StoreOptions};
use afterimage_model::class::classify;
use clap::Args;
use tracing::warn;

use super::{Failure, log, settings::SourceArgs};
use crate::{
    btf::{BtfError, VMLINUX},
    config::{Config, ConfigError, RecordConfig, Settings, Sources, here},
    control::{
        api::Api,
        figures::Shared,
        in_calls::Asking,
        link::Link,
        past::Past,
        reload::{Reloader, Told},
        server::{Plane, Server, Sockets},
        tap::Tap,
    },
    helpers::{self, control::back, watch::Helpers},
    host,
    live::watch,
    privilege::{self, Capture, Role, spawner::Spawner},
    programs::LoadError,
    recorder::{Looking, Options, RecordError, Recorder, Status},
    systemd,
    trigger::{
        engine::{Engine, Handle},
        journal::Journal,
        marks::Marks,
        pins::{PinFile, PinKeeper as _},
    },
};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    sources: SourceArgs,
}

impl RunArgs {
    /// The configuration in force.
    pub(super) fn load(&self) -> Result<(Config, Settings), ConfigError> {
        self.sources.load()
    }
}

/// Runs until a signal.
pub(super) fn run(args: &RunArgs, config: &Config, settings: Settings) -> Result<(), Failure> {
    log::start(&config.log.filter);
    if let Some(what) = here::store_of_another(&config.record.store) {
        return Err(Failure { what, advice: "" });
    }
    if let Some(open) = here::store_open(&config.record.store) {
        warn!("{open}");
    }
    let sockets = Sockets::bind(config).map_err(|error| Failure::new(&error, ""))?;
    // Before there is a thread or a program. The sockets are the spawner's from here on.
    let sources = args.sources.sources();
    let spawner = Spawner::start(work(config, &sources, sockets))
        .map_err(|error| Failure::new(&error, "no process can be started"))?;
    let helpers = Arc::new(Helpers::new(spawner.pid().as_raw_nonzero().get()));
    let spawner = Arc::new(spawner);
    let also = privilege::for_store(&config.record.store);
    privilege::begin(Capture { also, files: privilege::reach::capture(config, &sources) });
    let (metadata, artifacts) = helpers::metadata::start(Arc::clone(&spawner), Arc::clone(&helpers))
        .map_err(|error| Failure::new(&error, "the metadata process does not begin"))?;
    let looking = Looking { metadata, artifacts, helpers: Arc::clone(&helpers) };
    let record = &config.record;
    let past = Past { store: record.store.clone(), until: host::clock_pair().real };
    let (losses, missed) = mpsc::channel();
    let mut how = options(record);
    how.store_options.losses = Some(losses);
    let mut recorder = Recorder::start(&how, looking).map_err(|error| explain(&error))?;
    let stop = Arc::new(AtomicBool::new(false));
    let control = {
        let others = (Arc::clone(&spawner), Arc::clone(&helpers));
        Control::start((config, sources, settings), others, &mut recorder, (past, missed), &stop)?
    };
    recorder.begin();
    helpers.refuse(privilege::settle_recording());
    systemd::ready();
    let rings = match recorder.keeping() {
        (_, true) => ", taken over from a recorder that was killed: no gap",
        (true, false) => ", kept when it is killed",
        (false, false) => "",
    };
    eprintln!(
        "recording to {}: {} processes were there, rings {}+{} MiB{rings}",
        record.store.display(),
        recorder.processes_found(),
        record.data_ring >> 20,
        record.control_ring >> 20,
    );
    let interval = config.log.status_interval;
    let mut before = Status::default();
    recorder.run(&stop, interval, |status| {
        let rate = (status.sink.stored - before.sink.stored) / interval.as_secs().max(1);
        let line = line(status, rate);
        // A journal is no place for a line every few seconds.
        if systemd::journal() {
            systemd::status(&line)
        } else {
            eprintln!("{line}")
        }
        before = *status;
    });
    control.stop();
    let (status, path) = recorder.finish().map_err(|error| explain(&error))?;
    eprintln!("sealed {}: {} events, {} lost", path.display(), status.sink.stored, status.lost());
    Ok(())
}

/// What the other processes do.
fn work(config: &Config, sources: &Sources, sockets: Sockets) -> impl Fn(Role, UnixStream, Vec<String>) {
    // Each process has its own: one that does not serve closes them.
    let sockets = RefCell::new(Some(sockets));
    move |role, socket, refused| {
        let sockets = sockets.take();
        let done = match (role, sockets) {
            (Role::Metadata, sockets) => {
                drop(sockets);
                helpers::metadata::serve(&socket, refused)
            }
            (Role::Control, Some(sockets)) => {
                helpers::control::front::serve(socket, refused, (config, sources), sockets)
            }
            (Role::Control | Role::Capture | Role::Spawner, _) => Ok(()),
        };
        if let Err(error) = done {
            tracing::debug!("the {} process ends: {error}", role.as_str());
        }
    }
}

/// Everything besides recording.
struct Control {
    server: Server,
    process: back::Control,
    engine: Handle,
    triggers: std::thread::JoinHandle<()>,
    watch: watch::Handle,
    watching: std::thread::JoinHandle<()>,
}

impl Control {
    fn start(
        (config, sources, settings): (&Config, Sources, Settings),
        (spawner, helpers): (Arc<Spawner>, Arc<Helpers>),
        recorder: &mut Recorder,
        (past, missed): (Past, mpsc::Receiver<Loss>),
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let store = &config.record.store;
        let failed = |error: &dyn std::error::Error| Failure::new(error, "");
        let pins = PinFile::open(store).map_err(|error| failed(&error))?;
        recorder.hold_all(pins.all());
        let journal = Journal::open(store, config.triggers.bodies).map_err(|error| failed(&error))?;
        let open = here::store_open(store);
        let degraded: Vec<String> = recorder.degraded().iter().cloned().chain(open).collect();
        let shared = Arc::new(Shared::of(&degraded));
        let (link, commands) = Link::new(Arc::clone(&shared), recorder.bell());
        let pins = Asking::new(Box::new(pins), commands.clone());
        let steer = Box::new(commands.clone());
        let (engine, triggers) = Engine::start(config.triggers.clone(), Box::new(pins), journal, steer)
            .map_err(|error| failed(&error))?;
        let undelivered = Arc::default();
        let marks = Marks::open(store, config.triggers.tail.iter().map(|(path, _)| path.as_path()));
        let others = (spawner, Arc::clone(&helpers));
        let (process, desk, asked) =
            back::start(others, Arc::clone(&undelivered), marks).map_err(|error| failed(&error))?;
        let (watch, feed, watching) =
            watch::start(&config.rules, engine.clone(), (desk.clone(), undelivered))
                .map_err(|error| failed(&error))?;
        recorder.attach(link, Box::new(Tap::new(engine.clone(), missed, Some(Box::new(feed)))));
        past.tell(engine.clone()).map_err(|error| failed(&error))?;
        let told = Told {
            engine: engine.clone(),
            commands: commands.clone(),
            desk: desk.clone(),
            watch: watch.clone(),
        };
        let reloader = Reloader::new(sources, settings, told);
        let api = Api {
            shared,
            engine: engine.clone(),
            commands,
            reloader: Arc::new(reloader),
            store: store.clone(),
            helpers,
            watch: watch.clone(),
        };
        let plane = Plane { api: Arc::new(api), asked: (desk, asked) };
        let server = Server::start(plane, Arc::clone(stop)).map_err(|error| failed(&error))?;
        Ok(Self { server, process, engine, triggers, watch, watching })
    }

    /// Takes nothing more, and works off what was taken.
    fn stop(self) {
        self.server.stop();
        // Its last hits are triggers.
        self.watch.stop();
        if self.watching.join().is_err() {
            tracing::error!("the thread of rules had failed");
        }
        self.engine.stop();
        if self.triggers.join().is_err() {
            tracing::error!("the trigger engine had failed");
        }
        // Last: hits of rules were still on their way.
        self.process.stop();
    }
}

/// How to record, as configured.
pub(super) fn options(record: &RecordConfig) -> Options {
    Options {
        store: record.store.clone(),
        profile: record.profile,
        host: record.host,
        data_ring: record.data_ring,
        control_ring: record.control_ring,
        payload_file: record.payload_file,
        payload_stream: record.payload_stream,
        payload_budget: record.payload_budget,
        numbers_only: record.numbers_only,
        pin: record.pin.clone(),
        redact: record.redact.clone(),
        store_options: StoreOptions {
            segment_bytes: record.segment_size,
            block_age: 5_000_000_000,
            sync_interval: 500_000_000,
            budget_bytes: record.budget,
            max_age: record.age,
            container_share: record.container_share,
            reserve_bytes: record.reserve,
            classify,
            losses: None,
        },
    }
}

/// The status line.
fn line(status: &Status, rate: u64) -> String {
    let mut line = format!(
        "{rate} events/s, {} lost, {} containers, {:.1} MiB",
        status.lost(),
        status.containers,
        status.bytes as f64 / f64::from(1 << 20),
    );
    if status.store.space != Space::Enough {
        line += &format!(", disk space {}", status.store.space.as_str());
    }
    for (count, what) in [
        (status.sink.unattributed, "unattributed"),
        (status.kernel.unmarked, "processes of runtimes not followed"),
        (status.unread, "looks at metadata left out"),
        (status.malformed, "malformed"),
        (status.unseen, "processes that were there not recorded"),
        (status.calls_unseen, "calls in progress not recorded"),
        (status.sink.refused, "refused by the store"),
        (status.sink.redacted, "secrets masked"),
        (status.store.evicted_events, "evicted"),
        (status.store.pins_closed, "pins ended early: too large for the budget"),
    ] {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    line
}

/// The sentence and the advice for each way recording can fail to begin.
fn explain(error: &RecordError) -> Failure {
    let root = rustix::process::geteuid().is_root();
    let advice = match error {
        RecordError::Load(LoadError::Btf(BtfError::Read { .. })) => {
            return Failure {
                what: format!("this kernel offers no type information (`{VMLINUX}`)"),
                advice: "a kernel built with CONFIG_DEBUG_INFO_BTF is needed, as distributions ship since 2021",
            };
        }
        RecordError::Load(_) if !root => {
            return Failure {
                what: "not root: loading eBPF programs needs CAP_BPF and CAP_PERFMON".to_owned(),
                advice: "run it with sudo, or as a systemd service with these capabilities",
            };
        }
        RecordError::Load(LoadError::NoTracepoint { .. }) => {
            "Linux 5.15 or later with BTF tracepoints is needed"
        }
        RecordError::Load(LoadError::Program { .. }) => {
            "does the kernel's lockdown or the container's seccomp profile forbid bpf()?"
        }
        RecordError::Load(_) => "",
        RecordError::Store(OpenError::Io { .. }) => "choose a writable directory with --store",
        RecordError::Store(OpenError::InUse { .. }) => "stop the other recorder, or choose another --store",
        RecordError::Store(OpenError::Version { .. }) => {
            "choose a new directory with --store, and read the old one with the program that wrote it"
        }
        RecordError::Store(OpenError::NotARecording { .. }) => {
            "choose an empty or new directory with --store"
        }
        RecordError::Store(_) | RecordError::Write(_) | RecordError::Redact(_) | RecordError::Rest(_) => "",
    };
    Failure::new(error, advice)
}
