//! The byte fields of a block: strings, which are there once, and payloads.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{BEHIND, Decode, MISSING, NARROW, narrow, put};
use crate::{
    FieldTag, MAX_FIELDS,
    bytes::{Input, Malformed, unzigzag},
    events::{column, encode::result_length, is_payload, rows::FieldAt},
    limits,
    stream::{Numbers, read_numbers, read_stream, skip_stream},
};

/// What is known of fields while they are decoded.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Rows with fields, by code and shape.
    rows: Vec<u32>,
    /// The runs of rows of one code and shape.
    cells: Vec<Cell>,
    /// The tags of each shape.
    shapes: Vec<Vec<u8>>,
    /// Shape and row of the rows of one code.
    by_shape: Vec<(u32, u32)>,
    /// Where the fields of the rows of a cell begin.
    begins: Vec<u32>,
    /// Begin and length of each string.
    strings: Vec<(u32, u32)>,
    /// Unpacked columns that are read side by side, and the streams of them.
    buffers: [Vec<u8>; 3],
    values: [Vec<u64>; 3],
}

/// Rows of one code and shape.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Where they end among all rows with fields.
    end: u32,
    shape: u32,
    /// Whether their fields are asked for.
    is_whole: bool,
}

/// Streams of ids, flags, and what the full length is more than it should be, of the field at one position of a cell.
struct Position<'a> {
    tag: FieldTag,
    ids: Numbers<'a>,
    flags: Numbers<'a>,
    more: Numbers<'a>,
}

impl Decode<'_> {
    pub(super) fn fields(&mut self) -> Result<(), Malformed> {
        if self.shapes()?.is_none() {
            self.rows.field_end.resize(self.count, 0);
            return Ok(());
        }
        let with_payloads = self.tables.fields.has_payload(|cell| cell.is_whole);
        if with_payloads && self.tables.fields.has_payload(|cell| !cell.is_whole) {
            // Each payload lies behind those before it, and how long these are their results tell.
            self.results(true)?;
        }
        let mut total = 0u32;
        for end in &mut self.rows.field_end {
            total += *end;
            *end = total;
        }
        if total as usize > limits::BLOCK_FIELDS {
            return Err(Malformed("a block has too many fields"));
        }
        if total == 0 && self.tables.fields.leaves_out() {
            return Ok(());
        }
        self.strings()?;
        let payloads = self.rows.bytes.len();
        if with_payloads || !self.tables.fields.leaves_out() {
            self.source.append(column::PAYLOAD, &mut self.rows.bytes)?;
        }
        self.rows.fields.resize(total as usize, FieldAt::default());
        self.place(payloads, with_payloads)
    }

    /// The shapes, the cells, and how many fields each row has; `None` when no row has any.
    fn shapes(&mut self) -> Result<Option<()>, Malformed> {
        const NONE: Malformed = Malformed("a row has no shape");
        let count = self.count;
        let super::Tables { by_code, whole, fields: tables, .. } = &mut *self.tables;
        let counts = &mut self.rows.field_end;
        self.source.column(column::SHAPES, |input, values| {
            let shape_count = input.count(count)?;
            tables.shapes.clear();
            for _ in 0..shape_count {
                let tags = usize::from(input.u8()?);
                if tags > MAX_FIELDS {
                    return Err(Malformed("a row has too many fields"));
                }
                tables.shapes.push(input.take(tags)?.to_vec());
            }
            tables.rows.clear();
            tables.cells.clear();
            counts.resize(count, 0);
            let length = |shapes: &[Vec<u8>], shape: u64| {
                let shape = usize::try_from(shape).ok().and_then(|shape| shapes.get(shape));
                shape.map(|tags| tags.len() as u32).ok_or(NONE)
            };
            for (rows, &is_whole) in by_code.iter().zip(whole.iter()) {
                match read_numbers(input, rows.len(), values)? {
                    Numbers::Same(shape) => {
                        let fields = length(&tables.shapes, shape)?;
                        if fields > 0 {
                            if is_whole {
                                rows.iter().for_each(|&row| put(counts, row, fields));
                            }
                            tables.rows.extend_from_slice(rows);
                            let end = tables.rows.len() as u32;
                            tables.cells.push(Cell { end, shape: shape as u32, is_whole });
                        }
                    }
                    each => {
                        tables.by_shape.clear();
                        each.hand(rows.iter(), |&row, shape| {
                            let fields = length(&tables.shapes, shape)?;
                            if is_whole {
                                put(counts, row, fields);
                            }
                            tables.by_shape.push((shape as u32, row));
                            Ok(())
                        })?;
                        tables.sort_by_shape(is_whole);
                    }
                }
            }
            Ok(())
        })
    }

    /// Puts the strings' bytes into `rows.bytes`, and begin and length of each into the table.
    fn strings(&mut self) -> Result<(), Malformed> {
        let (bytes, strings) = (&mut self.rows.bytes, &mut self.tables.fields.strings);
        self.source.append(column::STRINGS, bytes)?;
        strings.clear();
        let end = self.source.column(column::STRING_LENGTHS, |input, values| {
            let count = input.count(limits::BLOCK_FIELDS)?;
            read_stream(input, count, values)?;
            let mut begin = 0u32;
            for &length in values.iter() {
                let length: u32 = narrow(length)?;
                strings.push((begin, length));
                begin = begin.checked_add(length).ok_or(NARROW)?;
            }
            Ok(begin)
        })?;
        if end.unwrap_or(0) as usize != bytes.len() {
            return Err(Malformed("lengths of strings do not add up"));
        }
        Ok(())
    }

    /// Finds each field's bytes and full length; the payloads begin at `payloads`, if they are there.
    fn place(&mut self, payloads: usize, with_payloads: bool) -> Result<(), Malformed> {
        let super::Tables { fields: tables, .. } = &mut *self.tables;
        let Tables { rows, cells, shapes, begins, strings, buffers, values, .. } = tables;
        let [ids, flags, more] = buffers;
        let mut unpack = |id, buffer| {
            let column = self.source.payload.column(id);
            column.map(|column| self.source.unpacker.unpack(column, buffer).map(Input::new)).transpose()
        };
        let mut ids = unpack(column::FIELDS, ids)?.ok_or(MISSING)?;
        let mut flags = unpack(column::FIELD_FLAGS, flags)?;
        let mut more = unpack(column::FULL_LEN, more)?;
        let longest = narrow::<u32>(ids.varint()?)?;
        let ends = &self.rows.field_end;
        let mut payload = Payloads { longest, next: payloads, results: &self.rows.ret };
        let mut begin = 0;
        for &Cell { end, shape, is_whole } in cells.iter() {
            let rows = rows.get(begin as usize..end as usize).unwrap_or(&[]);
            begin = end;
            let tags = shapes.get(shape as usize).map_or(&[][..], Vec::as_slice);
            if !is_whole {
                for &tag in tags {
                    if with_payloads && is_payload(FieldTag(tag)) {
                        let [of_ids, _, of_more] = &mut *values;
                        let ids = read_numbers(&mut ids, rows.len(), of_ids)?;
                        payload.pass(rows, &ids, &optional(&mut more, rows.len(), of_more)?)?;
                    } else {
                        skip_stream(&mut ids, rows.len())?;
                        skip_optional(&mut more, rows.len())?;
                    }
                    skip_optional(&mut flags, rows.len())?;
                }
                continue;
            }
            begins.clear();
            begins.extend(rows.iter().map(|&row| {
                let before = row.checked_sub(1).and_then(|before| ends.get(before as usize));
                before.copied().unwrap_or(0)
            }));
            for (place, &tag) in tags.iter().enumerate() {
                let [of_ids, of_flags, of_more] = &mut *values;
                let position = Position {
                    tag: FieldTag(tag),
                    ids: read_numbers(&mut ids, rows.len(), of_ids)?,
                    flags: optional(&mut flags, rows.len(), of_flags)?,
                    more: optional(&mut more, rows.len(), of_more)?,
                };
                let fields = self.rows.fields.get_mut(place..).unwrap_or(&mut []);
                if is_payload(position.tag) {
                    payload.place(&position, begins, rows, fields)?;
                } else {
                    place_strings(&position, begins, strings, fields)?;
                }
            }
        }
        if payload.next != self.rows.bytes.len() {
            return Err(Malformed("lengths of payloads do not add up"));
        }
        let all_read = |input: &Option<Input<'_>>| input.is_none_or(|input| input.is_empty());
        if ids.is_empty() && all_read(&flags) && all_read(&more) { Ok(()) } else { Err(BEHIND) }
    }
}

impl Tables {
    /// Whether any of these rows has a payload.
    fn has_payload(&self, of: impl Fn(&Cell) -> bool) -> bool {
        let shape = |cell: &Cell| self.shapes.get(cell.shape as usize);
        let mut shapes = self.cells.iter().filter(|cell| of(cell)).filter_map(shape);
        shapes.any(|tags| tags.iter().any(|&tag| is_payload(FieldTag(tag))))
    }

    /// Whether fields of any rows are not asked for.
    fn leaves_out(&self) -> bool {
        self.cells.iter().any(|cell| !cell.is_whole)
    }

    /// Makes cells of the rows of a code that have several shapes. A sort, not a table of all shapes: a file can have as
    /// many of these as rows, and as many codes.
    fn sort_by_shape(&mut self, is_whole: bool) {
        self.by_shape.sort_by_key(|(shape, _)| *shape);
        for run in self.by_shape.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(shape, _)) = run.first() else { continue };
            if self.shapes.get(shape as usize).is_some_and(|tags| !tags.is_empty()) {
                self.rows.extend(run.iter().map(|(_, row)| *row));
                self.cells.push(Cell { end: self.rows.len() as u32, shape, is_whole });
            }
        }
    }
}

/// A stream of a column that is left out where all its numbers are 0.
fn optional<'i: 'o, 'o>(
    input: &mut Option<Input<'i>>,
    count: usize,
    values: &'o mut Vec<u64>,
) -> Result<Numbers<'o>, Malformed> {
    input.as_mut().map_or(Ok(Numbers::Same(0)), |input| read_numbers(input, count, values))
}

/// Steps over such a stream.
fn skip_optional(input: &mut Option<Input<'_>>, count: usize) -> Result<(), Malformed> {
    input.as_mut().map_or(Ok(()), |input| skip_stream(input, count))
}

/// The strings at one position of a cell; `fields` begins with that position of the first row.
fn place_strings(
    position: &Position<'_>,
    begins: &[u32],
    strings: &[(u32, u32)],
    fields: &mut [FieldAt],
) -> Result<(), Malformed> {
    for (index, &at) in begins.iter().enumerate() {
        let id = usize::try_from(position.ids.at(index)).ok();
        let string = id.and_then(|id| strings.get(id));
        let &(begin, len) = string.ok_or(Malformed("a field names a string that is not there"))?;
        let full_len = sum(len, unzigzag(position.more.at(index)))?;
        let flags = narrow(position.flags.at(index))?;
        put(fields, at, FieldAt { begin, len, full_len, tag: position.tag.0, flags });
    }
    Ok(())
}

/// The payloads: one behind the other in the order of cells, positions and rows.
struct Payloads<'a> {
    longest: u32,
    next: usize,
    results: &'a [i64],
}

impl Payloads<'_> {
    fn place(
        &mut self,
        position: &Position<'_>,
        begins: &[u32],
        rows: &[u32],
        fields: &mut [FieldAt],
    ) -> Result<(), Malformed> {
        for (index, (&at, &row)) in begins.iter().zip(rows).enumerate() {
            let (len, full_len) = self.lengths(row, position.ids.at(index), position.more.at(index))?;
            let begin = self.next as u32;
            self.next += len as usize;
            let flags = narrow(position.flags.at(index))?;
            put(fields, at, FieldAt { begin, len, full_len, tag: position.tag.0, flags });
        }
        Ok(())
    }

    /// Those of rows that are not asked for.
    fn pass(&mut self, rows: &[u32], ids: &Numbers<'_>, more: &Numbers<'_>) -> Result<(), Malformed> {
        for (index, &row) in rows.iter().enumerate() {
            self.next += self.lengths(row, ids.at(index), more.at(index))?.0 as usize;
        }
        Ok(())
    }

    /// How long a payload is, and how long it was before it was cut.
    #[inline]
    fn lengths(&self, row: u32, id: u64, more: u64) -> Result<(u32, u32), Malformed> {
        let result = self.results.get(row as usize).copied().unwrap_or(0);
        let full_len = sum(result_length(result), unzigzag(more))?;
        Ok((sum(full_len.min(self.longest), unzigzag(id))?, full_len))
    }
}

fn sum(length: u32, more: i64) -> Result<u32, Malformed> {
    i64::from(length)
        .checked_add(more)
        .and_then(|sum| u32::try_from(sum).ok())
        .ok_or(Malformed("a field's length is out of range"))
}
