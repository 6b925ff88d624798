//! A busy node for a while: containers come and go, alerts and a rule pin some of them, the configuration is loaded again,
//! retention makes room, and now and then somebody fills the disk. In CI for half a minute, by `cargo xtask soak node` for
//! an hour.
//!
//! The witness is what each container was told to do: so many writes. What is not in the store in the end must have been
//! removed by retention, or be told as lost.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    ops::ControlFlow,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use afterimage_capture::host::boot_now;
use afterimage_format::{BootNanos, ContainerUid, Event, Loss, LossCause, Query, Recording};
use afterimage_launch::Stdio;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bench::{Bench, busybox, falco},
    faults::Disk,
    harness::{alone, open},
    http,
};

/// How long, where nothing else is asked for: half a minute in CI.
const SECONDS: u64 = 30;
/// From here on the recorder's memory must not grow.
const LONG: Duration = Duration::from_secs(600);
/// Room for the store, the budget of it, and how much of it stays free.
const DISK: &str = "192m";
const BUDGET: u64 = 16 << 20;
const SEGMENT: u64 = 2 << 20;
/// So many pins are kept.
const PINS: usize = 64;

/// What a container did that has ended.
struct Act {
    id: String,
    writes: usize,
    /// Boot time around its whole life.
    from: BootNanos,
    to: BootNanos,
    /// An alert pinned it, and the answer said so.
    pinned: bool,
}

/// What the recorder said of itself at one moment.
struct Sample {
    at: Duration,
    /// Resident memory of each of its processes, kB.
    resident: BTreeMap<String, u64>,
    status: Value,
}

struct Node<'a> {
    bench: &'a Bench,
    begun: Instant,
    length: Duration,
    stop: AtomicBool,
    acts: Mutex<Vec<Act>>,
    samples: Mutex<Vec<Sample>>,
    /// When the disk was full for others' sake.
    full: Mutex<Vec<(BootNanos, BootNanos)>>,
    reloads: AtomicU64,
    alerts: AtomicU64,
}

impl Node<'_> {
    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.begun.elapsed() >= self.length
    }

    /// Does something again and again with so much time between, and looks often whether it is over.
    fn every(&self, pause: Duration, mut act: impl FnMut()) {
        let _halt = Halt(&self.stop);
        loop {
            let next = Instant::now() + pause;
            while Instant::now() < next {
                if self.over() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            act();
        }
    }

    /// Containers one after the other, each with a number of writes of its own; every tenth opens what the rule is about.
    fn churn(&self, seed: u64) {
        let _halt = Halt(&self.stop);
        let (launcher, _root) = busybox();
        let mut number = seed;
        while !self.over() {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let writes = (number >> 33) as usize % 400 + 1;
            // That it is not there is a write of its own.
            let (rule, more) =
                if number >> 40 & 0xf == 0 { ("busybox cat /tmp/soak-secret;", 1) } else { ("", 0) };
            let script = format!(
                "i=0; {rule} while [ $i -lt {writes} ]; do i=$((i+1)); echo $i > /tmp/counted-{seed}; done"
            );
            let from = boot_now();
            let quiet = fs::File::create("/dev/null").unwrap();
            let stdio = Stdio { stderr: Some(std::os::fd::AsFd::as_fd(&quiet)), ..Stdio::default() };
            let id = launcher.run(&["/bin/busybox", "sh", "-c", &script], stdio).unwrap().id.to_string();
            let act = Act { id, writes: writes + more, from, to: boot_now(), pinned: false };
            self.acts.lock().unwrap().push(act);
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// An alert of the container that ended last.
    fn alert(&self) {
        let last = self.acts.lock().unwrap().len().checked_sub(1);
        let Some(last) = last else { return };
        let id = self.acts.lock().unwrap()[last].id.clone();
        let answer = self.bench.alert(&falco(&id));
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.alerts.fetch_add(1, Ordering::Relaxed);
        self.acts.lock().unwrap()[last].pinned = answer.body.contains("\"pinned\"");
    }

    fn reload(&self) {
        self.bench.recorder.signal(Signal::HUP);
        self.reloads.fetch_add(1, Ordering::Relaxed);
        self.tidy();
    }

    /// Lets go of the oldest pins, as whoever looks into alerts does.
    fn tidy(&self) {
        let pins = self.bench.get("/v1/pins")["pins"].clone();
        let pins = pins.as_array().unwrap();
        for pin in &pins[..pins.len().saturating_sub(PINS)] {
            let path = format!("/v1/pins/{}", pin["id"].as_str().unwrap());
            let container = pin["container"].as_str().unwrap();
            // From now on retention may take it.
            for act in self.acts.lock().unwrap().iter_mut().filter(|act| act.id == container) {
                act.pinned = false;
            }
            let answer = http::unix(&self.bench.socket(), "DELETE", &path, b"");
            assert!([200, 204, 404].contains(&answer.status), "{path}: {}", answer.body);
        }
    }

    /// Somebody else takes all the room there is, for a while.
    fn fill(&self, disk: &Path) {
        let from = boot_now();
        let fill = disk.join("fill");
        let mut file = fs::File::create(&fill).unwrap();
        while file.write_all(&[1; 1 << 16]).is_ok() {}
        std::thread::sleep(Duration::from_secs(3));
        drop(file);
        fs::remove_file(&fill).unwrap();
        self.full.lock().unwrap().push((from, boot_now()));
    }

    fn sample(&self, store: &Path) {
        let status = self.bench.get("/v1/status");
        let mut resident = BTreeMap::new();
        for own in status["processes"].as_array().into_iter().flatten() {
            let text = fs::read_to_string(format!("/proc/{}/status", own["pid"])).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            resident.insert(own["role"].as_str().unwrap().to_owned(), kilobytes.unwrap_or(0));
        }
        let on_disk: u64 =
            fs::read_dir(store).unwrap().flatten().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        let (recording, space) = (&status["recording"], &status["space"]);
        println!(
            "{:>5} s: resident kB {resident:?}; {} events, {} lost, {} of them refused, {} throttled; store {} kB, {} pins, {} pinned bytes, \
             {} evicted, disk {}; {} reloads, {} alerts",
            self.begun.elapsed().as_secs(),
            recording["events"],
            recording["lost"],
            recording["refused_by_store"],
            recording["throttled"],
            on_disk >> 10,
            status["pins"],
            space["pinned"],
            space["evicted_events"],
            space["stage"],
            self.reloads.load(Ordering::Relaxed),
            self.alerts.load(Ordering::Relaxed),
        );
        // One segment and its stage beside it is all that may be on top.
        assert!(on_disk <= BUDGET + 3 * SEGMENT, "{on_disk} bytes on disk: {status}");
        // What a full disk refuses is counted as lost too. For an hour this has the machine rarely to itself, and what others'
        // containers lose by their own floods is no concern of it: its own are looked at one by one in the end.
        if self.length < LONG {
            assert_eq!(recording["lost"], recording["refused_by_store"], "{status}");
            assert_eq!(recording["throttled"], 0, "{status}");
        }
        for own in status["processes"].as_array().into_iter().flatten() {
            assert_eq!(own["restarts"].as_u64().unwrap_or(0), 0, "{status}");
        }
        self.samples.lock().unwrap().push(Sample { at: self.begun.elapsed(), resident, status });
    }
}

/// Stops all threads when one of them panics.
struct Halt<'a>(&'a AtomicBool);

impl Drop for Halt<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The middle of a figure over the samples between two parts of the whole.
fn middle(samples: &[Sample], role: &str, from: f64, to: f64) -> u64 {
    let length = samples.last().unwrap().at.as_secs_f64();
    let within = samples
        .iter()
        .filter(|sample| (length * from..=length * to).contains(&sample.at.as_secs_f64()))
        .filter_map(|sample| sample.resident.get(role).copied());
    let mut all: Vec<u64> = within.collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

/// Writes of each container that is in the store.
fn written(recording: &Recording) -> BTreeMap<ContainerUid, usize> {
    let write = afterimage_model::syscalls::by_name("write").unwrap();
    let mut count: BTreeMap<ContainerUid, usize> = BTreeMap::new();
    recording
        .for_each(&Query::default(), &mut |uid, event: &Event<'_>| {
            if event.code == write {
                *count.entry(uid).or_default() += 1;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    count
}

/// Whether the recording says that something of this time is missing, and why.
fn told(losses: &[Loss], act: &Act) -> bool {
    losses.iter().any(|loss| loss.cause == LossCause::DiskFull && loss.from <= act.to && loss.to >= act.from)
}

#[derive(Debug, Default)]
struct Verdict {
    complete: usize,
    removed: usize,
    lost: usize,
}

/// Every container is there as it was, or it is said why it is not.
fn judge(recording: &Recording, acts: &[Act], full: &[(BootNanos, BootNanos)]) -> Verdict {
    let count = written(recording);
    let listed: BTreeMap<&[u8], ContainerUid> =
        recording.containers().iter().map(|c| (c.record.id.as_slice(), c.record.uid)).collect();
    let oldest = acts
        .iter()
        .filter(|act| listed.contains_key(act.id.as_bytes()))
        .map(|act| act.from)
        .min()
        .unwrap_or(BootNanos(0));
    let mut verdict = Verdict::default();
    for act in acts {
        let uid = listed.get(act.id.as_bytes());
        let found = uid.and_then(|uid| count.get(uid)).copied().unwrap_or(0);
        let removed = uid.is_some_and(|uid| recording.eviction(*uid).is_some_and(|gone| gone.events > 0));
        // Of a container that is gone whole nothing is told; what was older than all others may be gone.
        let gone = uid.is_none() && !recording.evictions().is_empty() || uid.is_none() && act.from < oldest;
        if found == act.writes {
            verdict.complete += 1;
        } else if told(recording.losses(), act) {
            assert!(
                full.iter().any(|(from, to)| *from <= act.to && to.0 + 30_000_000_000 >= act.from.0),
                "container {} at {:?} lost {} writes to a full disk when it was not full",
                act.id,
                act.from,
                act.writes - found
            );
            verdict.lost += 1;
        } else if removed || gone {
            assert!(!act.pinned, "pinned container {} has {found} of {} writes", act.id, act.writes);
            verdict.removed += 1;
        } else {
            panic!("container {} has {found} of {} writes, and nothing says why", act.id, act.writes);
        }
    }
    verdict
}

fn settings(dir: &Path) -> String {
    let rules = dir.join("rules.yaml");
    fs::write(
        &rules,
        "- rule: Soak\n  desc: of this test\n  condition: evt.type in (open, openat) and fd.name = /tmp/soak-secret\n  \
         output: \"%container.id reads it\"\n  priority: WARNING\n  capture: true\n  capture_duration: 1000\n  \
         capture_before: 2000\n",
    )
    .unwrap();
    format!(
        "rate = 1000000\n[store]\nbudget = \"{BUDGET}B\"\nsegment_size = \"{SEGMENT}B\"\nreserve = \"8MiB\"\n\
         [triggers]\nbefore = \"10m\"\nafter = \"1s\"\n\
         [rules]\nfiles = [\"{}\"]\noutputs = [\"file:{}\"]\n",
        rules.display(),
        dir.join("hits.jsonl").display()
    )
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_busy_node_loses_nothing_without_saying_so() {
    let _alone = alone();
    let seconds =
        std::env::var("AFTERIMAGE_NODE_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SECONDS);
    let length = Duration::from_secs(seconds);
    let disk = Disk::of(DISK);
    let files = tempfile::tempdir().unwrap();
    let bench = Bench::on(TempDir::new_in(disk.path()).unwrap(), &settings(files.path()));
    let store = bench.recorder.store.path().to_owned();
    let node = Node {
        bench: &bench,
        begun: Instant::now(),
        length,
        stop: AtomicBool::new(false),
        acts: Mutex::default(),
        samples: Mutex::default(),
        full: Mutex::default(),
        reloads: AtomicU64::new(0),
        alerts: AtomicU64::new(0),
    };
    let pause = (length / 120).max(Duration::from_secs(2));
    std::thread::scope(|scope| {
        let node = &node;
        for seed in [1, 2] {
            scope.spawn(move || node.churn(seed));
        }
        scope.spawn(|| node.every(Duration::from_secs(5), || node.alert()));
        scope.spawn(|| node.every(Duration::from_secs(7), || node.reload()));
        scope.spawn(|| node.every(length / 5, || node.fill(&disk.path())));
        scope.spawn(|| node.every(pause, || node.sample(&store)));
    });
    let Node { acts, samples, full, reloads, alerts, .. } = node;
    let (acts, samples) = (acts.into_inner().unwrap(), samples.into_inner().unwrap());
    let (full, reloads, alerts) = (full.into_inner().unwrap(), reloads.into_inner(), alerts.into_inner());
    let (store, said) = bench.recorder.stop();
    assert!(!said.contains("panicked"), "{said}");
    let recording = open(store.path());
    assert_eq!(recording.defects(), []);
    let verdict = judge(&recording, &acts, &full);
    let hits = fs::read_to_string(files.path().join("hits.jsonl")).unwrap_or_default().lines().count();
    println!(
        "{} containers: {verdict:?}; {} times a full disk, {reloads} reloads, {alerts} alerts, {hits} hits; {} pins in \
         the end",
        acts.len(),
        full.len(),
        samples.last().unwrap().status["pins"],
    );
    assert!(verdict.complete > 0 && reloads > 0 && alerts > 0 && hits > 0 && !full.is_empty());
    if length >= LONG {
        assert!(verdict.removed > 0, "retention had nothing to do");
        for role in samples.last().unwrap().resident.keys() {
            let (early, late) = (middle(&samples, role, 0.25, 0.5), middle(&samples, role, 0.75, 1.0));
            println!("{role}: resident {early} kB in the second quarter, {late} kB in the last");
            assert!(late <= early + early / 10 + 4096, "{role} grows: {early} to {late} kB");
        }
    }
}
