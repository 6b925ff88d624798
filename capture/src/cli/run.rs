//! `afterimaged run`.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use afterimage_format::{OpenError, StoreOptions};
use afterimage_model::class::classify;
use clap::Args;

use super::{Failure, settings::SourceArgs};
use crate::{
    btf::{BtfError, VMLINUX},
    config::{Config, ConfigError, RecordConfig, Settings},
    programs::LoadError,
    recorder::{Options, RecordError, Recorder, Status},
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
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    log(&config.log.filter);
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop);
    let record = &config.record;
    let mut recorder = Recorder::start(&options(record)).map_err(|error| explain(&error))?;
    eprintln!(
        "recording to {}: {} processes were there, rings {}+{} MiB",
        record.store.display(),
        recorder.processes_found(),
        record.data_ring >> 20,
        record.control_ring >> 20,
    );
    let interval = config.log.status_interval;
    let mut before = Status::default();
    recorder.run(&stop, interval, |status| {
        let rate = (status.sink.stored - before.sink.stored) / interval.as_secs().max(1);
        eprintln!("{}", line(status, rate));
        before = *status;
    });
    let (status, path) = recorder.finish().map_err(|error| explain(&error))?;
    eprintln!("sealed {}: {} events, {} lost", path.display(), status.sink.stored, status.lost());
    Ok(())
}

fn options(record: &RecordConfig) -> Options {
    Options {
        store: record.store.clone(),
        profile: record.profile,
        host: record.host,
        data_ring: record.data_ring,
        control_ring: record.control_ring,
        payload_file: record.payload_file,
        payload_stream: record.payload_stream,
        numbers_only: record.numbers_only,
        store_options: StoreOptions {
            segment_bytes: record.segment_size,
            block_age: 5_000_000_000,
            sync_interval: 500_000_000,
            budget_bytes: 0,
            classify,
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
    for (count, what) in [
        (status.sink.unattributed, "unattributed"),
        (status.kernel.unmarked, "processes of runtimes not followed"),
        (status.unread, "looks at metadata left out"),
        (status.malformed, "malformed"),
        (status.sink.refused, "refused by the store"),
    ] {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    line
}

fn log(filter: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
}

/// Signals are waited for on a thread of their own: the recording thread only looks at the flag.
fn stop_on_signal(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let waited = runtime.and_then(|runtime| {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let mut term = signal(SignalKind::terminate())?;
                let mut int = signal(SignalKind::interrupt())?;
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                std::io::Result::Ok(())
            })
        });
        if let Err(error) = waited {
            tracing::warn!("signals cannot be waited for: {error}");
            return;
        }
        stop.store(true, Ordering::Relaxed);
    });
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
            "Linux 5.8 or later with BTF tracepoints is needed"
        }
        RecordError::Load(LoadError::Program { .. }) => {
            "does the kernel's lockdown or the container's seccomp profile forbid bpf()?"
        }
        RecordError::Load(_) | RecordError::Thread(_) => "",
        RecordError::Store(OpenError::Io { .. }) => "choose a writable directory with --store",
        RecordError::Store(OpenError::InUse { .. }) => "stop the other recorder, or choose another --store",
        RecordError::Store(OpenError::Version { .. }) => {
            "choose a new directory with --store, and read the old one with the program that wrote it"
        }
        RecordError::Store(OpenError::NotARecording { .. }) => {
            "choose an empty or new directory with --store"
        }
        RecordError::Store(_) | RecordError::Write(_) => "",
    };
    Failure::new(error, advice)
}
