//! A recorder that was killed and one that is started after it: what the kernel wrote in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use afterimage_capture::host;
use afterimage_format::{
    BootNanos, ContainerRecord, ContainerUid, EventCode, EventFlags, FieldTag, Loss, LossCause, Origin,
    OwnedEvent, Recording, StoreOptions, StoreWriter,
};
use afterimage_launch::{Outcome, Stdio};
use afterimage_model::{World, budget::Limits, nearest, process::Process};
use aya::maps::{Map, MapData, PerCpuHashMap};
use rustix::fd::{AsFd as _, AsRawFd as _};
use tempfile::TempDir;

use crate::{
    bench::busybox,
    faults::Disk,
    harness::{RECORDER, Running, alone, container, events, open, unified, wait_until},
};

const BPFFS: &str = "/sys/fs/bpf";
const PINNED: [&str; 6] = ["--host", "none", "--profile", "full", "--set", "record.bpffs=/sys/fs/bpf"];
/// Calls of `/bin/true` after its exec: `thousand.rs` compares it with strace.
const TRUE: usize = 15;

/// What is pinned of a store.
fn pinned(store: &Path) -> Vec<PathBuf> {
    let uuid: String = open(store).store_uuid().iter().map(|byte| format!("{byte:02x}")).collect();
    let places = fs::read_dir(Path::new(BPFFS).join("afterimage")).into_iter().flatten().flatten();
    places
        .filter(|place| place.file_name().to_string_lossy().starts_with(&uuid))
        .map(|place| place.path())
        .collect()
}

fn payload(recording: &Recording, uid: ContainerUid) -> Vec<OwnedEvent> {
    let all = events(recording, uid).into_iter();
    all.filter(|event| !event.flags.contains(EventFlags::SETUP)).collect()
}

/// The numbered lines that a container's payload wrote, as they were recorded.
fn lines(recording: &Recording, id: &str) -> Vec<String> {
    const WRITE: EventCode = EventCode(1);
    let own = payload(recording, container(recording, id).record.uid);
    let writes = own.iter().filter(|event| event.code == WRITE && event.args.first() == Some(&1));
    let texts = writes.filter_map(|event| event.fields.iter().find(|field| field.tag == FieldTag::PAYLOAD));
    texts.map(|field| String::from_utf8_lossy(&field.bytes).trim_end().to_owned()).collect()
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_killed_recorder_leaves_no_gap_where_its_rings_are_pinned() {
    let _alone = alone();
    let (launcher, root) = busybox();
    let out = tempfile::NamedTempFile::new().unwrap();
    let first = Running::start(&PINNED);
    assert_eq!(pinned(first.store.path()).len(), 1);
    // Runs all the time, and prints its own count.
    let script =
        "i=0; while [ -e /go ]; do echo line $i; i=$((i+1)); /bin/busybox usleep 2000; done; echo end $i";
    fs::write(root.path().join("go"), "").unwrap();
    let stdio = Stdio { stdout: Some(out.as_file().as_fd()), ..Stdio::default() };
    let long = launcher.spawn(&["/bin/busybox", "sh", "-c", script], stdio).unwrap();
    let long_id = long.id().to_string();
    let stop = AtomicBool::new(false);
    let (recorder, short) = std::thread::scope(|scope| {
        let mut recorder = first;
        let short = scope.spawn(|| {
            let mut ids = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                ids.push(launcher.run(&["/bin/true"], Stdio::default()).unwrap().id.to_string());
                std::thread::sleep(Duration::from_millis(10));
            }
            ids
        });
        for round in 0..3 {
            std::thread::sleep(Duration::from_millis(700 + 233 * round));
            let store = recorder.kill();
            std::thread::sleep(Duration::from_secs(1));
            recorder = Running::on(store, &PINNED);
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        (recorder, short.join().unwrap())
    });
    fs::remove_file(root.path().join("go")).unwrap();
    assert!(long.wait().unwrap().status.success());
    let (store, said) = recorder.stop();
    assert!(said.contains("taken over") && said.contains(" 0 lost"), "{said}");
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0], "nothing is left behind");

    let recording = open(store.path());
    assert_eq!(recording.losses(), []);
    let mut times_listed = BTreeMap::new();
    for summary in recording.containers() {
        *times_listed.entry(String::from_utf8_lossy(&summary.record.id).into_owned()).or_insert(0) += 1;
    }
    // The one that lived all the time: every line once, in order, all of one container that has its beginning.
    let witness = fs::read_to_string(out.path()).unwrap();
    let recorded = lines(&recording, &long_id);
    let printed: Vec<&str> = witness.lines().collect();
    assert!(printed.len() > 300, "{}", printed.len());
    let same = recorded.iter().zip(&printed).take_while(|(one, other)| one == *other).count();
    let next = (recorded.get(same), printed.get(same));
    assert_eq!((recorded.len(), same), (printed.len(), printed.len()), "{next:?}");
    let record = &container(&recording, &long_id).record;
    assert!(!record.preexisting && record.removed.is_some(), "{record:?}");
    assert_eq!(times_listed.get(&long_id), Some(&1));
    // It goes on getting keyframes, one in each recorder's first segment at least, and they tell the truth.
    let uid = container(&recording, &long_id).record.uid;
    assert!(recording.keyframes_of(uid).len() >= 3, "{:?}", recording.keyframes_of(uid));
    let end = BootNanos(u64::MAX);
    let (newest, by_keyframes) = nearest(&recording, uid, end, Limits::default()).unwrap().expect("a state");
    let mut by_events = World::new();
    for event in events(&recording, uid).iter().take(newest.row as usize) {
        event.with(|event| by_events.apply(uid, event));
    }
    let told = |world: &World| -> Vec<String> {
        let line = |p: &Process| format!("{} {} of {:?}: {:?}", p.key.tgid, p.title(), p.parent, p.end);
        world.processes(uid).into_iter().map(line).collect()
    };
    assert_eq!((by_keyframes.events(uid), told(&by_keyframes)), (newest.row, told(&by_events)));
    // Those that came and went, many of them while nobody drained.
    for id in &short {
        assert_eq!(times_listed.get(id), Some(&1), "{id}");
        let own = payload(&recording, container(&recording, id).record.uid);
        let calls = own.iter().filter(|event| event.code.as_syscall().is_some()).count();
        let ends = own.iter().filter(|event| event.code == EventCode::EXIT).count();
        assert_eq!((calls, ends), (TRUE, 1), "{id}");
    }
}

/// Lines that a flood prints: more than a ring of 1 MiB holds.
const LINES: usize = 40_000;

/// A container that prints them, and has ended.
fn flood() -> Outcome {
    let (launcher, _root) = busybox();
    let script = format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done");
    let out = tempfile::tempfile().unwrap();
    let stdio = Stdio { stdout: Some(out.as_fd()), ..Stdio::default() };
    let flood = launcher.run(&["/bin/busybox", "sh", "-c", &script], stdio).unwrap();
    assert!(flood.status.success());
    flood
}

#[test]
#[ignore = "needs root and eBPF"]
fn what_the_kernel_could_not_keep_while_nobody_drained_is_counted() {
    let _alone = alone();
    let small = [&PINNED[..], &["--data-ring", "1"]].concat();
    let recorder = Running::start(&small);
    let store = recorder.kill();
    let flood = flood();
    let (store, _) = Running::on(store, &small).stop();
    let recording = open(store.path());
    let summary = container(&recording, &flood.id.to_string());
    let down = recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown).count();
    assert_eq!(down, 0, "{:?}", recording.losses());
    let own = recording.losses().iter().filter(|loss| loss.container == Some(summary.record.uid));
    let lost: u64 = own.filter_map(|loss| loss.count).sum();
    let recorded = lines(&recording, &flood.id.to_string()).len() as u64;
    // Besides its lines the shell makes a few calls in the end.
    let others = (recorded + lost).checked_sub(LINES as u64);
    let few = others.is_some_and(|others| others < 20);
    assert!(lost > 0 && recorded > 0 && few, "{recorded} recorded, {lost} lost");
}

/// Whoever may use bpf(2) deletes what was booked as lost, with nobody there to read it: the programs' own counts tell.
#[test]
#[ignore = "needs root and eBPF"]
fn what_others_removed_from_the_books_of_losses_is_told() {
    let _alone = alone();
    let small = [&PINNED[..], &["--data-ring", "1"]].concat();
    let recorder = Running::start(&small);
    recorder.wait_for_round();
    let store = recorder.kill();
    flood();
    let map = MapData::from_pin(pinned(store.path())[0].join("LOSSES")).unwrap();
    let mut booked: PerCpuHashMap<_, u64, [u64; 4]> =
        PerCpuHashMap::try_from(Map::PerCpuHashMap(map)).unwrap();
    let mut removed = 0;
    for cgroup in booked.keys().map(Result::unwrap).collect::<Vec<_>>() {
        removed +=
            booked.get(&cgroup, 0).unwrap().iter().map(|slot| slot[..3].iter().sum::<u64>()).sum::<u64>();
        booked.remove(&cgroup).unwrap();
    }
    assert!(removed > 0);
    let second = Running::on(store, &small);
    second.wait_for_round();
    std::thread::sleep(Duration::from_secs(1));
    let (store, said) = second.stop();
    assert!(said.contains("somebody else changed LOSSES"), "{said}");
    let recording = open(store.path());
    let changed = recording.losses().iter().filter(|loss| loss.cause == LossCause::MapsChanged);
    assert_eq!(changed.filter_map(|loss| loss.count).sum::<u64>(), removed, "{:?}", recording.losses());
}

/// A directory that something is mounted over.
struct Hidden(PathBuf);

impl Hidden {
    fn of(path: PathBuf) -> Self {
        let done = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&path).status().unwrap();
        assert!(done.success());
        Self(path)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Where a part of the cgroups cannot be seen, what lives there is not told as gone.
#[test]
#[ignore = "needs root and eBPF"]
fn a_container_whose_cgroup_is_hidden_from_who_takes_over_is_not_told_as_deleted() {
    let _alone = alone();
    let (launcher, _root) = busybox();
    let first = Running::start(&PINNED);
    let living = launcher.spawn(&["/bin/busybox", "sleep", "1000"], Stdio::default()).unwrap();
    let id = living.id().to_string();
    first.wait_for_round();
    let store = first.kill();
    let cgroup = unified().join(living.cgroup().to_string().trim_start_matches('/'));
    assert!(cgroup.join("cgroup.procs").exists(), "{cgroup:?}");
    let hidden = Hidden::of(cgroup);
    let (store, said) = Running::on(store, &PINNED).stop();
    drop(hidden);
    living.kill().unwrap();
    living.wait().unwrap();
    assert!(said.contains("taken over"), "{said}");
    let recording = open(store.path());
    let record = &container(&recording, &id).record;
    assert!(!record.preexisting && record.removed.is_none(), "{record:?}");
}

/// Starts containers until something holds.
fn churn_until(what: &str, holds: impl Fn() -> bool) {
    let (launcher, _root) = busybox();
    wait_until(what, || {
        launcher.run(&["/bin/true"], Stdio::default()).unwrap();
        holds()
    });
}

/// What a recorder could not store it tells when there is room: whoever is killed before that cannot, and must not be taken
/// over from.
#[test]
#[ignore = "needs root and eBPF"]
fn a_recorder_that_is_killed_on_a_full_disk_leaves_a_gap_and_one_killed_later_none() {
    let _alone = alone();
    let disk = Disk::of("96m");
    let small = ["--set", "store.reserve=8MiB", "--set", "store.segment_size=8MiB"];
    let settings = [&PINNED[..], &small].concat();
    let recorder = Running::on(TempDir::new_in(disk.path()).unwrap(), &settings);
    let place = pinned(recorder.store.path()).remove(0);
    let can_be_taken = || place.join("TOLD").exists();
    assert!(can_be_taken());
    let fill = disk.path().join("fill");
    let fill_up = || {
        let mut file = fs::File::create(&fill).unwrap();
        while file.write_all(&[1; 1 << 16]).is_ok() {}
        churn_until("nobody can take over", || !can_be_taken());
    };
    let gaps = |recording: &Recording| {
        recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown).count()
    };
    fill_up();
    fs::remove_file(&fill).unwrap();
    churn_until("somebody can take over again", can_be_taken);
    let store = recorder.kill();
    let recorder = Running::on(store, &settings);
    assert_eq!(gaps(&open(recorder.store.path())), 0);
    assert!(can_be_taken(), "the same programs");

    fill_up();
    let store = recorder.kill();
    fs::remove_file(&fill).unwrap();
    let (store, said) = Running::on(store, &settings).stop();
    assert!(said.contains("of no use"), "{said}");
    let recording = open(store.path());
    assert_eq!(gaps(&recording), 1, "{:?}", recording.losses());
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0]);
}

#[test]
#[ignore = "needs root and eBPF"]
fn after_a_reboot_it_is_told_that_nobody_looked_since_the_machine_began() {
    let _alone = alone();
    let store = TempDir::new().unwrap();
    let earlier = Origin { boot_id: [9; 16], ..Origin::default() };
    let mut writer = StoreWriter::open(store.path(), earlier, StoreOptions::default()).unwrap();
    writer.put_container(&ContainerRecord::host(BootNanos(5))).unwrap();
    writer.seal().unwrap();
    let up = host::boot_now();
    let (store, _) = Running::on(store, &["--host", "none"]).stop();
    let recording = open(store.path());
    let downs = recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown);
    let [down] = downs.collect::<Vec<_>>()[..] else { panic!("{:?}", recording.losses()) };
    assert!(down.to.0 - down.from.0 >= up.0, "{down:?} of {up:?}");
    assert!(down.from.0 >= 5, "nothing of the boot before");
}

#[test]
#[ignore = "needs root and eBPF"]
fn programs_loaded_otherwise_are_not_taken_over_and_the_gap_is_told() {
    let _alone = alone();
    let first = Running::start(&PINNED);
    first.wait_for_round();
    let store = first.kill();
    let left = pinned(store.path());
    assert_eq!(left.len(), 1);
    // Another payload limit is in the programs: these are not those.
    let other = [&PINNED[..], &["--payload-file", "16"]].concat();
    let second = Running::on(store, &other);
    wait_until("its own place", || {
        let now = pinned(second.store.path());
        now.len() == 1 && now != left
    });
    let (store, said) = second.stop();
    assert!(!said.contains("taken over"), "{said}");
    let recording = open(store.path());
    let gaps: Vec<_> =
        recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown).collect();
    assert_eq!(gaps.len(), 1, "{:?}", recording.losses());
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0]);
}

/// No system call changes the pinned map any more, and nobody maps it to write to it.
#[expect(unsafe_code, reason = "bpf(2) has no safe form")]
fn freeze(path: &Path) {
    const MAP_FREEZE: libc::c_long = 22;
    let map = MapData::from_pin(path).unwrap();
    let attributes = [map.fd().as_fd().as_raw_fd()];
    // SAFETY: the command reads one descriptor.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, MAP_FREEZE, &raw const attributes, size_of_val(&attributes)) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Each recorder that was started failed at the ring that it could not map, and left it to the next.
#[test]
#[ignore = "needs root and eBPF"]
fn a_ring_that_somebody_froze_is_not_taken_over_and_the_gap_is_told() {
    let _alone = alone();
    let first = Running::start(&PINNED);
    first.wait_for_round();
    let store = first.kill();
    freeze(&pinned(store.path())[0].join("DATA"));
    let second = Running::on(store, &PINNED);
    second.wait_for_round();
    let (store, said) = second.stop();
    assert!(said.contains("of no use") && !said.contains("taken over"), "{said}");
    let recording = open(store.path());
    let gaps = recording.losses().iter().filter(|loss| loss.cause == LossCause::RecorderDown);
    assert_eq!(gaps.count(), 1, "{:?}", recording.losses());
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0]);
}

#[test]
#[ignore = "needs root and eBPF"]
fn two_recorders_do_not_take_over_from_each_other() {
    let _alone = alone();
    let (one, two) = (Running::start(&PINNED), Running::start(&PINNED));
    assert_eq!((pinned(one.store.path()).len(), pinned(two.store.path()).len()), (1, 1));
    let store = one.kill();
    let (other, _) = two.stop();
    assert_eq!((pinned(store.path()).len(), pinned(other.path()).len()), (1, 0));
    // What runs on without a recorder is named.
    let doctor = Command::new(RECORDER).arg("doctor").output().unwrap();
    let place = pinned(store.path())[0].display().to_string();
    let named = String::from_utf8_lossy(&doctor.stdout).lines().any(|line| line.contains(&place));
    assert!(doctor.status.success() && named, "{doctor:?}");
    let (store, said) = Running::on(store, &PINNED).stop();
    assert!(said.contains("taken over"), "{said}");
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0]);
}

/// A recorder that stopped and the next: the gap begins and ends where recording did.
#[test]
#[ignore = "needs root and eBPF"]
fn a_stop_leaves_a_gap_outside_of_which_nothing_is_missing() {
    const OWN: u64 = 0x5a;
    const GETPGID: EventCode = EventCode(121);
    let _alone = alone();
    let args = ["--host", "full", "--profile", "full"];
    // What it waits in is looked at when the programs are off their hooks already.
    let (launcher, _root) = busybox();
    let waiting = launcher.spawn(&["/bin/busybox", "sleep", "1000"], Stdio::default()).unwrap();
    let call = || fs::read_to_string(format!("/proc/{}/syscall", waiting.pid())).unwrap_or_default();
    wait_until("it sleeps", || ["35 ", "230 "].iter().any(|nr| call().starts_with(nr)));
    let stop = AtomicBool::new(false);
    let (store, marks, times) = std::thread::scope(|scope| {
        let marking = scope.spawn(|| {
            let mut marks = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let before = host::boot_now();
                let number = 0x5a00_0000 + marks.len() as i32;
                rustix::process::getpgid(rustix::process::Pid::from_raw(number)).unwrap_err();
                marks.push((before, host::boot_now()));
                std::thread::sleep(Duration::from_micros(300));
            }
            marks
        });
        let first = Running::start(&args);
        let begun = host::boot_now();
        std::thread::sleep(Duration::from_millis(500));
        let (store, _) = first.stop();
        let second = Running::on(store, &args);
        std::thread::sleep(Duration::from_millis(500));
        let ended = host::boot_now();
        let (store, _) = second.stop();
        stop.store(true, Ordering::Relaxed);
        (store, marking.join().unwrap(), (begun, ended))
    });
    let id = waiting.id().to_string();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let recording = open(store.path());
    let (gaps, losses): (Vec<&Loss>, Vec<&Loss>) =
        recording.losses().iter().partition(|loss| loss.cause == LossCause::RecorderDown);
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    let looked = recording.containers().iter().filter(|summary| summary.record.id == id.as_bytes());
    let looked = looked.flat_map(|summary| events(&recording, summary.record.uid));
    let looks = looked.filter(|event| event.code == EventCode::IN_CALL && event.time < gap.to).count();
    assert!(looks > 0, "the first recorder told of the sleep");
    // A busy machine may lose events; the kernel books a loss a moment after it, and the recorder reads that later.
    let is_told = |from: BootNanos, to: BootNanos| {
        let late = |time: BootNanos| time.0.saturating_add(1_000_000_000);
        losses.iter().any(|loss| loss.from.0 <= late(to) && from.0 <= late(loss.to))
    };
    let all = events(&recording, ContainerUid::HOST);
    let own = all.iter().filter(|event| event.code == GETPGID && event.args[0] >> 24 == OWN);
    let kept: BTreeSet<u64> = own.map(|event| event.args[0] & 0xff_ffff).collect();
    let (begun, ended) = times;
    let mut missing = 0;
    for (number, (before, after)) in (0..).zip(&marks) {
        let outside = (*before > begun && *after < gap.from) || (*before > gap.to && *after < ended);
        let explained = kept.contains(&number) || is_told(*before, *after);
        assert!(!outside || explained, "{number} at {before:?} is missing: {gap:?}, {losses:?}");
        missing += usize::from(*before > gap.from && *after < gap.to && !kept.contains(&number));
    }
    assert!(missing > 0 && !kept.is_empty(), "there is a gap: {gap:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_gap_after_a_recorder_that_saw_nothing_begins_when_it_stopped() {
    let _alone = alone();
    let args = ["--host", "none"];
    let first = Running::start(&args);
    first.wait_for_round();
    let asked = host::boot_now();
    let (store, _) = first.stop();
    let (store, _) = Running::on(store, &args).stop();
    let recording = open(store.path());
    let gap = recording.losses().iter().find(|loss| loss.cause == LossCause::RecorderDown).unwrap();
    assert!(gap.from >= asked && gap.to > gap.from, "asked to stop at {asked:?}: {gap:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_recorder_that_fails_leaves_no_programs_behind_and_one_that_took_over_leaves_them_to_the_next() {
    let _alone = alone();
    let fails = |store: &Path| {
        let journal = store.join("triggers.jsonl");
        let aside = store.with_extension("aside");
        fs::rename(&journal, &aside).unwrap();
        fs::create_dir(&journal).unwrap();
        let out = Command::new(RECORDER).args(["run", "--store"]).arg(store).args(PINNED).output().unwrap();
        assert!(!out.status.success(), "{out:?}");
        fs::remove_dir(&journal).unwrap();
        fs::rename(&aside, &journal).unwrap();
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let (store, _) = Running::start(&PINNED).stop();
    let said = fails(store.path());
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0], "{said}");
    let store = Running::on(store, &PINNED).kill();
    let said = fails(store.path());
    assert!(said.contains("go on without one"), "{said}");
    assert_eq!(pinned(store.path()).len(), 1);
    let (store, said) = Running::on(store, &PINNED).stop();
    assert!(said.contains("taken over"), "{said}");
    assert_eq!(pinned(store.path()), [] as [PathBuf; 0]);
}
