//! A segment: header, blocks, footer, trailer. A trace file of its own (`.aftx`) is the same.

pub(crate) mod chain;
pub(crate) mod file;
pub(crate) mod records;

use chain::Link;

use crate::{
    BootNanos,
    block::{self, BlockHeader, HEADER_LEN, STORE_SCOPE, kind},
    bytes::{Input, Malformed, Output, checksum_is},
    events::repeated::Repeated,
    file::{boot_clock, wall_clock},
    limits,
    payload::{Hash, Payload, PayloadWriter, Unpacker},
    stream::{StreamWriter, read_stream},
};

/// Begins every segment; as PNG's, it shows what a transfer as text does to a file.
///
/// What comes through a pipe and begins in another way is no recording, however much of it comes.
pub const MAGIC: [u8; 8] = [0x89, b'A', b'F', b'T', b'\r', b'\n', 0x1a, b'\n'];
/// Ends every sealed segment's trailer's begin.
const TRAILER_MAGIC: [u8; 8] = *b"AFTSEAL1";
/// A reader refuses another major version.
pub(crate) const MAJOR: u16 = 1;
/// A reader reads any minor version.
pub(crate) const MINOR: u16 = 0;
/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER_LEN: usize = 4096;
/// Bytes of a header's fields behind the version.
pub(crate) const FIELDS_LEN: usize = 256;
const HEADER_CRC_AT: usize = 4092;

/// Bytes of a segment's trailer.
pub(crate) const TRAILER_LEN: usize = 64;
const TRAILER_CRC_AT: usize = 60;

/// Feature bits this program knows in each word of the header.
const KNOWN_INCOMPAT: u64 = 0;

/// What a segment is part of.
pub(crate) mod origin_kind {
    /// Written by a recorder into its store.
    pub(crate) const STORE: u8 = 1;
    /// Copied from other recordings: containers chosen, order kept.
    pub(crate) const EXTRACT: u8 = 2;
    /// What a store's retention kept of older files.
    pub(crate) const KEPT: u8 = 3;
}

/// A segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Features without which the file must not be read.
    pub(crate) incompat: u64,
    /// Features without which the file must not be written to. (Sealed segments never are.)
    pub(crate) ro_compat: u64,
    /// Features that can be ignored.
    pub(crate) compat: u64,
    pub(crate) store_uuid: [u8; 16],
    pub(crate) boot_id: [u8; 16],
    /// The base of the blocks' times that its writer used, to be gone on with in the same boot.
    pub(crate) time_base: u64,
    /// When it was begun: boot time (without the base) and wall clock.
    pub(crate) created_boot: u64,
    pub(crate) created_real: i64,
    /// The least container uid that was free when it was begun.
    pub(crate) next_uid: u64,
    /// [`origin_kind`].
    pub(crate) origin_kind: u8,
    /// Its place in the chain.
    pub(crate) link: Link,
}

/// Why a segment's header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    NotOurs,
    Version(u16),
    Damaged(Malformed),
}

impl From<Malformed> for HeaderError {
    fn from(malformed: Malformed) -> Self {
        Self::Damaged(malformed)
    }
}

impl SegmentHeader {
    /// Of a file of blocks that were written elsewhere, made now: number `number` of its store, outside the chain.
    pub(crate) fn of_copy(
        (store_uuid, boot_id): ([u8; 16], [u8; 16]),
        origin_kind: u8,
        next_uid: u64,
        number: u64,
    ) -> Self {
        Self {
            incompat: 0,
            ro_compat: 0,
            compat: 0,
            store_uuid,
            boot_id,
            time_base: 0,
            created_boot: boot_clock(),
            created_real: wall_clock(),
            next_uid,
            origin_kind,
            link: Link::unsigned(number),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.put_u32(SEGMENT_HEADER_LEN as u32);
        out.put_u16(MAJOR);
        out.put_u16(MINOR);
        self.put_fields(&mut out);
        out.resize(HEADER_CRC_AT, 0);
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    /// Appends all fields behind the version: [`FIELDS_LEN`] bytes.
    pub(crate) fn put_fields(&self, out: &mut Vec<u8>) {
        out.put_u64(self.incompat);
        out.put_u64(self.ro_compat);
        out.put_u64(self.compat);
        out.extend_from_slice(&self.store_uuid);
        out.extend_from_slice(&self.boot_id);
        out.put_u64(self.time_base);
        out.put_u64(self.created_boot);
        out.put_u64(self.created_real.cast_unsigned());
        out.put_u64(self.next_uid);
        out.put_u8(self.origin_kind);
        out.extend_from_slice(&[0; 7]);
        self.link.encode(out);
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut input = Input::new(bytes);
        if input.bytes() != Ok(MAGIC) {
            return Err(HeaderError::NotOurs);
        }
        let length = input.u32()?;
        let major = input.u16()?;
        if major != MAJOR {
            return Err(HeaderError::Version(major));
        }
        if length as usize != SEGMENT_HEADER_LEN {
            return Err(Malformed("the segment header has another length").into());
        }
        let covered = bytes.get(..HEADER_CRC_AT).ok_or(Malformed("the segment header ends early"))?;
        let crc = Input::new(bytes.get(HEADER_CRC_AT..).unwrap_or(&[])).u32()?;
        if !checksum_is(crc, &[covered]) {
            return Err(Malformed("the segment header's checksum is wrong").into());
        }
        let _minor = input.u16()?;
        let header = Self::parse_fields(&mut input)?;
        if header.incompat & !KNOWN_INCOMPAT != 0 {
            return Err(HeaderError::Version(major));
        }
        Ok(header)
    }

    /// The inverse of [`Self::put_fields`].
    pub(crate) fn parse_fields(input: &mut Input<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            incompat: input.u64()?,
            ro_compat: input.u64()?,
            compat: input.u64()?,
            store_uuid: input.bytes()?,
            boot_id: input.bytes()?,
            time_base: input.u64()?,
            created_boot: input.u64()?,
            created_real: input.u64()?.cast_signed(),
            next_uid: input.u64()?,
            origin_kind: input.u8()?,
            link: {
                let _reserved = input.bytes::<7>()?;
                Link::parse(input)?
            },
        })
    }
}

/// Where a block lies and what its header says: what an index knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) container: u64,
    pub(crate) first_row: u64,
    pub(crate) rows: u32,
    pub(crate) earliest: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) base: u64,
    pub(crate) lost: u64,
    pub(crate) number: u64,
}

impl BlockEntry {
    pub(crate) fn of(offset: u64, header: &BlockHeader) -> Self {
        Self {
            offset,
            len: header.total_len() as u32,
            kind: header.kind,
            flags: header.flags,
            container: header.container,
            first_row: header.first_row,
            rows: header.rows,
            earliest: header.earliest,
            first: header.first,
            last: header.last,
            base: header.base,
            lost: header.lost,
            number: header.number,
        }
    }

    /// Whether it is of a block with rows of a container.
    pub(crate) fn has_rows(&self) -> bool {
        self.kind == kind::EVENTS && self.rows > 0 && self.container != STORE_SCOPE
    }

    /// The times of its first and its last event, the base added.
    pub(crate) fn times(&self) -> (BootNanos, BootNanos) {
        let at = |time: u64| BootNanos(time.saturating_add(self.base));
        (at(self.first), at(self.last))
    }

    /// Where the next block can begin.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

/// Column ids of a footer.
mod column {
    pub(super) const RECORDS: u8 = 1;
    pub(super) const INDEX: u8 = 2;
    pub(super) const LEAVES: u8 = 3;
    pub(super) const COUNT_LENGTHS: u8 = 4;
    pub(super) const COUNTS: u8 = 5;
    pub(super) const FILTER_LENGTHS: u8 = 6;
    pub(super) const FILTERS: u8 = 7;
}

/// What a footer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) entries: Vec<BlockEntry>,
    /// The latest metadata records, encoded, their times with the base added.
    pub(crate) records: Vec<u8>,
    /// Content root of the footer block.
    pub(crate) root: Hash,
}

/// Bytes of each block one behind the other, and their lengths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pieces<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) lengths: &'a [u64],
}

/// What a footer is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FooterParts<'a> {
    pub(crate) entries: &'a [BlockEntry],
    pub(crate) leaves: &'a [Hash],
    pub(crate) records: &'a [u8],
    /// The blocks' counters.
    pub(crate) counts: Pieces<'a>,
    /// The blocks' filters.
    pub(crate) filters: Pieces<'a>,
}

/// Builds the bytes that end a segment: footer block and trailer, to be written at `offset`.
pub(crate) fn encode_footer(parts: &FooterParts<'_>, offset: u64) -> std::io::Result<Vec<u8>> {
    let entries = parts.entries;
    let mut payload = PayloadWriter::new()?;
    payload.column(column::RECORDS, parts.records);
    payload.column(column::INDEX, &encode_index(entries));
    payload.column(column::LEAVES, parts.leaves.as_flattened());
    let mut lengths = Vec::new();
    StreamWriter::new().put(&mut lengths, parts.counts.lengths);
    payload.column(column::COUNT_LENGTHS, &lengths);
    payload.column(column::COUNTS, parts.counts.bytes);
    lengths.clear();
    StreamWriter::new().put(&mut lengths, parts.filters.lengths);
    payload.column(column::FILTER_LENGTHS, &lengths);
    payload.column(column::FILTERS, parts.filters.bytes);
    let mut bytes = Vec::new();
    let root = payload.finish(&mut bytes);
    let mut header = BlockHeader::of_store(kind::FOOTER, entries.len() as u32, root);
    let mut out = Vec::new();
    block::seal_block(&mut header, &bytes, &mut out);
    put_trailer(&mut out, offset, &header);
    Ok(out)
}

/// Appends the trailer of a file whose footer block has this header and lies at `offset`.
fn put_trailer(out: &mut Vec<u8>, offset: u64, footer: &BlockHeader) {
    let begin = out.len();
    out.extend_from_slice(&TRAILER_MAGIC);
    out.put_u64(offset);
    out.put_u32(footer.total_len() as u32);
    out.put_u32(footer.rows);
    out.put_u64(offset + footer.total_len() as u64 + TRAILER_LEN as u64);
    out.resize(begin + TRAILER_CRC_AT, 0);
    let crc = crc32c::crc32c(&out[begin..]);
    out.put_u32(crc);
}

/// Reads a trailer: offset and length of the footer of a file of this length.
pub(crate) fn parse_trailer(bytes: &[u8], file_len: u64) -> Result<(u64, usize), Malformed> {
    let covered = bytes.get(..TRAILER_CRC_AT).ok_or(Malformed("no trailer"))?;
    let mut input = Input::new(bytes);
    if input.bytes()? != TRAILER_MAGIC {
        return Err(Malformed("no trailer"));
    }
    let crc = Input::new(bytes.get(TRAILER_CRC_AT..).unwrap_or(&[])).u32()?;
    if !checksum_is(crc, &[covered]) {
        return Err(Malformed("the trailer's checksum is wrong"));
    }
    let (offset, length, _blocks) = (input.u64()?, input.u32()? as usize, input.u32()?);
    let whole = input.u64()?;
    let end = offset.checked_add(length as u64).and_then(|e| e.checked_add(TRAILER_LEN as u64));
    if whole != file_len || end != Some(file_len) || length > limits::FOOTER_BYTES {
        return Err(Malformed("the trailer belongs to a file of another length"));
    }
    Ok((offset, length))
}

/// The header and payload of a footer block.
fn footer_payload(block: &[u8]) -> Result<(BlockHeader, Payload<'_>), Malformed> {
    let header = BlockHeader::parse(block)?;
    if header.kind != kind::FOOTER {
        return Err(Malformed("the footer is another kind of block"));
    }
    if header.rows as usize > limits::SEGMENT_BLOCKS {
        return Err(Malformed("a segment has too many blocks"));
    }
    let payload = block::checked_payload(&header, block)?;
    block::check_padding(&header, block)?;
    Ok((header, Payload::parse_within(payload, limits::FOOTER_BYTES, 2 * limits::FOOTER_BYTES)?))
}

/// What a segment's footer repeats of its blocks.
#[derive(Debug, Default)]
pub(crate) struct FooterRepeated {
    counts: OfBlocks,
    filters: OfBlocks,
}

/// Bytes of each block.
#[derive(Debug, Default)]
pub(crate) struct OfBlocks {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl FooterRepeated {
    /// Reads them from a footer block.
    pub(crate) fn parse(block: &[u8]) -> Result<Self, Malformed> {
        let (header, payload) = footer_payload(block)?;
        let rows = header.rows as usize;
        Ok(Self {
            counts: OfBlocks::parse(&payload, rows, COUNTS)?,
            filters: OfBlocks::parse(&payload, rows, FILTERS)?,
        })
    }

    /// What is repeated of the block with this number in the segment.
    pub(crate) fn get(&self, index: usize) -> Option<Repeated<'_>> {
        let (counts, filter) = (self.counts.get(index), self.filters.get(index));
        (counts.is_some() || filter.is_some())
            .then(|| Repeated { counts: counts.unwrap_or_default(), filter: filter.unwrap_or_default() })
    }
}

/// The columns of lengths and bytes of each.
const COUNTS: (u8, u8) = (column::COUNT_LENGTHS, column::COUNTS);
const FILTERS: (u8, u8) = (column::FILTER_LENGTHS, column::FILTERS);

impl OfBlocks {
    /// The counters of each block, from a footer block.
    pub(crate) fn counts(block: &[u8]) -> Result<Self, Malformed> {
        let (header, payload) = footer_payload(block)?;
        Self::parse(&payload, header.rows as usize, COUNTS)
    }

    /// The filter of each block, from a footer block.
    pub(crate) fn filters(block: &[u8]) -> Result<Self, Malformed> {
        let (header, payload) = footer_payload(block)?;
        Self::parse(&payload, header.rows as usize, FILTERS)
    }

    fn parse(payload: &Payload<'_>, rows: usize, (lengths, bytes): (u8, u8)) -> Result<Self, Malformed> {
        let (Some(lengths), Some(bytes)) = (payload.column(lengths), payload.column(bytes)) else {
            return Ok(Self::default());
        };
        let mut unpacker = Unpacker::new().map_err(|_| Malformed("no memory for a footer"))?;
        let (mut buffer, mut values) = (Vec::new(), Vec::new());
        let mut input = Input::new(unpacker.unpack(lengths, &mut buffer)?);
        read_stream(&mut input, rows, &mut values)?;
        // A footer is not as long as that: what claims to end behind it is not there.
        let mut end = 0_u32;
        let add = |&length: &u64| {
            end = end.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
            end
        };
        let ends = values.iter().map(add).collect();
        Ok(Self { ends, bytes: unpacker.unpack(bytes, &mut Vec::new())?.to_vec() })
    }

    /// Those of the block with this number in the segment.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let begin = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.bytes.get(begin as usize..*self.ends.get(index)? as usize).filter(|bytes| !bytes.is_empty())
    }
}

/// The leaves of the blocks before a footer block, as they were written.
pub(crate) fn parse_leaves(block: &[u8]) -> Result<Vec<Hash>, Malformed> {
    let (header, payload) = footer_payload(block)?;
    let column = payload.column(column::LEAVES).ok_or(Malformed("a footer without leaves"))?;
    let mut unpacker = Unpacker::new().map_err(|_| Malformed("no memory for a footer"))?;
    let mut buffer = Vec::new();
    let (leaves, rest) = unpacker.unpack(column, &mut buffer)?.as_chunks();
    if leaves.len() != header.rows as usize || !rest.is_empty() {
        return Err(Malformed("a footer has not one leaf for each block"));
    }
    Ok(leaves.to_vec())
}

/// A sealed file as a forger makes it: the footer tells other records, and its checksums are right.
#[cfg(test)]
pub(crate) fn with_records(file: &[u8], records: &[u8]) -> Vec<u8> {
    let at = file.len() - TRAILER_LEN;
    let (offset, length) = parse_trailer(&file[at..], file.len() as u64).unwrap();
    let offset = offset as usize;
    let (mut header, payload) = footer_payload(&file[offset..offset + length]).unwrap();
    let (mut columns, mut unpacker) = (PayloadWriter::new().unwrap(), Unpacker::new().unwrap());
    columns.column(column::RECORDS, records);
    for column in payload.columns().iter().filter(|column| column.id != column::RECORDS) {
        columns.column(column.id, unpacker.unpack(column, &mut Vec::new()).unwrap());
    }
    let mut bytes = Vec::new();
    header.root = columns.finish(&mut bytes);
    let mut out = file[..offset].to_vec();
    block::seal_block(&mut header, &bytes, &mut out);
    put_trailer(&mut out, offset as u64, &header);
    out
}

/// Reads a footer block at `offset`; its entries lie in order before it.
pub(crate) fn parse_footer(block: &[u8], offset: u64) -> Result<Footer, Malformed> {
    let (header, payload) = footer_payload(block)?;
    let mut unpacker = Unpacker::new().map_err(|_| Malformed("no memory for a footer"))?;
    let mut buffer = Vec::new();
    let mut column = |id| match payload.column(id) {
        Some(column) => Ok(unpacker.unpack(column, &mut buffer)?.to_vec()),
        None => Ok(Vec::new()),
    };
    let entries = decode_index(&column(column::INDEX)?, header.rows as usize, offset)?;
    Ok(Footer { entries, records: column(column::RECORDS)?, root: header.root })
}

/// The index of a footer's or catalog's blocks.
pub(crate) fn encode_index(entries: &[BlockEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut streams = StreamWriter::new();
    let mut values = Vec::new();
    let mut stream = |value: &dyn Fn(&BlockEntry) -> u64| {
        values.clear();
        values.extend(entries.iter().map(value));
        streams.put(&mut out, &values);
    };
    stream(&|e| e.offset);
    stream(&|e| u64::from(e.len));
    stream(&|e| u64::from(e.kind));
    stream(&|e| u64::from(e.flags));
    stream(&|e| e.container);
    stream(&|e| e.first_row);
    stream(&|e| u64::from(e.rows));
    stream(&|e| e.first);
    stream(&|e| e.first - e.earliest);
    stream(&|e| e.last - e.first);
    stream(&|e| e.base);
    stream(&|e| e.lost);
    stream(&|e| e.number);
    out
}

/// The inverse of [`encode_index`]; the entries lie in order before the footer.
pub(crate) fn decode_index(bytes: &[u8], count: usize, footer: u64) -> Result<Vec<BlockEntry>, Malformed> {
    if count > limits::SEGMENT_BLOCKS {
        return Err(Malformed("a segment has too many blocks"));
    }
    let mut input = Input::new(bytes);
    let mut entries = vec![
        BlockEntry {
            offset: 0,
            len: 0,
            kind: 0,
            flags: 0,
            container: 0,
            first_row: 0,
            rows: 0,
            earliest: 0,
            first: 0,
            last: 0,
            base: 0,
            lost: 0,
            number: 0,
        };
        count
    ];
    let mut values = Vec::new();
    let mut stream = |set: &dyn Fn(&mut BlockEntry, u64)| {
        read_stream(&mut input, count, &mut values)?;
        entries.iter_mut().zip(&values).for_each(|(entry, &value)| set(entry, value));
        Ok::<(), Malformed>(())
    };
    // Numbers that are too large become the largest and then fail the checks below.
    let u32_of = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    stream(&|e, v| e.offset = v)?;
    stream(&|e, v| e.len = u32_of(v))?;
    stream(&|e, v| e.kind = u8::try_from(v).unwrap_or(u8::MAX))?;
    stream(&|e, v| e.flags = u8::try_from(v).unwrap_or(u8::MAX))?;
    stream(&|e, v| e.container = v)?;
    stream(&|e, v| e.first_row = v)?;
    stream(&|e, v| e.rows = u32_of(v))?;
    stream(&|e, v| e.first = v)?;
    stream(&|e, v| e.earliest = e.first.saturating_sub(v))?;
    stream(&|e, v| e.last = e.first.saturating_add(v))?;
    stream(&|e, v| e.base = v)?;
    stream(&|e, v| e.lost = v)?;
    stream(&|e, v| e.number = v)?;
    if !input.is_empty() {
        return Err(Malformed("an index has bytes behind its end"));
    }
    let mut end = SEGMENT_HEADER_LEN as u64;
    for entry in &entries {
        let fits = entry.len as usize >= HEADER_LEN
            && entry.len as usize <= limits::BLOCK_BYTES
            && entry.rows as usize <= limits::BLOCK_ROWS
            && entry.first_row.checked_add(u64::from(entry.rows)).is_some();
        if entry.offset < end || entry.end() > footer || !fits {
            return Err(Malformed("an index entry lies outside its segment"));
        }
        end = entry.end();
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{chain::Previous, *};

    fn header() -> SegmentHeader {
        SegmentHeader {
            incompat: 0,
            ro_compat: 0,
            compat: 4,
            store_uuid: [1; 16],
            boot_id: [2; 16],
            time_base: 4,
            created_boot: 5,
            created_real: -6,
            next_uid: 7,
            origin_kind: origin_kind::STORE,
            link: Link {
                sequence: 3,
                previous: Some(Previous { sequence: 2, size: 8, root: [9; 32] }),
                public_key: [10; 32],
                endorsement: [11; 64],
            },
        }
    }

    #[test]
    fn a_header_comes_back_and_no_flipped_bit_does() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER_LEN);
        assert_eq!(SegmentHeader::parse(&bytes), Ok(header()));
        for byte in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << (byte % 8);
            assert!(SegmentHeader::parse(&flipped).is_err());
        }
    }

    /// Found by fuzzing: only one of both readers compared the count with its limit.
    #[test]
    fn a_footer_of_more_blocks_than_there_may_be_is_refused_before_its_memory_is_taken() {
        let mut columns = PayloadWriter::new().unwrap();
        columns.column(column::COUNT_LENGTHS, &[0x10, 0]);
        columns.column(column::COUNTS, &[1]);
        let mut payload = Vec::new();
        let mut header = BlockHeader::of_store(
            kind::FOOTER,
            limits::SEGMENT_BLOCKS as u32 + 1,
            columns.finish(&mut payload),
        );
        let mut block = Vec::new();
        block::seal_block(&mut header, &payload, &mut block);
        assert!(FooterRepeated::parse(&block).is_err());
        assert!(parse_footer(&block, 1 << 40).is_err());
        header.rows = 1;
        block.clear();
        block::seal_block(&mut header, &payload, &mut block);
        assert!(FooterRepeated::parse(&block).is_ok());
    }

    #[test]
    fn an_unknown_incompatible_feature_is_refused_and_an_unknown_compatible_one_is_not() {
        let incompat = SegmentHeader { incompat: 1 << 40, ..header() };
        assert_eq!(SegmentHeader::parse(&incompat.encode()), Err(HeaderError::Version(MAJOR)));
        let compat = SegmentHeader { compat: u64::MAX, ..header() };
        assert_eq!(SegmentHeader::parse(&compat.encode()), Ok(compat));
    }

    #[test]
    fn a_footer_comes_back_and_entries_outside_the_file_are_refused() {
        let entry = BlockEntry {
            offset: 4096,
            len: 256,
            kind: 1,
            flags: 0,
            container: 9,
            first_row: 1,
            rows: 2,
            earliest: 3,
            first: 4,
            last: 5,
            base: 8,
            lost: 6,
            number: 7,
        };
        let parse = |entries: &[BlockEntry]| {
            let leaves = vec![[0; 32]; entries.len()];
            let lengths: Vec<u64> = (0..entries.len() as u64).map(|i| i * 3).collect();
            let parts = FooterParts {
                entries,
                leaves: &leaves,
                records: b"",
                counts: Pieces { bytes: b"abc", lengths: &lengths },
                filters: Pieces::default(),
            };
            let bytes = encode_footer(&parts, 8192).unwrap();
            let counts = FooterRepeated::parse(&bytes[..bytes.len() - TRAILER_LEN]).unwrap();
            assert_eq!(counts.get(0), None);
            assert_eq!(counts.get(1).map(|r| r.counts), (entries.len() > 1).then_some(&b"abc"[..]));
            let len = 8192 + bytes.len() as u64;
            let (offset, length) = parse_trailer(&bytes[bytes.len() - TRAILER_LEN..], len).unwrap();
            assert_eq!(offset, 8192);
            parse_footer(&bytes[..length], offset).map(|f| f.entries)
        };
        let second = BlockEntry { offset: 4352, ..entry };
        assert_eq!(parse(&[entry, second]), Ok(vec![entry, second]));
        assert!(parse(&[entry, entry]).is_err(), "overlapping");
        assert!(parse(&[BlockEntry { offset: 0, ..entry }]).is_err(), "in the header");
        assert!(parse(&[BlockEntry { offset: 8000, ..entry }]).is_err(), "in the footer");
        assert!(parse(&[BlockEntry { len: 8, ..entry }]).is_err(), "shorter than a header");
        assert!(parse(&[BlockEntry { rows: 1 << 20, ..entry }]).is_err(), "too many rows");
    }
}
