//! Reads the columns of an EVENTS block back into rows. Nothing in them is trusted.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{
    column,
    encode::result_length,
    is_payload,
    order::{Groups, by_two},
    repeated::Repeated,
};
use crate::{
    BootNanos, ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, MAX_ARGS, MAX_FIELDS,
    TaskKey,
    block::{BlockHeader, flag},
    bytes::{Input, Malformed, unzigzag},
    limits,
    payload::{Payload, Unpacker},
    reader::{StringId, Wanted},
    stream::read_stream,
};

/// A field of a decoded row: where its bytes lie.
#[derive(Debug, Clone, Copy, Default)]
struct FieldAt {
    begin: u32,
    len: u32,
    full_len: u32,
    tag: u8,
    flags: u8,
}

/// The rows of a block, by task and time.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) container: ContainerUid,
    time: Vec<u64>,
    task: Vec<u32>,
    tasks: Vec<TaskKey>,
    code: Vec<u16>,
    ret: Vec<i64>,
    flags: Vec<u32>,
    cpu: Vec<u16>,
    class: Vec<u8>,
    /// Empty when no row has one.
    duration: Vec<Option<u64>>,
    arg_end: Vec<u32>,
    args: Vec<u64>,
    field_end: Vec<u32>,
    fields: Vec<FieldAt>,
    bytes: Vec<u8>,
}

/// Room for the fields of nearly all events.
const FEW_FIELDS: usize = 2;
const NO_FIELD: Field<'static> = Field { tag: FieldTag(0), flags: FieldFlags(0), full_len: 0, bytes: &[] };

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.time.len()
    }

    pub(crate) fn codes(&self) -> &[u16] {
        &self.code
    }

    pub(crate) fn results(&self) -> &[i64] {
        &self.ret
    }

    pub(crate) fn times(&self) -> &[u64] {
        &self.time
    }

    pub(crate) fn cpus(&self) -> &[u16] {
        &self.cpu
    }

    pub(crate) fn flags(&self) -> &[u32] {
        &self.flags
    }

    pub(crate) fn tasks(&self) -> (&[u32], &[TaskKey]) {
        (&self.task, &self.tasks)
    }

    /// The first field of a row with this tag: equal strings of a block lie at one place.
    pub(crate) fn string(&self, row: usize, tag: FieldTag) -> Option<StringId> {
        let at = span(&self.field_end, row, &self.fields)?.iter().find(|at| at.tag == tag.0)?;
        Some(StringId(at.begin, at.len))
    }

    /// A row's numbers.
    pub(crate) fn numbers(&self, row: usize) -> &[u64] {
        span(&self.arg_end, row, &self.args).unwrap_or(&[])
    }

    /// The tags of a row's fields.
    pub(crate) fn tags(&self, row: usize) -> impl Iterator<Item = FieldTag> + '_ {
        let fields = span(&self.field_end, row, &self.fields).unwrap_or(&[]);
        fields.iter().map(|at| FieldTag(at.tag))
    }

    pub(crate) fn time(&self, row: usize) -> u64 {
        self.time.get(row).copied().unwrap_or(0)
    }

    /// The class's number that the recorder gave this row.
    pub(crate) fn class(&self, row: usize) -> u8 {
        self.class.get(row).copied().unwrap_or(u8::MAX)
    }

    /// Row numbers in order of time.
    pub(crate) fn by_time(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..self.time.len() as u32).collect();
        // A stable merge sort: the rows are rising runs already, one per task.
        rows.sort_by_key(|&row| self.time(row as usize));
        rows
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn memory(&self) -> usize {
        self.len() * 48 + self.args.len() * 8 + self.fields.len() * 16 + self.bytes.len()
    }

    /// Lends a row as an event.
    pub(crate) fn with<R>(&self, row: usize, f: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        // Most events have few fields: clearing room for all that are possible costs more than all the rest.
        match lent(&self.field_end, row, &self.fields)? {
            [] => self.lend(row, &[], f),
            at if at.len() <= FEW_FIELDS => self.lend_fields(row, at, [NO_FIELD; FEW_FIELDS], f),
            at => self.lend_fields(row, at, [NO_FIELD; MAX_FIELDS], f),
        }
    }

    fn lend_fields<'a, const N: usize, R>(
        &'a self,
        row: usize,
        at: &[FieldAt],
        mut fields: [Field<'a>; N],
        f: impl FnOnce(&Event<'_>) -> R,
    ) -> Option<R> {
        for (lent, at) in fields.iter_mut().zip(at) {
            let begin = at.begin as usize;
            *lent = Field {
                tag: FieldTag(at.tag),
                flags: FieldFlags(at.flags),
                full_len: at.full_len,
                bytes: self.bytes.get(begin..begin + at.len as usize)?,
            };
        }
        self.lend(row, fields.get(..at.len())?, f)
    }

    fn lend<R>(&self, row: usize, fields: &[Field<'_>], f: impl FnOnce(&Event<'_>) -> R) -> Option<R> {
        let task = *self.task.get(row)?;
        Some(f(&Event {
            time: BootNanos(self.time(row)),
            duration: self.duration.get(row).copied().flatten(),
            task: *self.tasks.get(task as usize)?,
            code: EventCode(*self.code.get(row)?),
            flags: EventFlags(self.flags.get(row).copied().unwrap_or(0)),
            cpu: self.cpu.get(row).copied().unwrap_or(0),
            ret: self.ret.get(row).copied().unwrap_or(0),
            args: lent(&self.arg_end, row, &self.args)?,
            fields,
        }))
    }

    /// Moves all times by `base`, for recordings of several boots.
    pub(crate) fn rebase(&mut self, base: u64) {
        if base == 0 {
            return;
        }
        self.time.iter_mut().for_each(|t| *t = t.saturating_add(base));
        self.tasks.iter_mut().filter(|t| t.start.0 != 0).for_each(|t| {
            t.start.0 = t.start.0.saturating_add(base);
        });
        let mut begin = 0usize;
        for (code, &end) in self.code.iter().zip(&self.arg_end) {
            if let Some(index) = crate::layout::boot_time_index(EventCode(*code))
                && let Some(value) = self.args.get_mut(begin..end as usize).and_then(|a| a.get_mut(index))
                && *value != crate::layout::UNKNOWN
                && *value != 0
            {
                *value = value.saturating_add(base);
            }
            begin = end as usize;
        }
    }
}

/// As [`span`], and nothing where the column was not decoded.
fn lent<'a, T>(ends: &[u32], row: usize, items: &'a [T]) -> Option<&'a [T]> {
    if ends.is_empty() { Some(&[]) } else { span(ends, row, items) }
}

/// The part of `items` that belongs to `row`, by the rows' ends.
fn span<'a, T>(ends: &[u32], row: usize, items: &'a [T]) -> Option<&'a [T]> {
    let begin = if row == 0 { 0 } else { *ends.get(row - 1)? };
    items.get(begin as usize..*ends.get(row)? as usize)
}

/// Decodes blocks; keeps its buffers between them.
#[derive(Debug)]
pub(crate) struct EventDecoder {
    unpacker: Unpacker,
    buffer: Vec<u8>,
    values: Vec<u64>,
}

impl EventDecoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { unpacker: Unpacker::new()?, buffer: Vec::new(), values: Vec::new() })
    }

    /// The metadata records of a payload; empty where there are none.
    pub(crate) fn records(&mut self, payload: &Payload<'_>) -> Result<Vec<u8>, Malformed> {
        self.plain(payload, column::RECORDS)
    }

    /// The state in the payload of a STATE block.
    pub(crate) fn state(&mut self, payload: &Payload<'_>) -> Result<Vec<u8>, Malformed> {
        let column = payload.column(column::STATE).ok_or(Malformed("a keyframe without a state"))?;
        if column.raw_len() > limits::STATE_BYTES {
            return Err(Malformed("a state is over the limit"));
        }
        Ok(self.unpacker.unpack(column, &mut self.buffer)?.to_vec())
    }

    /// What a footer repeats of a payload; empty where there is nothing.
    pub(crate) fn repeated(&mut self, payload: &Payload<'_>) -> Result<Vec<u8>, Malformed> {
        let (counts, filter) = (self.plain(payload, column::COUNTS)?, self.plain(payload, column::FILTER)?);
        let mut out = Vec::new();
        Repeated { counts: &counts, filter: &filter }.encode(&mut out);
        Ok(out)
    }

    /// The strings of a payload one behind the other, and where `with_data`, its payloads.
    pub(crate) fn texts(
        &mut self,
        payload: &Payload<'_>,
        with_data: bool,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        let ids = [column::STRINGS, column::PAYLOAD];
        for column in ids.iter().take(1 + usize::from(with_data)).filter_map(|id| payload.column(*id)) {
            visit(self.unpacker.unpack(column, &mut self.buffer)?);
        }
        Ok(())
    }

    fn plain(&mut self, payload: &Payload<'_>, id: u8) -> Result<Vec<u8>, Malformed> {
        let Some(column) = payload.column(id) else { return Ok(Vec::new()) };
        Ok(self.unpacker.unpack(column, &mut self.buffer)?.to_vec())
    }

    /// The rows of an EVENTS block whose checksums were found right.
    pub(crate) fn rows(&mut self, header: &BlockHeader, payload: &[u8]) -> Result<Rows, Malformed> {
        self.columns(header, payload, Wanted::ALL)
    }

    /// As [`Self::rows`], with the wanted columns only.
    pub(crate) fn columns(
        &mut self,
        header: &BlockHeader,
        payload: &[u8],
        wanted: Wanted,
    ) -> Result<Rows, Malformed> {
        let count = header.rows as usize;
        if count > limits::BLOCK_ROWS {
            return Err(Malformed("a block has too many rows"));
        }
        let payload = Payload::parse(payload)?;
        let mut decode = Decode {
            unpacker: &mut self.unpacker,
            buffer: &mut self.buffer,
            values: &mut self.values,
            payload: &payload,
            header,
            count,
            rows: Rows { container: ContainerUid(header.container), ..Rows::default() },
            code_index: Vec::new(),
            code_count: 0,
            by_code: Groups::default(),
        };
        if count > 0 {
            decode.tasks()?;
            decode.codes()?;
            decode.plain_columns(wanted)?;
            if wanted.has(Wanted::TIMES) {
                decode.times()?;
            }
            if wanted.has(Wanted::NUMBERS) {
                decode.arguments()?;
            }
            if wanted.has(Wanted::FIELDS) {
                decode.fields()?;
            }
        }
        Ok(decode.rows)
    }
}

/// The tags of each shape, and the shape of each row.
type Shapes = (Vec<Vec<u8>>, Vec<u32>);

/// A block while it is decoded.
struct Decode<'a> {
    unpacker: &'a mut Unpacker,
    buffer: &'a mut Vec<u8>,
    values: &'a mut Vec<u64>,
    payload: &'a Payload<'a>,
    header: &'a BlockHeader,
    count: usize,
    rows: Rows,
    code_index: Vec<u32>,
    code_count: usize,
    by_code: Groups,
}

const MISSING: Malformed = Malformed("a block lacks a column");
const BEHIND: Malformed = Malformed("a column has bytes behind its end");
const NARROW: Malformed = Malformed("a number is too large for its column");

fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Malformed> {
    T::try_from(value).map_err(|_| NARROW)
}

impl Decode<'_> {
    /// Unpacks a column and hands its bytes to `read`; `Ok(None)` when it is not there.
    fn column<R>(
        &mut self,
        id: u8,
        read: impl FnOnce(&mut Input<'_>, &mut Vec<u64>, &Groups) -> Result<R, Malformed>,
    ) -> Result<Option<R>, Malformed> {
        let Some(column) = self.payload.column(id) else { return Ok(None) };
        let mut input = Input::new(self.unpacker.unpack(column, self.buffer)?);
        let result = read(&mut input, self.values, &self.by_code)?;
        if input.is_empty() { Ok(Some(result)) } else { Err(BEHIND) }
    }

    /// A column with one stream per code: one number per row.
    fn per_code<T: Copy + Default>(
        &mut self,
        id: u8,
        convert: impl Fn(u64) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        let count = self.count;
        self.column(id, |input, values, groups| {
            let mut out = vec![T::default(); count];
            for rows in groups.iter() {
                read_stream(input, rows.len(), values)?;
                for (&row, &value) in rows.iter().zip(values.iter()) {
                    if let Some(to) = out.get_mut(row as usize) {
                        *to = convert(value)?;
                    }
                }
            }
            Ok(out)
        })
    }

    fn tasks(&mut self) -> Result<(), Malformed> {
        let count = self.count;
        let (tasks, lengths) = self
            .column(column::TASKS, |input, values, _| {
                let tasks = input.count(count)?;
                let mut keys = vec![TaskKey::default(); tasks];
                read_stream(input, tasks, values)?;
                for (key, &tgid) in keys.iter_mut().zip(values.iter()) {
                    key.tgid = narrow(tgid)?;
                }
                read_stream(input, tasks, values)?;
                for (key, &above) in keys.iter_mut().zip(values.iter()) {
                    key.tid = key.tgid.wrapping_add(narrow(above)?);
                }
                read_stream(input, tasks, values)?;
                for (key, &start) in keys.iter_mut().zip(values.iter()) {
                    key.start = BootNanos(start);
                }
                read_stream(input, tasks, values)?;
                Ok((keys, values.clone()))
            })?
            .ok_or(MISSING)?;
        let total = lengths.iter().try_fold(0u64, |sum, &l| sum.checked_add(l));
        if total != Some(self.count as u64) {
            return Err(Malformed("rows of tasks do not add up"));
        }
        self.rows.task.reserve_exact(self.count);
        for (task, &rows) in lengths.iter().enumerate() {
            self.rows.task.extend(std::iter::repeat_n(task as u32, rows as usize));
        }
        self.rows.tasks = tasks;
        Ok(())
    }

    fn codes(&mut self) -> Result<(), Malformed> {
        let count = self.count;
        let (codes, index) = self
            .column(column::CODES, |input, values, _| {
                let codes = input.count(count)?;
                read_stream(input, codes, values)?;
                let codes = values.iter().map(|&c| narrow::<u16>(c)).collect::<Result<Vec<_>, _>>()?;
                read_stream(input, count, values)?;
                let index = values.iter().map(|&i| narrow::<u32>(i)).collect::<Result<Vec<_>, _>>()?;
                Ok((codes, index))
            })?
            .ok_or(MISSING)?;
        if !codes.is_sorted_by(|a, b| a < b) {
            return Err(Malformed("codes are not in rising order"));
        }
        self.rows.code.reserve_exact(count);
        for &at in &index {
            let code = codes.get(at as usize).ok_or(Malformed("a row has no code"))?;
            self.rows.code.push(*code);
        }
        self.by_code = Groups::of(&index, 0..count as u32, codes.len());
        self.code_index = index;
        self.code_count = codes.len();
        Ok(())
    }

    fn plain_columns(&mut self, wanted: Wanted) -> Result<(), Malformed> {
        let count = self.count;
        if wanted.has(Wanted::RESULTS) {
            self.rows.ret = self.per_code(column::RET, |v| Ok(unzigzag(v)))?.ok_or(MISSING)?;
        }
        if wanted.has(Wanted::FLAGS) {
            self.rows.flags = self.per_code(column::FLAGS, narrow)?.unwrap_or_default();
        }
        if wanted == Wanted::ALL {
            self.rows.class = self.per_code(column::CLASS, narrow)?.unwrap_or_default();
        }
        if wanted.has(Wanted::CPUS) {
            self.rows.cpu = self
                .column(column::CPU, |input, values, _| {
                    read_stream(input, count, values)?;
                    values.iter().map(|&v| narrow(v)).collect()
                })?
                .ok_or(MISSING)?;
        }
        Ok(())
    }

    fn times(&mut self) -> Result<(), Malformed> {
        let count = self.count;
        let timed = self.header.flags & flag::ENTRY_TIMES != 0;
        if timed {
            let known = self.per_code(column::TIMED, |v| Ok(v != 0))?.ok_or(MISSING)?;
            let durations = self.column(column::DURATION, |input, values, groups| {
                let mut out = vec![None; count];
                for rows in groups.iter() {
                    let has = |row: &&u32| known.get(**row as usize).copied().unwrap_or(false);
                    read_stream(input, rows.iter().filter(has).count(), values)?;
                    for (&row, &value) in rows.iter().filter(has).zip(values.iter()) {
                        if let Some(to) = out.get_mut(row as usize) {
                            *to = Some(value);
                        }
                    }
                }
                Ok(out)
            })?;
            self.rows.duration = durations.ok_or(MISSING)?;
        }
        let mut time = self
            .column(column::GAPS, |input, values, _| {
                read_stream(input, count, values)?;
                Ok(values.clone())
            })?
            .ok_or(MISSING)?;
        let (first, last) = (self.header.first, self.header.last);
        let mut before = first;
        let mut task_before = None;
        for (row, (value, &task)) in time.iter_mut().zip(&self.rows.task).enumerate() {
            if task_before != Some(task) {
                (before, task_before) = (first, Some(task));
            }
            let at = if timed {
                let duration = self.rows.duration.get(row).copied().flatten().unwrap_or(0);
                before.wrapping_add(unzigzag(*value).cast_unsigned()).wrapping_add(duration)
            } else {
                before.wrapping_add(*value)
            };
            if at < before || at > last {
                return Err(Malformed("a row's time is outside its block"));
            }
            *value = at;
            before = at;
        }
        self.rows.time = time;
        Ok(())
    }

    fn arguments(&mut self) -> Result<(), Malformed> {
        let counts = self.per_code(column::ARG_COUNT, narrow::<u8>)?.ok_or(MISSING)?;
        let mut total = 0usize;
        self.rows.arg_end.reserve_exact(self.count);
        for &count in &counts {
            total += usize::from(count);
            if usize::from(count) > MAX_ARGS || total > limits::BLOCK_ARGS {
                return Err(Malformed("a block has too many numbers"));
            }
            self.rows.arg_end.push(total as u32);
        }
        let mut args = vec![0u64; total];
        let ends = std::mem::take(&mut self.rows.arg_end);
        let widest = counts.iter().copied().max().unwrap_or(0);
        // Fewest and most numbers of the rows of each code: the same, mostly.
        let count_of = |row: &u32| counts.get(*row as usize).copied().unwrap_or(0);
        let range = |rows: &[u32]| {
            rows.iter().map(count_of).fold((u8::MAX, 0), |(least, most), c| (least.min(c), most.max(c)))
        };
        let ranges: Vec<(u8, u8)> = self.by_code.iter().map(range).collect();
        let mut read = |input: &mut Input<'_>, values: &mut Vec<u64>, rows: &[u32], index: u8, all: bool| {
            let has = |row: &&u32| all || count_of(row) > index;
            read_stream(input, if all { rows.len() } else { rows.iter().filter(has).count() }, values)?;
            for (row, &value) in rows.iter().filter(has).zip(values.iter()) {
                let end = ends.get(*row as usize).copied().unwrap_or(0) as usize;
                let at = (end + usize::from(index)).wrapping_sub(usize::from(count_of(row)));
                if let Some(to) = args.get_mut(at) {
                    *to = value;
                }
            }
            Ok::<(), Malformed>(())
        };
        for index in 0..column::ARG_COLUMNS.min(widest) {
            self.column(column::ARG0 + index, |input, values, groups| {
                let mut groups = groups.iter().zip(&ranges).filter(|(_, range)| range.1 > index);
                groups.try_for_each(|(rows, range)| read(input, values, rows, index, range.0 > index))
            })?
            .ok_or(MISSING)?;
        }
        if widest > column::ARG_COLUMNS {
            self.column(column::ARG_REST, |input, values, groups| {
                for (rows, range) in groups.iter().zip(&ranges) {
                    for index in column::ARG_COLUMNS..range.1 {
                        read(input, values, rows, index, range.0 > index)?;
                    }
                }
                Ok(())
            })?
            .ok_or(MISSING)?;
        }
        self.rows.args = args;
        self.rows.arg_end = ends;
        Ok(())
    }

    fn fields(&mut self) -> Result<(), Malformed> {
        let Some((shapes, shape_of)) = self.shapes()? else {
            self.rows.field_end = vec![0; self.count];
            return Ok(());
        };
        let mut total = 0usize;
        self.rows.field_end.reserve_exact(self.count);
        for &shape in &shape_of {
            total += shapes.get(shape as usize).map_or(0, Vec::len);
            if total > limits::BLOCK_FIELDS {
                return Err(Malformed("a block has too many fields"));
            }
            self.rows.field_end.push(total as u32);
        }
        let (rows, cells) = by_two(&self.code_index, self.code_count, &shape_of, shapes.len());
        let cells = Cells { rows, cells, shapes, field_end: std::mem::take(&mut self.rows.field_end) };
        let mut fields = vec![FieldAt::default(); total];
        let strings = self.strings()?;

        let mut longest = 0;
        let mut ids = vec![0u64; total];
        self.column(column::FIELDS, |input, values, _| {
            longest = narrow::<u32>(input.varint()?)?;
            cells.visit(|rows, position, tag| {
                read_stream(input, rows.len(), values)?;
                for (at, &value) in cells.positions(rows, position).zip(values.iter()) {
                    if let (Some(field), Some(id)) = (fields.get_mut(at), ids.get_mut(at)) {
                        field.tag = tag.0;
                        *id = value;
                    }
                }
                Ok(())
            })
        })?
        .ok_or(MISSING)?;
        self.column(column::FIELD_FLAGS, |input, values, _| {
            cells.visit(|rows, position, _| {
                read_stream(input, rows.len(), values)?;
                for (at, &value) in cells.positions(rows, position).zip(values.iter()) {
                    if let Some(field) = fields.get_mut(at) {
                        field.flags = narrow(value)?;
                    }
                }
                Ok(())
            })
        })?;
        self.place(&cells, &mut fields, &ids, &strings, longest)?;
        self.rows.field_end = cells.field_end;
        self.rows.fields = fields;
        Ok(())
    }

    /// Finds each field's bytes and full length.
    fn place(
        &mut self,
        cells: &Cells,
        fields: &mut [FieldAt],
        ids: &[u64],
        strings: &[(u32, u32)],
        longest: u32,
    ) -> Result<(), Malformed> {
        let mut residual = vec![0i64; fields.len()];
        self.column(column::FULL_LEN, |input, values, _| {
            cells.visit(|rows, position, _| {
                read_stream(input, rows.len(), values)?;
                for (at, &value) in cells.positions(rows, position).zip(values.iter()) {
                    if let Some(to) = residual.get_mut(at) {
                        *to = unzigzag(value);
                    }
                }
                Ok(())
            })
        })?;
        let mut bytes = std::mem::take(&mut self.rows.bytes);
        let payloads_begin = bytes.len();
        self.column(column::PAYLOAD, |input, _, _| {
            bytes.extend_from_slice(input.take(input.rest().len())?);
            Ok(())
        })?;
        let mut next = payloads_begin;
        let rets = &self.rows.ret;
        cells.visit(|rows, position, tag| {
            for (at, &row) in cells.positions(rows, position).zip(rows) {
                let (Some(field), Some(&id), Some(&more)) =
                    (fields.get_mut(at), ids.get(at), residual.get(at))
                else {
                    continue;
                };
                if is_payload(tag) {
                    let ret = rets.get(row as usize).copied().unwrap_or(0);
                    field.full_len = sum(result_length(ret), more)?;
                    field.len = sum(field.full_len.min(longest), unzigzag(id))?;
                    field.begin = next as u32;
                    next += field.len as usize;
                } else {
                    let string = usize::try_from(id).ok().and_then(|id| strings.get(id));
                    let (begin, len) =
                        *string.ok_or(Malformed("a field names a string that is not there"))?;
                    (field.begin, field.len) = (begin, len);
                    field.full_len = sum(len, more)?;
                }
            }
            Ok(())
        })?;
        if next != bytes.len() {
            return Err(Malformed("lengths of payloads do not add up"));
        }
        self.rows.bytes = bytes;
        Ok(())
    }

    /// The shapes and each row's; `None` when no row has fields.
    fn shapes(&mut self) -> Result<Option<Shapes>, Malformed> {
        let count = self.count;
        self.column(column::SHAPES, |input, values, groups| {
            let shape_count = input.count(count)?;
            let mut shapes = Vec::with_capacity(shape_count);
            for _ in 0..shape_count {
                let tags = usize::from(input.u8()?);
                if tags > MAX_FIELDS {
                    return Err(Malformed("a row has too many fields"));
                }
                shapes.push(input.take(tags)?.to_vec());
            }
            let mut shape_of = vec![0u32; count];
            for rows in groups.iter() {
                read_stream(input, rows.len(), values)?;
                for (&row, &value) in rows.iter().zip(values.iter()) {
                    if value >= shape_count as u64 {
                        return Err(Malformed("a row has no shape"));
                    }
                    if let Some(to) = shape_of.get_mut(row as usize) {
                        *to = value as u32;
                    }
                }
            }
            Ok((shapes, shape_of))
        })
    }

    /// Puts the strings' bytes into `rows.bytes`; gives begin and length of each.
    fn strings(&mut self) -> Result<Vec<(u32, u32)>, Malformed> {
        let most = limits::BLOCK_FIELDS;
        let mut bytes = Vec::new();
        self.column(column::STRINGS, |input, _, _| {
            bytes.extend_from_slice(input.take(input.rest().len())?);
            Ok(())
        })?;
        let strings = self.column(column::STRING_LENGTHS, |input, values, _| {
            let count = input.count(most)?;
            read_stream(input, count, values)?;
            let mut begin = 0u32;
            let mut strings = Vec::with_capacity(count);
            for &length in values.iter() {
                let length: u32 = narrow(length)?;
                strings.push((begin, length));
                begin = begin.checked_add(length).ok_or(NARROW)?;
            }
            Ok((strings, begin))
        })?;
        let (strings, end) = strings.unwrap_or_default();
        if end as usize != bytes.len() {
            return Err(Malformed("lengths of strings do not add up"));
        }
        self.rows.bytes = bytes;
        Ok(strings)
    }
}

fn sum(length: u32, more: i64) -> Result<u32, Malformed> {
    i64::from(length)
        .checked_add(more)
        .and_then(|sum| u32::try_from(sum).ok())
        .ok_or(Malformed("a field's length is out of range"))
}

/// Rows by code and shape, as the writer's.
struct Cells {
    rows: Vec<u32>,
    cells: Vec<(u32, u32)>,
    shapes: Vec<Vec<u8>>,
    field_end: Vec<u32>,
}

impl Cells {
    fn visit(
        &self,
        mut each: impl FnMut(&[u32], usize, FieldTag) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut begin = 0;
        for &(end, shape) in &self.cells {
            let rows = self.rows.get(begin as usize..end as usize).unwrap_or(&[]);
            let tags = self.shapes.get(shape as usize).map_or(&[][..], Vec::as_slice);
            for (position, &tag) in tags.iter().enumerate() {
                each(rows, position, FieldTag(tag))?;
            }
            begin = end;
        }
        Ok(())
    }

    /// Where the field at `position` of each of these rows lies among all fields.
    fn positions<'a>(&'a self, rows: &'a [u32], position: usize) -> impl Iterator<Item = usize> + 'a {
        rows.iter().map(move |&row| {
            let begin = row.checked_sub(1).and_then(|before| self.field_end.get(before as usize));
            begin.copied().unwrap_or(0) as usize + position
        })
    }
}
