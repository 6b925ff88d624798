//! Doors for the fuzzers of `fuzz/`: one for each parser of bytes that somebody else wrote. Not part of a normal build.
//!
//! Beyond not panicking, what is read must come back when it is written and read again.

#![allow(missing_docs, reason = "each door is named for its parser")]

use crate::{
    ContainerUid, Event, MAX_ARGS, MAX_FIELDS, OwnedEvent,
    block::{BlockHeader, checked_payload, kind},
    bytes::{Input, unzigzag},
    catalog::Catalog,
    events::{
        counts,
        decode::EventDecoder,
        encode::{Around, EventEncoder},
        filter::BlockFilter,
        ingest::OpenBlock,
        repeated::Repeated,
        rows::Rows,
    },
    limits, merkle,
    meta::Record,
    note::Checkpoint,
    payload::{Payload, Unpacker},
    segment::{FooterRepeated, SegmentHeader, parse_footer, parse_trailer, records::decode_records},
    stage::{
        StageHeader, file,
        row::{Item, RowReader},
    },
    stream::{StreamWriter, read_stream},
};

/// A whole block: header, columns, rows, records, counters.
pub fn block(bytes: &[u8]) {
    let Ok(header) = BlockHeader::parse(bytes) else { return };
    let Ok(payload) = checked_payload(&header, bytes) else { return };
    if header.kind == kind::FOOTER {
        return footer(bytes);
    }
    crate::proof::fuzz(&header, bytes);
    let mut decoder = EventDecoder::new().expect("memory for a decoder");
    if let Ok(columns) = Payload::parse(payload) {
        let _ = columns.root();
        if let Ok(bytes) = decoder.records(&columns) {
            let _ = decode_records(&bytes, header.base, &mut Vec::new(), &mut 0);
        }
        let _ = decoder.state(&columns);
        if let Ok(bytes) = decoder.repeated(&columns)
            && let Ok(repeated) = Repeated::decode(&bytes)
        {
            let _ = counts::decode(repeated.counts, header.first, header.last);
            let _ = BlockFilter::decode(repeated.filter);
        }
    }
    if let Ok(rows) = decoder.rows(&header, payload) {
        comes_back(&header, &rows, &mut decoder);
    }
}

/// Rows that could be read are written and read again: the same rows.
fn comes_back(header: &BlockHeader, rows: &Rows, decoder: &mut EventDecoder) {
    let mut block = OpenBlock::new();
    let mut written = Vec::new();
    for row in rows.by_time() {
        rows.with(row as usize, |event| {
            assert!(event.args.len() <= MAX_ARGS && event.fields.len() <= MAX_FIELDS);
            if !block.is_full_for(event) {
                block.push(event, rows.class(row as usize));
                written.push(OwnedEvent::from_event(event));
            }
        });
    }
    if written.is_empty() {
        return;
    }
    let around = Around { container: header.container, ..Around::default() };
    let mut payload = Vec::new();
    let mut encoder = EventEncoder::new().expect("memory for an encoder");
    let mut again = encoder.encode(&block, &around, &mut payload);
    again.payload_len = payload.len() as u32;
    let read = decoder.rows(&again, &payload).expect("our own block reads");
    assert_eq!(read.len(), written.len());
    let mut found = Vec::new();
    for row in 0..read.len() {
        read.with(row, |event| found.push(OwnedEvent::from_event(event)));
    }
    let key = |event: &OwnedEvent| (event.task, event.time);
    found.sort_by_key(key);
    written.sort_by_key(key);
    assert_eq!(found, written);
}

/// A footer block and the counters in it.
pub fn footer(bytes: &[u8]) {
    let _ = parse_trailer(bytes, bytes.len() as u64);
    let _ = FooterRepeated::parse(bytes).map(|repeated| {
        (0..4).for_each(|index| {
            if let Some(repeated) = repeated.get(index) {
                let _ = counts::decode(repeated.counts, 0, 1 << 40);
                let _ = BlockFilter::decode(repeated.filter);
            }
        });
    });
    if let Ok(footer) = parse_footer(bytes, bytes.len() as u64) {
        let _ = decode_records(&footer.records, 0, &mut Vec::new(), &mut 0);
    }
}

/// A store's catalog.
pub fn catalog(bytes: &[u8]) {
    if let Ok(catalog) = Catalog::parse(bytes) {
        let _ = catalog.disagrees(None, &[0], &[0, 1]);
    }
}

/// The header of a segment.
pub fn segment_header(bytes: &[u8]) {
    if let Ok(header) = SegmentHeader::parse(bytes) {
        assert_eq!(SegmentHeader::parse(&header.encode()).ok().as_ref(), Some(&header));
    }
}

/// A stream of numbers: at most as many as a block has arguments.
pub fn stream(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first_chunk::<3>() else { return };
    let count = u32::from_le_bytes([count[0], count[1], count[2], 0]) as usize;
    let mut values = Vec::new();
    if count <= limits::BLOCK_ARGS && read_stream(&mut Input::new(rest), count, &mut values).is_ok() {
        assert_eq!(values.len(), count);
        let (mut out, mut again) = (Vec::new(), Vec::new());
        StreamWriter::new().put(&mut out, &values);
        read_stream(&mut Input::new(&out), count, &mut again).expect("our own stream reads");
        assert_eq!(values, again);
        let _: Vec<i64> = values.into_iter().map(unzigzag).collect();
    }
}

/// A stage file: header, batches, rows.
pub fn stage(bytes: &[u8]) {
    let _ = StageHeader::parse(bytes);
    file::fuzz(bytes);
}

/// The rows of one batch of the stage, unpacked; each event is handed to `visit`.
pub fn rows(bytes: &[u8], visit: &mut dyn FnMut(ContainerUid, &Event<'_>)) {
    let _ = RowReader::new().batch(bytes, &mut |item: Item<'_>| {
        if let Item::Event(container, _, event, _) = item {
            visit(ContainerUid(container), &event);
        }
    });
}

/// The unpacked batches of a stage file, for seeds.
pub fn batches(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    file::fuzz_batches(bytes, visit);
}

/// The unpacked columns of a block with their ids, for seeds.
pub fn columns(block: &[u8], visit: &mut dyn FnMut(u8, &[u8])) {
    let Ok(header) = BlockHeader::parse(block) else { return };
    let Ok(columns) = checked_payload(&header, block).and_then(Payload::parse) else { return };
    let mut unpacker = Unpacker::new().expect("memory for a decoder");
    for column in columns.columns() {
        if let Ok(raw) = unpacker.unpack(column, &mut Vec::new()) {
            visit(column.id, raw);
        }
    }
}

/// Metadata records, one behind the other.
pub fn records(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    while let Ok(record) = Record::decode(&mut input) {
        let Some(mut record) = record else { continue };
        let mut out = Vec::new();
        if record.encode(&mut out) {
            let again = Record::decode(&mut Input::new(&out)).expect("our own record reads");
            assert_eq!(again.as_ref(), Some(&record));
        }
        record.rebase(u64::MAX / 2);
    }
}

/// A signed note; a proof.
pub fn note(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = Checkpoint::parse(text);
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let _ = Checkpoint::is_signed(text, &key);
    }
    let _ = merkle::leaf(bytes);
}

/// A proof and a chain of links, as their columns hold them.
pub fn proof(bytes: &[u8]) {
    crate::proof::fuzz_columns(bytes);
}
