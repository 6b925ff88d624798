//! Rows and records inside the batches of a frame of the stage.
//!
//! Small to write, not to search: numbers as varints, containers named once per frame, tasks by slot, time against
//! the row before; what one batch defines holds in the later ones of its frame. Each row is
//!
//! ```text
//! head u8: bit 0 same container as the row before, 1 task defined here, 2 duration, 3 flags, 4 fields
//! [container varint; when it is the next free index: uid varint, row number varint]
//! task slot u8 [tgid varint, tid varint, start varint]
//! time: zigzag varint, less the row before; code varint, cpu varint, class u8, ret zigzag varint
//! [duration varint] [flags varint]
//! count u8, numbers varint
//! [count u8, each field: tag u8, flags u8, length varint, full length less length zigzag varint, bytes]
//! ```
//! A head of 255 is a metadata record in its envelope instead.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{
    BootNanos, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, MAX_ARGS, MAX_FIELDS, TaskKey,
    bytes::{Input, Malformed, Room, unzigzag, zigzag},
    meta::Record,
};

const SAME_CONTAINER: u8 = 1;
const TASK_DEFINED: u8 = 2;
const DURATION: u8 = 4;
const FLAGS: u8 = 8;
const FIELDS: u8 = 16;
const RECORD: u8 = 255;
const SLOTS: usize = 256;
/// Numbers of a row that are none of its arguments, at most; single bytes are counted as such.
const NUMBERS: usize = 16;
/// The same of a field.
const FIELD: usize = 4;

/// Collects the rows of batches.
#[derive(Debug)]
pub(crate) struct RowWriter {
    /// So many of them are the batch; behind it is room that is not cleared for each row.
    bytes: Vec<u8>,
    used: usize,
    containers: HashMap<u64, u64, RandomState>,
    last_container: Option<u64>,
    tasks: Box<[Option<TaskKey>; SLOTS]>,
    last_time: u64,
}

fn slot_of(task: TaskKey) -> u8 {
    ((task.tid ^ task.tgid.rotate_left(16)).wrapping_mul(0x9e37_79b1) >> 24) as u8
}

impl RowWriter {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            used: 0,
            containers: HashMap::default(),
            last_container: None,
            tasks: Box::new([None; SLOTS]),
            last_time: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Empties it for the next batch of the same frame.
    pub(crate) fn next_batch(&mut self) {
        self.used = 0;
    }

    /// Forgets what was defined: a new frame begins. Must be empty.
    pub(crate) fn next_frame(&mut self) {
        self.containers.clear();
        self.last_container = None;
        self.tasks.fill(None);
        self.last_time = 0;
    }

    /// Adds a metadata record; false when it is over the limit.
    pub(crate) fn record(&mut self, record: &Record) -> bool {
        self.bytes.truncate(self.used);
        self.bytes.push(RECORD);
        let fits = record.encode(&mut self.bytes);
        if fits {
            self.used = self.bytes.len();
        }
        fits
    }

    /// Adds a row: number `row` of its container.
    pub(crate) fn event(&mut self, container: u64, row: u64, event: &Event<'_>, class: u8) {
        let same = self.last_container == Some(container);
        let slot = slot_of(event.task);
        let known = self.tasks.get(usize::from(slot)).copied().flatten() == Some(event.task);
        let mut head = 0;
        for (bit, set) in [
            (SAME_CONTAINER, same),
            (TASK_DEFINED, !known),
            (DURATION, event.duration.is_some()),
            (FLAGS, event.flags.0 != 0),
            (FIELDS, !event.fields.is_empty()),
        ] {
            head |= if set { bit } else { 0 };
        }
        let fields: usize =
            event.fields.iter().map(|field| Room::for_varints(FIELD) + field.bytes.len()).sum();
        let needed = self.used + Room::for_varints(NUMBERS + event.args.len()) + fields;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
        let mut out = Room::new(&mut self.bytes[self.used..]);
        out.put_u8(head);
        if !same {
            self.last_container = Some(container);
            let free = self.containers.len() as u64;
            let index = *self.containers.entry(container).or_insert(free);
            out.put_varint(index);
            if index == free {
                out.put_varint(container);
                out.put_varint(row);
            }
        }
        out.put_u8(slot);
        if !known {
            out.put_varint(u64::from(event.task.tgid));
            out.put_varint(u64::from(event.task.tid));
            out.put_varint(event.task.start.0);
            if let Some(entry) = self.tasks.get_mut(usize::from(slot)) {
                *entry = Some(event.task);
            }
        }
        out.put_varint(zigzag(event.time.0.wrapping_sub(self.last_time).cast_signed()));
        self.last_time = event.time.0;
        out.put_varint(u64::from(event.code.0));
        out.put_varint(u64::from(event.cpu));
        out.put_u8(class);
        out.put_varint(zigzag(event.ret));
        if let Some(duration) = event.duration {
            out.put_varint(duration);
        }
        if event.flags.0 != 0 {
            out.put_varint(u64::from(event.flags.0));
        }
        out.put_u8(event.args.len() as u8);
        event.args.iter().for_each(|&arg| out.put_varint(arg));
        if !event.fields.is_empty() {
            out.put_u8(event.fields.len() as u8);
            for field in event.fields {
                out.put_u8(field.tag.0);
                out.put_u8(field.flags.0);
                out.put_varint(field.bytes.len() as u64);
                out.put_varint(zigzag(i64::from(field.full_len) - field.bytes.len() as i64));
                out.put_bytes(field.bytes);
            }
        }
        self.used += out.used();
    }
}

/// What a batch holds.
pub(crate) enum Item<'a> {
    /// A row: container, its row number, class.
    Event(u64, u64, Event<'a>, u8),
    Record(Record),
}

/// Who is handed what a stage holds. A closure takes all of it.
pub(crate) trait Taker {
    /// Rows of this container below this number are not wanted: they are read, as damage is where it is, and not handed over. Asked
    /// once for each frame that has rows of it; more may be known by the time that they come.
    fn wants_from(&self, _container: u64) -> u64 {
        0
    }

    /// Takes the next row or record.
    fn take(&mut self, item: Item<'_>);
}

impl<F: FnMut(Item<'_>)> Taker for F {
    fn take(&mut self, item: Item<'_>) {
        self(item);
    }
}

/// A container that a frame has defined.
struct Defined {
    uid: u64,
    next_row: u64,
    wanted_from: u64,
}

/// Reads the rows of the batches of one frame, in order.
pub(crate) struct RowReader {
    containers: Vec<Defined>,
    current: usize,
    tasks: Box<[Option<TaskKey>; SLOTS]>,
    time: u64,
    /// Room for a row's numbers, which is not cleared for each.
    args: [u64; MAX_ARGS],
}

/// Room for the fields of nearly all rows: clearing it for all that are possible costs more than reading a row.
const FEW_FIELDS: usize = 2;
const NO_FIELD: Field<'static> = Field { tag: FieldTag(0), flags: FieldFlags(0), full_len: 0, bytes: &[] };

impl RowReader {
    /// At the begin of a frame.
    pub(crate) fn new() -> Self {
        Self {
            containers: Vec::new(),
            current: 0,
            tasks: Box::new([None; SLOTS]),
            time: 0,
            args: [0; MAX_ARGS],
        }
    }

    /// Forgets what was defined: a new frame begins.
    pub(crate) fn next_frame(&mut self) {
        self.containers.clear();
        self.current = 0;
        self.tasks.fill(None);
        self.time = 0;
    }

    /// Hands each row and record of a decompressed batch to `taker`.
    pub(crate) fn batch(&mut self, bytes: &[u8], taker: &mut impl Taker) -> Result<(), Malformed> {
        let mut input = Input::new(bytes);
        while !input.is_empty() {
            let head = input.u8()?;
            if head == RECORD {
                if let Some(record) = Record::decode(&mut input)? {
                    taker.take(Item::Record(record));
                }
            } else {
                self.event(head, &mut input, taker)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn event(&mut self, head: u8, input: &mut Input<'_>, taker: &mut impl Taker) -> Result<(), Malformed> {
        if head & SAME_CONTAINER == 0 {
            self.current = input.count(self.containers.len())?;
            if self.current == self.containers.len() {
                let (uid, next_row) = (input.varint()?, input.varint()?);
                self.containers.push(Defined { uid, next_row, wanted_from: taker.wants_from(uid) });
            }
        }
        let container =
            self.containers.get_mut(self.current).ok_or(Malformed("a staged row has no container"))?;
        let (uid, row, is_wanted) =
            (container.uid, container.next_row, container.next_row >= container.wanted_from);
        container.next_row = row.checked_add(1).ok_or(Malformed("a staged row's number overflows"))?;
        let slot = input.u8()?;
        if head & TASK_DEFINED != 0 {
            let tgid = small(input)?;
            let tid = small(input)?;
            self.tasks[usize::from(slot)] = Some(TaskKey { tgid, tid, start: BootNanos(input.varint()?) });
        }
        let task = self.tasks[usize::from(slot)].ok_or(Malformed("a staged row has no task"))?;
        self.time = self.time.wrapping_add(unzigzag(input.varint()?).cast_unsigned());
        let code = EventCode(small(input)?);
        let cpu = small(input)?;
        let class = input.u8()?;
        let ret = unzigzag(input.varint()?);
        let duration = if head & DURATION != 0 { Some(input.varint()?) } else { None };
        let flags = EventFlags(if head & FLAGS != 0 { small(input)? } else { 0 });
        let count = usize::from(input.u8()?);
        let args = self.args.get_mut(..count).ok_or(Malformed("a staged row has too many numbers"))?;
        for arg in args.iter_mut() {
            *arg = input.varint()?;
        }
        let count = if head & FIELDS != 0 { usize::from(input.u8()?) } else { 0 };
        if count > MAX_FIELDS {
            return Err(Malformed("a staged row has too many fields"));
        }
        if !is_wanted {
            return (0..count).try_for_each(|_| read_field(input).map(drop));
        }
        let event =
            Event { time: BootNanos(self.time), duration, task, code, flags, cpu, ret, args, fields: &[] };
        if count > FEW_FIELDS {
            return with_many_fields(count, input, event, |event| {
                taker.take(Item::Event(uid, row, event, class));
            });
        }
        let mut fields = [NO_FIELD; FEW_FIELDS];
        let fields = &mut fields[..count];
        for field in fields.iter_mut() {
            *field = read_field(input)?;
        }
        taker.take(Item::Event(uid, row, Event { fields, ..event }, class));
        Ok(())
    }
}

/// Reads so many fields and lends the row with them.
#[inline(never)]
fn with_many_fields(
    count: usize,
    input: &mut Input<'_>,
    event: Event<'_>,
    take: impl FnOnce(Event<'_>),
) -> Result<(), Malformed> {
    let mut fields = [NO_FIELD; MAX_FIELDS];
    let fields = fields.get_mut(..count).ok_or(Malformed("a staged row has too many fields"))?;
    for field in fields.iter_mut() {
        *field = read_field(input)?;
    }
    take(Event { fields, ..event });
    Ok(())
}

fn small<T: TryFrom<u64>>(input: &mut Input<'_>) -> Result<T, Malformed> {
    T::try_from(input.varint()?).map_err(|_| Malformed("a staged number is too large"))
}

fn read_field<'a>(input: &mut Input<'a>) -> Result<Field<'a>, Malformed> {
    let (tag, flags) = (FieldTag(input.u8()?), FieldFlags(input.u8()?));
    let length = input.count(crate::limits::EVENT_BYTES)?;
    let full_len = (length as i64)
        .checked_add(unzigzag(input.varint()?))
        .and_then(|full| u32::try_from(full).ok())
        .ok_or(Malformed("a staged field's length is out of range"))?;
    Ok(Field { tag, flags, full_len, bytes: input.take(length)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnedEvent;

    #[test]
    fn a_row_in_which_all_is_as_large_as_can_be_comes_back() {
        let most = u64::MAX;
        let long = vec![7; 300];
        let field = |bytes| Field { tag: FieldTag(255), flags: FieldFlags(255), full_len: u32::MAX, bytes };
        let fields: Vec<Field<'_>> = (0..MAX_FIELDS).map(|at| field(&long[..at * 20])).collect();
        let event = Event {
            time: BootNanos(most / 2),
            duration: Some(most),
            task: TaskKey { tgid: u32::MAX, tid: u32::MAX, start: BootNanos(most) },
            code: EventCode(u16::MAX),
            flags: EventFlags(u32::MAX),
            cpu: u16::MAX,
            ret: i64::MIN,
            args: &[most; MAX_ARGS],
            fields: &fields,
        };
        let mut writer = RowWriter::new();
        for row in 0..40 {
            writer.event(most - row, most - 1, &event, 255);
        }
        let mut rows = 0;
        let read = RowReader::new().batch(writer.bytes(), &mut |item: Item<'_>| {
            let Item::Event(container, row, got, class) = item else { panic!("only rows were written") };
            assert_eq!((container, row, class), (most - rows, most - 1, 255));
            assert_eq!(OwnedEvent::from_event(&got), OwnedEvent::from_event(&event));
            rows += 1;
        });
        read.unwrap();
        assert_eq!(rows, 40);
    }

    /// Wants rows of container 5 from the third on.
    #[derive(Default)]
    struct FromThird(Vec<(u64, u64, u64)>);

    impl Taker for FromThird {
        fn wants_from(&self, container: u64) -> u64 {
            if container == 5 { 102 } else { 0 }
        }

        fn take(&mut self, item: Item<'_>) {
            let Item::Event(container, row, event, _) = item else { panic!("only rows were written") };
            self.0.push((container, row, event.time.0));
        }
    }

    #[test]
    fn rows_that_are_not_wanted_are_not_handed_over_and_their_damage_is_found() {
        let fields: Vec<Field<'_>> = (0..3)
            .map(|_| Field { tag: FieldTag::PATH, flags: FieldFlags(0), full_len: 2, bytes: b"/x" })
            .collect();
        let mut writer = RowWriter::new();
        for row in 0..4u64 {
            let event = Event {
                time: BootNanos(50 + row * row),
                duration: None,
                task: TaskKey { tgid: 1, tid: 1 + row as u32, start: BootNanos(9) },
                code: EventCode(257),
                flags: EventFlags(0),
                cpu: 0,
                ret: 3,
                args: &[u64::MAX],
                fields: &fields[..row as usize],
            };
            writer.event(5, 100 + row, &event, 0);
            writer.event(6, row, &event, 0);
        }
        let mut taker = FromThird::default();
        RowReader::new().batch(writer.bytes(), &mut taker).unwrap();
        let wanted = [(6, 0, 50), (6, 1, 51), (5, 102, 54), (6, 2, 54), (5, 103, 59), (6, 3, 59)];
        assert_eq!(taker.0, wanted);
        // Every single damage is one, or none, whoever wants the row.
        for at in 0..writer.bytes().len() {
            let mut damaged = writer.bytes().to_vec();
            damaged[at] ^= 0x80;
            let some = RowReader::new().batch(&damaged, &mut FromThird::default());
            assert_eq!(some, RowReader::new().batch(&damaged, &mut |_: Item<'_>| {}), "byte {at}");
        }
    }

    #[test]
    fn rows_and_records_come_back_in_order() {
        let fields = [Field { tag: FieldTag::PATH, flags: FieldFlags(1), full_len: 300, bytes: b"/x" }];
        let event = |time, tid, fields| Event {
            time: BootNanos(time),
            duration: (tid == 2).then_some(8),
            task: TaskKey { tgid: 1, tid, start: BootNanos(9) },
            code: EventCode(0x8002),
            flags: EventFlags(tid & 1),
            cpu: 3,
            ret: -2,
            args: &[u64::MAX, 0, 7],
            fields,
        };
        let record = Record::Clock(crate::ClockPair { boot: BootNanos(1), real: 2 });
        let rows = [(5, 100, event(50, 1, &fields)), (5, 101, event(40, 2, &[])), (0, 7, event(45, 1, &[]))];
        let mut writer = RowWriter::new();
        let mut batches = Vec::new();
        for (container, row, event) in &rows {
            writer.event(*container, *row, event, 4);
            batches.push(writer.bytes().to_vec());
            writer.next_batch();
        }
        assert!(writer.record(&record));
        batches.push(writer.bytes().to_vec());
        let mut got = Vec::new();
        let mut records = Vec::new();
        let mut reader = RowReader::new();
        for batch in &batches {
            let read = reader.batch(batch, &mut |item: Item<'_>| match item {
                Item::Event(container, row, event, class) => {
                    assert_eq!(class, 4);
                    got.push((container, row, OwnedEvent::from_event(&event)));
                }
                Item::Record(record) => records.push(record),
            });
            read.unwrap();
        }
        let want: Vec<_> = rows.iter().map(|(c, r, e)| (*c, *r, OwnedEvent::from_event(e))).collect();
        assert_eq!(got, want);
        assert_eq!(records, [record]);
        let whole = batches.concat();
        for cut in 0..whole.len() {
            let mut seen = 0;
            let _ = RowReader::new().batch(&whole[..cut], &mut |_: Item<'_>| seen += 1);
            assert!(seen < 4);
        }
        assert!(
            RowReader::new().batch(&batches[1], &mut |_: Item<'_>| {}).is_err(),
            "defined in the batch before"
        );
    }
}
