//! What is found is the same whether blocks are skipped or not.

use std::ops::ControlFlow;

use afterimage_detect::ByProcess;
use afterimage_format::{
    BootNanos, Class, ContainerRecord, ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags,
    FieldTag, Origin, Role, StoreOptions, StoreWriter, TaskKey, layout,
};
use proptest::prelude::*;

use super::*;
use crate::{
    events::{self, EventRow, Item, Options, rows::from_processes},
    time::Span,
};

const OPENAT: u16 = 257;
const CONNECT: u16 = 42;
const NANOSLEEP: u16 = 35;
const PR_SET_NAME: u64 = 15;

/// Fields of an event.
type Bytes = [(FieldTag, Vec<u8>)];

/// A store that is written event by event; each phase has names, paths and addresses of its own.
struct Scene {
    writer: StoreWriter,
    time: u64,
    dice: u64,
    phase: u64,
    /// Living processes: id, where they are, and whether they were moved there from the host.
    processes: Vec<(u32, u64)>,
    next: u32,
    /// Of the next event.
    flags: EventFlags,
}

impl Scene {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn push(&mut self, (uid, pid): (u64, u32), code: u16, args: &[u64], ret: i64, fields: &Bytes) {
        self.time += 1000 + self.roll(3) * 500;
        let fields: Vec<Field<'_>> = fields
            .iter()
            .map(|(tag, bytes)| Field {
                tag: *tag,
                flags: FieldFlags(0),
                full_len: bytes.len() as u32,
                bytes,
            })
            .collect();
        let event = Event {
            time: BootNanos(self.time),
            duration: None,
            task: task(pid),
            code: EventCode(code),
            flags: std::mem::take(&mut self.flags),
            cpu: 0,
            ret,
            args,
            fields: &fields,
        };
        self.writer.push(ContainerUid(uid), &event).unwrap();
    }

    fn path(&mut self) -> String {
        let (phase, n) = (self.phase, self.roll(4));
        match self.roll(4) {
            0 => format!("/srv/phase{phase}/file{n}.txt"),
            1 => format!("file{n}-of-{phase}"),
            2 => format!("../up{phase}/./there"),
            _ => "/etc/passwd".to_owned(),
        }
    }

    fn address(&mut self) -> Vec<u8> {
        let last = (self.phase * 10 + 10 + self.roll(3)) as u8;
        let port = (4000 + self.phase).to_be_bytes();
        let mut out = vec![2, 0, port[6], port[7], 10, 1, 2, last];
        out.resize(16, 0);
        out
    }

    /// One event of one of the processes, or a new process.
    fn step(&mut self) {
        let which = self.roll(self.processes.len() as u64) as usize;
        let (pid, uid) = self.processes[which];
        let fd = self.roll(6);
        match self.roll(12) {
            0 if self.processes.len() < 12 => {
                let child = self.next;
                self.next += 1;
                let args = [child.into(), child.into(), start(child), layout::UNKNOWN, 0, 0];
                self.push((uid, pid), EventCode::FORK.0, &args, child.into(), &[]);
                // A child of the host may go on in a container, with the name and the files that it has by then.
                let moves = uid == 0 && self.roll(2) == 0;
                let home = if moves { 1 + self.roll(3) } else { uid };
                self.processes.push((child, home));
            }
            1 | 2 => self.exec(uid, pid),
            3 | 4 => {
                let path = self.path().into_bytes();
                let fields = [(FieldTag::PATH, path.clone()), (FieldTag::KPATH, path)];
                let failed = self.roll(3) == 0;
                let (ret, fields) = if failed { (-2, &fields[..1]) } else { (3 + fd as i64, &fields[..]) };
                if self.roll(8) == 0 {
                    self.flags = EventFlags::SETUP;
                }
                self.push((uid, pid), OPENAT, &[(-100i64).cast_unsigned(), 0, 0, 0], ret, fields);
            }
            5 => {
                let address = self.address();
                let fields = [(FieldTag::SOCKADDR, address.clone()), (FieldTag::PEER, address)];
                self.push((uid, pid), CONNECT, &[3 + fd, 0, 16], 0, &fields);
            }
            6 => {
                let path = format!("/srv/phase{}", self.phase).into_bytes();
                self.push((uid, pid), 80, &[0], 0, &[(FieldTag::PATH, path)]);
            }
            7 => {
                let name = format!("named{}\0", self.phase).into_bytes();
                self.push((uid, pid), 157, &[PR_SET_NAME, 0, 0, 0, 0], 0, &[(FieldTag::DATA, name)]);
            }
            8 => self.push((uid, pid), 3, &[3 + fd], 0, &[]),
            9 | 10 => self.push(
                (uid, pid),
                0,
                &[3 + fd, 0, 100],
                10,
                &[(FieldTag::PAYLOAD, b"0123456789".to_vec())],
            ),
            _ if self.roll(20) == 0 => {
                // Interrupted, and mostly gone on with.
                self.flags = EventFlags::RESTART;
                self.push((uid, pid), NANOSLEEP, &[0, 0], -516, &[]);
                if self.roll(4) > 0 {
                    self.push((uid, pid), 219, &[], 0, &[]);
                }
            }
            _ => self.push((uid, pid), 39, &[], pid.into(), &[]),
        }
    }

    fn exec(&mut self, uid: u64, pid: u32) {
        let n = self.roll(3);
        let name = format!("prog{}x{n}", self.phase);
        let args = [layout::UNKNOWN; layout::exec::COUNT];
        let fields = [
            (FieldTag::KPATH, format!("/usr/bin/{name}").into_bytes()),
            (FieldTag::ARGV, format!("{name}\0--phase={}\0", self.phase).into_bytes()),
            (FieldTag::COMM, name.into_bytes()),
            (FieldTag::CWD, b"/srv".to_vec()),
        ];
        self.push((uid, pid), EventCode::EXEC.0, &args, 0, &fields);
    }
}

fn start(pid: u32) -> u64 {
    u64::from(pid) * 10
}

fn task(pid: u32) -> TaskKey {
    TaskKey { tgid: pid, tid: pid, start: BootNanos(start(pid)) }
}

fn origin() -> Origin {
    Origin { store_uuid: [7; 16], boot_id: [9; 16], hostname: b"h".to_vec(), ..Origin::default() }
}

/// A store of many small blocks.
fn store(dir: &std::path::Path, seed: u64) {
    let options = StoreOptions {
        segment_bytes: 40 << 10,
        block_age: 60_000_000_000,
        sync_interval: 60_000_000_000,
        classify: |_| Class::Other,
        ..StoreOptions::default()
    };
    let writer = StoreWriter::open(dir, origin(), options).unwrap();
    let processes = (1..=4).map(|n| (100 + n, u64::from(n) - 1)).collect();
    let mut scene =
        Scene { writer, time: 1_000_000, dice: seed, phase: 0, processes, next: 200, flags: EventFlags(0) };
    for uid in 0..4 {
        let outer = (uid == 3).then_some(ContainerUid(2));
        let record = ContainerRecord { uid: ContainerUid(uid), outer, ..ContainerRecord::host(BootNanos(1)) };
        let role = if uid == 0 { record.role } else { Role::Container };
        scene.writer.put_container(&ContainerRecord { role, ..record }).unwrap();
    }
    for phase in 0..6 {
        scene.phase = phase;
        for _ in 0..3 {
            for _ in 0..30 {
                scene.step();
            }
            (0..4).for_each(|uid| scene.writer.finish_container(ContainerUid(uid)).unwrap());
            scene.writer.commit(BootNanos(scene.time)).unwrap();
        }
    }
    scene.writer.seal().unwrap();
}

fn options(filters: &mut Filters, skip: bool) -> Options<'_> {
    Options {
        container: None,
        span: Span::default(),
        setup: false,
        raw: false,
        skip,
        limit: u64::MAX,
        streams: true,
        facts: false,
        filters,
    }
}

/// Everything that a search shows.
fn found(trace: &Trace, text: &str, skip: bool) -> Vec<String> {
    let mut filters = Filters::parse(&[text]).unwrap();
    let options = Options { facts: true, ..options(&mut filters, skip) };
    let mut found = Vec::new();
    events::walk(trace, options, &mut |item| {
        if let Item::Event(row) = item {
            let EventRow { event, process, name, detail, facts, .. } = *row;
            found.push(format!("{event:?} {process:?} {name:?} {detail:?} {facts:?}"));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

/// What `--count` prints.
fn counted(trace: &Trace, text: &str) -> u64 {
    let mut filters = Filters::parse(&[text]).unwrap();
    events::count(trace, options(&mut filters, true)).unwrap().shown
}

fn leaf() -> impl Strategy<Value = String> {
    let phase = 0..8u64;
    prop_oneof![
        prop::sample::select(vec![
            "openat", "read", "connect", "execve", "getpid", "ptrace", "prctl", "procexit"
        ])
        .prop_map(|name| format!("evt.type={name}")),
        phase.clone().prop_map(|p| format!("fd.name contains phase{p}/")),
        phase.clone().prop_map(|p| format!("fd.name endswith -of-{p}")),
        phase.clone().prop_map(|p| format!("fs.path.name startswith /srv/up{p}")),
        phase.clone().prop_map(|p| format!("fs.path.nameraw icontains UP{p}/")),
        phase.clone().prop_map(|p| format!("proc.name=prog{p}x1")),
        phase.clone().prop_map(|p| format!("proc.name in (named{p}, prog{p}x0)")),
        phase.clone().prop_map(|p| format!("proc.aname=prog{p}x2")),
        phase.clone().prop_map(|p| format!("proc.pname startswith named{p}")),
        phase.clone().prop_map(|p| format!("proc.cmdline contains \"phase={p}\"")),
        phase.clone().prop_map(|p| format!("proc.exepath glob \"/usr/bin/prog{p}*\"")),
        phase.clone().prop_map(|p| format!("fd.rip=10.1.2.{}1", p + 1)),
        phase.clone().prop_map(|p| format!("fd.sport=400{p}")),
        phase.clone().prop_map(|p| format!("fd.name contains 10.1.2.{p}")),
        phase.prop_map(|p| format!("proc.cwd contains phase{p}")),
        (100..112u32).prop_map(|pid| format!("proc.pid={pid}")),
        (200..206u32).prop_map(|pid| format!("thread.tid in ({pid}, 9)")),
        Just("fd.name startswith <UNKNOWN>".to_owned()),
        Just("proc.name=\"<NA>\"".to_owned()),
        Just("evt.failed=true".to_owned()),
        (3..9u32).prop_map(|fd| format!("fd.num={fd}")),
        (0..300u64).prop_map(|us| format!("evt.reltime<{us}us")),
        Just("fd.name exists".to_owned()),
        (0..8u64).prop_map(|p| format!("file.path contains phase{p}/")),
        (0..8u64).prop_map(|p| format!("file.path endswith /file{p}.txt")),
        prop::sample::select(vec![
            "file.path exists",
            "file.ext = txt",
            "file.written = true",
            "file.written = false",
            "file.written exists",
            "file.executed = true",
            "file.executed != true",
            "file.deleted = true",
            "file.sha256 exists",
            "file.sha256 contains 61",
            "net.bytes_out exists",
            "net.bytes_in > 40",
            "not net.bytes_out <= 40",
            "find.rule exists",
            "find.rule = \"program executed\"",
            "find.sev in (notice, warning, critical)",
            "find.attack != T1105",
        ])
        .prop_map(str::to_owned),
        Just("evt.num<500".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn skipping_blocks_changes_nothing(
        seed in any::<u64>(),
        filters in prop::collection::vec(expression(), 8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), seed);
        let trace = Trace::open(dir.path().to_owned(), false).unwrap();
        for text in filters {
            let all = found(&trace, &text, false);
            prop_assert_eq!(counted(&trace, &text), all.len() as u64, "{}", text);
            prop_assert_eq!(found(&trace, &text, true), all, "{}", text);
        }
    }
}

/// Parts that ask nothing but processes.
fn of_processes() -> impl Strategy<Value = String> {
    let phase = 0..6u64;
    let leaf = prop_oneof![
        phase.clone().prop_map(|p| format!("proc.name=prog{p}x1")),
        phase.clone().prop_map(|p| format!("proc.name startswith named{p}")),
        phase.clone().prop_map(|p| format!("proc.aname=prog{p}x2")),
        phase.clone().prop_map(|p| format!("proc.pname startswith named{p}")),
        phase.clone().prop_map(|p| format!("within proc.name=prog{p}x1")),
        phase.prop_map(|p| format!("proc.cmdline contains \"phase={p}\"")),
        Just("proc.name=\"<NA>\"".to_owned()),
        Just("proc.pname exists".to_owned()),
        Just("user.uid=0".to_owned()),
    ];
    several(leaf.boxed())
}

/// Parts that columns decide.
fn of_columns() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "evt.type=openat",
        "evt.type in (read, connect, prctl)",
        "evt.type=execve",
        "evt.type=nanosleep",
        "not evt.type=close",
        "evt.failed=true",
        "proc.pid in (101, 202)",
        "evt.reltime<300us",
        "container.id != host",
    ]);
    several(leaf.prop_map(str::to_owned).boxed())
}

fn several(leaf: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn few_rows_are_counted_as_all_are(
        seed in any::<u64>(),
        filters in prop::collection::vec((of_columns(), of_processes()), 6),
        of in prop::option::of(0..4u64),
        (begin, end) in (prop::option::of(0..2_000u64), prop::option::of(0..2_000u64)),
        raw in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), seed);
        let trace = Trace::open(dir.path().to_owned(), false).unwrap();
        let at = |thousandth: u64| BootNanos(1_000_000 + thousandth * 1_200);
        let span = Span { begin: begin.map(at), end: end.map(at) };
        for (columns, processes) in filters {
            let mut filters = Filters::parse(&[columns, processes]).unwrap();
            let container = of.map(ContainerUid);
            let mut all = 0;
            let mut emit = |_: Item| {
                all += 1;
                ControlFlow::Continue(())
            };
            let every = Options { container, span, raw, ..options(&mut filters, false) };
            events::walk(&trace, every, &mut emit).unwrap();
            let frame = filters.ready(&trace, container).unwrap();
            let asked = Options { container, span, raw, ..options(&mut filters, true) };
            let few = from_processes(&trace, &asked, &frame).unwrap();
            // Of parts that rule each other out nothing is left to be asked; restarted calls are folded.
            let is_asked = ByProcess::new(asked.filters.iter(), &frame).is_some();
            prop_assert!(!is_asked || few.is_some() || !raw);
            prop_assert_eq!(few.map_or(all, |few| few.shown), all);
            prop_assert_eq!(events::count(&trace, asked).unwrap().shown, all);
        }
    }
}

#[test]
fn what_only_a_part_has_is_looked_for_in_that_part_only() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 7);
    let trace = Trace::open(dir.path().to_owned(), false).unwrap();
    let share = |text: &str| {
        let filters = Filters::parse(&[text]).unwrap();
        let selection = filters.select(&trace, None).unwrap();
        selection.wanted.iter().filter(|wanted| **wanted).count() as f64 / selection.wanted.len() as f64
    };
    assert!(share("evt.type=openat") > 0.5);
    assert!(share("proc.name=nobody-has-it").abs() < f64::EPSILON);
    assert!(share("evt.type=ptrace").abs() < f64::EPSILON);
    let late = "proc.cmdline contains \"phase=3\"";
    assert!(share(late) < 0.7, "it is there from the fourth of six parts on");
    assert!(!found(&trace, late, true).is_empty());
}
