//! Ways of running a workload: bare, recorded, under a peer.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use crate::load::Load;

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
    pub(crate) fn all(recorder: &Path, peers: &[String]) -> Vec<Self> {
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
        all.extend(peers.iter().map(|command| Self::Peer {
            name: command.split(' ').next().unwrap_or("peer").to_owned(),
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
            Self::Peer { name, .. } => name,
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
            Self::Recorder { program, args, .. } => recorded(program, args, load),
        }
    }
}

/// Whether a command works here.
fn runs(command: &str) -> bool {
    let quiet = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// The load's script as a file: quoting it into another command's line would change it.
struct Script(PathBuf);

impl Script {
    fn command(&self) -> String {
        format!("sh {}", self.0.display())
    }
}

fn script(load: &Load) -> Script {
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

fn workload(command: &str) -> Run {
    let cpu = children_cpu();
    let begun = Instant::now();
    let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status();
    let wall = begun.elapsed().as_secs_f64();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("bench: the workload failed: {command}");
    }
    Run { wall, cpu: children_cpu() - cpu, ..Run::default() }
}

fn process_cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let main: f64 = stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
    let mut all = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        all += stat.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    }
    f64::max(main, all) / 1e9
}

fn rss(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn pss(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn recorded(program: &Path, args: &[&str], load: &Load) -> Run {
    let store = std::env::temp_dir().join(format!("afterimage-bench-{}", std::process::id()));
    let _ = fs::remove_dir_all(&store);
    let mut recorder = Command::new(program)
        .args(["run", "--status-interval", "3600", "--store"])
        .arg(&store)
        .args(args)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
    let mut lines = BufReader::new(recorder.stderr.take().unwrap_or_else(|| unreachable!("piped"))).lines();
    let begun = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("recording"));
    assert!(begun.is_some(), "the recorder did not begin");
    let cpu = process_cpu(recorder.id());
    let mut run = workload(&script(load).command());
    // What is still in the rings belongs to the workload.
    std::thread::sleep(std::time::Duration::from_millis(300));
    run.recorder_cpu = process_cpu(recorder.id()) - cpu;
    run.rss = rss(recorder.id());
    run.pss = pss(recorder.id());
    stop(&mut recorder);
    let sealed = lines.map_while(Result::ok).find(|line| line.starts_with("sealed")).unwrap_or_default();
    let number = |before: &str| {
        let front = sealed.split(before).next()?;
        front.rsplit([' ', ':']).find(|word| !word.is_empty())?.parse::<u64>().ok()
    };
    run.events = number(" events").unwrap_or(0);
    run.lost = number(" lost").unwrap_or(0);
    run.bytes = size(&store);
    let _ = fs::remove_dir_all(&store);
    run
}

fn stop(recorder: &mut Child) {
    let pid = rustix::process::Pid::from_child(recorder);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    // Its last line is read after this: the pipe holds far more.
    let _ = recorder.wait();
}

fn size(store: &Path) -> u64 {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "aft"))
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}
