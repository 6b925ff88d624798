//! Reads the columns of an EVENTS block back into rows. Nothing in them is trusted.
//!
//! A column is unpacked, its streams are read one after the other, and each number goes to the row that it belongs to. What
//! a step needs of the steps before it lies in [`Tables`], which are used again for the next block.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

mod codes;
mod fields;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::{column, order::Groups, repeated::Repeated, rows::Rows};
use crate::{
    BootNanos, ContainerUid, MAX_ARGS, TaskKey,
    block::{BlockHeader, flag},
    bytes::{Input, Malformed, unzigzag},
    limits,
    payload::{Payload, Unpacker},
    reader::Wanted,
    stream::{Numbers, read_numbers, read_stream, skip_stream},
};

/// Decodes blocks; keeps its buffers between them.
#[derive(Debug)]
pub(crate) struct EventDecoder {
    unpacker: Unpacker,
    buffer: Vec<u8>,
    values: Vec<u64>,
    tables: Tables,
    /// Rows that nobody needs any more.
    spare: Option<Rows>,
}

/// Codes that are asked for; all where it is not there.
type Chosen<'c> = Option<&'c dyn Fn(u16) -> bool>;

/// What is known of a block while it is decoded.
#[derive(Debug, Default)]
struct Tables {
    /// How many rows each task has.
    task_rows: Vec<u32>,
    by_code: Groups,
    /// Of which codes results, numbers and fields are asked for.
    whole: Vec<bool>,
    /// How many numbers each row has.
    number_counts: Vec<u8>,
    /// Fewest and most numbers of the rows of each code: the same, mostly.
    number_ranges: Vec<(u8, u8)>,
    /// Where the numbers of each row of `by_code` begin.
    number_begins: Vec<u32>,
    fields: fields::Tables,
}

impl EventDecoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            unpacker: Unpacker::new()?,
            buffer: Vec::new(),
            values: Vec::new(),
            tables: Tables::default(),
            spare: None,
        })
    }

    /// Takes back rows that are not needed any more: their memory is for the next block.
    pub(crate) fn take_back(&mut self, rows: Rows) {
        self.spare = Some(rows);
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
        self.columns(header, payload, Wanted::ALL, None)
    }

    /// As [`Self::rows`], with the wanted columns only; where `only` is there, those that are kept by code are 0 for rows
    /// of all codes that it does not name.
    pub(crate) fn columns(
        &mut self,
        header: &BlockHeader,
        payload: &[u8],
        wanted: Wanted,
        only: Chosen<'_>,
    ) -> Result<Rows, Malformed> {
        self.some(header, payload, wanted, (only, None))
    }

    /// As [`Self::rows`], with the wanted columns only, and of these results, numbers and fields only for rows of the codes
    /// that `whole` names.
    pub(crate) fn few(
        &mut self,
        header: &BlockHeader,
        payload: &[u8],
        wanted: Wanted,
        whole: &dyn Fn(u16) -> bool,
    ) -> Result<Rows, Malformed> {
        self.some(header, payload, wanted, (None, Some(whole)))
    }

    fn some(
        &mut self,
        header: &BlockHeader,
        payload: &[u8],
        wanted: Wanted,
        (only, whole): (Chosen<'_>, Chosen<'_>),
    ) -> Result<Rows, Malformed> {
        let count = header.rows as usize;
        if count > limits::BLOCK_ROWS {
            return Err(Malformed("a block has too many rows"));
        }
        let payload = Payload::parse(payload)?;
        let mut rows = self.spare.take().unwrap_or_default();
        rows.clear();
        rows.container = ContainerUid(header.container);
        let source = Source {
            unpacker: &mut self.unpacker,
            buffer: &mut self.buffer,
            values: &mut self.values,
            payload: &payload,
        };
        let mut decode = Decode { source, tables: &mut self.tables, header, count, rows };
        if count > 0 {
            if wanted.has(Wanted::THREADS) || wanted.has(Wanted::TIMES) {
                decode.tasks(wanted.has(Wanted::THREADS))?;
            }
            decode.codes(only.filter(|_| Wanted::BY_CODE_ALONE.has(wanted)), whole)?;
            decode.plain_columns(wanted)?;
            if wanted.has(Wanted::TIMES) {
                decode.times()?;
            }
            let is_any_whole = decode.tables.whole.contains(&true);
            if wanted.has(Wanted::NUMBERS) && is_any_whole {
                decode.numbers()?;
            }
            if wanted.has(Wanted::FIELDS) && is_any_whole {
                decode.fields()?;
            }
        }
        Ok(decode.rows)
    }
}

/// Where columns come from.
struct Source<'a> {
    unpacker: &'a mut Unpacker,
    buffer: &'a mut Vec<u8>,
    values: &'a mut Vec<u64>,
    payload: &'a Payload<'a>,
}

impl Source<'_> {
    /// Unpacks a column and hands its bytes to `read`; `Ok(None)` when it is not there.
    fn column<R>(
        &mut self,
        id: u8,
        read: impl FnOnce(&mut Input<'_>, &mut Vec<u64>) -> Result<R, Malformed>,
    ) -> Result<Option<R>, Malformed> {
        let Some(column) = self.payload.column(id) else { return Ok(None) };
        let mut input = Input::new(self.unpacker.unpack(column, self.buffer)?);
        let result = read(&mut input, self.values)?;
        if input.is_empty() { Ok(Some(result)) } else { Err(BEHIND) }
    }

    /// Appends a column's bytes, where it is there.
    fn append(&mut self, id: u8, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.payload.column(id).map_or(Ok(()), |column| self.unpacker.append(column, out))
    }

    /// A column with one stream per code: one number for each of `count` rows. `None` when it is not there.
    fn per_code<T: Copy + Default + PartialEq>(
        &mut self,
        id: u8,
        (count, by_code, whole): (usize, &Groups, &[bool]),
        out: &mut Vec<T>,
        convert: impl Fn(u64) -> Result<T, Malformed>,
    ) -> Result<Option<()>, Malformed> {
        self.column(id, |input, values| {
            out.clear();
            out.resize(count, T::default());
            let is_whole = whole.iter().copied().chain(std::iter::repeat(true));
            for ((rows, all), is_whole) in by_code.iter().zip(&by_code.sizes).zip(is_whole) {
                if rows.is_empty() || !is_whole {
                    // Of a code that nobody asked for.
                    skip_stream(input, *all as usize)?;
                    continue;
                }
                let numbers = read_numbers(input, rows.len(), values)?;
                if let Numbers::Same(value) = numbers
                    && convert(value)? == T::default()
                {
                    continue;
                }
                numbers.hand(rows.iter(), |&row, value| {
                    put(out, row, convert(value)?);
                    Ok(())
                })?;
            }
            Ok(())
        })
    }
}

/// A block while it is decoded.
struct Decode<'a> {
    source: Source<'a>,
    tables: &'a mut Tables,
    header: &'a BlockHeader,
    count: usize,
    rows: Rows,
}

const MISSING: Malformed = Malformed("a block lacks a column");
const BEHIND: Malformed = Malformed("a column has bytes behind its end");
const NARROW: Malformed = Malformed("a number is too large for its column");

fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Malformed> {
    T::try_from(value).map_err(|_| NARROW)
}

/// Sets what a row has; rows of a group are always there.
fn put<T>(out: &mut [T], row: u32, value: T) {
    if let Some(to) = out.get_mut(row as usize) {
        *to = value;
    }
}

impl Decode<'_> {
    /// The tasks and how many rows each has; where `of_rows`, also each row's.
    fn tasks(&mut self, of_rows: bool) -> Result<(), Malformed> {
        let count = self.count;
        let (keys, lengths) = (&mut self.rows.tasks, &mut self.tables.task_rows);
        let read = self.source.column(column::TASKS, |input, values| {
            let tasks = input.count(count)?;
            keys.resize(tasks, TaskKey::default());
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
            if values.iter().try_fold(0u64, |sum, &rows| sum.checked_add(rows)) != Some(count as u64) {
                return Err(Malformed("rows of tasks do not add up"));
            }
            lengths.clear();
            lengths.extend(values.iter().map(|&rows| rows as u32));
            Ok(())
        });
        read?.ok_or(MISSING)?;
        for (task, &rows) in (0..).zip(lengths.iter()).filter(|_| of_rows) {
            self.rows.task.extend(std::iter::repeat_n(task, rows as usize));
        }
        Ok(())
    }

    /// Results, of all codes or of those that are asked for whole.
    fn results(&mut self, all: bool) -> Result<(), Malformed> {
        let whole = if all { &[][..] } else { &self.tables.whole };
        let by_code = (self.count, &self.tables.by_code, whole);
        let read = self.source.per_code(column::RET, by_code, &mut self.rows.ret, |v| Ok(unzigzag(v)));
        read?.ok_or(MISSING)
    }

    fn plain_columns(&mut self, wanted: Wanted) -> Result<(), Malformed> {
        if wanted.has(Wanted::RESULTS) {
            self.results(false)?;
        }
        let count = self.count;
        let (source, rows) = (&mut self.source, &mut self.rows);
        let by_code = (count, &self.tables.by_code, &[][..]);
        if wanted.has(Wanted::FLAGS) {
            source.per_code(column::FLAGS, by_code, &mut rows.flags, narrow)?;
        }
        if wanted == Wanted::ALL {
            source.per_code(column::CLASS, by_code, &mut rows.class, narrow)?;
        }
        if wanted.has(Wanted::CPUS) {
            let cpus = &mut rows.cpu;
            let read = source.column(column::CPU, |input, values| {
                read_stream(input, count, values)?;
                narrow::<u16>(values.iter().fold(0, |all, value| all | value))?;
                cpus.extend(values.iter().map(|&cpu| cpu as u16));
                Ok(())
            });
            read?.ok_or(MISSING)?;
        }
        Ok(())
    }

    fn times(&mut self) -> Result<(), Malformed> {
        let count = self.count;
        let timed = self.header.flags & flag::ENTRY_TIMES != 0;
        if timed {
            self.durations()?;
        }
        let time = &mut self.rows.time;
        let read = self.source.column(column::GAPS, |input, values| {
            read_stream(input, count, values)?;
            // Not in exchange: the decoder's own room may be many times that of these rows.
            time.extend_from_slice(values);
            Ok(())
        });
        read?.ok_or(MISSING)?;
        let (first, last) = (self.header.first, self.header.last);
        let mut rest = time.as_mut_slice();
        let mut durations = self.rows.duration.as_slice();
        let mut outside = false;
        for &rows in &self.tables.task_rows {
            let Some((run, others)) = rest.split_at_mut_checked(rows as usize) else { break };
            rest = others;
            let mut before = first;
            if timed {
                let (own, others) = durations.split_at_checked(run.len()).unwrap_or_default();
                durations = others;
                for (value, duration) in run.iter_mut().zip(own) {
                    let entered = before.wrapping_add(unzigzag(*value).cast_unsigned());
                    *value = entered.wrapping_add(duration.unwrap_or(0));
                    outside |= *value < before || *value > last;
                    before = *value;
                }
            } else {
                for value in run {
                    *value = before.wrapping_add(*value);
                    outside |= *value < before || *value > last;
                    before = *value;
                }
            }
        }
        if outside { Err(Malformed("a row's time is outside its block")) } else { Ok(()) }
    }

    fn durations(&mut self) -> Result<(), Malformed> {
        let by_code = &self.tables.by_code;
        let mut known = Vec::new();
        self.source
            .per_code(column::TIMED, (self.count, by_code, &[]), &mut known, |v| Ok(v != 0))?
            .ok_or(MISSING)?;
        let out = &mut self.rows.duration;
        out.resize(self.count, None);
        let read = self.source.column(column::DURATION, |input, values| {
            for rows in by_code.iter() {
                let has = |row: &&u32| known.get(**row as usize).copied().unwrap_or(false);
                read_stream(input, rows.iter().filter(has).count(), values)?;
                for (&row, &value) in rows.iter().filter(has).zip(values.iter()) {
                    put(out, row, Some(value));
                }
            }
            Ok(())
        });
        read?.ok_or(MISSING)
    }

    /// How many numbers each row has, and where they begin.
    fn number_counts(&mut self) -> Result<u8, Malformed> {
        let Tables { by_code, whole, number_counts, number_ranges, number_begins, .. } = &mut *self.tables;
        number_ranges.clear();
        number_counts.clear();
        number_counts.resize(self.count, 0);
        let read = self.source.column(column::ARG_COUNT, |input, values| {
            for (rows, is_whole) in by_code.iter().zip(whole.iter()) {
                let mut range = (u8::MAX, 0);
                let numbers = read_numbers(input, rows.len(), values)?;
                if let Numbers::Same(count) = numbers
                    && !is_whole
                {
                    let count = narrow::<u8>(count)?;
                    number_ranges.push((count, count));
                    continue;
                }
                numbers.hand(rows.iter(), |&row, count| {
                    let count = narrow::<u8>(count)?;
                    range = (count.min(range.0), count.max(range.1));
                    put(number_counts, row, count);
                    Ok(())
                })?;
                number_ranges.push(range);
            }
            Ok(())
        });
        read?.ok_or(MISSING)?;
        let ends = &mut self.rows.arg_end;
        let mut total = 0u32;
        ends.extend(number_counts.iter().map(|&count| {
            total += u32::from(count);
            total
        }));
        let widest = number_ranges.iter().map(|range| range.1).max().unwrap_or(0);
        if usize::from(widest) > MAX_ARGS || total as usize > limits::BLOCK_ARGS {
            return Err(Malformed("a block has too many numbers"));
        }
        number_begins.clear();
        number_begins.extend(by_code.rows.iter().map(|&row| {
            let count = number_counts.get(row as usize).copied().unwrap_or(0);
            ends.get(row as usize).copied().unwrap_or(0).wrapping_sub(u32::from(count))
        }));
        self.rows.args.resize(total as usize, 0);
        Ok(widest)
    }

    fn numbers(&mut self) -> Result<(), Malformed> {
        let widest = self.number_counts()?;
        let (tables, args) = (&*self.tables, self.rows.args.as_mut_slice());
        let ranges = tables.number_ranges.iter().zip(&tables.whole);
        // Behind the last number that is asked for nothing has to be read.
        let asked = ranges.filter(|(_, whole)| **whole).map(|(range, _)| range.1).max().unwrap_or(0);
        for index in 0..column::ARG_COLUMNS.min(asked) {
            let read = self.source.column(column::ARG0 + index, |input, values| {
                (0..)
                    .zip(tables.by_code.ranges())
                    .try_for_each(|(code, at)| tables.numbers_of(input, values, (code, at), index, args))
            });
            read?.ok_or(MISSING)?;
        }
        if asked > column::ARG_COLUMNS {
            let read = self.source.column(column::ARG_REST, |input, values| {
                (0..).zip(tables.by_code.ranges()).try_for_each(|(code, at)| {
                    (column::ARG_COLUMNS..widest).try_for_each(|index| {
                        tables.numbers_of(input, values, (code, at.clone()), index, args)
                    })
                })
            });
            read?.ok_or(MISSING)?;
        }
        Ok(())
    }
}

impl Tables {
    /// Reads the number at `index` of the rows of a code that have it; the rows lie `at` of `by_code`.
    fn numbers_of(
        &self,
        input: &mut Input<'_>,
        values: &mut Vec<u64>,
        (code, at): (usize, Range<usize>),
        index: u8,
        args: &mut [u64],
    ) -> Result<(), Malformed> {
        let &(least, most) = self.number_ranges.get(code).unwrap_or(&(0, 0));
        let begins = self.number_begins.get(at.clone()).unwrap_or(&[]);
        let is_whole = self.whole.get(code).copied().unwrap_or(true);
        if least > index && !is_whole {
            return skip_stream(input, begins.len());
        }
        let mut put = |begin: u32, value| {
            if let Some(to) = args.get_mut(begin as usize + usize::from(index)) {
                *to = value;
            }
        };
        if least > index {
            match read_numbers(input, begins.len(), values)? {
                // All are 0 to begin with.
                Numbers::Same(0) => {}
                numbers => numbers.hand(begins.iter(), |&begin, value| {
                    put(begin, value);
                    Ok(())
                })?,
            }
        } else if most > index {
            let rows = self.by_code.rows.get(at).unwrap_or(&[]);
            let has = |row: u32| self.number_counts.get(row as usize).is_some_and(|&count| count > index);
            read_stream(input, rows.iter().filter(|row| has(**row)).count(), values)?;
            let begins = rows.iter().zip(begins).filter(|(row, _)| has(**row)).map(|(_, begin)| begin);
            begins.zip(values.iter()).for_each(|(&begin, &value)| put(begin, value));
        }
        Ok(())
    }
}
