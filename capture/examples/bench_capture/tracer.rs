//! Ways of running a workload: bare, recorded, under a peer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{load::Load, recorder};

/// One run's figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    /// Wall time of the workload, seconds.
    pub(crate) wall: f64,
    /// CPU time of the workload and its children, seconds.
    pub(crate) cpu: f64,
    /// CPU time of the recorder during the workload, seconds.
    pub(crate) recorder_cpu: f64,
    /// Its resident memory at the end, bytes.
    pub(crate) rss: u64,
    /// The same, of what others map too only its part.
    pub(crate) pss: u64,
    /// Events it stored.
    pub(crate) events: u64,
    /// Events it lost.
    pub(crate) lost: u64,
    /// Bytes of the sealed store.
    pub(crate) bytes: u64,
}

/// A way of running a workload.
#[derive(Debug, Clone)]
pub(crate) enum Tracer {
    /// As it is.
    Untraced,
    /// Recorded: name and arguments of the recorder.
    Recorder {
        /// For the figures.
        name: &'static str,
        /// The program.
        program: PathBuf,
        /// Its arguments.
        args: &'static [&'static str],
    },
    /// Recorded by another tool, which runs before and after the workload too.
    PeerRecorder {
        /// For the figures.
        name: String,
        /// The command.
        command: String,
    },
    /// Under a command in which `{}` is the workload.
    Peer {
        /// For the figures.
        name: String,
        /// The command.
        command: String,
        /// It stops the workload at each call: only for short loads.
        stops: bool,
    },
}

impl Tracer {
    /// All that can be run here.
    pub(crate) fn all(recorder: &Path, peer_recorders: &[String], peers: &[String]) -> Vec<Self> {
        let recorded = |name, args| Self::Recorder { name, program: recorder.to_owned(), args };
        let mut all = vec![
            Self::Untraced,
            recorded("afterimage, every call", &["--profile", "full", "--host", "full"][..]),
            recorded(
                "afterimage, numbers only",
                &["--profile", "full", "--host", "full", "--numbers-only"][..],
            ),
            recorded("afterimage, filtered", &["--profile", "full", "--host", "lifecycle"][..]),
        ];
        if Path::new("/usr/bin/strace").exists() {
            let command = "strace -f -o /dev/null {}".to_owned();
            all.push(Self::Peer { name: "strace -f".to_owned(), command, stops: true });
        }
        // It wants to change how functions are traced, whatever it is asked for, and some kernels refuse that.
        let trace_cmd = "trace-cmd record -q -o /tmp/afterimage-bench.dat -e raw_syscalls";
        if runs(&format!("{trace_cmd} true")) {
            let command = format!("{trace_cmd} {{}} >/dev/null 2>&1");
            all.push(Self::Peer { name: "trace-cmd".to_owned(), command, stops: false });
        }
        if runs("perf trace -o /dev/null true") {
            let command = "perf trace -o /dev/null {}".to_owned();
            all.push(Self::Peer { name: "perf trace".to_owned(), command, stops: true });
        }
        all.extend(
            peer_recorders
                .iter()
                .map(|command| Self::PeerRecorder { name: program_of(command), command: command.clone() }),
        );
        all.extend(peers.iter().map(|command| Self::Peer {
            name: program_of(command),
            command: command.clone(),
            stops: false,
        }));
        all
    }

    /// For the figures.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Untraced => "untraced",
            Self::Recorder { name, .. } => name,
            Self::Peer { name, .. } | Self::PeerRecorder { name, .. } => name,
        }
    }

    /// Whether the pair can be run in reasonable time.
    pub(crate) fn fits(&self, load: &Load) -> bool {
        let slow = matches!(self, Self::Peer { stops: true, .. });
        !slow || (!load.long && load.operations <= 100_000)
    }

    /// Runs the load once.
    pub(crate) fn measure(&self, load: &Load) -> Run {
        match self {
            Self::Untraced => workload(&script(load).command()),
            Self::Peer { command, .. } => workload(&command.replace("{}", &script(load).command())),
            Self::PeerRecorder { command, .. } => recorder::peer(command, load),
            Self::Recorder { program, args, .. } => recorder::own(program, args, load),
        }
    }
}

/// A command's program, without the directory it is in: the figures have little room.
fn program_of(command: &str) -> String {
    let program = command.split(' ').next().unwrap_or_default();
    program.rsplit('/').next().unwrap_or(program).to_owned()
}

/// Whether a command works here.
fn runs(command: &str) -> bool {
    let quiet = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// The load's script as a file: quoting it into another command's line would change it.
pub(crate) struct Script(PathBuf);

impl Script {
    pub(crate) fn command(&self) -> String {
        format!("sh {}", self.0.display())
    }
}

pub(crate) fn script(load: &Load) -> Script {
    let path = std::env::temp_dir().join(format!("afterimage-bench-{}.sh", std::process::id()));
    fs::write(&path, &load.script).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    Script(path)
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn children_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after.split(' ').skip(14).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

pub(crate) fn workload(command: &str) -> Run {
    let cpu = children_cpu();
    let begun = Instant::now();
    let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status();
    let wall = begun.elapsed().as_secs_f64();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("bench: the workload failed: {command}");
    }
    Run { wall, cpu: children_cpu() - cpu, ..Run::default() }
}
