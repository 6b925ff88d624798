//! A block's payload: a directory of columns, then their chunks.
//!
//! ```text
//! count u8, then per column: id u8, codec u8 (0 stored, 1 zstd), stored length varint, and for zstd the
//! original length varint; then the chunks in the same order, without gaps.
//! ```
//! The content root is the SHA-256 of `AFT1`, the directory, and the SHA-256 of each chunk as it lies on disk: a
//! column can be withheld later and the others still prove themselves.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{cell::Cell, io::Cursor};

use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;

use crate::{
    bytes::{Input, Malformed, Output},
    limits,
};

const STORED: u8 = 0;
const ZSTD: u8 = 1;
/// zstd's level for everything that is written while recording.
const LEVEL: i32 = 1;
/// Below this many bytes a zstd frame does not pay.
const ZSTD_MIN: usize = 64;
const ROOT_PREFIX: &[u8] = b"AFT1";

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// Collects columns and turns them into a payload; keeps its buffers between payloads.
pub(crate) struct PayloadWriter {
    zstd: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
    directory: Vec<u8>,
    chunks: Vec<u8>,
    digests: Vec<Hash>,
}

impl std::fmt::Debug for PayloadWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadWriter").finish_non_exhaustive()
    }
}

impl PayloadWriter {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut zstd = zstd::bulk::Compressor::new(LEVEL)?;
        zstd.include_checksum(false)?;
        zstd.include_contentsize(true)?;
        Ok(Self {
            zstd,
            compressed: Vec::new(),
            directory: Vec::new(),
            chunks: Vec::new(),
            digests: Vec::new(),
        })
    }

    /// Adds a column; one of no bytes is left out.
    pub(crate) fn column(&mut self, id: u8, raw: &[u8]) {
        if raw.is_empty() {
            return;
        }
        let stored = self.pack(raw);
        self.directory.put_u8(id);
        let chunk = if let Some(length) = stored {
            self.directory.put_u8(ZSTD);
            self.directory.put_varint(length as u64);
            self.directory.put_varint(raw.len() as u64);
            self.compressed.get(..length).unwrap_or(&[])
        } else {
            self.directory.put_u8(STORED);
            self.directory.put_varint(raw.len() as u64);
            raw
        };
        self.digests.push(Sha256::digest(chunk).into());
        self.chunks.extend_from_slice(chunk);
    }

    /// Compresses into `compressed`; the length when that saved anything.
    fn pack(&mut self, raw: &[u8]) -> Option<usize> {
        if raw.len() < ZSTD_MIN {
            return None;
        }
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        let length = self.zstd.compress_to_buffer(raw, &mut self.compressed).ok()?;
        (length < raw.len()).then_some(length)
    }

    /// Appends the payload to `out`, gives its content root, and is empty again.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Hash {
        let mut hasher = Sha256::new();
        let count = u8::try_from(self.digests.len()).unwrap_or(u8::MAX);
        hasher.update(ROOT_PREFIX);
        hasher.update([count]);
        hasher.update(&self.directory);
        self.digests.iter().for_each(|digest| hasher.update(digest));
        out.put_u8(count);
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.chunks);
        self.directory.clear();
        self.chunks.clear();
        self.digests.clear();
        hasher.finalize().into()
    }
}

/// One column of a payload, still packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    pub(crate) id: u8,
    packed: bool,
    raw_len: usize,
    chunk: &'a [u8],
}

impl Column<'_> {
    /// Bytes on disk.
    pub(crate) fn stored_len(&self) -> usize {
        self.chunk.len()
    }

    /// Bytes after decompression.
    pub(crate) fn raw_len(&self) -> usize {
        self.raw_len
    }
}

/// A payload whose directory was read and checked.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    directory: &'a [u8],
    columns: Vec<Column<'a>>,
}

impl<'a> Payload<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::parse_within(bytes, limits::COLUMN_BYTES, limits::BLOCK_RAW_BYTES)
    }

    /// As [`Self::parse`], with other limits.
    pub(crate) fn parse_within(
        bytes: &'a [u8],
        column_limit: usize,
        total_limit: usize,
    ) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let count = usize::from(input.u8()?);
        if count > limits::COLUMNS {
            return Err(Malformed("a block has too many columns"));
        }
        let mut lengths = Vec::with_capacity(count);
        let mut columns = Vec::with_capacity(count);
        let mut total = 0usize;
        for _ in 0..count {
            let id = input.u8()?;
            let codec = input.u8()?;
            let stored = input.count(bytes.len())?;
            let raw_len = match codec {
                STORED => stored,
                ZSTD => input.count(column_limit)?,
                _ => return Err(Malformed("a column has an unknown codec")),
            };
            if columns.iter().any(|c: &Column<'_>| c.id == id) {
                return Err(Malformed("a column is there twice"));
            }
            total = total.saturating_add(raw_len);
            if raw_len > column_limit || total > total_limit {
                return Err(Malformed("columns are larger than the limit"));
            }
            columns.push(Column { id, packed: codec == ZSTD, raw_len, chunk: &[] });
            lengths.push(stored);
        }
        let directory = bytes.get(..bytes.len().saturating_sub(input.rest().len())).unwrap_or(&[]);
        for (column, length) in columns.iter_mut().zip(lengths) {
            column.chunk = input.take(length)?;
        }
        if !input.is_empty() {
            return Err(Malformed("a payload has bytes behind its last column"));
        }
        Ok(Self { directory, columns })
    }

    pub(crate) fn columns(&self) -> &[Column<'a>] {
        &self.columns
    }

    pub(crate) fn column(&self, id: u8) -> Option<&Column<'a>> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// The content root of what lies here.
    pub(crate) fn root(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(ROOT_PREFIX);
        hasher.update(self.directory);
        for column in &self.columns {
            hasher.update(Sha256::digest(column.chunk));
        }
        hasher.finalize().into()
    }
}

thread_local! {
    /// A context that the thread has no use for at the moment. Making one asks the processor what it can, which a virtual machine
    /// answers slowly.
    static SPARE: Cell<Option<Decompressor<'static>>> = const { Cell::new(None) };
}

/// Decompresses columns; keeps its context between them.
pub(crate) struct Unpacker {
    /// There until it is dropped.
    zstd: Option<Decompressor<'static>>,
}

impl Drop for Unpacker {
    fn drop(&mut self) {
        let zstd = self.zstd.take();
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| spare.set(zstd));
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    pub(crate) fn new() -> std::io::Result<Self> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        Ok(Self { zstd: Some(spare.map_or_else(Decompressor::new, Ok)?) })
    }

    /// The column's bytes, in `buffer` where they were packed.
    pub(crate) fn unpack<'a>(
        &mut self,
        column: &Column<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Malformed> {
        if !column.packed {
            return Ok(column.chunk);
        }
        self.inflate(column.chunk, column.raw_len, buffer)?;
        Ok(buffer)
    }

    /// Appends the column's bytes to `out`.
    pub(crate) fn append(&mut self, column: &Column<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if column.packed {
            return self.inflate_behind(column.chunk, column.raw_len, out);
        }
        out.extend_from_slice(column.chunk);
        Ok(())
    }

    /// Decompresses exactly `length` bytes into `buffer`, replacing what was there.
    pub(crate) fn inflate(
        &mut self,
        packed: &[u8],
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        buffer.clear();
        self.inflate_behind(packed, length, buffer)
    }

    fn inflate_behind(
        &mut self,
        packed: &[u8],
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        buffer.try_reserve_exact(length).map_err(|_| Malformed("no memory for a column"))?;
        let mut behind = Cursor::new(&mut *buffer);
        behind.set_position(behind.get_ref().len() as u64);
        // The frame's own claim of its length is not used: the buffer's capacity is the limit.
        match self.zstd.as_mut().map(|zstd| zstd.decompress_to_buffer(packed, &mut behind)) {
            Some(Ok(found)) if found == length => Ok(()),
            Some(Ok(_)) => Err(Malformed("a column is shorter than it says")),
            Some(Err(_)) | None => Err(Malformed("a column does not decompress to its length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(payload: &Payload<'_>, id: u8) -> Vec<u8> {
        let mut buffer = Vec::new();
        let column = payload.column(id).unwrap();
        Unpacker::new().unwrap().unpack(column, &mut buffer).unwrap().to_vec()
    }

    #[test]
    fn columns_come_back_and_the_root_is_that_of_the_bytes() {
        let mut writer = PayloadWriter::new().unwrap();
        let mut out = Vec::new();
        writer.column(3, &[7; 5000]);
        writer.column(4, b"");
        writer.column(9, b"short");
        let root = writer.finish(&mut out);
        let payload = Payload::parse(&out).unwrap();
        assert_eq!(payload.columns().len(), 2);
        assert_eq!(unpack(&payload, 3), [7; 5000]);
        assert_eq!(unpack(&payload, 9), b"short");
        assert_eq!(payload.root(), root);
        assert!(payload.column(3).unwrap().stored_len() < 100);
        for cut in 0..out.len() {
            assert!(Payload::parse(&out[..cut]).is_err());
        }
    }

    #[test]
    fn a_column_that_lies_about_its_length_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 40 << 20], 1).unwrap();
        let payload = |raw_len: u64| {
            let mut out = vec![1, 3, ZSTD];
            out.put_varint(bomb.len() as u64);
            out.put_varint(raw_len);
            out.extend_from_slice(&bomb);
            out
        };
        assert!(Payload::parse(&payload(40 << 20)).is_err(), "over the limit");
        let small = payload(1000);
        let parsed = Payload::parse(&small).unwrap();
        let mut buffer = Vec::new();
        assert!(Unpacker::new().unwrap().unpack(parsed.column(3).unwrap(), &mut buffer).is_err());
        assert!(buffer.capacity() < 1 << 20);
    }
}
