//! What columns say of rows is what is found event by event.

use std::ops::ControlFlow;

use afterimage_detect::{EventContext, Filter, Frame, Tracker};
use afterimage_format::{
    BootNanos, Class, ClockMap, ClockPair, ContainerRecord, ContainerUid, Event, EventCode, EventFlags,
    EventId, Field, FieldFlags, FieldTag, Origin, Query, Recording, StoreOptions, StoreWriter, TaskKey,
    layout,
};
use afterimage_model::syscalls;
use proptest::{prelude::*, sample::select};

const UIDS: [ContainerUid; 2] = [ContainerUid(1), ContainerUid(2)];

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
];

fn filter() -> impl Strategy<Value = String> {
    select(CHECKS.to_vec()).prop_map(str::to_owned).prop_recursive(4, 12, 3, |inner| {
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

const KINDS: [&str; 13] = [
    "openat", "open", "read", "write", "close", "renameat", "unlinkat", "pipe2", "connect", "socket", "dup2",
    "exec", "open_fd",
];
const PATHS: [&[u8]; 5] = [b"/etc/passwd", b"/srv/a", b"a", b"../etc/b", b"/srv//x/../a"];
const RESULTS: [i64; 5] = [0, 3, 4, 5, -2];

fn act() -> impl Strategy<Value = Act> {
    (0..2usize, 101..104u32, 0..2u32, 0..KINDS.len(), 0..PATHS.len(), 0..RESULTS.len())
}

fn with_event<R>(at: u64, act: Act, f: impl FnOnce(ContainerUid, &Event<'_>) -> R) -> R {
    let (uid, pid, thread, kind, path, ret) = act;
    let mut numbers = vec![4, 0, 0o100, 0o644];
    let (path, other) = (PATHS[path], PATHS[(path + ret) % PATHS.len()]);
    let peer = [2u8, 0, 1, 187, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
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
        name => {
            match name {
                "openat" | "open" => {
                    fields.push((FieldTag::PATH, path));
                    if RESULTS[ret] >= 0 && ret != 3 {
                        fields.push((FieldTag::KPATH, kernel));
                    }
                    numbers[0] = (-100i64).cast_unsigned();
                }
                "unlinkat" => fields.push((FieldTag::PATH, path)),
                "renameat" => fields.extend([(FieldTag::PATH, path), (FieldTag::PATH2, other)]),
                "read" | "write" => {
                    fields.push((FieldTag::PAYLOAD, &path[..RESULTS[ret].clamp(0, 1) as usize]))
                }
                "pipe2" if RESULTS[ret] == 0 => fields.push((FieldTag::FDS, &[4, 0, 0, 0, 5, 0, 0, 0])),
                "connect" => fields.push((FieldTag::PEER, &peer)),
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
        task: TaskKey { tgid: pid, tid: pid + thread * 100, start: BootNanos(5) },
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
    let origin = Origin {
        store_uuid: [1; 16],
        boot_id: [2; 16],
        hostname: b"h".to_vec(),
        kernel: Vec::new(),
        machine: Vec::new(),
        degraded: Vec::new(),
        recorder: Vec::new(),
    };
    let options = StoreOptions {
        segment_bytes: 1 << 20,
        block_age: u64::MAX / 2,
        sync_interval: u64::MAX / 2,
        budget_bytes: 0,
        max_age: 0,
        reserve_bytes: 0,
        container_share: 0,
        classify: |_| Class::Other,
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

/// What is found event by event.
fn one_by_one(recording: &Recording, frame: &Frame, filter: &Filter) -> Vec<(EventId, bool)> {
    let (mut tracker, mut found) = (Tracker::new(), Vec::new());
    recording
        .walk(&Query::default(), None, afterimage_format::Direction::Forward, &mut |id, uid, event| {
            tracker.apply(uid, event);
            let record = recording.containers().iter().find(|s| s.record.uid == uid).map(|s| &s.record);
            let number = found.len() as u64 + 1;
            let cx = EventContext::new(event, (uid, record), &tracker, frame, number);
            found.push((id, filter.matches(&cx)));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn frame(recording: &Recording) -> Frame {
    let pair = ClockPair { boot: BootNanos(0), real: 1_700_000_000_000_000_000 };
    Frame { clock: ClockMap::new(vec![pair]), range: recording.time_range(), ..Frame::default() }
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
            let columns = reader.read(block.index, rows.wanted()).unwrap().unwrap();
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
