use std::collections::HashMap;

use afterimage_format::{BootNanos, EventCode, FieldTag, OwnedEvent, layout};
use proptest::prelude::*;

use super::*;
use crate::{
    testing::{Build, call, exec, exit, fork, task},
    world::tests::any_event,
};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;

fn feed(world: &mut World, events: &[OwnedEvent]) {
    for event in events {
        event.with(|e| world.apply(BOX, e));
    }
}

/// A recorder: its state, and the keyframes it wrote so far with the number of events each knows.
struct Recorder {
    world: World,
    keyframes: Vec<(usize, Vec<u8>)>,
}

impl Recorder {
    fn record(limits: Limits, events: &[OwnedEvent], cuts: &[usize]) -> Self {
        let mut this = Self { world: World::with_limits(limits), keyframes: Vec::new() };
        this.write(events, 0, cuts);
        this
    }

    /// Records those behind the first `known`.
    fn write(&mut self, events: &[OwnedEvent], known: usize, cuts: &[usize]) {
        for (at, event) in events.iter().enumerate().skip(known) {
            let is_written = self.keyframes.last().is_some_and(|(last, _)| *last == at);
            if at > 0 && cuts.contains(&at) && !is_written {
                let is_first = self.keyframes.len().is_multiple_of(3);
                self.keyframes.push((at, self.world.keyframe(BOX, is_first).0));
                self.world.shed(BOX);
            }
            event.with(|e| self.world.apply(BOX, e));
        }
    }

    /// One that begins where another had written these keyframes, of these events.
    fn go_on(limits: Limits, events: &[OwnedEvent], keyframes: Vec<(usize, Vec<u8>)>) -> Self {
        let mut known = keyframes.iter().rev();
        let (mut world, from) = match known.next() {
            None => (World::with_limits(limits), 0),
            Some((from, newest)) => {
                let mut restoring = Restoring::begin(limits, newest, 0).unwrap();
                while restoring.lacks_mounts() {
                    restoring.earlier_mounts(&known.next().unwrap().1, 0).unwrap();
                }
                (restoring.finish_as_kept(), *from)
            }
        };
        feed(&mut world, &events[from..]);
        Self { world, keyframes }
    }

    /// The state after so many events, as a reader finds it.
    fn state(&self, limits: Limits, events: &[OwnedEvent], until: usize) -> World {
        let known = self.keyframes.iter().rev().filter(|(at, _)| *at <= until);
        let mut known = known.map(|(at, bytes)| (*at, bytes));
        let (mut world, from) = match known.next() {
            None => (World::with_limits(limits), 0),
            Some((from, newest)) => {
                let mut restoring = Restoring::begin(limits, newest, 0).unwrap();
                while restoring.wants_earlier()
                    && let Some((_, bytes)) = known.next()
                {
                    restoring.earlier(bytes, 0).unwrap();
                }
                (restoring.finish(), from)
            }
        };
        feed(&mut world, &events[from..until]);
        world
    }
}

/// Gives events times 0.6 s apart, and a process that comes back after its end another id: so late nothing is heard of
/// one that has ended.
fn lived(mut events: Vec<OwnedEvent>) -> Vec<OwnedEvent> {
    let mut ends: HashMap<u32, u32> = HashMap::new();
    for (at, event) in events.iter_mut().enumerate() {
        event.time = BootNanos(1_000_000 + at as u64 * 600_000_000);
        let renamed = |pid: u32, ends: &HashMap<u32, u32>| pid + 100 * ends.get(&pid).copied().unwrap_or(0);
        let pid = event.task.tgid;
        event.task = task(renamed(pid, &ends));
        if event.code == EventCode::FORK {
            let child = event.args[layout::fork::CHILD_TGID] as u32;
            if child == pid {
                event.args[layout::fork::CHILD_TGID] = event.task.tgid.into();
                continue;
            }
            let child = task(renamed(child, &ends));
            event.args[layout::fork::CHILD_TGID] = child.tgid.into();
            event.args[layout::fork::CHILD_START] = child.start.0;
            event.args[layout::fork::CHILD_TID] = child.tgid.into();
        } else if event.code == EventCode::EXIT {
            *ends.entry(pid).or_default() += 1;
        } else if let Ok(named) = u32::try_from(event.ret) {
            // A `clone` that names its child.
            event.ret = renamed(named, &ends).into();
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn state_by_keyframes_equals_state_by_full_replay(
        events in prop::collection::vec(any_event(), 1..160),
        cuts in prop::collection::vec(0_usize..160, 0..8),
        instants in prop::collection::vec(0_usize..160, 1..4),
    ) {
        let (events, limits) = (lived(events), Limits::default());
        let recorder = Recorder::record(limits, &events, &cuts);
        for until in instants.into_iter().map(|until| until.min(events.len())) {
            let mut full = World::with_limits(limits);
            feed(&mut full, &events[..until]);
            prop_assert_eq!(recorder.state(limits, &events, until), full, "after {}", until);
        }
    }

    #[test]
    fn who_goes_on_after_a_killed_recorder_writes_what_that_one_would_have_written(
        events in prop::collection::vec(any_event(), 1..160),
        cuts in prop::collection::vec(0_usize..160, 1..8),
        killed in 0_usize..160,
    ) {
        let (events, limits) = (lived(events), Limits::default());
        let whole = Recorder::record(limits, &events, &cuts);
        let killed = killed.min(events.len());
        let written = whole.keyframes.iter().filter(|(at, _)| *at <= killed).cloned().collect();
        let mut next = Recorder::go_on(limits, &events[..killed], written);
        next.write(&events, killed, &cuts);
        prop_assert_eq!(next.keyframes, whole.keyframes);
        prop_assert_eq!(next.world.keyframe(BOX, true), whole.world.keyframe(BOX, true));
    }

    #[test]
    fn any_bytes_are_a_keyframe_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let good = Recorder::record(Limits::default(), &[fork(10, 1, 2), exit(20, 2, 0), fork(30, 1, 3)], &[1, 2]);
        for bytes in [bytes.clone(), [&[1, 7, 0][..], &bytes].concat(), [&[2, 7, 0][..], &bytes].concat()] {
            let _ = Restoring::begin(Limits::default(), &bytes, 0).map(Restoring::finish);
            let mut restoring = Restoring::begin(Limits::default(), &good.keyframes[0].1, 0).unwrap();
            let _ = restoring.earlier(&bytes, 0);
            let _ = restoring.finish();
        }
    }
}

/// A shell that runs a server and, one after the other, short programs.
fn shell(short: u32) -> Vec<OwnedEvent> {
    let mut events = vec![
        exec(1_000, 1, "/bin/sh", &["sh"]).with_field(FieldTag::CWD, b"/srv"),
        fork(2_000, 1, 2),
        exec(3_000, 2, "/bin/server", &["server", "-p"]),
        call(4_000, 2, "openat", &[CWD, 0, 0, 0], 4).with_kpath("/etc/server.conf"),
        call(5_000, 2, "socket", &[2, 1, 0], 3),
        call(6_000, 2, "connect", &[3, 0, 16], 0).with_address(FieldTag::SOCKADDR, "10.1.1.1:80"),
    ];
    for pid in 10..10 + short {
        let time = u64::from(pid) * 2_000_000_000;
        events.push(fork(time, 1, pid));
        events.push(exec(time + 1, pid, "/bin/short", &["short", &pid.to_string()]));
        events.push(exit(time + 2, pid, 0));
    }
    events
}

#[test]
fn a_keyframe_alone_knows_parents_descriptors_and_names() {
    let events = shell(50);
    let recorder = Recorder::record(Limits::default(), &events, &[20, 60, 120]);
    let (_, last) = recorder.keyframes.last().unwrap();
    let world = Restoring::begin(Limits::default(), last, 0).unwrap().finish();
    let server = world.process_by_pid(2).unwrap();
    assert_eq!(server.title().as_str(), "/bin/server -p");
    let names: Vec<String> = world.ancestors(server).map(|p| p.title().into_string()).collect();
    assert_eq!(names, ["/bin/sh"]);
    let labels: Vec<String> =
        world.fds(server).into_iter().map(|(_, _, info)| info.label().into_string()).collect();
    assert_eq!(labels, ["tcp 10.1.1.1:80", "/etc/server.conf"]);
    assert_eq!(server.cwd.as_deref(), Some(&b"/srv"[..]));
    // Of those that ended long before only the keyframes before tell.
    assert!(world.process_by_pid(10).is_none());
    assert!(recorder.state(Limits::default(), &events, 130).process_by_pid(10).is_some());
}

#[test]
fn a_recorder_keeps_what_lives_and_a_keyframe_costs_what_happened() {
    let events = shell(2000);
    let cuts: Vec<usize> = (1..40).map(|n| n * 150).collect();
    let recorder = Recorder::record(Limits::default(), &events, &cuts);
    let kept = recorder.world.processes(BOX).len();
    assert!(kept < 110, "{kept} processes");
    let longest = recorder.keyframes.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!(longest < 2 * recorder.keyframes[1].1.len(), "{longest} bytes");
}

#[test]
fn history_beyond_the_limit_is_forgotten_and_counted() {
    let events = shell(2000);
    let cuts: Vec<usize> = (1..40).map(|n| n * 150).collect();
    let recorder = Recorder::record(Limits::default(), &events, &cuts);
    let tight = Limits { container_bytes: 200_000, ..Limits::default() };
    let until = *cuts.last().unwrap() + 10;
    let world = recorder.state(tight, &events, until);
    let mut full = World::new();
    feed(&mut full, &events[..until]);
    let all = full.processes(BOX).len() as u64;
    let there = world.processes(BOX).len() as u64;
    assert!(there > 50 && there < all, "{there} of {all}");
    assert_eq!(there + world.overflow(BOX).forgotten, all);
    // The newest are there, and the tree is whole.
    assert!(world.process_by_pid(2).is_some() && world.process_by_pid(10).is_none());
}

#[test]
fn times_of_a_later_boot_get_its_base() {
    let events = shell(5);
    let recorder = Recorder::record(Limits::default(), &events, &[8, 16]);
    let base = 1 << 50;
    let mut restoring = Restoring::begin(Limits::default(), &recorder.keyframes[1].1, base).unwrap();
    restoring.earlier(&recorder.keyframes[0].1, base).unwrap();
    let world = restoring.finish();
    let mut later = World::new();
    for mut event in events[..16].iter().cloned() {
        event.time.0 += base;
        event.task.start.0 += base;
        if event.code == EventCode::FORK {
            event.args[layout::fork::CHILD_START] += base;
        }
        event.with(|e| later.apply(BOX, e));
    }
    assert_eq!(world, later);
}

#[test]
fn keyframes_that_lie_are_refused() {
    let recorder = Recorder::record(Limits::default(), &shell(20), &[30, 60]);
    let bytes = &recorder.keyframes[1].1;
    assert!(Restoring::begin(Limits::default(), bytes, 0).is_ok());
    for cut in 0..bytes.len() {
        assert!(Restoring::begin(Limits::default(), &bytes[..cut], 0).is_err(), "cut at {cut}");
    }
    let other = [&[3][..], &bytes[1..]].concat();
    let error = Restoring::begin(Limits::default(), &other, 0).unwrap_err();
    assert_eq!(error, SnapshotError::Version { found: 3, supported: 2 });
    let mut foreign = Restoring::begin(Limits::default(), bytes, 0).unwrap();
    let of_another = [&[2, 8][..], &recorder.keyframes[0].1[2..]].concat();
    assert!(foreign.earlier(&of_another, 0).is_err(), "of another container");
}

/// Container 7 as `docs/format.md` has it.
fn example() -> Vec<u8> {
    let events = [exec(1_000, 1, "/bin/sh", &["sh"]), fork(2_000, 1, 2), exit(3_000, 2, 1)];
    let mut world = World::new();
    feed(&mut world, &events);
    world.keyframe(BOX, true).0
}

/// `AFTERIMAGE_WRITE_SPEC=1` writes it anew: look at the difference, since what was recorded stays readable.
#[test]
fn the_example_of_the_specification_is_what_is_written() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, after) = page.split_once("```hex keyframe\n").expect("the specification has the example");
    let (_, behind) = after.split_once("```\n").expect("a fence is closed");
    let mut new = format!("{before}```hex keyframe\n");
    for (index, line) in example().chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = line.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' });
        let text: String = text.collect();
        new.push_str(&format!("{:04x}  {:47}  {text}\n", index * 16, hex.join(" ")));
    }
    new.push_str("```\n");
    new.push_str(behind);
    if std::env::var_os("AFTERIMAGE_WRITE_SPEC").is_some() {
        std::fs::write(&path, &new).unwrap();
    }
    assert!(new == page, "docs/format.md differs from what is written");
}

/// What the last program that wrote version 1 wrote of [`shell`]'s first 60 events.
const FIRST_VERSION: [&[u8]; 2] =
    [include_bytes!("tests/version-1-0.bin"), include_bytes!("tests/version-1-1.bin")];

#[test]
fn keyframes_of_the_first_version_are_read() {
    let [older, newer] = FIRST_VERSION;
    let mut restoring = Restoring::begin(Limits::default(), newer, 0).unwrap();
    assert!(restoring.wants_earlier());
    restoring.earlier(older, 0).unwrap();
    let mut full = World::new();
    feed(&mut full, &shell(20)[..60]);
    assert_eq!(restoring.finish(), full);
    // A recorder that was replaced by a newer one: its first keyframe follows some of the first version.
    let recorder = Recorder::record(Limits::default(), &shell(20), &[30, 60]);
    let mut mixed = Restoring::begin(Limits::default(), &recorder.keyframes[1].1, 0).unwrap();
    mixed.earlier(older, 0).unwrap();
    assert_eq!(mixed.finish(), full);
}

fn mount(time: u64, target: &str) -> OwnedEvent {
    call(time, 1, "mount", &[0, 0, 0, 0x1000, 0], 0)
        .with_path("/a")
        .with_field(FieldTag::PATH2, target.as_bytes())
}

#[test]
fn mounts_are_told_once_and_all_of_them_in_a_keyframe_that_stands_alone() {
    let events: Vec<OwnedEvent> = (1..=400).map(|n| mount(n * 1_000_000, &format!("/mnt/{n}"))).collect();
    let recorder = Recorder::record(Limits::default(), &events, &[100, 200, 300, 310]);
    let lengths: Vec<usize> = recorder.keyframes.iter().map(|(_, bytes)| bytes.len()).collect();
    // The first and the fourth stand alone.
    assert!(lengths[1] < lengths[0] + 300 && lengths[2] < lengths[0] + 300, "{lengths:?}");
    assert!(lengths[3] > 2 * lengths[2], "{lengths:?}");
    let targets = |world: &World| -> Vec<Vec<u8>> {
        world.mounts(BOX).unwrap().operations().iter().map(|mount| mount.target.to_vec()).collect()
    };
    for until in [100, 150, 250, 305, 400] {
        let mut full = World::new();
        feed(&mut full, &events[..until]);
        let world = recorder.state(Limits::default(), &events, until);
        assert_eq!(world, full, "after {until}");
        assert_eq!(targets(&world).len(), until);
    }
    let alone = Restoring::begin(Limits::default(), &recorder.keyframes[3].1, 0).unwrap();
    assert!(!alone.wants_earlier());
    assert_eq!(targets(&alone.finish()).len(), 310);
    // Cut out of its segment, one that does not stand alone tells what happened since the one before it.
    let cut = Restoring::begin(Limits::default(), &recorder.keyframes[2].1, 0).unwrap();
    assert!(cut.wants_earlier());
    assert_eq!(targets(&cut.finish()).first().map(Vec::as_slice), Some(&b"/mnt/201"[..]));
}
