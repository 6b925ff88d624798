//! What columns say of rows is what is found event by event.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use afterimage_detect::{
    Bits, Blocks, ByProcess, EventContext, Filter, Frame, Gatherer, RuleSet, Sieve, Tracker, WholeAsks,
    rooted,
};
use afterimage_format::{
    BootNanos, ClockMap, ClockPair, Columns, ContainerRecord, ContainerUid, Event, EventCode, EventFlags,
    EventId, Field, FieldFlags, FieldTag, Origin, Query, Recording, StoreOptions, StoreWriter, TaskKey,
    Visitor, layout,
};
use afterimage_model::syscalls;
use proptest::{prelude::*, sample::select};

const UIDS: [ContainerUid; 2] = [ContainerUid(1), ContainerUid(2)];

/// All that can be asked of whole lives.
const ALL: WholeAsks = WholeAsks { files: true, findings: true, net: true };

/// Checks that columns may or may not answer.
const CHECKS: &[&str] = &[
    "evt.type = openat",
    "evt.type in (read, write, execve)",
    "evt.type contains exec",
    "evt.type != close",
    "evt.type.is.openat = 1",
    "syscall.type exists",
    "evt.type = execveat",
    "evt.failed = true",
    "evt.res = ENOENT",
    "evt.res = SUCCESS",
    "evt.rawres > 3",
    "evt.rawres in (-2, 5)",
    "tolower(evt.res) startswith e",
    "len(evt.res) > 6",
    "evt.count.error = 1",
    "evt.buflen.in >= 2",
    "evt.is_io_read = true",
    "evt.io_dir exists",
    "evt.cpu = 1",
    "evt.cpu != 1",
    "thread.tid = 102",
    "thread.ismain = false",
    "proc.pid in (101, 102)",
    "proc.pid > 101",
    "fd.num = 4",
    "fd.num < 0",
    "fd.num exists",
    "evt.rawtime > 1700000000000020000",
    "evt.time endswith 0",
    "evt.reltime < 30000",
    "evt.around[1700000000000010000] = 1",
    "time > start+20us",
    "life > 10s",
    "container.id = host",
    "container.name = web",
    "fd.name startswith /etc",
    "fd.name = /srv/a",
    "fd.name exists",
    "fd.name contains 'a'",
    "basename(fd.name) = a",
    "fd.nameraw = a",
    "fd.filename = passwd",
    "fd.typechar = 'f'",
    "fd.typechar != 'f'",
    "fd.directory = /etc",
    "fs.path.name = /etc/passwd",
    "fs.path.name exists",
    "fs.path.nameraw = a",
    "fs.path.source endswith b",
    "fs.path.target contains etc",
    "proc.name = sh",
    "proc.cmdline contains x",
    "fd.type = file",
    "evt.num < 20",
    "evt.arg.flags contains O_CREAT",
    "evt.buffer contains a",
    "val(evt.rawres) = val(fd.num)",
    "user.uid = 0",
    "user.name = r",
    "fd.connected = true",
    "fd.rip.name = a.b",
    "fd.sport = 53",
    "fd.rip = 10.0.0.2",
    "fd.rip != 10.0.0.1",
    "fd.sip in (10.0.0.2, 10.0.0.3)",
    "fd.ip = 10.0.0.1",
    "fd.rport = 443",
    "fd.name contains 10.0.0.2",
    "fd.name_changed = true",
    "proc.pname = sh",
    "proc.ppid = 101",
    "proc.nthreads > 1",
    "proc.fdopencount > 1",
    "fd.name = /srv/a/etc/real",
    "fd.name startswith /etc/passwd/",
    "fs.path.name = /srv/a/etc/passwd",
    "fd.directory = /srv/a/etc",
    "proc.cwd = /srv/a/srv/",
    "file.path = /srv/a",
    "file.path contains etc",
    "file.path exists",
    "file.ext exists",
    "file.written = true",
    "file.written = false",
    "net.bytes_out > 4",
    "not net.bytes_in exists",
    "file.executed exists",
    "file.deleted != true",
    "file.deleted = true",
    "file.sha256 exists",
    "find.rule exists",
    "find.sev = info",
    "find.sev != info",
    "find.attack startswith T1",
];

fn filter() -> impl Strategy<Value = String> {
    filter_of(CHECKS.to_vec())
}

/// Filters to which it is the same what descriptors are open on.
fn filter_of_processes() -> impl Strategy<Value = String> {
    let only = |check: &&str| Filter::parse(check).unwrap().asks_processes_only();
    filter_of(CHECKS.iter().copied().filter(only).collect())
}

fn filter_of(checks: Vec<&'static str>) -> impl Strategy<Value = String> {
    select(checks).prop_map(str::to_owned).prop_recursive(4, 12, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several().prop_map(|parts| format!("({})", parts.join(" and "))),
            several().prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.clone().prop_map(|part| format!("not ({part})")),
        ]
    })
}

/// An event in a few numbers: whose, which process and thread, which kind, which path, which result.
type Act = (usize, u32, u32, usize, usize, usize);

const KINDS: [&str; 21] = [
    "openat", "open", "read", "write", "close", "renameat", "unlinkat", "pipe2", "connect", "socket", "dup2",
    "exec", "open_fd", "fork", "exit", "getpid", "fstat", "recvfrom", "sendmmsg", "recvmmsg", "chroot",
];
/// A peer that is never the first of a call.
const HIDDEN: [u8; 16] = [2, 0, 1, 187, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
/// An answer that `a.b` is 10.0.0.1.
const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x01a\x01b\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01";
const ACCOUNTS: &[u8] = b"r:x:0:0:\n";
const PATHS: [&[u8]; 5] = [b"/etc/passwd", b"/srv/a", b"a", b"../etc/b", b"/srv//x/../a"];
const RESULTS: [i64; 6] = [0, 3, 4, 5, -2, -115];

fn act() -> impl Strategy<Value = Act> {
    (0..2usize, 101..104u32, 0..2u32, 0..KINDS.len(), 0..PATHS.len(), 0..RESULTS.len())
}

/// The addresses that a call tells which moves many messages; the first may have none.
fn messages<'p>(peer: &'p [u8], ret: usize, path: &[u8], other: &[u8]) -> impl Iterator<Item = &'p [u8]> {
    let first = if other.len() == 1 { b"" } else { peer };
    let many = RESULTS[ret].clamp(1, 4) as usize - usize::from(path.len().is_multiple_of(2) && ret > 0);
    [first, peer, &HIDDEN, peer].into_iter().take(many)
}

fn with_event<R>(at: u64, act: Act, f: impl FnOnce(ContainerUid, &Event<'_>) -> R) -> R {
    let (uid, pid, thread, kind, path, ret) = act;
    let mut numbers = vec![4, 0, 0o100, 0o644];
    let (path, other) = (PATHS[path], PATHS[(path + ret) % PATHS.len()]);
    let port = if path.len() % 2 == 0 { [0, 53] } else { [1, 187] };
    let peer = [2, 0, port[0], port[1], 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let kernel: &[u8] = if ret % 2 == 0 { path } else { b"/etc/real" };
    let mut fields: Vec<(FieldTag, &[u8])> = Vec::new();
    let code = match KINDS[kind] {
        "exec" => {
            numbers = vec![0; layout::exec::COUNT];
            numbers[layout::exec::EXE_FLAGS] = if ret == 1 { layout::exec::EXE_FD } else { 0 };
            fields = vec![(FieldTag::COMM, b"sh"), (FieldTag::ARGV, b"sh\0x\0"), (FieldTag::CWD, b"/srv")];
            EventCode::EXEC
        }
        "open_fd" => {
            numbers = vec![0; layout::open_fd::COUNT];
            numbers[layout::open_fd::FD] = 4;
            fields = vec![(FieldTag::TARGET, kernel)];
            EventCode::OPEN_FD
        }
        "fork" => {
            numbers = vec![layout::UNKNOWN; layout::fork::COUNT];
            // Another process, or a thread of this one.
            let child = if ret == 2 { pid } else { 101 + (pid - 100) % 3 };
            numbers[layout::fork::CHILD_TGID] = child.into();
            numbers[layout::fork::CHILD_TID] = u64::from(child) + if ret == 2 { 100 } else { 0 };
            numbers[layout::fork::CHILD_START] = 5 + ret as u64 % 2;
            EventCode::FORK
        }
        "exit" => {
            numbers = vec![0; layout::exit::COUNT];
            EventCode::EXIT
        }
        name => {
            match name {
                "openat" | "open" => {
                    fields.push((FieldTag::PATH, path));
                    if RESULTS[ret] >= 0 && ret != 3 {
                        fields.push((FieldTag::KPATH, kernel));
                    }
                    numbers[0] = (-100i64).cast_unsigned();
                }
                "unlinkat" | "chroot" => fields.push((FieldTag::PATH, path)),
                "renameat" => fields.extend([(FieldTag::PATH, path), (FieldTag::PATH2, other)]),
                "read" | "recvfrom" if RESULTS[ret] > 0 => {
                    fields.push((FieldTag::PAYLOAD, if other.len() < 8 { ANSWER } else { ACCOUNTS }));
                    if name == "recvfrom" && other.len() == 1 {
                        fields.push((FieldTag::SOCKADDR, &peer));
                    }
                }
                "write" => fields.push((FieldTag::PAYLOAD, &path[..RESULTS[ret].clamp(0, 1) as usize])),
                "pipe2" if RESULTS[ret] == 0 => fields.push((FieldTag::FDS, &[4, 0, 0, 0, 5, 0, 0, 0])),
                "connect" => fields.push((FieldTag::PEER, &peer)),
                "sendmmsg" | "recvmmsg" => {
                    fields.extend(messages(&peer, ret, path, other).map(|peer| (FieldTag::SOCKADDR, peer)));
                }
                _ => {}
            }
            syscalls::by_name(name).unwrap()
        }
    };
    let fields: Vec<Field<'_>> = fields
        .iter()
        .map(|(tag, bytes)| Field { tag: *tag, flags: FieldFlags(0), full_len: bytes.len() as u32, bytes })
        .collect();
    let event = Event {
        time: BootNanos(at),
        duration: None,
        // Now and then an id is another process's.
        task: TaskKey {
            tgid: pid,
            tid: pid + thread * 100,
            start: BootNanos(5 + u64::from(at.is_multiple_of(7000))),
        },
        code,
        flags: EventFlags(0),
        cpu: (at % 3) as u16,
        ret: RESULTS[ret],
        args: &numbers,
        fields: &fields,
    };
    f(UIDS[uid], &event)
}

fn store(acts: &[Act], block: usize) -> (tempfile::TempDir, Recording) {
    let dir = tempfile::tempdir().unwrap();
    let origin =
        Origin { store_uuid: [1; 16], boot_id: [2; 16], hostname: b"h".to_vec(), ..Origin::default() };
    let options = StoreOptions {
        segment_bytes: 1 << 20,
        block_age: u64::MAX / 2,
        sync_interval: u64::MAX / 2,
        ..StoreOptions::default()
    };
    let mut writer = StoreWriter::open(dir.path(), origin, options).unwrap();
    for uid in UIDS {
        writer.put_container(&ContainerRecord { uid, ..ContainerRecord::host(BootNanos(1)) }).unwrap();
    }
    for (at, act) in acts.iter().enumerate() {
        with_event(1000 * (at as u64 + 1), *act, |uid, event| writer.push(uid, event)).unwrap();
        if at % block == block - 1 {
            // A container that is finished has its block closed.
            UIDS.iter().for_each(|uid| writer.finish_container(*uid).unwrap());
        }
    }
    writer.seal().unwrap();
    let recording = Recording::open(dir.path()).unwrap();
    (dir, recording)
}

/// Every event, each taken into the state.
fn each(recording: &Recording, frame: &Frame, visit: &mut dyn FnMut(EventId, &EventContext<'_>)) {
    let (mut tracker, mut number) = (Tracker::new(), 0);
    recording
        .walk(&Query::default(), None, afterimage_format::Direction::Forward, &mut |id, uid, event| {
            tracker.apply(uid, event);
            let record = recording.containers().iter().find(|s| s.record.uid == uid).map(|s| &s.record);
            number += 1;
            visit(id, &EventContext::new(event, (uid, record), &tracker, frame, number));
            ControlFlow::Continue(())
        })
        .unwrap();
}

/// What is found event by event.
fn one_by_one(recording: &Recording, frame: &Frame, filter: &Filter) -> Vec<(EventId, bool)> {
    let mut found = Vec::new();
    each(recording, frame, &mut |id, cx| found.push((id, filter.matches(cx))));
    found
}

fn frame(recording: &Recording) -> Frame {
    let pair = ClockPair { boot: BootNanos(0), real: 1_700_000_000_000_000_000 };
    let (range, rooted) = (recording.time_range(), rooted(recording));
    let mut gathered: BTreeMap<_, _> = UIDS.map(|uid| (uid, Gatherer::new(uid, ALL))).into();
    let mut tracker = Tracker::new();
    recording
        .for_each(&Query::default(), &mut |uid, event| {
            tracker.apply(uid, event);
            gathered.get_mut(&uid).unwrap().apply(tracker.world(), event);
            ControlFlow::Continue(())
        })
        .unwrap();
    let whole = gathered.into_iter().map(|(uid, own)| (uid, Arc::new(own.finish()))).collect();
    Frame { clock: ClockMap::new(vec![pair]), range, rooted, whole: Arc::new(whole), ..Frame::default() }
}

/// Rows of which columns leave the answer open.
fn agree(acts: &[Act], block: usize, text: &str) -> usize {
    let (_dir, recording) = store(acts, block);
    let frame = frame(&recording);
    let filter = Filter::parse(text).unwrap();
    let rows = filter.row_filter(&frame);
    let mut reader = recording.column_reader();
    let mut open = 0;
    let asked: Vec<_> = recording
        .blocks()
        .iter()
        .map(|block| {
            let only = |code| rows.admits_code(code);
            let columns = reader.read_of(block.index, rows.wanted(), &only).unwrap().unwrap();
            assert_eq!(columns.len(), block.rows as usize);
            let record = recording.containers().iter().find(|s| s.record.uid == block.container);
            rows.rows(&columns, record.map(|s| &s.record))
        })
        .collect();
    let all = one_by_one(&recording, &frame, &filter);
    assert_eq!(all.len(), acts.len());
    for (id, matches) in all {
        let rows = &asked[id.block as usize];
        let (may, sure) = (rows.may.has(id.row as usize), rows.sure.has(id.row as usize));
        assert!(may || !matches, "{text}: row {id:?} matches, and columns say it cannot");
        assert!(!sure || matches, "{text}: row {id:?} does not match, and columns say it does");
        open += usize::from(may && !sure);
    }
    open
}

/// What is found when rows that tell nothing are passed over.
struct Sieved<'a> {
    recording: &'a Recording,
    frame: &'a Frame,
    wants: &'a dyn Fn(&Columns, Option<&ContainerRecord>) -> Bits,
    asks: &'a mut dyn FnMut(EventId, &EventContext<'_>),
    filter: Option<&'a Filter>,
    tracker: Tracker,
    sieve: Sieve,
    number: u64,
    over: usize,
}

impl Sieved<'_> {
    fn record(&self, uid: ContainerUid) -> Option<&ContainerRecord> {
        self.recording.containers().iter().find(|s| s.record.uid == uid).map(|s| &s.record)
    }
}

impl Visitor for Sieved<'_> {
    fn open(&mut self, block: u32, columns: &Columns) {
        let wanted = (self.wants)(columns, self.record(columns.container()));
        self.sieve.open(block, columns, wanted);
    }

    fn passes(&mut self, id: EventId) -> bool {
        self.number += 1;
        let passes = self.sieve.passes(id, &self.tracker);
        self.over += usize::from(passes);
        passes
    }

    fn visit(&mut self, id: EventId, uid: ContainerUid, event: &Event<'_>) -> ControlFlow<()> {
        if self.sieve.apply(id, uid, event, &mut self.tracker) {
            let record = self.recording.containers().iter().find(|s| s.record.uid == uid);
            let record = record.map(|s| &s.record);
            let cx = EventContext::new(event, (uid, record), &self.tracker, self.frame, self.number);
            (self.asks)(id, &cx);
            if self.filter.is_some_and(|filter| filter.of_process().fails(&cx)) {
                self.sieve.misses(id, &self.tracker);
            }
        }
        ControlFlow::Continue(())
    }

    fn close(&mut self, block: u32) {
        self.sieve.close(block);
    }
}

/// How many rows were passed over.
fn sieved(
    recording: &Recording,
    frame: &Frame,
    wants: &dyn Fn(&Columns, Option<&ContainerRecord>) -> Bits,
    filter: Option<&Filter>,
    asks: &mut dyn FnMut(EventId, &EventContext<'_>),
) -> usize {
    let (tracker, sieve) = (Tracker::new(), filter.map_or_else(Sieve::new, |filter| Sieve::of([filter])));
    let mut visitor = Sieved { recording, frame, wants, asks, filter, tracker, sieve, number: 0, over: 0 };
    recording.show_blocks(&Query::default(), &|_| true, &mut visitor).unwrap();
    assert_eq!(visitor.number, recording.blocks().iter().map(|block| u64::from(block.rows)).sum::<u64>());
    visitor.over
}

/// Rows that were passed over, where what is found is the same.
fn same_when_sieved(acts: &[Act], block: usize, text: &str) -> usize {
    let (_dir, recording) = store(acts, block);
    let frame = frame(&recording);
    let filter = Filter::parse(text).unwrap();
    let all = one_by_one(&recording, &frame, &filter);
    let rows = filter.row_filter(&frame);
    let mut found = Vec::new();
    let may = |columns: &Columns, record: Option<&ContainerRecord>| rows.rows(columns, record).may;
    let mut keep = |id, cx: &EventContext<'_>| {
        if filter.matches(cx) {
            found.push(id);
        }
    };
    let over = sieved(&recording, &frame, &may, Some(&filter), &mut keep);
    let expected: Vec<EventId> = all.into_iter().filter(|(_, matches)| *matches).map(|(id, _)| id).collect();
    assert_eq!(found, expected, "{text}");
    over
}

/// What few rows tell is what all events tell.
fn same_by_few(acts: &[Act], block: usize, text: &str) {
    let (_dir, recording) = store(acts, block);
    let frame = frame(&recording);
    let filter = Filter::parse(text).unwrap();
    let by_process = ByProcess::new([&filter], &frame).unwrap_or_else(|| panic!("{text}: asks more"));
    let mut found = Vec::new();
    let everything = Blocks { read: &|_| true, wanted: &|_| true };
    let lacked = by_process.find(&recording, &Query::default(), everything, &mut |id, _| {
        found.push(id);
        true
    });
    assert_eq!(lacked.unwrap(), Some(false), "{text}");
    let all = one_by_one(&recording, &frame, &filter);
    let all: Vec<EventId> = all.into_iter().filter(|(_, matches)| *matches).map(|(id, _)| id).collect();
    assert_eq!(found, all, "{text}");
}

/// Checks of nothing but processes.
const OF_PROCESSES: [&str; 8] = [
    "proc.name = sh",
    "not proc.name = sh",
    "proc.cmdline contains x",
    "proc.pname = sh",
    "proc.aname = sh",
    "within proc.name = sh",
    "proc.ppid = 101",
    "proc.exe exists",
];
/// Checks of what columns say.
const OF_COLUMNS: [&str; 7] = [
    "evt.type = openat",
    "evt.type in (read, execve, procexit)",
    "evt.failed = true",
    "not evt.type = close",
    "thread.ismain = false",
    "proc.pid in (101, 102)",
    "time > start+20us",
];

/// Filters whose parts ask either the one or the other.
fn filter_by_process() -> impl Strategy<Value = String> {
    let several = |checks: &[&'static str]| prop::collection::vec(filter_of(checks.to_vec()), 1..3);
    (several(&OF_PROCESSES), several(&OF_COLUMNS), any::<bool>()).prop_map(|(processes, columns, both)| {
        let columns = if both { columns } else { Vec::new() };
        [columns, processes].concat().join(" and ")
    })
}

#[test]
fn few_rows_are_asked_only_where_they_tell_all() {
    let frame = Frame::default();
    let asks = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        ByProcess::new([&filter], &frame).is_some()
    };
    assert!(OF_PROCESSES.iter().all(|text| asks(text)));
    assert!(!OF_COLUMNS.iter().any(|text| asks(text)), "columns alone tell these");
    assert!(asks("(proc.name = sh or proc.aname = sh) and not (evt.type = read or evt.failed = true)"));
    assert!(!asks("proc.name = sh or evt.type = read"), "which of the two has to hold depends on the row");
    assert!(!asks("proc.name = sh and fd.name exists"));
    assert!(!asks("proc.name = sh and fs.path.nameraw = a"));
    assert!(!asks("proc.name = sh and evt.num < 20"));
    assert!(!asks("proc.cwd = /srv/ and evt.type = read"));
    assert!(!asks("near(proc.name = sh, 1s)"));
}

#[test]
fn few_rows_tell_of_processes_that_come_and_go() {
    let kind = |name: &str| KINDS.iter().position(|kind| *kind == name).unwrap();
    // Somebody who was there before reads, makes 102, which executes `sh`, reads and ends.
    let (read, fork, exec, exit) = (kind("read"), kind("fork"), kind("exec"), kind("exit"));
    let acts = [(101, read), (101, fork), (102, read), (102, exec), (102, read), (102, exit), (101, read)];
    let acts: Vec<Act> = acts.map(|(pid, kind)| (0, pid, 0, kind, 1, 0)).repeat(4);
    for block in [2, 3, 1000] {
        for text in ["proc.name = sh and evt.type = read", "not proc.name = sh", "proc.pname = sh"] {
            same_by_few(&acts, block, text);
        }
    }
}

#[test]
fn a_process_that_moves_behind_the_rows_that_are_looked_at_is_followed() {
    let kind = |name: &str| KINDS.iter().position(|kind| *kind == name).unwrap();
    let (exec, fork, getpid, write) = (kind("exec"), kind("fork"), kind("getpid"), kind("write"));
    // 102, a child of `sh`, acts in the second container, a thread of it in the first, and it in the second again, which nobody
    // asks for. Then another one has its id in the first, and 102 goes on in the second, where it was.
    let acts = [
        (0, 101, 0, exec),
        (0, 101, 0, fork),
        (1, 102, 0, getpid),
        (0, 102, 1, getpid),
        (1, 102, 0, write),
        (0, 101, 0, getpid),
        (0, 102, 0, getpid),
        (1, 102, 0, exec),
        (1, 102, 1, getpid),
    ];
    let acts = acts.map(|(uid, pid, thread, kind)| (uid, pid, thread, kind, 1, 0));
    for block in [5, 1000] {
        same_by_few(&acts, block, "thread.ismain = false and not proc.pname = sh");
        same_by_few(&acts, block, "thread.ismain = false and proc.pname = sh");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn few_rows_tell_what_all_events_tell(
        acts in prop::collection::vec(act(), 1..120),
        block in 3..50usize,
        text in filter_by_process(),
    ) {
        same_by_few(&acts, block, &text);
    }
}

/// Checks of Falco's grammar that rules are made of.
fn rule_checks() -> Vec<&'static str> {
    let strict = |text: &&str| !["time ", "life ", "evt.num"].iter().any(|word| text.starts_with(word));
    CHECKS.iter().copied().filter(strict).collect()
}

/// Hits of each rule by event, with their outputs.
type Found = Vec<(EventId, Vec<String>)>;

fn hits(rules: &RuleSet, cx: &EventContext<'_>) -> Vec<String> {
    rules.evaluate(cx).into_iter().map(|hit| hit.message).collect()
}

fn rules_are_the_same(acts: &[Act], block: usize, conditions: &[Vec<&str>]) -> usize {
    let mut yaml = String::new();
    for (number, parts) in conditions.iter().enumerate() {
        yaml += &format!(
            "- rule: r{number}\n  desc: d\n  priority: INFO\n  output: \"%evt.num %proc.name %fd.name %user.name\"\n  \
             condition: >\n    {}\n",
            parts.join(" and ")
        );
    }
    let rules = RuleSet::parse(&[("rules", &yaml)]).unwrap();
    let (_dir, recording) = store(acts, block);
    let frame = frame(&recording);
    let (mut all, mut some): (Found, Found) = (Vec::new(), Vec::new());
    let keep = |found: &mut Found, id: EventId, hits: Vec<String>| {
        if !hits.is_empty() {
            found.push((id, hits));
        }
    };
    each(&recording, &frame, &mut |id, cx| keep(&mut all, id, hits(&rules, cx)));
    let rows = rules.rows(&frame);
    let may = |columns: &Columns, record: Option<&ContainerRecord>| rows.may(columns, record);
    let over = sieved(&recording, &frame, &may, None, &mut |id, cx| {
        keep(&mut some, id, hits(&rules, cx));
    });
    assert_eq!(some, all, "{yaml}");
    over
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn passing_rows_over_changes_nothing(
        acts in prop::collection::vec(act(), 1..120),
        block in 3..50usize,
        text in filter(),
    ) {
        same_when_sieved(&acts, block, &text);
    }

    #[test]
    fn filters_of_processes_find_the_same_without_descriptors(
        acts in prop::collection::vec(act(), 1..120),
        block in 3..50usize,
        text in filter_of_processes(),
    ) {
        same_when_sieved(&acts, block, &text);
    }

    #[test]
    fn rules_hit_the_same_when_rows_are_passed_over(
        acts in prop::collection::vec(act(), 1..120),
        block in 3..50usize,
        conditions in prop::collection::vec(prop::collection::vec(select(rule_checks()), 1..4), 1..4),
    ) {
        rules_are_the_same(&acts, block, &conditions);
    }
}

#[test]
fn rows_that_tell_nothing_are_passed_over() {
    // Somebody opens a file and reads it for long.
    let acts: Vec<Act> =
        (0..100).map(|n| (0, 101, 0, if n == 0 { 0 } else { 2 + 14 * (n % 2) }, 1, 2)).collect();
    let over = same_when_sieved(&acts, 1000, "evt.type = openat and fd.name startswith /srv");
    let told = "each seventh is of another process with the same id: it tells that, and so does the next one";
    assert_eq!(over, 100 - 1 - 2 * 14, "{told}");
    let conditions =
        [vec!["evt.type = openat", "fd.name = /srv/a"], vec!["evt.type = execve", "proc.name = sh"]];
    assert_eq!(rules_are_the_same(&acts, 1000, &conditions), over);
    assert_eq!(same_when_sieved(&acts, 1000, "fd.name = /srv/a"), 0, "they are what is looked for");
}

#[test]
fn opens_and_closes_are_passed_over_where_only_processes_are_asked_for() {
    const CLOSE: usize = 4;
    let acts: Vec<Act> = (0..60).map(|n| (0, 101, 0, CLOSE * (n % 2), 1, 2)).collect();
    assert_eq!(same_when_sieved(&acts, 1000, "evt.type = getpid and fd.name = /srv/a"), 0);
    let over = same_when_sieved(&acts, 1000, "evt.type = getpid and proc.pname = sh");
    let told = "each seventh is of another process with the same id: it tells that, and so does the next one";
    assert_eq!(over, 60 - 1 - 2 * 8, "{told}");
}

#[test]
fn calls_that_failed_are_passed_over_unless_they_close_or_connect() {
    const FAILED: usize = 4;
    let over = |kind: usize, ret: usize| {
        let acts: Vec<Act> = (0..6).map(|_| (0, 101, 0, kind, 1, ret)).collect();
        same_when_sieved(&acts, 1000, "evt.type = getpid and fd.name startswith /srv")
    };
    // The first one tells that its process is there.
    let (open, close, connect, dup) = (0, 4, 8, 10);
    assert_eq!([open, dup].map(|kind| over(kind, FAILED)), [5, 5]);
    assert_eq!([open, close, connect, dup].map(|kind| over(kind, 2)), [0; 4]);
    assert_eq!([close, connect].map(|kind| over(kind, FAILED)), [0; 2]);
}

#[test]
fn rows_of_a_process_that_is_not_looked_for_are_passed_over_until_it_is_another() {
    const READ: usize = 2;
    const EXEC: usize = 11;
    // Somebody without a name reads for long, executes `sh`, and reads on.
    let acts: Vec<Act> = (0..60).map(|n| (0, 101, 0, if n == 30 { EXEC } else { READ }, 1, 2)).collect();
    let before = same_when_sieved(&acts, 1000, "proc.name = sh and evt.type = read");
    let told = "each seventh is of another process with the same id: it tells that, as do the two behind it";
    assert!((10..30).contains(&before), "{before}: {told}");
    let after = same_when_sieved(&acts, 1000, "not proc.name = sh and evt.type = read");
    assert!((1..30).contains(&after), "{after}: they are looked for until it is `sh`");
    assert_eq!(same_when_sieved(&acts, 1000, "proc.name = sh or evt.type = read"), 0, "all are looked for");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn columns_and_events_agree(
        acts in prop::collection::vec(act(), 1..80),
        block in 3..50usize,
        text in filter(),
    ) {
        agree(&acts, block, &text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn blocks_that_are_passed_over_have_no_match(
        acts in prop::collection::vec(act(), 1..80),
        block in 2..20usize,
        text in filter(),
    ) {
        // A process is in one container: what is known of it is from that container's blocks.
        let acts: Vec<Act> = acts.into_iter().map(|(_, b, c, d, e, f)| (0, b, c, d, e, f)).collect();
        let (_dir, recording) = store(&acts, block);
        let frame = frame(&recording);
        let filter = Filter::parse(&text).unwrap();
        let blocks = filter.prefilter(&frame).blocks(&recording);
        for (id, matches) in one_by_one(&recording, &frame, &filter) {
            let is_read = blocks.contains(&(id.block as usize));
            prop_assert!(is_read || !matches, "{text}: row {id:?} matches, and its block is passed over");
        }
    }
}

/// All acts there are, with different results and paths.
fn all_acts() -> Vec<Act> {
    let each =
        |n: usize| (n % 2, 101 + n as u32 % 3, n as u32 / 2 % 2, n % KINDS.len(), n % PATHS.len(), n / 3 % 5);
    (0..400).map(each).collect()
}

#[test]
fn each_check_agrees_by_itself() {
    let acts = all_acts();
    for text in CHECKS {
        agree(&acts, 90, text);
        agree(&acts, 90, &format!("not {text}"));
    }
}

/// A file's name is joined of the root that one block told and the path that a later one tells.
#[test]
fn a_file_in_another_root_is_found_by_its_path_outside() {
    let kind = |name: &str| KINDS.iter().position(|kind| *kind == name).unwrap();
    // Process 101 makes `/srv/a` its root, then opens `/etc/real` there; nothing else is in its block.
    let acts = [(0, 101, 0, kind("chroot"), 1, 0), (0, 101, 0, kind("getpid"), 0, 0)];
    let acts =
        [&acts[..], &[(0, 101, 0, kind("openat"), 2, 1), (0, 101, 0, kind("unlinkat"), 0, 0)]].concat();
    let (_dir, recording) = store(&acts, 2);
    assert_eq!(recording.blocks().len(), 2);
    let frame = frame(&recording);
    assert_eq!(*frame.rooted, [UIDS[0]]);
    for (text, row) in [
        ("fd.name = /srv/a/etc/real", Some(0)),
        ("fs.path.name = /srv/a/etc/passwd", Some(1)),
        // The root's name may be a link: what it has there is asked as well.
        ("fd.name = /etc/real", Some(0)),
        ("fs.path.name = /etc/passwd", None),
    ] {
        agree(&acts, 2, text);
        let filter = Filter::parse(text).unwrap();
        let found = one_by_one(&recording, &frame, &filter).into_iter().filter(|(_, matches)| *matches);
        let found: Vec<(u32, u32)> = found.map(|(id, _)| (id.block, id.row)).collect();
        assert_eq!(found, Vec::from_iter(row.map(|row| (1, row))), "{text}");
        let read = filter.prefilter(&frame).blocks(&recording);
        assert!(row.is_none() || read.contains(&1), "{text}: {read:?}");
    }
}

#[test]
fn what_depends_on_a_row_alone_is_decided_by_columns() {
    let acts = all_acts();
    let decided = [
        "evt.type = openat and evt.failed = true",
        "thread.tid = 102 and evt.rawres > 3",
        "evt.res = ENOENT or evt.cpu = 1",
        "not (proc.pid = 101 and evt.is_io_read = true)",
        "time > start+20us and fs.path.nameraw = a",
        "evt.type = openat and fd.num = 4",
    ];
    for text in decided {
        assert_eq!(agree(&acts, 90, text), 0, "{text}");
    }
    assert!(agree(&acts, 90, "proc.name = sh") > 0);
    let both = agree(&acts, 90, "proc.name = sh and evt.type = openat");
    assert!(0 < both && both < acts.len() / 5, "only opens are left to be asked: {both}");
}
