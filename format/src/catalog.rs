//! The catalog of a store: what opening needs of all files that do not change any more, in one file.
//!
//! It repeats what the files say and is never believed more than they: a reader uses it only when the files it lists
//! are those that are there, each as long as it says, and looks at a file's footer when it first reads from it. Without
//! a catalog everything is read from the footers. The one writer replaces it as a whole (a new file, synced, renamed over
//! the old), because that leaves no moment at which it is half written and needs no recovery; what was not replaced in
//! time lists files that are gone or fewer than there are, which a reader sees.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{collections::HashSet, io, path::Path};

use crate::{
    bytes::{Input, Malformed, Output, checksum_is},
    file,
    keeping::FileId,
    limits,
    meta::Record,
    payload::{Hash, Payload, PayloadWriter, Unpacker},
    reader::scan::Loaded,
    segment::{
        BlockEntry, FIELDS_LEN, MAJOR, MINOR, SegmentHeader, decode_index, encode_index, origin_kind,
        records::decode_records,
    },
    stream::{StreamWriter, read_stream},
};

pub(crate) mod merged;

use merged::Merged;

/// Its name in a store, and while it is written.
pub(crate) const NAME: &str = "catalog";
pub(crate) const NEW: &str = "catalog.new";
const MAGIC: [u8; 8] = [0x89, b'A', b'F', b'C', b'\r', b'\n', 0x1a, b'\n'];
const HEADER_LEN: usize = 64;
const HEADER_CRC_AT: usize = 60;
/// Numbers kept of each file.
const FILE_STREAMS: usize = 7;

/// Column ids.
mod column {
    pub(super) const RECORDS: u8 = 1;
    pub(super) const FILES: u8 = 2;
    pub(super) const HEADERS: u8 = 3;
    pub(super) const ROOTS: u8 = 4;
    pub(super) const INDEXES: u8 = 5;
}

/// What a catalog says.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) store_uuid: [u8; 16],
    /// In order: kept files, then segments.
    pub(crate) files: Vec<Listed>,
    /// The records of all of them, merged; their times with the base added.
    pub(crate) records: Vec<Record>,
}

/// A file that does not change any more.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) id: FileId,
    pub(crate) length: u64,
    /// `None` when it has no good footer: then the file itself is asked, for its blocks and for what is wrong with it.
    pub(crate) sealed: Option<Sealed>,
}

/// What the footer and the header of a sealed file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) header: SegmentHeader,
    /// Where the footer is and how long.
    pub(crate) footer: (u64, usize),
    /// Content root of the footer.
    pub(crate) root: Hash,
    pub(crate) entries: Vec<BlockEntry>,
}

/// A file as the writer of catalogs remembers it.
#[derive(Debug)]
pub(crate) struct Part {
    id: FileId,
    length: u64,
    sealed: Option<SealedPart>,
    /// Its records, encoded and packed, and their length.
    records: Vec<u8>,
    records_len: usize,
}

#[derive(Debug)]
struct SealedPart {
    fields: Vec<u8>,
    footer: (u64, usize),
    root: Hash,
    blocks: usize,
    index: Vec<u8>,
}

impl Part {
    /// Of a file that was opened.
    pub(crate) fn of(id: FileId, loaded: &Loaded) -> Self {
        let length = loaded.file.metadata().map_or(0, |about| about.len());
        let mut raw = Vec::new();
        loaded.records.iter().for_each(|record| {
            record.encode(&mut raw);
        });
        // Without room for that there is no catalog.
        let records = zstd::bulk::compress(&raw, 1).unwrap_or_default();
        let good = loaded.sealed && loaded.defects.is_empty();
        let sealed = loaded.footer.zip(loaded.footer_root).filter(|_| good).map(|(footer, root)| {
            let mut fields = Vec::with_capacity(FIELDS_LEN);
            loaded.header.put_fields(&mut fields);
            let index = encode_index(&loaded.entries);
            SealedPart { fields, footer, root, blocks: loaded.entries.len(), index }
        });
        Self { id, length, sealed, records, records_len: raw.len() }
    }

    /// Of a file that cannot be opened: whoever reads shall find out why.
    pub(crate) fn unreadable(id: FileId, length: u64) -> Self {
        Self { id, length, sealed: None, records: Vec::new(), records_len: 0 }
    }
}

/// The catalog of a store with one segment that was not sealed and tells one clock reading, for the specification.
#[cfg(test)]
pub(crate) fn example(store_uuid: [u8; 16]) -> Vec<u8> {
    use crate::{BootNanos, ClockPair};

    let mut raw = Vec::new();
    Record::Clock(ClockPair { boot: BootNanos(1000), real: -1 }).encode(&mut raw);
    let records = zstd::bulk::compress(&raw, 1).expect("memory");
    let part = Part { id: FileId::Segment(0), length: 4096, sealed: None, records, records_len: raw.len() };
    encode(store_uuid, [part].iter()).expect("memory").expect("a small catalog")
}

/// The bytes of the catalog of these files; `None` when it would hold more than a reader takes.
pub(crate) fn encode<'a>(
    store_uuid: [u8; 16],
    parts: impl Iterator<Item = &'a Part> + Clone,
) -> io::Result<Option<Vec<u8>>> {
    let mut payload = PayloadWriter::new()?;
    let Some(records) = merge(parts.clone()) else { return Ok(None) };
    payload.column(column::RECORDS, &records);
    let sealed = || parts.clone().map(|part| part.sealed.as_ref());
    let mut streams = Vec::new();
    let mut writer = StreamWriter::new();
    let mut stream = |value: &dyn Fn(&Part) -> u64| {
        writer.put(&mut streams, &parts.clone().map(value).collect::<Vec<u64>>());
    };
    let of_sealed = |part: &Part, value: &dyn Fn(&SealedPart) -> u64| part.sealed.as_ref().map_or(0, value);
    stream(&|part| kind_of(part.id));
    stream(&|part| number_of(part.id));
    stream(&|part| part.length);
    stream(&|part| of_sealed(part, &|s| s.footer.0));
    stream(&|part| of_sealed(part, &|s| s.footer.1 as u64));
    stream(&|part| of_sealed(part, &|s| s.blocks as u64));
    stream(&|part| of_sealed(part, &|s| s.index.len() as u64));
    payload.column(column::FILES, &streams);
    let joined = |of: &dyn Fn(&SealedPart) -> Vec<u8>| sealed().flatten().flat_map(of).collect::<Vec<u8>>();
    payload.column(column::HEADERS, &joined(&|s| s.fields.clone()));
    payload.column(column::ROOTS, &joined(&|s| s.root.to_vec()));
    payload.column(column::INDEXES, &joined(&|s| s.index.clone()));
    let mut body = Vec::new();
    payload.finish(&mut body);
    let files = parts.clone().count();
    let blocks = sealed().flatten().fold(0usize, |sum, s| sum.saturating_add(s.blocks));
    if files > limits::CATALOG_FILES
        || blocks > limits::CATALOG_BLOCKS
        || body.len() > limits::CATALOG_BYTES.saturating_sub(HEADER_LEN)
    {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(body.len().saturating_add(HEADER_LEN));
    out.extend_from_slice(&MAGIC);
    out.put_u16(MAJOR);
    out.put_u16(MINOR);
    out.put_u32(u32::try_from(files).unwrap_or(u32::MAX));
    out.extend_from_slice(&store_uuid);
    out.put_u64(body.len() as u64);
    out.put_u32(crc32c::crc32c(&body));
    out.resize(HEADER_CRC_AT, 0);
    let crc = crc32c::crc32c(&out);
    out.put_u32(crc);
    out.extend_from_slice(&body);
    Ok(Some(out))
}

/// The records of these files, merged and encoded; `None` when they are more than a reader takes.
fn merge<'a>(parts: impl Iterator<Item = &'a Part>) -> Option<Vec<u8>> {
    let mut merged = Merged::default();
    for part in parts {
        let raw = zstd::bulk::decompress(&part.records, part.records_len).ok()?;
        let mut records = Vec::new();
        decode_records(&raw, 0, &mut records, &mut 0).ok()?;
        records.into_iter().for_each(|record| merged.add(record));
    }
    let records = merged.encode();
    (records.len() <= limits::ALL_RECORDS_BYTES).then_some(records)
}

impl Catalog {
    /// The catalog of the store in `dir`; `None` when it has none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, Malformed> {
        let file = match file::open_in_store(&dir.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Err(Malformed("it cannot be opened")),
        };
        let bytes = file::read_at_most(&file, 0, limits::CATALOG_BYTES.saturating_add(1));
        let bytes = bytes.map_err(|_| Malformed("it cannot be read"))?;
        Self::parse(&bytes).map(Some)
    }

    /// Reads a catalog's bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        if input.bytes()? != MAGIC {
            return Err(Malformed("it does not begin as one"));
        }
        if input.u16()? != MAJOR {
            return Err(Malformed("it has another version"));
        }
        let (_minor, files) = (input.u16()?, input.u32()? as usize);
        let store_uuid = input.bytes()?;
        let (length, payload_crc) = (input.u64()?, input.u32()?);
        let covered = bytes.get(..HEADER_CRC_AT).ok_or(Malformed("it ends early"))?;
        let crc = Input::new(bytes.get(HEADER_CRC_AT..).unwrap_or(&[])).u32()?;
        if !checksum_is(crc, &[covered]) {
            return Err(Malformed("its header's checksum is wrong"));
        }
        let payload = bytes.get(HEADER_LEN..).unwrap_or(&[]);
        if payload.len() as u64 != length || payload.len() > limits::CATALOG_BYTES {
            return Err(Malformed("it has another length than it says"));
        }
        if !checksum_is(payload_crc, &[payload]) {
            return Err(Malformed("its checksum is wrong"));
        }
        if files > limits::CATALOG_FILES {
            return Err(Malformed("it lists too many files"));
        }
        Self::columns(store_uuid, files, payload)
    }

    fn columns(store_uuid: [u8; 16], files: usize, payload: &[u8]) -> Result<Self, Malformed> {
        let limit = limits::CATALOG_COLUMN_BYTES;
        let payload = Payload::parse_within(payload, limit, limit.saturating_mul(2))?;
        let mut unpacker = Unpacker::new().map_err(|_| Malformed("no memory for a catalog"))?;
        let mut column = |id, buffer: &mut Vec<u8>| -> Result<Vec<u8>, Malformed> {
            payload.column(id).map_or(Ok(Vec::new()), |c| Ok(unpacker.unpack(c, buffer)?.to_vec()))
        };
        let mut buffer = Vec::new();
        let mut records = Vec::new();
        decode_records(&column(column::RECORDS, &mut buffer)?, 0, &mut records, &mut 0)?;
        let rows = Row::parse_all(&column(column::FILES, &mut buffer)?, files)?;
        let headers = column(column::HEADERS, &mut buffer)?;
        let roots = column(column::ROOTS, &mut buffer)?;
        drop(buffer);
        let mut buffer = Vec::new();
        let indexes = payload.column(column::INDEXES);
        let indexes = indexes.map_or(Ok(&[][..]), |c| unpacker.unpack(c, &mut buffer))?;
        let mut parts = Parts {
            headers: Input::new(&headers),
            roots: Input::new(&roots),
            indexes: Input::new(indexes),
            blocks: 0,
        };
        let listed: Result<Vec<Listed>, Malformed> = rows.iter().map(|row| row.file(&mut parts)).collect();
        let files = listed?;
        if !(parts.headers.is_empty() && parts.roots.is_empty() && parts.indexes.is_empty()) {
            return Err(Malformed("it has bytes behind its end"));
        }
        if !files.is_sorted_by(|a, b| a.id < b.id) {
            return Err(Malformed("its files are out of order"));
        }
        Ok(Self { store_uuid, files, records })
    }

    /// Why a reader of the store that has these files must not use it.
    pub(crate) fn disagrees(
        &self,
        uuid: Option<[u8; 16]>,
        kept: &[u64],
        segments: &[u64],
    ) -> Option<&'static str> {
        if uuid.is_some_and(|uuid| uuid != self.store_uuid) {
            return Some("it is of another store");
        }
        let last = self.files.iter().rev().find_map(|file| match file.id {
            FileId::Segment(number) => Some(number),
            FileId::Kept(_) => None,
        });
        let there: HashSet<FileId> = kept
            .iter()
            .map(|&number| FileId::Kept(number))
            .chain(
                segments.iter().filter(|&&n| last.is_some_and(|last| n <= last)).map(|&n| FileId::Segment(n)),
            )
            .collect();
        let same = there.len() == self.files.len() && self.files.iter().all(|file| there.contains(&file.id));
        (!same).then_some("it does not list the files that are there")
    }
}

/// What is read from the front for each sealed file.
struct Parts<'a> {
    headers: Input<'a>,
    roots: Input<'a>,
    indexes: Input<'a>,
    blocks: usize,
}

/// The numbers of a file.
struct Row {
    numbers: [u64; FILE_STREAMS],
}

impl Row {
    fn parse_all(bytes: &[u8], files: usize) -> Result<Vec<Self>, Malformed> {
        let mut input = Input::new(bytes);
        let mut rows: Vec<Self> = (0..files).map(|_| Self { numbers: [0; FILE_STREAMS] }).collect();
        let mut values = Vec::new();
        for stream in 0..FILE_STREAMS {
            read_stream(&mut input, files, &mut values)?;
            for (row, &value) in rows.iter_mut().zip(&values) {
                if let Some(number) = row.numbers.get_mut(stream) {
                    *number = value;
                }
            }
        }
        if input.is_empty() { Ok(rows) } else { Err(Malformed("its files have bytes behind their end")) }
    }

    fn file(&self, parts: &mut Parts<'_>) -> Result<Listed, Malformed> {
        let [kind, number, length, offset, footer_len, blocks, index_len] = self.numbers;
        let id = match u8::try_from(kind) {
            Ok(origin_kind::STORE) => FileId::Segment(number),
            Ok(origin_kind::KEPT) => FileId::Kept(number),
            _ => return Err(Malformed("it lists a file of an unknown kind")),
        };
        if footer_len == 0 {
            return Ok(Listed { id, length, sealed: None });
        }
        let small = |value: u64, limit: usize| {
            usize::try_from(value)
                .ok()
                .filter(|&v| v <= limit)
                .ok_or(Malformed("a number in it is too large"))
        };
        let footer = (offset, small(footer_len, limits::FOOTER_BYTES)?);
        let blocks = small(blocks, limits::SEGMENT_BLOCKS)?;
        parts.blocks = parts.blocks.saturating_add(blocks);
        if parts.blocks > limits::CATALOG_BLOCKS {
            return Err(Malformed("it lists too many blocks"));
        }
        let header = SegmentHeader::parse_fields(&mut Input::new(parts.headers.take(FIELDS_LEN)?))?;
        let index = parts.indexes.take(small(index_len, limits::CATALOG_COLUMN_BYTES)?)?;
        let entries = decode_index(index, blocks, offset)?;
        Ok(Listed {
            id,
            length,
            sealed: Some(Sealed { header, footer, root: parts.roots.bytes()?, entries }),
        })
    }
}

fn kind_of(id: FileId) -> u64 {
    u64::from(match id {
        FileId::Kept(_) => origin_kind::KEPT,
        FileId::Segment(_) => origin_kind::STORE,
    })
}

fn number_of(id: FileId) -> u64 {
    match id {
        FileId::Kept(number) | FileId::Segment(number) => number,
    }
}
