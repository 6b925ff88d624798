//! Compares the examples of `docs/format.md` with what this crate writes.
//!
//! `AFTERIMAGE_WRITE_SPEC=1 cargo test -p afterimage-format` writes them anew: look at the difference before it is
//! committed, since released versions stay readable.

use std::{fmt::Write, fs, path::Path};

use ed25519_dalek::SigningKey;

use crate::{
    BootNanos, ClockPair, ContainerUid, Event, EventCode, EventFlags, Eviction, EvictionReason, Field,
    FieldFlags, FieldTag, Loss, LossCause, Pin, TaskKey,
    block::{BlockHeader, kind, seal_block},
    events::{
        column,
        encode::{Around, EventEncoder},
        ingest::OpenBlock,
    },
    keeping::{FileId, KeptFile, Tombstone},
    limits,
    meta::Record,
    note::Checkpoint,
    payload::PayloadWriter,
    segment::{
        FooterParts, Pieces, SegmentHeader, TRAILER_LEN,
        chain::{LINK_LEN, Link, Previous},
        encode_footer, origin_kind,
    },
    stream::StreamWriter,
};

const UUID: [u8; 16] = *b"0123456789abcdef";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn segment_header() -> Vec<u8> {
    let previous = Previous { sequence: 6, size: 2, root: [0xaa; 32] };
    let mut link = Link { previous: Some(previous), ..Link::unsigned(7) };
    link.public_key = SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
    link.endorse(&UUID, &key());
    let header = SegmentHeader {
        incompat: 0,
        ro_compat: 0,
        compat: 0,
        store_uuid: UUID,
        boot_id: [0xb0; 16],
        time_base: 0,
        created_boot: 1000,
        created_real: 1_700_000_000_000_000_000,
        next_uid: 6,
        origin_kind: origin_kind::STORE,
        link,
    };
    let mut bytes = header.encode();
    bytes.truncate(112 + LINK_LEN);
    bytes
}

fn events_block() -> Vec<u8> {
    let path = [Field { tag: FieldTag::PATH, flags: FieldFlags(0), full_len: 2, bytes: b"/a" }];
    let event = |time, code, ret, args, fields| Event {
        time: BootNanos(time),
        duration: None,
        task: TaskKey { tgid: 100, tid: 100, start: BootNanos(50) },
        code: EventCode(code),
        flags: EventFlags(0),
        cpu: 1,
        ret,
        args,
        fields,
    };
    let mut open = OpenBlock::new();
    open.push(&event(1000, 257, 3, &[1, 2], &path), 1);
    open.push(&event(1010, 3, 0, &[3], &[]), 1);
    let mut payload = Vec::new();
    let around = Around { container: 5, ..Around::default() };
    let mut header: BlockHeader = EventEncoder::new().unwrap().encode(&open, &around, &mut payload);
    let mut block = Vec::new();
    seal_block(&mut header, &payload, &mut block);
    block
}

fn state_block() -> Vec<u8> {
    let mut payload = Vec::new();
    let mut columns = PayloadWriter::new().unwrap();
    columns.column(column::STATE, b"abc");
    let root = columns.finish(&mut payload);
    let mut header = BlockHeader {
        container: 5,
        first_row: 2,
        earliest: 1010,
        first: 1010,
        last: 1010,
        number: 1,
        ..BlockHeader::of_store(kind::STATE, 0, root)
    };
    let mut block = Vec::new();
    seal_block(&mut header, &payload, &mut block);
    block
}

fn streams() -> Vec<u8> {
    let mut out = Vec::new();
    let mut streams = StreamWriter::new();
    streams.put(&mut out, &[7, 7, 7]);
    streams.put(&mut out, &[1, 2, 300]);
    streams.put(&mut out, &[1_000_000, 1_000_001, 1_000_003, 1_000_006]);
    out
}

fn records() -> Vec<u8> {
    let loss = Loss {
        container: Some(ContainerUid(5)),
        cause: LossCause::RingFull,
        cpu: Some(1),
        from: BootNanos(10),
        to: BootNanos(20),
        count: Some(3),
    };
    let mut out = Vec::new();
    assert!(Record::Clock(ClockPair { boot: BootNanos(1000), real: -1 }).encode(&mut out));
    assert!(Record::Loss(loss).encode(&mut out));
    out
}

/// What a store says of what it keeps and removed: records 5 to 8.
fn keeping_records() -> Vec<u8> {
    let tombstone = Tombstone {
        file: FileId::Kept(4),
        link: None,
        size: 5,
        root: [0xaa; 32],
        moved_to: Some(6),
        moved_blocks: 2,
        reason: EvictionReason::Budget,
        real: 1_700_000_000_000_000_000,
    };
    let eviction = Eviction {
        container: ContainerUid(5),
        events: 9,
        blocks: 3,
        until: BootNanos(1000),
        reason: EvictionReason::Age,
    };
    let pin = Pin {
        id: "p1".to_owned(),
        containers: vec![ContainerUid(5)],
        begin: Some(BootNanos(10)),
        end: None,
        reason: b"alert".to_vec(),
        until: Some(-1),
    };
    let mut out = Vec::new();
    assert!(Record::Tombstone(Box::new(tombstone)).encode(&mut out));
    assert!(Record::Eviction(eviction).encode(&mut out));
    assert!(Record::Pin(pin).encode(&mut out));
    assert!(Record::Unpin("p1".to_owned()).encode(&mut out));
    assert!(Record::Kept(KeptFile { number: 6, size: 4, root: [0xbb; 32] }).encode(&mut out));
    out
}

fn trailer() -> Vec<u8> {
    let parts = FooterParts {
        entries: &[],
        leaves: &[],
        records: &[],
        counts: Pieces::default(),
        filters: Pieces::default(),
    };
    let bytes = encode_footer(&parts, 4096).unwrap();
    bytes[bytes.len() - TRAILER_LEN..].to_vec()
}

fn note() -> String {
    Checkpoint {
        store_uuid: UUID,
        sequence: 7,
        size: 2,
        root: [0xaa; 32],
        number: 0,
        boot: 1000,
        real: 1_700_000_000_000_000_000,
        last: true,
    }
    .sign(&key())
}

/// Sixteen bytes a line, with the offset before and, where they are text, the characters behind.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            line.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect();
        let _ = writeln!(out, "{:04x}  {:47}  {text}", index * 16, hex.join(" "));
    }
    out
}

#[test]
fn the_examples_of_the_specification_are_what_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let old = fs::read_to_string(&path).unwrap();
    let mut new = String::new();
    let mut rest = old.as_str();
    for (fence, contents) in [
        ("```hex segment-header\n", dump(&segment_header())),
        ("```hex streams\n", dump(&streams())),
        ("```hex events-block\n", dump(&events_block())),
        ("```hex state-block\n", dump(&state_block())),
        ("```hex records\n", dump(&records())),
        ("```hex keeping-records\n", dump(&keeping_records())),
        ("```hex trailer\n", dump(&trailer())),
        ("```hex catalog\n", dump(&crate::catalog::example(UUID))),
        ("```text note\n", note()),
    ] {
        let (before, after) = rest.split_once(fence).expect("the specification has each example");
        let (_, behind) = after.split_once("```\n").expect("a fence is closed");
        let behind = &after[after.len() - behind.len() - 4..];
        new.push_str(before);
        new.push_str(fence);
        new.push_str(&contents);
        rest = behind;
    }
    new.push_str(rest);
    if std::env::var_os("AFTERIMAGE_WRITE_SPEC").is_some() {
        fs::write(&path, &new).unwrap();
    }
    assert!(new == old, "docs/format.md differs from what is written");
}

#[test]
fn limits_are_as_written_down() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md")).unwrap();
    for (what, limit) in [
        ("bytes of a block", limits::BLOCK_BYTES),
        ("bytes of a footer", limits::FOOTER_BYTES),
        ("rows of a block", limits::BLOCK_ROWS),
        ("columns of a block", limits::COLUMNS),
        ("bytes of a column, unpacked", limits::COLUMN_BYTES),
        ("bytes of all columns of a block, unpacked", limits::BLOCK_RAW_BYTES),
        ("numbers of all rows of a block", limits::BLOCK_ARGS),
        ("byte fields of all rows of a block", limits::BLOCK_FIELDS),
        ("bytes of a metadata record", limits::RECORD_BYTES),
        ("bytes of a container's state", limits::STATE_BYTES),
        ("blocks of a segment", limits::SEGMENT_BLOCKS),
        ("bytes of a batch of the stage, unpacked", limits::BATCH_BYTES),
        ("bytes of a stage file", limits::STAGE_BYTES),
        ("bytes of all stage files of a store", limits::ALL_STAGES_BYTES),
        ("bytes of the rows of all stage files, encoded as blocks", limits::STAGED_BYTES),
        ("bytes of all distinct metadata records of a recording", limits::ALL_RECORDS_BYTES),
        ("bytes of a catalog", limits::CATALOG_BYTES),
        ("bytes of a column of a catalog, unpacked", limits::CATALOG_COLUMN_BYTES),
        ("files that a catalog lists", limits::CATALOG_FILES),
        ("blocks that a catalog lists", limits::CATALOG_BLOCKS),
    ] {
        assert!(page.contains(&format!("| {what} | {limit} |\n")), "{what}: {limit}");
    }
    let cut = format!("cuts a block at {} rows, at {} raw bytes", limits::CUT_ROWS, limits::CUT_BYTES);
    assert!(page.contains(&cut), "{cut}");
}
