//! Cuts an open block: sorts its rows and writes them as columns.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{
    column, counts,
    filter::{self, Grams},
    ingest::{FieldIn, OpenBlock},
    is_payload,
    order::Groups,
    repeated::Repeated,
};
use crate::{
    FieldTag,
    block::{BlockHeader, flag, kind},
    bytes::{Output, zigzag},
    payload::{Hash, PayloadWriter},
    stream::StreamWriter,
};

/// Turns open blocks into bytes; keeps its tables between them.
#[derive(Debug)]
pub(crate) struct EventEncoder {
    payload: PayloadWriter,
    streams: StreamWriter,
    raw: Vec<u8>,
    values: Vec<u64>,
    counts: Vec<u8>,
    grams: Grams,
    filter: Vec<u8>,
    repeated: Vec<u8>,
}

/// Rows of a block in their final order, and how they are grouped.
struct Sorted<'a> {
    block: &'a OpenBlock,
    /// Arrival number of each row.
    order: Vec<u32>,
    /// Tasks in order, each with its rows.
    tasks: Vec<(u32, u32)>,
    /// Codes in rising order.
    codes: Vec<u16>,
    /// Index among `codes` of each row.
    code_index: Vec<u32>,
    by_code: Groups,
    /// Arrival number of each row of `by_code`.
    arrivals: Vec<u32>,
}

impl<'a> Sorted<'a> {
    fn of(block: &'a OpenBlock) -> Self {
        let mut by_key: Vec<u32> = (0..block.tasks.len() as u32).collect();
        by_key.sort_unstable_by_key(|&t| block.tasks[t as usize]);
        let mut rank = vec![0u32; by_key.len()];
        by_key.iter().enumerate().for_each(|(index, &task)| rank[task as usize] = index as u32);
        let keys: Vec<u32> = block.task.iter().map(|&t| rank[t as usize]).collect();
        let by_task = Groups::of(&keys, by_key.len());
        let mut order = by_task.rows;
        let mut begin = 0;
        let mut tasks = Vec::with_capacity(by_key.len());
        for (&task, &end) in by_key.iter().zip(&by_task.ends) {
            let rows = &mut order[begin as usize..end as usize];
            // Rows of a task arrive in order of time; what does not is put right here.
            if !rows.is_sorted_by_key(|&row| block.time[row as usize]) {
                rows.sort_by_key(|&row| block.time[row as usize]);
            }
            tasks.push((task, end - begin));
            begin = end;
        }
        let mut codes = block.code.clone();
        codes.sort_unstable();
        codes.dedup();
        let mut index_of = vec![0u32; codes.last().map_or(0, |&c| usize::from(c) + 1)];
        codes.iter().enumerate().for_each(|(index, &code)| index_of[usize::from(code)] = index as u32);
        let code_index: Vec<u32> =
            order.iter().map(|&row| index_of[usize::from(block.code[row as usize])]).collect();
        let by_code = Groups::of(&code_index, codes.len());
        let arrivals = by_code.rows.iter().map(|&row| order[row as usize]).collect();
        Self { block, order, tasks, codes, code_index, by_code, arrivals }
    }

    /// Arrival numbers of the rows of each code.
    fn codes_arrivals(&self) -> impl Iterator<Item = &[u32]> {
        let mut begin = 0;
        self.by_code.ends.iter().map(move |&end| {
            let rows = &self.arrivals[begin as usize..end as usize];
            begin = end;
            rows
        })
    }

    /// Arrival number of the row.
    fn arrival(&self, row: u32) -> usize {
        self.order[row as usize] as usize
    }
}

/// What a block carries besides its rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    pub(crate) container: u64,
    pub(crate) first_row: u64,
    pub(crate) number: u64,
    pub(crate) lost: u64,
    pub(crate) base: u64,
    pub(crate) flags: u8,
    /// Metadata records, encoded.
    pub(crate) records: &'a [u8],
}

impl EventEncoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            payload: PayloadWriter::new()?,
            streams: StreamWriter::new(),
            raw: Vec::new(),
            values: Vec::new(),
            counts: Vec::new(),
            grams: Grams::new(),
            filter: Vec::new(),
            repeated: Vec::new(),
        })
    }

    /// Appends the payload of `block` to `out`; the header still lacks length and checksum.
    pub(crate) fn encode(
        &mut self,
        block: &OpenBlock,
        around: &Around<'_>,
        out: &mut Vec<u8>,
    ) -> BlockHeader {
        let first = block.time.iter().copied().min().unwrap_or(0);
        let last = block.time.iter().copied().max().unwrap_or(0);
        let entered = block.time.iter().zip(&block.duration).map(|(t, d)| t.saturating_sub(d.unwrap_or(0)));
        let earliest = entered.min().unwrap_or(first);
        let timed = block.duration.iter().any(Option::is_some);
        self.payload.column(column::RECORDS, around.records);
        if block.rows() > 0 {
            let sorted = Sorted::of(block);
            self.put_tasks(&sorted);
            self.put_codes(&sorted);
            self.put_times(&sorted, first, timed);
            self.put_numbers(&sorted);
            self.put_fields(&sorted);
            self.put_index(&sorted, (first, last));
        } else {
            self.repeated.clear();
        }
        let root = self.payload.finish(out);
        BlockHeader {
            kind: if block.rows() > 0 { kind::EVENTS } else { kind::META },
            flags: around.flags
                | if timed { flag::ENTRY_TIMES } else { 0 }
                | if around.records.is_empty() { 0 } else { flag::RECORDS },
            payload_len: 0,
            container: around.container,
            first_row: around.first_row,
            rows: block.rows() as u32,
            payload_crc: 0,
            earliest,
            first,
            last,
            base: around.base,
            lost: around.lost,
            number: around.number,
            root,
        }
    }

    /// Appends the payload of a block that has a container's state and nothing else to `out`, and gives its content root.
    pub(crate) fn encode_state(&mut self, state: &[u8], out: &mut Vec<u8>) -> Hash {
        self.payload.column(column::STATE, state);
        self.payload.finish(out)
    }

    /// What a footer repeats of the block encoded last; empty when it had no rows.
    pub(crate) fn repeated(&self) -> &[u8] {
        &self.repeated
    }

    /// Counters and filter.
    fn put_index(&mut self, sorted: &Sorted<'_>, range: (u64, u64)) {
        let block = sorted.block;
        self.counts.clear();
        counts::encode(&block.time, &block.class, range, &mut self.streams, &mut self.counts);
        self.payload.column(column::COUNTS, &self.counts);
        self.filter.clear();
        let mut tasks: Vec<u32> = block.tasks.iter().flat_map(|key| [key.tgid, key.tid]).collect();
        tasks.sort_unstable();
        tasks.dedup();
        block.strings.each(|string| self.grams.add(string));
        for field in block.fields.iter().filter(|field| field.tag == FieldTag::DATA.0) {
            self.grams.add(&block.payload[field.at as usize..][..field.len as usize]);
        }
        let mut keys = Vec::new();
        let is_address = |field: &&FieldIn| {
            [FieldTag::SOCKADDR, FieldTag::LOCAL, FieldTag::PEER].contains(&FieldTag(field.tag))
        };
        let mut strings: Vec<u32> = block.fields.iter().filter(is_address).map(|field| field.at).collect();
        strings.sort_unstable();
        strings.dedup();
        strings.iter().for_each(|&id| filter::add_keys(block.strings.get(id), &mut keys));
        keys.sort_unstable();
        keys.dedup();
        filter::encode(&sorted.codes, &tasks, &keys, &mut self.grams, &mut self.streams, &mut self.filter);
        self.payload.column(column::FILTER, &self.filter);
        self.repeated.clear();
        Repeated { counts: &self.counts, filter: &self.filter }.encode(&mut self.repeated);
    }

    /// Appends the stream of `values` to the column being built.
    fn stream(&mut self, values: impl Iterator<Item = u64>) {
        self.values.clear();
        self.values.extend(values);
        self.streams.put(&mut self.raw, &self.values);
    }

    /// Ends the column being built.
    fn column(&mut self, id: u8) {
        self.payload.column(id, &self.raw);
        self.raw.clear();
    }

    /// A column of one stream per code.
    fn by_code(&mut self, sorted: &Sorted<'_>, id: u8, value: impl Fn(usize) -> u64) {
        for arrivals in sorted.codes_arrivals() {
            self.stream(arrivals.iter().map(|&arrival| value(arrival as usize)));
        }
        self.column(id);
    }

    fn put_tasks(&mut self, sorted: &Sorted<'_>) {
        let keys = &sorted.block.tasks;
        self.raw.put_varint(sorted.tasks.len() as u64);
        self.stream(sorted.tasks.iter().map(|&(t, _)| u64::from(keys[t as usize].tgid)));
        self.stream(sorted.tasks.iter().map(|&(t, _)| {
            let key = keys[t as usize];
            u64::from(key.tid.wrapping_sub(key.tgid))
        }));
        self.stream(sorted.tasks.iter().map(|&(t, _)| keys[t as usize].start.0));
        self.stream(sorted.tasks.iter().map(|&(_, rows)| u64::from(rows)));
        self.column(column::TASKS);
    }

    fn put_codes(&mut self, sorted: &Sorted<'_>) {
        self.raw.put_varint(sorted.codes.len() as u64);
        self.stream(sorted.codes.iter().map(|&c| u64::from(c)));
        self.stream(sorted.code_index.iter().map(|&i| u64::from(i)));
        self.column(column::CODES);
    }

    fn put_times(&mut self, sorted: &Sorted<'_>, first: u64, timed: bool) {
        let block = sorted.block;
        self.values.clear();
        let mut rows = sorted.order.iter();
        for &(_, count) in &sorted.tasks {
            let mut before = first;
            for &row in rows.by_ref().take(count as usize) {
                let time = block.time[row as usize];
                let gap = if timed {
                    let entered = time.wrapping_sub(block.duration[row as usize].unwrap_or(0));
                    zigzag(entered.wrapping_sub(before).cast_signed())
                } else {
                    time - before
                };
                self.values.push(gap);
                before = time;
            }
        }
        self.streams.put(&mut self.raw, &self.values);
        self.column(column::GAPS);
        if timed {
            self.by_code(sorted, column::TIMED, |a| u64::from(block.duration[a].is_some()));
            for arrivals in sorted.codes_arrivals() {
                self.stream(arrivals.iter().filter_map(|&arrival| block.duration[arrival as usize]));
            }
            self.column(column::DURATION);
        }
    }

    fn put_numbers(&mut self, sorted: &Sorted<'_>) {
        let block = sorted.block;
        self.by_code(sorted, column::RET, |a| zigzag(block.ret[a]));
        self.by_code(sorted, column::ARG_COUNT, |a| block.args_of(a).len() as u64);
        if block.flags.iter().any(|&f| f != 0) {
            self.by_code(sorted, column::FLAGS, |a| u64::from(block.flags[a]));
        }
        self.stream(sorted.order.iter().map(|&row| u64::from(block.cpu[row as usize])));
        self.column(column::CPU);
        self.by_code(sorted, column::CLASS, |a| u64::from(block.class[a]));
        self.put_arguments(sorted);
    }

    fn put_arguments(&mut self, sorted: &Sorted<'_>) {
        let block = sorted.block;
        // Where each row's numbers begin, and how many the rows of each code have: all the same, mostly.
        let mut begins = Vec::with_capacity(sorted.arrivals.len());
        let mut counts = Vec::with_capacity(sorted.codes.len());
        for arrivals in sorted.codes_arrivals() {
            let (mut least, mut most) = (usize::MAX, 0);
            for &arrival in arrivals {
                let args = block.arg_range(arrival as usize);
                (least, most) = (least.min(args.len()), most.max(args.len()));
                begins.push(args.start as u32);
            }
            counts.push((least, most));
        }
        for index in 0..usize::from(column::ARG_COLUMNS) {
            let mut begin = 0;
            for (&end, &(least, most)) in sorted.by_code.ends.iter().zip(&counts) {
                let rows = begin as usize..end as usize;
                begin = end;
                if least > index {
                    self.stream(begins[rows].iter().map(|&b| block.args[b as usize + index]));
                } else if most > index {
                    self.put_argument(block, &sorted.arrivals[rows], index);
                }
            }
            self.column(column::ARG0 + index as u8);
        }
        for (arrivals, &(_, most)) in sorted.codes_arrivals().zip(&counts) {
            for index in usize::from(column::ARG_COLUMNS)..most {
                self.put_argument(block, arrivals, index);
            }
        }
        self.column(column::ARG_REST);
    }

    fn put_argument(&mut self, block: &OpenBlock, arrivals: &[u32], index: usize) {
        self.stream(arrivals.iter().filter_map(|&a| block.args_of(a as usize).get(index).copied()));
    }

    fn put_fields(&mut self, sorted: &Sorted<'_>) {
        let block = sorted.block;
        if block.fields.is_empty() {
            return;
        }
        let (shapes, shape_of) = shapes(sorted);
        self.raw.put_varint(shapes.len() as u64);
        for shape in &shapes {
            self.raw.put_u8(shape.len() as u8);
            self.raw.extend_from_slice(shape);
        }
        for rows in sorted.by_code.iter() {
            self.stream(rows.iter().map(|&row| u64::from(shape_of[row as usize])));
        }
        self.column(column::SHAPES);

        let cells = Cells::of(sorted, &shape_of, &shapes);
        let longest = block.fields.iter().filter(|f| is_payload(FieldTag(f.tag))).map(|f| f.len).max();
        let longest = longest.unwrap_or(0);
        self.raw.put_varint(u64::from(longest));
        cells.visit(|cell, position, tag| {
            let fields = cell.fields(block, position);
            if is_payload(tag) {
                self.stream(fields.map(|f| shortfall(f, longest)));
            } else {
                self.stream(fields.map(|f| u64::from(f.at)));
            }
        });
        self.column(column::FIELDS);
        if block.fields.iter().any(|f| f.flags != 0) {
            cells.visit(|cell, position, _| {
                self.stream(cell.fields(block, position).map(|f| u64::from(f.flags)));
            });
            self.column(column::FIELD_FLAGS);
        }
        self.put_full_lengths(block, &cells);
        self.put_bytes(block, &cells);
    }

    fn put_full_lengths(&mut self, block: &OpenBlock, cells: &Cells<'_>) {
        let mut any = 0;
        cells.visit(|cell, position, tag| {
            self.values.clear();
            let fields = cell.fields(block, position);
            if is_payload(tag) {
                let results = cell.arrivals.iter().map(|&arrival| block.ret[arrival as usize]);
                self.values.extend(fields.zip(results).map(|(f, ret)| over(f.full_len, result_length(ret))));
            } else {
                self.values.extend(fields.map(|f| over(f.full_len, f.len)));
            }
            any |= self.values.iter().fold(0, |any, value| any | value);
            self.streams.put(&mut self.raw, &self.values);
        });
        if any != 0 {
            self.column(column::FULL_LEN);
        } else {
            self.raw.clear();
        }
    }

    fn put_bytes(&mut self, block: &OpenBlock, cells: &Cells<'_>) {
        if block.strings.len() > 0 {
            self.raw.put_varint(block.strings.len() as u64);
            self.stream((0..block.strings.len() as u32).map(|id| u64::from(block.strings.length(id))));
            self.column(column::STRING_LENGTHS);
            self.payload.column(column::STRINGS, block.strings.bytes());
        }
        cells.visit(|cell, position, tag| {
            if is_payload(tag) {
                for field in cell.fields(block, position) {
                    let begin = field.at as usize;
                    self.raw.extend_from_slice(&block.payload[begin..begin + field.len as usize]);
                }
            }
        });
        self.column(column::PAYLOAD);
    }
}

/// How far a payload is from the length it should have: the lesser of what the call moved and `longest`.
fn shortfall(field: FieldIn, longest: u32) -> u64 {
    over(field.len, field.full_len.min(longest))
}

/// A length less the one that is predicted for it.
pub(super) fn over(length: u32, predicted: u32) -> u64 {
    zigzag(i64::from(length) - i64::from(predicted))
}

/// The length that a call's result promises.
pub(super) fn result_length(ret: i64) -> u32 {
    u32::try_from(ret.max(0)).unwrap_or(0)
}

/// The shapes in order of first appearance, and each row's. Rows of one code mostly have one shape, so a row is compared
/// with the last of its code before it is looked up.
fn shapes(sorted: &Sorted<'_>) -> (Vec<Vec<u8>>, Vec<u32>) {
    let mut shapes: Vec<Vec<u8>> = Vec::new();
    let mut ids: HashMap<Vec<u8>, u32, RandomState> = HashMap::default();
    let mut last_of = vec![0u32; sorted.codes.len()];
    let shape_of = sorted
        .code_index
        .iter()
        .enumerate()
        .map(|(row, &code)| {
            let fields = sorted.block.fields_of(sorted.arrival(row as u32));
            let tags = || fields.iter().map(|f| f.tag);
            let last = &mut last_of[code as usize];
            if shapes.get(*last as usize).is_some_and(|s| s.iter().copied().eq(tags())) {
                return *last;
            }
            *last = *ids.entry(tags().collect()).or_insert_with_key(|shape| {
                shapes.push(shape.clone());
                (shapes.len() - 1) as u32
            });
            *last
        })
        .collect();
    (shapes, shape_of)
}

/// Rows with fields by code and shape, each of which has the same fields.
struct Cells<'a> {
    /// Arrival number of each row.
    arrivals: Vec<u32>,
    /// Where the fields of each of them begin.
    begins: Vec<u32>,
    /// End of each cell, and its shape.
    cells: Vec<(u32, u32)>,
    shapes: &'a [Vec<u8>],
}

/// Rows of one code and shape.
#[derive(Clone, Copy)]
struct Cell<'a> {
    arrivals: &'a [u32],
    begins: &'a [u32],
}

impl Cell<'_> {
    /// The field at `position` of each row.
    fn fields<'b>(&'b self, block: &'b OpenBlock, position: usize) -> impl Iterator<Item = FieldIn> + 'b {
        self.begins.iter().map(move |&begin| block.fields[begin as usize + position])
    }
}

impl<'a> Cells<'a> {
    fn of(sorted: &Sorted<'_>, shape_of: &[u32], shapes: &'a [Vec<u8>]) -> Self {
        let mut of = Self { arrivals: Vec::new(), begins: Vec::new(), cells: Vec::new(), shapes };
        let shape = |row: u32| shape_of[row as usize];
        let mut by_shape = Vec::new();
        for rows in sorted.by_code.iter() {
            let Some(&first) = rows.first() else { continue };
            if rows.iter().all(|&row| shape(row) == shape(first)) {
                of.add(sorted, rows, shape(first));
                continue;
            }
            by_shape.clear();
            by_shape.extend_from_slice(rows);
            by_shape.sort_by_key(|&row| shape(row));
            for rows in by_shape.chunk_by(|&a, &b| shape(a) == shape(b)) {
                of.add(sorted, rows, shape(rows[0]));
            }
        }
        of
    }

    fn add(&mut self, sorted: &Sorted<'_>, rows: &[u32], shape: u32) {
        if self.shapes[shape as usize].is_empty() {
            return;
        }
        for &row in rows {
            let arrival = sorted.arrival(row);
            self.arrivals.push(arrival as u32);
            self.begins.push(if arrival == 0 { 0 } else { sorted.block.field_end[arrival - 1] });
        }
        self.cells.push((self.arrivals.len() as u32, shape));
    }

    fn visit(&self, mut each: impl FnMut(Cell<'_>, usize, FieldTag)) {
        let mut begin = 0;
        for &(end, shape) in &self.cells {
            let rows = begin as usize..end as usize;
            let cell = Cell { arrivals: &self.arrivals[rows.clone()], begins: &self.begins[rows] };
            for (position, &tag) in self.shapes[shape as usize].iter().enumerate() {
                each(cell, position, FieldTag(tag));
            }
            begin = end;
        }
    }
}
