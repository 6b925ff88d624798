//! Compares docs/format.md with the code: examples byte by byte, limits number by number.

use crate::{
    BootNanos, ContainerUid, Loss, LossCause, block::BlockHeader, limits, meta::Record, stream::StreamWriter,
};

const PAGE: &str = include_str!("../../docs/format.md");

/// The bytes of the example with this title.
fn example(title: &str) -> Vec<u8> {
    let fence = format!("```hex {title}\n");
    let begin = PAGE.find(&fence).unwrap_or_else(|| panic!("no example `{title}`")) + fence.len();
    let text = PAGE[begin..].split("```").next().unwrap();
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn check(title: &str, written: &[u8]) {
    let lines: Vec<String> = written
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(example(title), written, "`{title}` is written as\n{}", lines.join("\n"));
}

#[test]
fn example_of_a_block_header_is_what_is_written() {
    let header = BlockHeader {
        kind: 1,
        flags: 0,
        payload_len: 0,
        container: 5,
        first_row: 7,
        rows: 3,
        payload_crc: 0,
        earliest: 10,
        first: 10,
        last: 20,
        base: 0,
        lost: 1,
        number: 2,
        root: [0; 32],
    };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    let title = "block header: kind 1, flags 0, container 5, first row 7, 3 rows, times 10 10 20, lost 1, number 2, \
                 no payload";
    check(title, &bytes);
}

#[test]
fn examples_of_streams_are_what_is_written() {
    for (title, values) in [
        ("stream of 7 7 7", &[7, 7, 7][..]),
        ("stream of 1 2 300", &[1, 2, 300]),
        ("stream of 1000000 1000001 1000003 1000006", &[1_000_000, 1_000_001, 1_000_003, 1_000_006]),
    ] {
        let mut bytes = Vec::new();
        StreamWriter::new().put(&mut bytes, values);
        check(title, &bytes);
    }
}

#[test]
fn example_of_a_record_is_what_is_written() {
    let loss = Loss {
        container: Some(ContainerUid(5)),
        cause: LossCause::RingFull,
        cpu: Some(1),
        from: BootNanos(10),
        to: BootNanos(20),
        count: Some(3),
    };
    let mut bytes = Vec::new();
    assert!(Record::Loss(loss).encode(&mut bytes));
    check("loss of container 5, ring full, cpu 1, from 10 to 20, 3 events", &bytes);
}

#[test]
fn limits_are_as_written_down() {
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
        ("blocks of a segment", limits::SEGMENT_BLOCKS),
        ("bytes of a batch of the stage, unpacked", limits::BATCH_BYTES),
    ] {
        assert!(PAGE.contains(&format!("| {what} | {limit} |\n")), "{what}: {limit}");
    }
    let cut = format!("cuts a block at {} rows, at {} raw bytes", limits::CUT_ROWS, limits::CUT_BYTES);
    assert!(PAGE.contains(&cut), "{cut}");
}
