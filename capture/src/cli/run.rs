//! `afterimaged run`.

use std::{
    io::IsTerminal,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use afterimage_format::{OpenError, StoreOptions};
use afterimage_model::class::classify;
use clap::Args;

use super::Failure;
use crate::{
    btf::{BtfError, VMLINUX},
    programs::LoadError,
    recorder::{HostMode, Options, Profile, RecordError, Recorder, Status},
};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Where to keep the recording; made when it does not exist.
    #[arg(long, value_name = "DIR", env = "AFTERIMAGE_STORE", default_value = "/var/lib/afterimage")]
    store: PathBuf,
    /// Which system calls to keep.
    #[arg(long, value_enum, default_value_t = Profile::Forensic)]
    profile: Profile,
    /// What to record of the host's own processes.
    #[arg(long, value_enum, default_value_t = HostMode::Lifecycle)]
    host: HostMode,
    /// Ring for system calls, MiB; a power of two.
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = power_of_two)]
    data_ring: u32,
    /// Ring for processes and cgroups, MiB; a power of two.
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = power_of_two)]
    control_ring: u32,
    /// Bytes kept of each read or write of a regular file.
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=4096))]
    payload_file: u32,
    /// Bytes kept of each read or write of a socket, pipe or terminal.
    #[arg(long, value_name = "BYTES", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(0..=4096))]
    payload_stream: u32,
    /// Keep the numbers of each call only: no paths, no payload, no addresses.
    #[arg(long)]
    numbers_only: bool,
    /// Begin a new segment at this size, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    segment_size: u64,
    /// Seconds between status lines on standard error.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    status_interval: u64,
}

fn power_of_two(text: &str) -> Result<u32, String> {
    let mib: u32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if mib.is_power_of_two() && mib <= 1024 {
        Ok(mib)
    } else {
        Err(format!("{mib} is not a power of two up to 1024"))
    }
}

/// Runs until a signal.
pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    log();
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(&stop);
    let options = Options {
        store: args.store.clone(),
        profile: args.profile,
        host: args.host,
        data_ring: args.data_ring << 20,
        control_ring: args.control_ring << 20,
        payload_file: args.payload_file,
        payload_stream: args.payload_stream,
        numbers_only: args.numbers_only,
        store_options: StoreOptions {
            segment_bytes: args.segment_size << 20,
            block_age: 5_000_000_000,
            sync_interval: 500_000_000,
            budget_bytes: 0,
            classify,
        },
    };
    let mut recorder = Recorder::start(&options).map_err(|error| explain(&error))?;
    eprintln!(
        "recording to {}: {} processes were there, rings {}+{} MiB",
        args.store.display(),
        recorder.processes_found(),
        args.data_ring,
        args.control_ring,
    );
    let interval = Duration::from_secs(args.status_interval);
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
        (status.malformed, "malformed"),
        (status.sink.refused, "refused by the store"),
    ] {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    line
}

fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("AFTERIMAGE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
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
