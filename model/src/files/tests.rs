use afterimage_format::{FieldTag, OwnedEvent, layout};
use proptest::prelude::*;

use super::*;
use crate::testing::{Build, call, exec, task};

const BOX: ContainerUid = ContainerUid(7);
const CWD: u64 = 0xffff_ff9c;

fn files(events: &[OwnedEvent]) -> Files {
    files_within(FileLimits::default(), events)
}

fn files_within(limits: FileLimits, events: &[OwnedEvent]) -> Files {
    let (mut world, mut files) = (World::new(), Files::with_limits(limits));
    for event in events {
        event.with(|e| {
            world.apply(BOX, e);
            files.apply(&world, BOX, e);
        });
    }
    files
}

fn acts(record: &FileRecord) -> Vec<String> {
    record
        .acts
        .iter()
        .map(|a| format!("{} {} {} x{} {} B", a.time.0, a.by.tgid, a.kind.as_str(), a.count, a.bytes))
        .collect()
}

fn write(time: u64, pid: u32, fd: u64, bytes: &[u8]) -> OwnedEvent {
    call(time, pid, "write", &[fd, 0, bytes.len() as u64], bytes.len() as i64)
        .with_field(FieldTag::PAYLOAD, bytes)
}

fn dropper() -> Vec<OwnedEvent> {
    vec![
        call(10, 3, "openat", &[CWD, 0, 0o1101, 0o600], 6).with_path("/tmp/.x").with_kpath("/tmp/.x"),
        write(11, 3, 6, b"\x7fELF"),
        write(12, 3, 6, b"rest"),
        call(13, 3, "close", &[6], 0),
        call(20, 4, "fchmodat", &[CWD, 0, 0o755], 0).with_path("/tmp/.x"),
        exec(30, 4, "/tmp/.x", &["/tmp/.x"])
            .with_number(layout::exec::EXE_FLAGS, layout::exec::EXE_UPPER_LAYER)
            .with_number(layout::exec::EXE_SIZE, 8),
        call(40, 4, "unlinkat", &[CWD, 0, 0], 0).with_path("/tmp/.x"),
    ]
}

fn files_of_nothing() -> Files {
    let made = call(10, 3, "memfd_create", &[0, 1], 5).with_path("x");
    files(&[made, call(11, 3, "ftruncate", &[5, 4096], 0)])
}

/// A program in memory that was written and executed was in no list of files.
#[test]
fn files_in_memory_have_their_provenance() {
    let made = |time, fd: i64| call(time, 3, "memfd_create", &[0, 1], fd).with_path("x");
    let run = |time, kpath: &str| {
        exec(time, 4, kpath, &["[kworker]"])
            .with_number(layout::exec::EXE_FLAGS, layout::exec::EXE_MEMFD)
            .with_number(layout::exec::EXE_SIZE, 8)
    };
    let files = files(&[
        // The first one goes on though another has its name.
        made(10, 5),
        made(11, 6),
        write(12, 5, 5, b"first"),
        write(13, 3, 5, b"first"),
        write(14, 3, 6, b"\x7fELF"),
        // By the link in `/proc`, and through that descriptor.
        call(15, 3, "openat", &[CWD, 0, 0o2], 7).with_path("/proc/self/fd/6").with_kpath("memfd:x"),
        write(16, 3, 7, b"rest"),
        run(17, "memfd:x"),
        // Nobody saw this one being made.
        run(18, "/memfd:other (deleted)"),
        // A file may be called so.
        call(20, 3, "openat", &[CWD, 0, 0o1101, 0o600], 8).with_path("/memfd:x").with_kpath("/memfd:x"),
        write(21, 3, 8, b"on disk"),
    ]);
    let all: Vec<_> = files.named(BOX, b"memfd:x").collect();
    let [first, second] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(acts(first), ["10 3 created x1 0 B", "13 3 written x1 5 B"]);
    assert_eq!(
        acts(second),
        [
            "11 3 created x1 0 B",
            "14 3 written x1 4 B",
            "15 3 opened for writing x1 0 B",
            "16 3 written x1 4 B",
            "17 4 executed x1 0 B",
        ]
    );
    assert!(all.iter().all(|file| file.memory && file.kernel_path && file.existence == Existence::Made));
    assert!(second.was_dropped_and_executed() && !first.was_dropped_and_executed());
    assert_eq!((second.size, second.upper_layer), (Some(8), None));
    assert!(first.was_changed());
    let empty = files_of_nothing();
    assert!(!empty.get(BOX, b"memfd:x").unwrap().was_changed());
    let other = files.get(BOX, b"memfd:other").unwrap();
    assert!(other.memory && other.was(ActKind::Executed) && other.existence == Existence::Unknown);
    let real = files.get(BOX, b"/memfd:x").unwrap();
    assert!(!real.memory && real.bytes_written == 7, "{real:?}");
}

#[test]
fn a_dropped_program_has_its_whole_provenance() {
    let files = files(&dropper());
    let record = files.get(BOX, b"/tmp/.x").unwrap();
    assert_eq!(
        acts(record),
        [
            "10 3 opened or created x1 0 B",
            "11 3 written x2 8 B",
            "20 4 mode set x1 0 B",
            "30 4 executed x1 0 B",
            "40 4 deleted x1 0 B",
        ]
    );
    assert!(
        record.was_dropped_and_executed() && record.deleted && record.kernel_path && record.was_changed()
    );
    assert_eq!((record.bytes_written, record.size, record.upper_layer), (8, Some(8), Some(true)));
    assert_eq!(record.existence, Existence::MaybeMade);
    let whole = record.content.assemble(1000);
    assert_eq!((whole.bytes.as_slice(), whole.holes.len(), whole.unplaced), (&b"\x7fELFrest"[..], 0, 0));
}

#[test]
fn content_has_holes_where_payloads_were_cut_and_no_place_where_none_is_known() {
    let mut cut = write(12, 3, 6, b"abc");
    cut.ret = 10;
    cut.args[2] = 10;
    let files = files(&[
        call(10, 3, "openat", &[CWD, 0, 0o301, 0o600], 6).with_kpath("/a"),
        write(11, 3, 6, b"12"),
        cut,
        write(13, 3, 6, b"end"),
        call(14, 3, "pwrite64", &[6, 0, 1, 0], 1).with_field(FieldTag::PAYLOAD, b"X"),
        call(20, 3, "openat", &[CWD, 0, 0o2001, 0], 7).with_kpath("/log"),
        write(21, 3, 7, b"line"),
    ]);
    let whole = files.get(BOX, b"/a").unwrap().content.assemble(100);
    assert_eq!(whole.bytes, b"X2abc\0\0\0\0\0\0\0end");
    assert_eq!(whole.holes, [(5, 7)]);
    assert_eq!(files.get(BOX, b"/a").unwrap().existence, Existence::Made);
    let log = files.get(BOX, b"/log").unwrap();
    assert_eq!((log.content.assemble(100).unplaced, log.existence), (1, Existence::Found));
    assert_eq!(files.get(BOX, b"/a").unwrap().content.assemble(3).bytes, b"X2a");
}

#[test]
fn a_renamed_file_keeps_its_history_and_replaces_the_other() {
    let files = files(&[
        call(10, 3, "openat", &[CWD, 0, 0o301, 0o600], 6).with_kpath("/etc/passwd.new"),
        write(11, 3, 6, b"root"),
        call(12, 3, "openat", &[CWD, 0, 0, 0], 7).with_kpath("/etc/passwd"),
        call(13, 3, "rename", &[0, 0], 0)
            .with_path("/etc/passwd.new")
            .with_field(FieldTag::PATH2, b"/etc/passwd"),
        call(14, 3, "rename", &[0, 0], 0).with_path("/a").with_field(FieldTag::PATH2, b"/b"),
    ]);
    let record = files.get(BOX, b"/etc/passwd").unwrap();
    assert_eq!(record.formerly, [b"/etc/passwd.new"]);
    assert_eq!(acts(record), ["10 3 created x1 0 B", "11 3 written x1 4 B", "13 3 renamed x1 0 B"]);
    assert!(files.get(BOX, b"/etc/passwd.new").is_none());
    assert_eq!(files.get(BOX, b"/b").unwrap().formerly, [b"/a"]);
}

#[test]
fn links_directories_reads_and_refusals_are_noted() {
    let files = files(&[
        call(10, 3, "mkdir", &[0, 0o755], 0).with_path("/d"),
        call(11, 3, "symlinkat", &[0, CWD, 0], 0).with_path("/etc").with_field(FieldTag::PATH2, b"/d/e"),
        call(12, 3, "openat", &[CWD, 0, 0, 0], -13).with_path("/etc/shadow"),
        call(13, 3, "openat", &[CWD, 0, 0, 0], -2).with_path("/nowhere"),
        call(14, 3, "openat", &[CWD, 0, 0, 0], 4).with_kpath("/lib/x.so"),
        call(15, 3, "read", &[4, 0, 832], 832),
        call(16, 3, "mmap", &[0, 4096, 5, 2, 4, 0], 0x7000),
        call(17, 3, "mmap", &[0, 4096, 1, 2, 4, 0], 0x8000),
        call(18, 3, "sendfile", &[1, 4, 0, 100], 100),
    ]);
    assert!(files.get(BOX, b"/d").unwrap().directory);
    assert_eq!(files.get(BOX, b"/d/e").unwrap().link_to.as_deref(), Some(&b"/etc"[..]));
    assert!(files.get(BOX, b"/etc/shadow").unwrap().was(ActKind::Refused));
    assert!(files.get(BOX, b"/nowhere").is_none());
    let library = files.get(BOX, b"/lib/x.so").unwrap();
    assert!(library.was(ActKind::Mapped) && !library.was_changed());
    assert_eq!(library.bytes_read, 932);
}

#[test]
fn files_touched_through_a_ring_are_noted() {
    let request = |time, code, operation| OwnedEvent {
        code,
        args: vec![operation, 0, CWD],
        ..call(time, 3, "getpid", &[], 5)
    };
    let files = files(&[
        request(10, EventCode::URING_COMPLETE, 18).with_kpath("/etc/shadow"),
        request(11, EventCode::URING_SUBMIT, 36).with_path("/tmp/x"),
    ]);
    assert!(files.get(BOX, b"/etc/shadow").unwrap().was(ActKind::OpenedForReading));
    assert!(files.get(BOX, b"/tmp/x").unwrap().deleted);
}

#[test]
fn a_flood_of_files_is_bounded_and_counted() {
    let limits = FileLimits { files: 10, lives: 3, acts: 3, all_acts: 1_000, content: 200, names: 0 };
    let mut events: Vec<OwnedEvent> =
        (0..50_u64).map(|n| call(n, 3, "openat", &[CWD, 0, 0, 0], 3).with_kpath(&format!("/f{n}"))).collect();
    for n in 0..20 {
        events.push(call(100 + n, 3, "chmod", &[0, 0o644], 0).with_path("/f0"));
        events.push(call(100 + n, 3, "chown", &[0, 0, 0], 0).with_path("/f0"));
    }
    events.push(call(200, 3, "openat", &[CWD, 0, 0o1001, 0], 4).with_kpath("/f1"));
    events.extend((0..20).map(|n| write(201 + n, 3, 4, b"0123456789")));
    let files = files_within(limits, &events);
    assert_eq!(files.list(BOX).count(), 10);
    assert_eq!(files.get(BOX, b"/f0").unwrap().acts.len(), 3);
    assert_eq!(files.get(BOX, b"/f0").unwrap().acts_dropped, 38);
    let written = files.get(BOX, b"/f1").unwrap();
    let kept = written.content.kept() as u64;
    assert!((100..200).contains(&kept), "{kept}");
    assert_eq!((written.bytes_written, written.bytes_recorded), (200, 200));
    assert_eq!(written.content.left_out(), 200 - kept);
    let whole = written.content.assemble(1000);
    assert_eq!((whole.bytes.len(), whole.holes), (200, vec![(kept, 200 - kept)]));
    let left_out = LeftOut {
        unlisted: 40,
        unlisted_written: 0,
        acts: 38,
        directories: 0,
        content: 200 - kept,
        names: 0,
    };
    assert_eq!(files.left_out(BOX), left_out);
}

fn open(time: u64, flags: u64, fd: i64, path: &str) -> OwnedEvent {
    call(time, 3, "openat", &[CWD, 0, flags, 0o600], fd).with_path(path).with_kpath(path)
}

fn rename(time: u64, from: &str, to: &str) -> OwnedEvent {
    call(time, 3, "rename", &[0, 0], 0).with_path(from).with_field(FieldTag::PATH2, to.as_bytes())
}

fn unlink(time: u64, path: &str) -> OwnedEvent {
    call(time, 3, "unlink", &[0], 0).with_path(path)
}

/// A file that is made, written, renamed and removed, over and over.
fn churn(rounds: u64) -> Vec<OwnedEvent> {
    let round = |n: u64| {
        let at = n * 10;
        let bytes = format!("round {n:04}");
        [
            open(at, 0o1101, 6, "/t"),
            write(at + 1, 3, 6, bytes.as_bytes()),
            call(at + 2, 3, "close", &[6], 0),
            rename(at + 3, "/t", "/tr"),
            unlink(at + 4, "/tr"),
        ]
    };
    (1..=rounds).flat_map(round).collect()
}

#[test]
fn each_file_that_had_a_name_has_a_record() {
    let files = files(&churn(5));
    let all: Vec<_> = files.list(BOX).collect();
    assert_eq!(all.len(), 5);
    for (n, record) in (1..).zip(&all) {
        assert_eq!((record.path.as_slice(), record.deleted, record.lives), (&b"/tr"[..], true, 1));
        assert_eq!((record.first.0, record.formerly.as_slice()), (n * 10, &[b"/t".to_vec()][..]));
        assert_eq!(record.content.assemble(100).bytes, format!("round {n:04}").as_bytes());
        // Nothing tells whether the first was there; the others cannot have been.
        let expected = if n == 1 { Existence::MaybeMade } else { Existence::Made };
        assert_eq!(record.existence, expected);
        assert_eq!(record.was(ActKind::Created), n != 1);
    }
    assert_eq!(files.named(BOX, b"/tr").count(), 5);
    assert_eq!(files.get(BOX, b"/tr").unwrap().first.0, 50);
}

/// However few records there is room for, what was written is in them, and how many files they stand for.
#[test]
fn a_flood_of_files_of_one_name_is_in_the_last_record() {
    let by_lives = FileLimits { lives: 4, acts: 20, ..FileLimits::default() };
    let files = files_within(by_lives, &churn(1000));
    let all: Vec<_> = files.list(BOX).collect();
    assert_eq!(all.iter().map(|r| r.lives).collect::<Vec<_>>(), [1, 1, 997, 1]);
    assert_eq!(all.iter().map(|r| r.bytes_written).sum::<u64>(), 10_000);
    assert!(all[2].acts_dropped > 0 && all.iter().all(|r| r.acts.len() <= 20));
    assert_eq!(files.left_out(BOX).acts, all[2].acts_dropped);
    assert_eq!(all[3].content.assemble(100).bytes, b"round 1000");
    let in_place: Vec<_> =
        churn(1000).into_iter().filter(|e| e.fields.iter().all(|f| f.tag != FieldTag::PATH2)).collect();
    let removed = in_place.into_iter().map(|mut e| {
        if let Some(path) = e.fields.iter_mut().find(|f| f.bytes == b"/tr") {
            path.bytes = b"/t".to_vec();
        }
        e
    });
    let removed: Vec<_> = removed.collect();
    for limits in [by_lives, FileLimits { files: 2, ..FileLimits::default() }] {
        let files = files_within(limits, &removed);
        let all: Vec<_> = files.list(BOX).collect();
        assert_eq!(all.iter().map(|r| r.lives).sum::<u64>(), 1000);
        assert_eq!(all.iter().map(|r| r.bytes_written).sum::<u64>(), 10_000);
        let last = all.last().unwrap();
        assert!(last.lives > 900 && last.deleted);
        assert_eq!(last.content.assemble(100).bytes, b"round 1000");
    }
}

#[test]
fn what_is_done_through_an_open_file_is_done_to_that_file() {
    let files = files(&[
        open(10, 0o1101, 6, "/t"),
        unlink(11, "/t"),
        open(20, 0o1101, 7, "/t"),
        write(21, 3, 6, b"hidden"),
        write(22, 3, 7, b"shown"),
        rename(23, "/t", "/u"),
        write(24, 3, 7, b" too"),
    ]);
    let all: Vec<_> = files.list(BOX).map(|r| (r.path.clone(), r.content.assemble(100).bytes)).collect();
    assert_eq!(all, [(b"/t".to_vec(), b"hidden".to_vec()), (b"/u".to_vec(), b"shown too".to_vec())]);
    assert!(files.get(BOX, b"/t").unwrap().deleted);
}

#[test]
fn names_that_are_exchanged_and_files_that_are_replaced_are_both_kept() {
    let exchange =
        call(30, 3, "renameat2", &[CWD, 0, CWD, 0, 2], 0).with_path("/a").with_field(FieldTag::PATH2, b"/b");
    let events = [open(10, 0o301, 6, "/a"), open(20, 0, 7, "/b"), exchange, rename(40, "/a", "/b")];
    let files = files(&events);
    let all: Vec<_> = files.list(BOX).map(|r| (r.path.clone(), r.first.0, r.replaced, r.deleted)).collect();
    assert_eq!(all, [(b"/b".to_vec(), 10, true, false), (b"/b".to_vec(), 20, false, false)]);
    let replaced = files.named(BOX, b"/b").next().unwrap();
    assert!(replaced.was(ActKind::Replaced) && replaced.was_changed());
}

#[test]
fn of_many_former_names_the_first_and_the_last_are_kept() {
    let mut events = vec![open(1, 0o301, 6, "/n0")];
    events.extend((0..100).map(|n| rename(2 + n, &format!("/n{n}"), &format!("/n{}", n + 1))));
    let files = files(&events);
    let record = files.get(BOX, b"/n100").unwrap();
    assert_eq!((record.formerly.len(), files.list(BOX).count()), (32, 1));
    assert_eq!((&record.formerly[0], &record.formerly[31]), (&b"/n0".to_vec(), &b"/n99".to_vec()));
}

#[test]
fn room_set_aside_and_unseen_writes_are_told_apart() {
    let with = |event: OwnedEvent| {
        let events = [open(1, 0o1101, 6, "/x"), write(2, 3, 6, b"ab"), event];
        let files = files(&events);
        let content = files.get(BOX, b"/x").unwrap().content.clone();
        (content.assemble(100).bytes, content.had_unseen_writes())
    };
    let fallocate = |mode, to| call(3, 3, "fallocate", &[6, mode, 0, to], 0);
    assert_eq!(with(fallocate(0, 4)), (b"ab\0\0".to_vec(), false));
    assert_eq!(with(fallocate(0, 1)), (b"ab".to_vec(), false));
    assert_eq!(with(fallocate(1, 4)), (b"ab".to_vec(), false));
    assert_eq!(with(fallocate(3, 1)), (b"ab".to_vec(), true));
    assert_eq!(with(call(3, 3, "mmap", &[0, 4096, 3, 1, 6, 0], 0x7000)), (b"ab".to_vec(), true));
    assert_eq!(with(call(3, 3, "mmap", &[0, 4096, 3, 2, 6, 0], 0x7000)), (b"ab".to_vec(), false));
}

#[test]
fn only_what_was_made_is_created() {
    let files = files(&[
        open(10, 0o1101, 6, "/dev/null"),
        open(11, 0o1101, 6, "/dev/null"),
        open(12, 0o301, 6, "/new"),
        open(13, 0o101, 6, "/new"),
        open(14, 0, 6, "/found"),
        open(15, 0o101, 6, "/found"),
        call(16, 3, "openat", &[CWD, 0, 0o101, 0], -13).with_path("/refused"),
        open(17, 0o101, 6, "/refused"),
    ]);
    let acts = |path: &[u8]| {
        let record = files.get(BOX, path).unwrap();
        (record.acts.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), record.existence)
    };
    assert_eq!(acts(b"/dev/null"), (vec!["opened or created", "opened for writing"], Existence::MaybeMade));
    assert_eq!(acts(b"/new"), (vec!["created", "opened for writing"], Existence::Made));
    assert_eq!(acts(b"/found"), (vec!["opened", "opened for writing"], Existence::Found));
    assert_eq!(acts(b"/refused"), (vec!["refused", "opened or created"], Existence::MaybeMade));
}

/// A shell's `>>`: each line by a descriptor of its own.
fn log(flags: u64) -> Vec<OwnedEvent> {
    let line = |n: u64| {
        let bytes = format!("line {n}\n");
        [
            open(n * 10, flags, 6, "/log"),
            write(n * 10 + 1, 3, 6, bytes.as_bytes()),
            call(n * 10 + 2, 3, "close", &[6], 0),
        ]
    };
    (1..=3).flat_map(line).collect()
}

#[test]
fn appends_lie_behind_each_other() {
    const APPEND: u64 = 0o2101;
    let lines = b"line 1\nline 2\nline 3\n";
    // Nothing tells whether it was there: in order, of unknown place.
    let record = files(&log(APPEND)).get(BOX, b"/log").unwrap().clone();
    let made = record.content.assemble(1000);
    assert_eq!((made.bytes.as_slice(), made.unplaced, made.unplaced_from), (&lines[..], 3, 0));
    assert!(!record.content.is_from_empty() && made.holes.is_empty());
    // Removed before: it was made here.
    let mut events = vec![unlink(1, "/log")];
    events.extend(log(APPEND));
    let record = files(&events).get(BOX, b"/log").unwrap().clone();
    let made = record.content.assemble(1000);
    assert_eq!((made.bytes.as_slice(), made.unplaced), (&lines[..], 0));
    assert!(record.content.is_from_empty() && !record.content.is_disordered());
    // Emptied, with a header by another descriptor, and `pwrite`, which appends too.
    let mut events = vec![open(1, 0o1101, 9, "/log"), write(2, 3, 9, b"head\n")];
    events.extend(log(APPEND));
    events.push(open(50, APPEND, 8, "/log"));
    events.push(call(51, 3, "pwrite64", &[8, 0, 1, 0], 1).with_field(FieldTag::PAYLOAD, b"!"));
    let made = files(&events).get(BOX, b"/log").unwrap().content.assemble(1000);
    assert_eq!((made.bytes, made.unplaced), (b"head\nline 1\nline 2\nline 3\n!".to_vec(), 0));
    // Two at once: in whichever order.
    let mut slow = write(60, 4, 6, b"b");
    slow.duration = Some(50);
    let mut events = vec![open(1, 0o3101, 6, "/log"), crate::testing::fork(2, 3, 4), write(30, 3, 6, b"a")];
    events.push(slow);
    let both = files(&events).get(BOX, b"/log").unwrap().clone();
    assert_eq!(both.content.assemble(10).bytes, b"ab");
    assert!(both.content.is_disordered());
}

#[test]
fn what_is_cut_is_not_there_and_what_was_never_written_is_zero() {
    let ftruncate = |time, to| call(time, 3, "ftruncate", &[6, to], 0);
    let lseek = |time, to: u64| call(time, 3, "lseek", &[6, to, 0], to.cast_signed());
    let from = |flags| {
        files(&[
            open(1, flags, 6, "/x"),
            write(2, 3, 6, b"abcdef"),
            ftruncate(3, 2),
            lseek(4, 4),
            write(5, 3, 6, b"z"),
        ])
    };
    let made = from(0o1101).get(BOX, b"/x").unwrap().content.assemble(100);
    assert_eq!((made.bytes.as_slice(), made.holes), (&b"ab\0\0z"[..], vec![]));
    let made = from(1).get(BOX, b"/x").unwrap().content.assemble(100);
    assert_eq!((made.bytes.as_slice(), made.holes), (&b"ab\0\0z"[..], vec![(2, 2)]));
    let emptied = [open(1, 0o1101, 6, "/x"), write(2, 3, 6, b"abc"), ftruncate(3, 0)];
    assert_eq!(files(&emptied).get(BOX, b"/x").unwrap().content.kept(), 0);
    assert_eq!(files(&emptied).get(BOX, b"/x").unwrap().bytes_recorded, 3);
}

proptest! {
    /// Whatever is done to names, and however little room there is: no written byte is forgotten, and no file is listed twice.
    #[test]
    fn nothing_that_was_written_is_forgotten(
        steps in prop::collection::vec((0..7_u8, 0..4_u8, 0..4_u8), 1..200),
        lives in 2..5_usize,
        room in prop::sample::select(vec![2_usize, 5, 1_000]),
    ) {
        let path = |n: u8| format!("/f{n}");
        let mut written = 0;
        let mut events = Vec::new();
        for (time, (what, a, b)) in (10..).step_by(10).zip(steps) {
            let fd = 3 + i64::from(b);
            events.push(match what {
                0 => open(time, 0o1101, fd, &path(a)),
                1 => open(time, 0o301, fd, &path(a)),
                2 => unlink(time, &path(a)),
                3 => rename(time, &path(a), &path(b)),
                4 => call(time, 3, "renameat2", &[CWD, 0, CWD, 0, 2], 0)
                    .with_path(&path(a))
                    .with_field(FieldTag::PATH2, path(b).as_bytes()),
                5 => call(time, 3, "ftruncate", &[u64::from(3 + b), u64::from(a)], 0),
                _ => write(time, 3, 3 + u64::from(b), b"12345"),
            });
        }
        let mut world = World::new();
        for event in &events {
            event.with(|e| {
                world.apply(BOX, e);
                let is_file = |(_, info): (u64, &crate::fds::FdInfo)| matches!(info.kind, crate::fds::FdKind::File { .. });
                if e.fields.iter().any(|f| f.tag == FieldTag::PAYLOAD)
                    && world.description(e.task, e.args[0] as i32).is_some_and(is_file)
                {
                    written += 5;
                }
            });
        }
        let limits = FileLimits { files: room, lives, acts: 10, all_acts: 50, content: 1_000, names: 0 };
        let files = files_within(limits, &events);
        let all: Vec<_> = files.list(BOX).collect();
        let ids: std::collections::BTreeSet<_> = all.iter().map(|r| r.id).collect();
        prop_assert_eq!(ids.len(), all.len());
        prop_assert!(all.len() <= room && (0..4).all(|n| files.named(BOX, path(n).as_bytes()).count() <= lives));
        let listed: u64 = all.iter().map(|r| r.bytes_written).sum();
        let left_out = files.left_out(BOX);
        prop_assert_eq!(listed + left_out.unlisted_written, written);
        prop_assert_eq!(all.iter().map(|r| r.acts_dropped).sum::<u64>(), left_out.acts);
        let room: usize = all.iter().map(|r| r.content.room()).sum();
        prop_assert!(room <= limits.content);
        if files.limits.files == 1_000 {
            prop_assert_eq!(left_out.unlisted, 0);
        }
    }

    /// What a program writes in order comes out as it went in, however it is split.
    #[test]
    fn content_written_in_order_is_put_together(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..20)) {
        let mut events = vec![call(1, 3, "openat", &[CWD, 0, 0o1101, 0o600], 6).with_kpath("/x")];
        events.extend(parts.iter().enumerate().map(|(at, part)| write(2 + at as u64, 3, 6, part)));
        let files = files(&events);
        let whole = files.get(BOX, b"/x").unwrap().content.assemble(1 << 20);
        prop_assert_eq!(whole.bytes, parts.concat());
        prop_assert_eq!(whole.holes, vec![]);
        prop_assert_eq!(files.get(BOX, b"/x").unwrap().acts.last().map(|a| a.by), Some(task(3).into()));
    }
}

/// `files -b T` told what was written before T too, because only the end was cut.
#[test]
fn what_was_done_before_the_range_is_state_and_is_not_counted() {
    let (mut world, mut files) = (World::new(), Files::new().counting_from(Some(BootNanos(12))));
    for event in dropper() {
        event.with(|e| {
            world.apply(BOX, e);
            files.apply(&world, BOX, e);
        });
    }
    let record = files.get(BOX, b"/tmp/.x").unwrap();
    assert_eq!(
        acts(record),
        ["12 3 written x1 4 B", "20 4 mode set x1 0 B", "30 4 executed x1 0 B", "40 4 deleted x1 0 B"]
    );
    assert_eq!((record.bytes_written, record.bytes_recorded), (4, 4));
    assert_eq!((record.first, record.last), (BootNanos(12), BootNanos(40)));
    assert!(record.is_from_before() && record.was_dropped_and_executed(), "it was made before");
    assert_eq!(record.existence, Existence::MaybeMade);
    assert_eq!(record.content.assemble(100).bytes, b"\x7fELFrest", "content is as of the end");
    let mut late = Files::new().counting_from(Some(BootNanos(41)));
    for event in dropper() {
        event.with(|e| late.apply(&world, BOX, e));
    }
    assert!(!late.get(BOX, b"/tmp/.x").unwrap().is_counted(), "nothing was done to it since");
}

fn made(time: u64, fd: u64, path: &str, bytes: &[u8]) -> [OwnedEvent; 2] {
    let open = call(time, 3, "openat", &[CWD, 0, 0o1101, 0o600], fd.cast_signed());
    [open.with_path(path).with_kpath(path), write(time + 1, 3, fd, bytes)]
}

/// A tester's `mv /tmp/h/stage /tmp/h/.hid` left both files listed as still there, and two others as removed unwritten.
#[test]
fn what_lies_in_a_directory_goes_with_it() {
    let mut events = vec![call(1, 3, "mkdir", &[0], 0).with_path("/h/stage")];
    events.extend(made(10, 6, "/h/stage/loot1", b"100"));
    events.extend(made(20, 7, "/h/stage/in/loot2", b"20"));
    events.extend(made(22, 8, "/h/stage-2", b"x"));
    events.extend(made(24, 9, "/h/stage/early", b"x"));
    events.push(unlink(26, "/h/stage/early"));
    events.push(rename(30, "/h/stage", "/h/.hid"));
    // Through the descriptor, and by the new name.
    events.push(write(31, 3, 6, b"more"));
    events.push(exec(32, 3, "/h/.hid/in/loot2", &["x"]));
    events.push(unlink(33, "/h/.hid/loot1"));
    let files = files(&events);
    let known: Vec<_> = files
        .list(BOX)
        .map(|f| (String::from_utf8_lossy(&f.path).into_owned(), f.bytes_written, f.deleted, f.directory))
        .collect();
    let is = |path: &str, written, deleted, directory| (path.to_owned(), written, deleted, directory);
    assert_eq!(
        known,
        [
            is("/h/.hid", 0, false, true),
            is("/h/.hid/in/loot2", 2, false, false),
            is("/h/.hid/loot1", 7, true, false),
            is("/h/stage-2", 1, false, false),
            // It was gone by then.
            is("/h/stage/early", 1, true, false),
        ]
    );
    let run = files.get(BOX, b"/h/.hid/in/loot2").unwrap();
    assert!(run.was_dropped_and_executed());
    assert_eq!(run.formerly, [b"/h/stage/in/loot2"]);
}

#[test]
fn directories_that_change_places_keep_their_files() {
    let mut events = Vec::new();
    events.extend(made(10, 6, "/a/x", b"1"));
    events.extend(made(20, 7, "/b/x", b"22"));
    let mut swap = call(30, 3, "renameat2", &[CWD, 0, CWD, 0, 2], 0).with_path("/a");
    swap = swap.with_field(FieldTag::PATH2, b"/b");
    events.push(swap);
    let files = files(&events);
    let written = |path: &[u8]| files.named(BOX, path).map(|f| f.bytes_written).collect::<Vec<_>>();
    assert_eq!((written(b"/a/x"), written(b"/b/x")), (vec![2], vec![1]));
}

/// What was written by one name and executed by another were two files, of which one stayed and the other was never written.
#[test]
fn hard_links_are_names_of_one_file() {
    let link = |time, from: &str, to: &str| {
        call(time, 3, "link", &[0, 0], 0).with_path(from).with_field(FieldTag::PATH2, to.as_bytes())
    };
    let mut events = Vec::from(made(10, 6, "/tmp/hx", b"ELF"));
    events.extend([link(20, "/tmp/hx", "/tmp/hy"), link(21, "/tmp/hy", "/tmp/hz"), unlink(22, "/tmp/hx")]);
    events.push(exec(30, 3, "/tmp/hy", &["x"]));
    events.push(rename(31, "/tmp/hz", "/tmp/z"));
    let known = files(&events);
    let [record] = known.list(BOX).collect::<Vec<_>>()[..] else { panic!("{:?}", known.list(BOX).count()) };
    assert_eq!(
        (record.path.as_slice(), record.links.as_slice()),
        (&b"/tmp/hy"[..], &[b"/tmp/z".to_vec()][..])
    );
    assert_eq!((record.bytes_written, record.deleted, record.was_dropped_and_executed()), (3, false, true));
    assert_eq!(record.formerly, [&b"/tmp/hx"[..], b"/tmp/hz"]);
    assert_eq!(known.get(BOX, b"/tmp/z").map(|file| file.id), Some(record.id));
    // The last name goes, and another file has the first.
    events.extend([unlink(40, "/tmp/hy"), unlink(41, "/tmp/z")]);
    events.extend(made(50, 7, "/tmp/hx", b"other"));
    let known = files(&events);
    let now: Vec<_> = known.list(BOX).map(|f| (f.path.as_slice(), f.bytes_written, f.deleted)).collect();
    assert_eq!(now, [(&b"/tmp/hx"[..], 5, false), (b"/tmp/z", 3, true)]);
}

#[test]
fn a_file_without_a_name_has_the_one_that_it_is_given() {
    let open =
        call(10, 3, "openat", &[CWD, 0, 0o20_200_001, 0o700], 6).with_path("/tmp").with_kpath("/tmp/#12");
    let linkat = |args: &[u64], from: &str| {
        let event = call(20, 3, "linkat", args, 0).with_path(from);
        files(&[open.clone(), write(11, 3, 6, b"ELF"), event.with_field(FieldTag::PATH2, b"/tmp/tf")])
    };
    for files in [linkat(&[6, 0, CWD, 0, 0x1000], ""), linkat(&[CWD, 0, CWD, 0, 0x400], "/proc/self/fd/6")] {
        let all: Vec<_> = files.list(BOX).collect();
        let [record] = all[..] else { panic!("{all:?}") };
        assert_eq!(
            (record.path.as_slice(), record.bytes_written, record.nameless),
            (&b"/tmp/tf"[..], 3, false)
        );
        assert_eq!((record.existence, record.deleted), (Existence::Made, false));
        assert_eq!(record.content.assemble(9).bytes, b"ELF");
    }
}

/// A file that was filled through a mapping was one of 0 bytes written, as if that were known.
#[test]
fn a_mapping_that_writes_is_an_act() {
    let map = |time, flags| call(time, 3, "mmap", &[0, 4096, 3, flags, 6, 0], 0x7000);
    let shared = files(&[open(10, 0o102, 6, "/tmp/mm"), map(11, 1)]);
    let record = shared.get(BOX, b"/tmp/mm").unwrap();
    assert!(
        record.was(ActKind::MappedForWriting) && record.was_changed() && record.content.had_unseen_writes()
    );
    let private = files(&[open(10, 2, 6, "/tmp/mm"), map(11, 2)]);
    let record = private.get(BOX, b"/tmp/mm").unwrap();
    assert!(!record.was(ActKind::MappedForWriting) && !record.was_changed());
}

#[test]
fn who_had_a_name_when_is_told_of_records_that_were_joined_too() {
    let rename =
        |time, from, to| call(time, 3, "rename", &[0, 0], 0).with_path(from).with_field(FieldTag::PATH2, to);
    let limits = FileLimits { lives: 2, names: 100, ..FileLimits::default() };
    let mut events = vec![exec(1, 3, "/bin/sh", &["sh"])];
    for time in (10..60).step_by(10) {
        let made = call(time, 3, "openat", &[CWD, 0, 0o301, 0o600], 6).with_path("/new").with_kpath("/new");
        events.extend([made, write(time + 1, 3, 6, b"x"), call(time + 2, 3, "close", &[6], 0)]);
        events.push(rename(time + 3, "/new", b"/run"));
    }
    let files = files_within(limits, &events);
    let told: BTreeMap<_, _> = files.holders(BOX).collect();
    let times = |path: &[u8]| told[path].iter().map(|(at, _)| at.0).collect::<Vec<_>>();
    assert_eq!((times(b"/new"), times(b"/run")), (vec![10, 20, 30, 40, 50], vec![13, 23, 33, 43, 53]));
    assert!(told[&b"/run"[..]].iter().all(|(_, record)| record.was(ActKind::Written)));
    assert_eq!(files.left_out(BOX).names, 0);
    let crowded = files_within(FileLimits { names: 3, ..limits }, &events);
    assert!(crowded.left_out(BOX).names > 0);
}

/// Who tries to run what it dropped and may not, or cannot, had done nothing to it.
#[test]
fn an_execution_that_fails_is_an_act_on_a_file_that_is_there() {
    let execve = |time, path: &str, result| call(time, 3, "execve", &[0, 0, 0], result).with_path(path);
    let files = files(&[
        open(10, 0o101, 4, "/tmp/x"),
        execve(11, "/tmp/x", -13),
        execve(12, "/tmp/x", -26),
        // Without its interpreter; a program that is looked for in other places.
        execve(13, "/tmp/x", -2),
        execve(14, "/usr/bin/x", -2),
        execve(15, "/tmp/x", -7),
        call(16, 3, "execveat", &[4, 0, 0, 0, 0x1000], -8).with_path(""),
        execve(17, "/opt/never-seen", -13),
    ]);
    let counts = |path: &[u8]| {
        let file = files.get(BOX, path)?;
        let acts = file.acts.iter().filter(|act| act.kind == ActKind::NotExecuted);
        Some((acts.map(|act| act.count).sum::<u32>(), file.acts.last()?.result, file.was(ActKind::Executed)))
    };
    assert_eq!(counts(b"/tmp/x"), Some((4, -8, false)));
    assert_eq!(counts(b"/usr/bin/x"), None);
    assert_eq!(counts(b"/opt/never-seen"), Some((1, -13, false)));
    assert!(!files.get(BOX, b"/tmp/x").unwrap().was_dropped_and_executed());
}
