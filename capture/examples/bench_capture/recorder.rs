//! A recorder that runs before, during and after a workload: the project's own, or another tool under a script that
//! speaks as it does. Only the workload is timed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    load::Load,
    tracer::{Run, script, workload},
};

/// Runs the load once under `afterimaged` with these arguments.
pub(crate) fn own(program: &Path, args: &[&str], load: &Load) -> Run {
    let store = std::env::temp_dir().join(format!("afterimage-bench-{}", std::process::id()));
    let _ = fs::remove_dir_all(&store);
    let mut command = Command::new(program);
    command.args(["run", "--status-interval", "3600", "--store"]).arg(&store).args(args);
    let mut run = recorded(&mut command, load);
    run.bytes = size(&store);
    let _ = fs::remove_dir_all(&store);
    run
}

/// Runs the load once under a shell command that records.
///
/// It writes two lines to standard error: one that begins with `recording` once it records, followed by the ids of the
/// processes that do it unless it is itself the one, and one that begins with `sealed` after SIGTERM, in which numbers
/// stand before the words `events`, `lost` and `bytes`. What it does not know it leaves out: the figures show a zero.
pub(crate) fn peer(command: &str, load: &Load) -> Run {
    // Without `exec` the signal would go to the shell.
    recorded(Command::new("sh").args(["-c", &format!("exec {command}")]), load)
}

fn recorded(command: &mut Command, load: &Load) -> Run {
    let mut recorder = command
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
    let mut lines = BufReader::new(recorder.stderr.take().unwrap_or_else(|| unreachable!("piped"))).lines();
    let begun = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("recording"));
    let Some(begun) = begun else { panic!("the recorder did not begin") };
    let processes = processes(&begun, recorder.id());
    let sum = |of: fn(u32) -> u64| processes.iter().map(|&process| of(process)).sum();
    let cpu = || processes.iter().map(|&process| process_cpu(process)).sum::<f64>();
    let before = cpu();
    let mut run = workload(&script(load).command());
    // What is still in the rings belongs to the workload.
    std::thread::sleep(Duration::from_millis(300));
    run.recorder_cpu = cpu() - before;
    run.rss = sum(rss);
    run.pss = sum(pss);
    stop(&mut recorder);
    let sealed = lines.map_while(Result::ok).find(|line| line.starts_with("sealed")).unwrap_or_default();
    let number = |before: &str| {
        let front = sealed.split(before).next()?;
        front.rsplit([' ', ':']).find(|word| !word.is_empty())?.parse::<u64>().ok()
    };
    run.events = number(" events").unwrap_or(0);
    run.lost = number(" lost").unwrap_or(0);
    run.bytes = number(" bytes").unwrap_or(0);
    run
}

/// The processes that record: those that the line names, or the one that wrote it.
fn processes(recording: &str, own: u32) -> Vec<u32> {
    let named = recording.split(' ').skip(1).map_while(|word| word.parse().ok()).collect::<Vec<_>>();
    if named.is_empty() { vec![own] } else { named }
}

fn stop(recorder: &mut Child) {
    let pid = rustix::process::Pid::from_child(recorder);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    // Its last line is read after this: the pipe holds far more.
    let _ = recorder.wait();
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

fn size(store: &Path) -> u64 {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "aft"))
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}
