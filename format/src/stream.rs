//! Streams: runs of unsigned numbers whose count is known from elsewhere.
//!
//! A stream of no numbers has no bytes. Every other begins with one byte, its encoding in the low four bits and
//! the width `w` (0 to 8) of its numbers in the high four:
//!
//! | encoding | then |
//! | --- | --- |
//! | 0 const | the value, `w` bytes |
//! | 1 planes | `w` planes of `n` bytes: all lowest bytes, all second bytes, ... |
//! | 2 delta | the first value as varint, then planes of the `n - 1` zigzag differences |
//! | 3 dictionary | entries less one (`u8`), entries in planes, `n` index bytes |
//! | 4 offset | the least value as varint, then planes of the differences to it |
//!
//! The writer takes the one with the fewest bytes; byte planes because zstd finds more in them than in packed bits.

use crate::bytes::{Input, Malformed, Output, unzigzag, zigzag};

const CONST: u8 = 0;
const PLANES: u8 = 1;
const DELTA: u8 = 2;
const DICTIONARY: u8 = 3;
const OFFSET: u8 = 4;

/// Entries of the largest dictionary.
const DICTIONARY_MAX: usize = 256;
/// Slots of the table that finds dictionary entries; a power of two, a few times the entries.
const SLOTS: usize = 1024;

/// Writes streams; keeps its tables between them.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    /// Index of the entry + 1 by hash, 0 for free.
    slots: Vec<u16>,
    entries: Vec<u64>,
    indexes: Vec<u8>,
    scratch: Vec<u64>,
}

/// Bytes needed for `value`: 0 for 0.
const fn width(value: u64) -> usize {
    (64 - value.leading_zeros() as usize).div_ceil(8)
}

impl StreamWriter {
    pub(crate) fn new() -> Self {
        Self { slots: vec![0; SLOTS], entries: Vec::new(), indexes: Vec::new(), scratch: Vec::new() }
    }

    /// Appends the stream of `values`.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, values: &[u64]) {
        let Some((&first, others)) = values.split_first() else { return };
        // Whether all are the same and how wide the widest is: two sums that a processor makes of many numbers at once.
        let all = values.iter().fold(0, |all, value| all | value);
        if others.iter().fold(0, |differ, value| differ | (value ^ first)) == 0 {
            let w = width(first);
            out.push(CONST | (w as u8) << 4);
            out.extend_from_slice(first.to_le_bytes().get(..w).unwrap_or(&[]));
            return;
        }
        // A byte for each: nothing takes less.
        if width(all) == 1 {
            put_planes_of(out, PLANES, 1, values);
            return;
        }
        let (mut min, mut max, mut deltas, mut previous) = (first, first, 0u64, first);
        for &value in others {
            min = min.min(value);
            max = max.max(value);
            deltas |= zigzag(value.wrapping_sub(previous).cast_signed());
            previous = value;
        }
        let n = values.len();
        let raw = n * width(max);
        let offset = n * width(max - min) + width(min) + 1;
        let delta = others.len() * width(deltas) + width(first) + 1;
        let best = raw.min(offset).min(delta);
        // A dictionary needs a byte per number; below two bytes per number it cannot win.
        if best > n + n / 4 + 16 && self.fill_dictionary(values, best - n, width(max)) {
            self.put_dictionary(out, width(max));
        } else if raw == best {
            put_planes_of(out, PLANES, width(max), values);
        } else if offset == best {
            self.scratch.clear();
            self.scratch.extend(values.iter().map(|v| v - min));
            out.push(OFFSET | (width(max - min) as u8) << 4);
            out.put_varint(min);
            put_planes(out, width(max - min), &self.scratch);
        } else {
            self.scratch.clear();
            let pairs = values.iter().zip(others);
            self.scratch.extend(pairs.map(|(a, b)| zigzag(b.wrapping_sub(*a).cast_signed())));
            out.push(DELTA | (width(deltas) as u8) << 4);
            out.put_varint(first);
            put_planes(out, width(deltas), &self.scratch);
        }
    }

    /// Builds the dictionary of `values`; false when it would take more than `budget` bytes of entries.
    fn fill_dictionary(&mut self, values: &[u64], budget: usize, width: usize) -> bool {
        self.entries.clear();
        self.indexes.clear();
        self.slots.fill(0);
        let limit = DICTIONARY_MAX.min(budget / width.max(1));
        let (mut last, mut last_index) = (0u64, None);
        for &value in values {
            if let Some(index) = last_index
                && value == last
            {
                self.indexes.push(index);
                continue;
            }
            let Some(index) = self.entry(value, limit) else { return false };
            self.indexes.push(index);
            (last, last_index) = (value, Some(index));
        }
        true
    }

    /// The index of `value`, a new one when there is room.
    fn entry(&mut self, value: u64, limit: usize) -> Option<u8> {
        let mut slot = (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
        loop {
            match self.slots[slot] {
                0 => break,
                taken if self.entries[usize::from(taken) - 1] == value => return Some((taken - 1) as u8),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
        if self.entries.len() >= limit {
            return None;
        }
        self.entries.push(value);
        self.slots[slot] = self.entries.len() as u16;
        Some((self.entries.len() - 1) as u8)
    }

    fn put_dictionary(&self, out: &mut Vec<u8>, width: usize) {
        out.push(DICTIONARY | (width as u8) << 4);
        out.push((self.entries.len() - 1) as u8);
        put_planes(out, width, &self.entries);
        out.extend_from_slice(&self.indexes);
    }
}

fn put_planes_of(out: &mut Vec<u8>, encoding: u8, width: usize, values: &[u64]) {
    out.push(encoding | (width as u8) << 4);
    put_planes(out, width, values);
}

fn put_planes(out: &mut Vec<u8>, width: usize, values: &[u64]) {
    for plane in 0..width {
        let shift = plane * 8;
        out.extend(values.iter().map(|v| (v >> shift) as u8));
    }
}

/// The numbers of a stream that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbers<'a> {
    /// All are this one.
    Same(u64),
    /// As many as were asked for, of a byte each, as they lie in the stream.
    Bytes(&'a [u8]),
    /// As many as were asked for.
    Each(&'a [u64]),
}

impl Numbers<'_> {
    /// The number at `index`, which is below the count that was asked for.
    pub(crate) fn at(&self, index: usize) -> u64 {
        match self {
            Self::Same(value) => *value,
            Self::Bytes(values) => values.get(index).copied().map_or(0, u64::from),
            Self::Each(values) => values.get(index).copied().unwrap_or(0),
        }
    }

    /// Hands each number to `take` with what it is of, as many as were asked for.
    #[inline]
    pub(crate) fn hand<T>(
        self,
        mut of: impl Iterator<Item = T>,
        mut take: impl FnMut(T, u64) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        match self {
            Self::Same(value) => of.try_for_each(|of| take(of, value)),
            Self::Bytes(values) => of.zip(values).try_for_each(|(of, &value)| take(of, u64::from(value))),
            Self::Each(values) => of.zip(values).try_for_each(|(of, &value)| take(of, value)),
        }
    }
}

/// Reads a stream of `count` numbers into `out`, replacing what was there.
pub(crate) fn read_stream(input: &mut Input<'_>, count: usize, out: &mut Vec<u64>) -> Result<(), Malformed> {
    out.clear();
    if count == 0 {
        return Ok(());
    }
    match read_head(input)? {
        (CONST, width) => out.resize(count, read_const(input, width)?),
        head => read_each(input, head, count, out)?,
    }
    Ok(())
}

/// Reads a stream of `count` numbers: into `out`, unless all are the same or they lie in the stream as they are.
pub(crate) fn read_numbers<'i: 'o, 'o>(
    input: &mut Input<'i>,
    count: usize,
    out: &'o mut Vec<u64>,
) -> Result<Numbers<'o>, Malformed> {
    if count == 0 {
        return Ok(Numbers::Bytes(&[]));
    }
    match read_head(input)? {
        (CONST, width) => read_const(input, width).map(Numbers::Same),
        (PLANES, 1) => input.take(count).map(Numbers::Bytes),
        head => {
            read_each(input, head, count, out)?;
            Ok(Numbers::Each(out))
        }
    }
}

/// The encoding and the width that a stream begins with.
fn read_head(input: &mut Input<'_>) -> Result<(u8, usize), Malformed> {
    let head = input.u8()?;
    let width = usize::from(head >> 4);
    if width > 8 { Err(Malformed("a stream's width is over 8")) } else { Ok((head & 0x0f, width)) }
}

fn read_const(input: &mut Input<'_>, width: usize) -> Result<u64, Malformed> {
    let mut value = [0u8; 8];
    for (to, from) in value.iter_mut().zip(input.take(width)?) {
        *to = *from;
    }
    Ok(u64::from_le_bytes(value))
}

/// Reads at least one number, of a stream that is not all one.
fn read_each(
    input: &mut Input<'_>,
    (encoding, width): (u8, usize),
    count: usize,
    out: &mut Vec<u64>,
) -> Result<(), Malformed> {
    match encoding {
        PLANES => read_planes(input, width, count, out),
        DELTA => {
            let mut value = input.varint()?;
            read_planes(input, width, count - 1, out)?;
            for delta in out.iter_mut() {
                let next = value.wrapping_add(unzigzag(*delta).cast_unsigned());
                *delta = value;
                value = next;
            }
            out.push(value);
            Ok(())
        }
        DICTIONARY => read_dictionary(input, width, count, out),
        OFFSET => {
            let base = input.varint()?;
            read_planes(input, width, count, out)?;
            out.iter_mut().for_each(|v| *v = v.wrapping_add(base));
            Ok(())
        }
        _ => Err(UNKNOWN),
    }
}

const UNKNOWN: Malformed = Malformed("a stream has an unknown encoding");

/// Steps over a stream of `count` numbers, which are not looked at.
pub(crate) fn skip_stream(input: &mut Input<'_>, count: usize) -> Result<(), Malformed> {
    if count == 0 {
        return Ok(());
    }
    let (encoding, width) = read_head(input)?;
    let length = match encoding {
        CONST => width,
        PLANES => planes_len(width, count)?,
        DELTA => {
            input.varint()?;
            planes_len(width, count - 1)?
        }
        DICTIONARY => {
            let entries = usize::from(input.u8()?) + 1;
            planes_len(width, entries)?.saturating_add(count)
        }
        OFFSET => {
            input.varint()?;
            planes_len(width, count)?
        }
        _ => return Err(UNKNOWN),
    };
    input.take(length).map(|_| ())
}

fn read_dictionary(
    input: &mut Input<'_>,
    width: usize,
    count: usize,
    out: &mut Vec<u64>,
) -> Result<(), Malformed> {
    let entries = usize::from(input.u8()?) + 1;
    read_planes(input, width, entries, out)?;
    // With an entry for whatever a byte can be, none has to be asked whether it is there.
    let mut dictionary = [0u64; DICTIONARY_MAX];
    dictionary.iter_mut().zip(out.iter()).for_each(|(to, from)| *to = *from);
    let indexes = input.take(count)?;
    if indexes.iter().max().is_some_and(|&index| usize::from(index) >= entries) {
        return Err(Malformed("a stream's index is beyond its dictionary"));
    }
    out.clear();
    out.extend(indexes.iter().map(|&index| dictionary[usize::from(index)]));
    Ok(())
}

/// Numbers whose planes are put together at a time: few enough to stay in the nearest cache.
const TOGETHER: usize = 1024;

/// Bytes of the planes of so many numbers.
fn planes_len(width: usize, count: usize) -> Result<usize, Malformed> {
    width.checked_mul(count).ok_or(Malformed("a stream is too long"))
}

fn read_planes(
    input: &mut Input<'_>,
    width: usize,
    count: usize,
    out: &mut Vec<u64>,
) -> Result<(), Malformed> {
    let planes = input.take(planes_len(width, count)?)?;
    out.clear();
    match width {
        1 => out.extend(planes.iter().map(|&byte| u64::from(byte))),
        2 => {
            let (low, high) = planes.split_at(count);
            out.extend(low.iter().zip(high).map(|(&low, &high)| u64::from(u16::from_le_bytes([low, high]))));
        }
        _ => {
            out.resize(count, 0);
            for (part, values) in out.chunks_mut(TOGETHER).enumerate() {
                for (index, plane) in planes.chunks_exact(count.max(1)).enumerate() {
                    let shift = index * 8;
                    let plane = plane.get(part * TOGETHER..).unwrap_or(&[]);
                    for (value, byte) in values.iter_mut().zip(plane) {
                        *value |= u64::from(*byte) << shift;
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_long(values: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        StreamWriter::new().put(&mut out, values);
        let mut input = Input::new(&out);
        let mut back = vec![7];
        read_stream(&mut input, values.len(), &mut back).unwrap();
        assert!(input.is_empty());
        assert_eq!(back, values);
        let mut over = Input::new(&out);
        skip_stream(&mut over, values.len()).unwrap();
        assert!(over.is_empty());
        out
    }

    fn check(values: &[u64]) -> u8 {
        let out = check_long(values);
        let mut back = Vec::new();
        for cut in 0..out.len() {
            assert!(read_stream(&mut Input::new(&out[..cut]), values.len(), &mut back).is_err());
            assert!(skip_stream(&mut Input::new(&out[..cut]), values.len()).is_err());
        }
        out.first().map_or(u8::MAX, |b| b & 0x0f)
    }

    #[test]
    fn each_encoding_is_chosen_where_it_is_smallest() {
        assert_eq!(check(&[]), u8::MAX);
        assert_eq!(check(&[0; 9]), CONST);
        assert_eq!(check(&[u64::MAX; 9]), CONST);
        assert_eq!(check(&[3, 200, 7]), PLANES);
        assert_eq!(check(&(0..2000).map(|i| (1 << 40) | (i * 3)).collect::<Vec<_>>()), DELTA);
        assert_eq!(check(&(0..200).map(|i| (i % 3) << 50 | 5).collect::<Vec<_>>()), DICTIONARY);
        assert_eq!(check(&(0..20).map(|i| (1 << 40) + (i * 7919) % 256).collect::<Vec<_>>()), OFFSET);
    }

    #[test]
    fn many_numbers_of_each_width_come_back() {
        for width in 0..=8u32 {
            let mask = 1u64.checked_shl(width * 8).map_or(u64::MAX, |above| above - 1);
            check_long(
                &(0..3000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask).collect::<Vec<_>>(),
            );
        }
    }

    #[test]
    fn an_index_beyond_its_dictionary_is_an_error() {
        let bytes = [DICTIONARY | 1 << 4, 0, 42, 1];
        let mut out = Vec::new();
        assert!(read_stream(&mut Input::new(&bytes), 1, &mut out).is_err());
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(values in prop::collection::vec(any::<u64>(), 0..400), shift in 0u32..64) {
            let values: Vec<u64> = values.iter().map(|v| v >> shift).collect();
            check(&values);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), count in 0usize..70) {
            let (mut out, mut read, mut over) = (Vec::new(), Input::new(&bytes), Input::new(&bytes));
            if read_stream(&mut read, count, &mut out).is_ok() {
                prop_assert_eq!(out.len(), count);
                prop_assert!(skip_stream(&mut over, count).is_ok());
                prop_assert_eq!(over.rest(), read.rest());
            }
        }
    }
}
