use afterimage_format::OwnedEvent;
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

#[test]
fn a_dropped_program_has_its_whole_provenance() {
    let files = files(&dropper());
    let record = files.get(BOX, b"/tmp/.x").unwrap();
    assert_eq!(
        acts(record),
        [
            "10 3 created x1 0 B",
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
    let limits = FileLimits { files: 10, acts: 3, content: 100 };
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
    assert_eq!(files.get(BOX, b"/f1").unwrap().content.kept(), 100);
    assert_eq!(files.get(BOX, b"/f1").unwrap().bytes_written, 200);
    assert_eq!(files.dropped(BOX), 40 + 38 + 10);
}

proptest! {
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
