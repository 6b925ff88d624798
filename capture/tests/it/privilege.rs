//! What each process of a recorder at work may do, as the kernel tells it, and that one that ends is replaced.

use std::{collections::BTreeMap, fs};

use afterimage_launch::Stdio;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::{
    bench::{Bench, busybox, eventually, falco},
    harness::{alone, container, events, open, wait_until},
    http,
};

const BPF: u64 = 1 << 39;
const PERFMON: u64 = 1 << 38;
const PTRACE: u64 = 1 << 19;
const READ_SEARCH: u64 = 1 << 2;

/// The processes by role, as the status has them.
fn processes(bench: &Bench) -> BTreeMap<String, Value> {
    let all = bench.get("/v1/status")["processes"].clone();
    let all = all.as_array().unwrap().iter();
    all.map(|own| (own["role"].as_str().unwrap().to_owned(), own.clone())).collect()
}

fn pid(process: &Value) -> u64 {
    process["pid"].as_u64().unwrap()
}

fn of(pid: u64) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// A line of what `/proc/PID/status` says, or a thread's.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_owned()
}

fn set(text: &str, name: &str) -> u64 {
    u64::from_str_radix(&field(text, name), 16).unwrap()
}

/// The threads of a process: their numbers and what `/proc` says of each. One that has ended by then has no rights.
fn threads(pid: u64) -> Vec<(u64, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let told = |task: fs::DirEntry| {
        let number = task.file_name().to_str().unwrap().parse().unwrap();
        Some((number, fs::read_to_string(task.path().join("status")).ok()?))
    };
    tasks.flatten().filter_map(told).collect()
}

/// What the descriptors of a process are of.
fn descriptors(pid: u64) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    all.flatten()
        .filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned()))
        .collect()
}

/// Inodes of the IP sockets of this machine, and whether they listen.
fn ip_sockets() -> BTreeMap<String, bool> {
    let mut all = BTreeMap::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            all.insert(format!("socket:[{}]", columns[9]), columns[3] == "0A");
        }
    }
    all
}

#[test]
#[ignore = "needs root and eBPF"]
fn each_process_has_the_rights_that_it_needs_and_no_others() {
    let _alone = alone();
    let bench = Bench::start("");
    let all = processes(&bench);
    for (role, process) in &all {
        assert_eq!(process["running"], true, "{role}: {process}");
        for (number, thread) in threads(pid(process)) {
            let (wanted, permitted) = match role.as_str() {
                // Its recording thread is the first.
                "capture" if number == pid(process) => (BPF | PERFMON, BPF | PERFMON),
                "metadata" => (PTRACE | READ_SEARCH, PTRACE | READ_SEARCH),
                "spawner" => (0, PTRACE | READ_SEARCH),
                _ => (0, 0),
            };
            let has = |name| set(&thread, name);
            assert_eq!((has("CapEff"), has("CapPrm")), (wanted, permitted), "{role} {thread}");
            assert_eq!((has("CapInh"), has("CapAmb")), (0, 0), "{role} {thread}");
            // The spawner gave away what it takes to change it; without an exec it is the upper bound of nothing.
            let bound = if role == "control" { PTRACE | READ_SEARCH } else { permitted };
            assert_eq!(has("CapBnd"), bound, "{role} {thread}");
            assert_eq!((field(&thread, "NoNewPrivs"), field(&thread, "Seccomp")), ("1".into(), "2".into()));
        }
        let has = |what: &str| descriptors(pid(process)).iter().any(|own| own.contains(what));
        assert_eq!(has("bpf"), role == "capture", "{role}: {:?}", descriptors(pid(process)));
        let store = bench.recorder.store.path().display().to_string();
        assert_eq!(has(&store), role == "capture", "{role}: {:?}", descriptors(pid(process)));
        // Only the control process serves; the spawner holds what a next one would serve, and never reads from it.
        let ip = ip_sockets();
        let listening =
            descriptors(pid(process)).iter().filter_map(|own| ip.get(own)).copied().collect::<Vec<_>>();
        let serves = role == "control" || role == "spawner";
        assert_eq!(listening, vec![true; usize::from(serves)], "{role}: the webhook's socket");
    }
    assert_eq!(all.len(), 4, "{all:?}");
    let status = bench.get("/v1/status");
    assert_eq!(status["not_confined"], serde_json::json!([]), "{status}");
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_process_that_is_killed_is_replaced_and_no_event_is_missing() {
    let _alone = alone();
    let bench = Bench::start("");
    let (launcher, _root) = busybox();
    let running = launcher
        .spawn(&["/bin/busybox", "sh", "-c", "while :; do busybox true; echo; done"], Stdio::default())
        .unwrap();
    let id = running.id().to_string();
    for role in ["metadata", "control", "metadata", "control"] {
        let killed = processes(&bench).get(role).unwrap().clone();
        kill_process(of(pid(&killed)), Signal::KILL).unwrap();
        let now = eventually("process in its place", || {
            let answer = http::try_unix(&bench.socket(), "GET", "/v1/status").ok()?;
            let all = serde_json::from_str::<Value>(&answer.body).ok()?["processes"].clone();
            let now = all.as_array()?.iter().find(|own| own["role"] == role)?.clone();
            (now["running"] == true && now["pid"] != killed["pid"]).then_some(now)
        });
        assert_eq!(now["restarts"].as_u64(), Some(killed["restarts"].as_u64().unwrap() + 1), "{now}");
    }
    assert_eq!(bench.alert(&falco(&id)).json()["triggers"][0]["state"], "pinned", "they do their work");
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(bench.get("/v1/status")["recording"]["lost"], 0);
    let (store, said) = bench.recorder.stop();
    for role in ["metadata", "control"] {
        assert!(said.contains(&format!("the {role} process has ended")), "{said}");
    }
    let recording = open(store.path());
    assert!(recording.losses().is_empty(), "{:?}", recording.losses());
    let all = events(&recording, container(&recording, &id).record.uid);
    assert!(all.len() > 100, "{}", all.len());
}

#[test]
#[ignore = "needs root and eBPF"]
fn what_each_process_costs_is_told_by_those_without_rights_too() {
    let _alone = alone();
    let bench = Bench::start("");
    let all = processes(&bench);
    for (role, process) in &all {
        assert!(process["cpu_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{role}: {process}");
    }
    let capture = all.get("capture").unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pid(capture))).unwrap();
    let rss = field(&status, "VmRSS");
    let rss: u64 = rss.trim_end_matches(" kB").parse().unwrap();
    let told = capture["resident_bytes"].as_u64().unwrap() >> 10;
    assert!(told > rss / 2 && told < rss * 2, "{told} KiB of {rss}");
    let metrics = http::unix(&bench.socket(), "GET", "/metrics", b"").body;
    for role in all.keys() {
        assert!(
            metrics.contains(&format!("afterimage_cpu_seconds_total{{process=\"{role}\"}} ")),
            "{metrics}"
        );
    }
    assert!(metrics.contains("\nafterimage_resident_bytes "), "{metrics}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn nothing_of_a_killed_recorder_stays() {
    let _alone = alone();
    let bench = Bench::start("");
    let all: Vec<u64> = processes(&bench).values().map(pid).collect();
    assert!(all.len() >= 3, "{all:?}");
    bench.recorder.kill();
    for pid in all {
        wait_until("end of all its processes", || test_kill_process(of(pid)).is_err());
    }
}
