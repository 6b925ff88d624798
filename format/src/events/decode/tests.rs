//! Payloads of blocks whose bytes were changed, without a checksum in between: what is read can be lent, or it is refused.

use proptest::prelude::*;

use super::EventDecoder;
use crate::{
    BootNanos, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, MAX_ARGS, MAX_FIELDS, OwnedEvent,
    TaskKey,
    block::BlockHeader,
    events::{
        encode::{Around, EventEncoder},
        ingest::OpenBlock,
        rows::Rows,
    },
    reader::Wanted,
};

/// A block of rows of several codes, shapes, counts of numbers and tasks.
fn block(rows: u64, timed: bool) -> (BlockHeader, Vec<u8>, Vec<OwnedEvent>) {
    let mut open = OpenBlock::new();
    let mut written = Vec::new();
    for row in 0..rows {
        let path = format!("/usr/lib/{}", row % 5);
        let field = |tag, bytes, more| Field {
            tag,
            flags: FieldFlags((row % 7 == 0).into()),
            full_len: bytes_len(bytes) + more,
            bytes,
        };
        let code = [0, 1, 257][(row % 3) as usize];
        let second = if code == 257 { FieldTag::TARGET } else { FieldTag::PAYLOAD };
        let fields = [
            field(FieldTag::PATH, path.as_bytes(), u32::from(row % 6 == 0)),
            field(second, &b"payload"[..(row % 8) as usize], (row % 3) as u32),
            field(FieldTag::KPATH, path.as_bytes(), 0),
        ];
        let args: Vec<u64> = (0..row % 9).map(|n| n << (row % 40)).collect();
        let event = Event {
            time: BootNanos(1000 + row * 3),
            duration: (timed && row % 2 == 0).then_some(row),
            task: TaskKey { tgid: 7, tid: 7 + (row % 3) as u32, start: BootNanos(5) },
            code: EventCode(code),
            flags: EventFlags((row % 4) as u32),
            cpu: (row % 2) as u16,
            ret: (row as i64 % 11) - 2,
            args: &args,
            fields: &fields[..(row % 4) as usize],
        };
        open.push(&event, (row % 3) as u8);
        written.push(OwnedEvent::from_event(&event));
    }
    let mut payload = Vec::new();
    let around = Around { container: 5, ..Around::default() };
    let header = EventEncoder::new().unwrap().encode(&open, &around, &mut payload);
    (header, payload, written)
}

fn bytes_len(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

/// Reads them with a decoder that had others before; gives the events in order of time.
fn read(header: &BlockHeader, payload: &[u8], decoder: &mut EventDecoder) -> Option<Vec<OwnedEvent>> {
    let rows = decoder.rows(header, payload).ok()?;
    let mut events = Vec::new();
    for row in rows.by_time() {
        let event = rows.with(row as usize, |event| {
            assert!(event.args.len() <= MAX_ARGS && event.fields.len() <= MAX_FIELDS);
            OwnedEvent::from_event(event)
        });
        events.extend(event);
    }
    decoder.take_back(rows);
    Some(events)
}

#[test]
fn rows_come_back_also_in_memory_that_others_had() {
    let mut decoder = EventDecoder::new().unwrap();
    for (rows, timed) in [(40, false), (100, true), (60, false), (3, true), (2, false), (90, false)] {
        let (header, payload, written) = block(rows, timed);
        assert_eq!(read(&header, &payload, &mut decoder), Some(written));
    }
}

#[test]
fn rows_of_chosen_codes_are_the_same_without_the_others() {
    let mut decoder = EventDecoder::new().unwrap();
    let wanted = Wanted::RESULTS.with(Wanted::FLAGS).with(Wanted::THREADS);
    for codes in [&[0][..], &[1, 257], &[59], &[0, 1, 257]] {
        let (header, payload, written) = block(90, false);
        let all = decoder.rows(&header, &payload).unwrap();
        assert_eq!(all.len(), written.len());
        let some = decoder.columns(&header, &payload, wanted, Some(&|code| codes.contains(&code))).unwrap();
        assert_eq!((some.codes(), some.tasks()), (all.codes(), all.tasks()));
        for (row, code) in all.codes().iter().enumerate() {
            let told = (some.results()[row], some.flags().get(row).copied().unwrap_or(0));
            let expected = if codes.contains(code) { (all.results()[row], all.flags()[row]) } else { (0, 0) };
            assert_eq!(told, expected, "row {row} of code {code}");
        }
        decoder.take_back(all);
    }
}

#[test]
fn whole_rows_of_some_codes_are_the_same_as_of_all() {
    let mut decoder = EventDecoder::new().unwrap();
    let wanted = Wanted::TIMES.with(Wanted::NUMBERS).with(Wanted::FIELDS).with(Wanted::FLAGS);
    let wanted = wanted.with(Wanted::THREADS);
    for codes in [&[][..], &[0], &[257], &[1, 257], &[59], &[0, 1, 257]] {
        for timed in [false, true] {
            let (header, payload, written) = block(90, timed);
            let some = decoder.few(&header, &payload, wanted, &|code| codes.contains(&code)).unwrap();
            let all = EventDecoder::new().unwrap().rows(&header, &payload).unwrap();
            assert_eq!((some.len(), some.codes(), some.tasks()), (written.len(), all.codes(), all.tasks()));
            assert_eq!((some.times(), some.flags()), (all.times(), all.flags()));
            let whole = |rows: &Rows, row| rows.with(row, OwnedEvent::from_event).unwrap();
            for (row, _) in all.codes().iter().enumerate().filter(|(_, code)| codes.contains(code)) {
                let expected = OwnedEvent { cpu: 0, ..whole(&all, row) };
                assert_eq!(whole(&some, row), expected, "row {row} of {codes:?}");
            }
            decoder.take_back(some);
        }
    }
}

#[test]
fn what_depends_on_other_columns_is_read_of_all_rows() {
    let mut decoder = EventDecoder::new().unwrap();
    let (header, payload, _) = block(90, true);
    let all = decoder.rows(&header, &payload).unwrap();
    for wanted in [Wanted::TIMES, Wanted::NUMBERS, Wanted::FIELDS] {
        let some = decoder.columns(&header, &payload, wanted, Some(&|code| code == 1)).unwrap();
        for row in 0..all.codes().len() {
            let times = wanted != Wanted::TIMES || some.times()[row] == all.times()[row];
            let numbers = wanted != Wanted::NUMBERS || some.numbers(row) == all.numbers(row);
            let fields = wanted != Wanted::FIELDS || some.tags(row).eq(all.tags(row));
            assert!(times && numbers && fields, "row {row}");
        }
    }
}

proptest! {
    #[test]
    fn any_changed_payload_is_read_or_refused(
        rows in 1u64..70, timed in any::<bool>(), count in prop::option::of(0u32..80),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let (mut header, mut payload, _) = block(rows, timed);
        for (at, to) in changes {
            let at = at.index(payload.len());
            payload[at] = to;
        }
        header.rows = count.unwrap_or(header.rows);
        let mut decoder = EventDecoder::new().unwrap();
        let first = read(&header, &payload, &mut decoder);
        prop_assert_eq!(read(&header, &payload, &mut decoder), first);
    }
}
