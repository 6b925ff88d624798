//! What strace says of a program and what the recording says of it, in the same run.
//!
//! Compared for each process: names and results of all calls in order, the path of each opened file, argv of each
//! exec, the exit. strace prints one file per process (`-ff`), strings as hex (`-xx`), so nothing is interleaved or
//! guessed. Calls that the kernel restarts are two lines there and two records here.

use std::{collections::BTreeMap, path::Path, process::Command};

use afterimage_format::{ContainerUid, EventCode, EventFlags, FieldTag, OwnedEvent};
use afterimage_model::syscalls;

use crate::harness::{Running, alone, events, open};

/// A call, from either side.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: String,
    /// `None` where strace does not tell (`?`) and where the number means nothing (sigreturn).
    result: Option<i64>,
    /// The path given to an open, or argv of an exec joined by NULs.
    text: Option<Vec<u8>>,
}

/// The bytes of `"\x61\x62"` at the start of `text`, and what follows.
fn hex_string(text: &str) -> Option<(Vec<u8>, &str)> {
    let (body, rest) = text.strip_prefix('"')?.split_once('"')?;
    let bytes =
        body.split("\\x").skip(1).map(|hex| u8::from_str_radix(hex, 16)).collect::<Result<_, _>>().ok()?;
    Some((bytes, rest))
}

fn argv(args: &str) -> Option<Vec<u8>> {
    let mut rest = args.split_once('[')?.1;
    let mut all = Vec::new();
    while let Some((arg, more)) = hex_string(rest) {
        all.extend(arg);
        all.push(0);
        rest = more.strip_prefix(", ").unwrap_or(more);
    }
    Some(all)
}

fn strace_line(line: &str) -> Option<Line> {
    if line.starts_with("---") || line.starts_with("+++") {
        return None;
    }
    let (name, rest) = line.split_once('(').unwrap_or_else(|| panic!("{line}"));
    let (args, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("{line}"));
    let word = result.split(' ').next().unwrap_or("");
    let result = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as i64),
        None if name == "umask" => i64::from_str_radix(word, 8).ok(),
        None => word.parse().ok(),
    };
    // strace prints -1 and the error's name: the name is what counts.
    let result = if result == Some(-1) { errno(line) } else { result };
    let text = match name {
        "openat" => args.split_once(", ").and_then(|(_, path)| hex_string(path)).map(|(path, _)| path),
        "execve" if result == Some(0) => argv(args),
        _ => None,
    };
    let result = if name == "rt_sigreturn" || name == "restart_syscall" { None } else { result };
    Some(Line { name: name.to_owned(), result, text })
}

fn errno(line: &str) -> Option<i64> {
    let name = line.rsplit_once("= -1 ")?.1.split(' ').next()?;
    afterimage_model::symbols::errno_by_name(name).map(|n| -i64::from(n))
}

fn recorded_line(event: &OwnedEvent) -> Option<Line> {
    let field = |tag| event.fields.iter().find(|f| f.tag == tag).map(|f| f.bytes.to_vec());
    if event.code == EventCode::EXEC {
        return Some(Line { name: "execve".to_owned(), result: Some(0), text: field(FieldTag::ARGV) });
    }
    event.code.as_syscall()?;
    let name = syscalls::name(event.code).into_owned();
    let unknown = event.flags.contains(EventFlags::SIGRETURN)
        || event.flags.contains(EventFlags::RESTART)
        || name == "restart_syscall";
    let text = if name == "openat" { field(FieldTag::PATH) } else { None };
    Some(Line { name, result: (!unknown).then_some(event.ret), text })
}

/// Runs `script` under strace and the recorder.
fn check(script: &str, at_least: usize) {
    let _alone = alone();
    // The whole machine is recorded, whatever else it does meanwhile: with the usual ring a busy one is thinned out.
    let recorder = Running::start(&["--profile", "full", "--host", "full", "--data-ring", "256"]);
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("trace");
    let status = Command::new("strace")
        .args(["-ff", "-xx", "-s", "65536", "-o"])
        .arg(&prefix)
        .args(["/bin/sh", "-c", script])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
    let (store, said) = recorder.stop();
    assert!(said.contains(", 0 lost"), "{said}");
    let recording = open(store.path());
    assert_eq!(recording.losses(), []);
    let mut recorded: BTreeMap<u32, Vec<OwnedEvent>> = BTreeMap::new();
    for event in events(&recording, ContainerUid::HOST) {
        recorded.entry(event.task.tid).or_default().push(event);
    }
    let mut compared = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let Some(tid) = path.extension().and_then(|e| e.to_str()).and_then(|e| e.parse::<u32>().ok()) else {
            continue;
        };
        compared += compare(tid, &path, recorded.get(&tid).map_or(&[][..], Vec::as_slice));
    }
    assert!(compared >= at_least, "{compared} calls compared");
}

fn compare(tid: u32, path: &Path, recorded: &[OwnedEvent]) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let mut expected: Vec<Line> = text.lines().filter_map(strace_line).collect();
    let exits =
        text.lines().find_map(|line| line.strip_prefix("+++ exited with ")?.split(' ').next()?.parse().ok());
    // What never returns is no call record: the exit is.
    expected.retain(|line| !matches!(line.name.as_str(), "exit" | "exit_group"));
    let mut found: Vec<Line> = recorded.iter().filter_map(recorded_line).collect();
    if expected.first().is_some_and(|line| line.name == "execve") {
        // strace's own preparation of the first process comes before its exec.
        let exec = found.iter().position(|line| line.name == "execve" && line.result == Some(0));
        found.drain(..exec.unwrap_or(0));
    }
    // A result that one side cannot know is no difference.
    for (ours, theirs) in found.iter_mut().zip(&mut expected) {
        if ours.result.is_none() || theirs.result.is_none() {
            (ours.result, theirs.result) = (None, None);
        }
    }
    for (index, (ours, theirs)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(ours, theirs, "task {tid}, call {index}: recording and strace");
    }
    assert_eq!(found.len(), expected.len(), "task {tid}: calls");
    if let Some(code) = exits {
        let exit: i64 = code;
        let told = recorded.iter().find(|event| event.code == EventCode::EXIT).map(|event| event.ret);
        assert_eq!(told, Some(exit), "task {tid}: exit");
    }
    expected.len()
}

#[test]
#[ignore = "needs root, eBPF and strace"]
fn a_build_is_recorded_as_strace_sees_it() {
    check("echo 'int main(void){return 0;}' > a.c && gcc -O1 -o a a.c && ./a", 500);
}

#[test]
#[ignore = "needs root, eBPF and strace"]
fn a_pipeline_is_recorded_as_strace_sees_it() {
    check(
        "cat /etc/passwd | grep root | tr a-z A-Z | wc -l > out; (sleep 0.1; exit 3) || true; kill -0 $$",
        200,
    );
}

#[test]
#[ignore = "needs root, eBPF and strace"]
fn a_tcp_exchange_is_recorded_as_strace_sees_it() {
    // In a network namespace of its own: nothing listens outside.
    let script = "unshare -n sh -c 'busybox ip link set lo up; busybox nc -l -p 18473 -e /bin/cat & sleep 0.3; \
                  (echo hello; sleep 0.3) | busybox nc 127.0.0.1 18473 > out; wait'; grep -q hello out";
    check(script, 100);
}
