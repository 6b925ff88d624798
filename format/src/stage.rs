//! The stage: rows and records that are not in a block yet, so that a kill of the recorder loses nothing that it
//! had taken over.
//!
//! A stage file is a header of 64 bytes and batches behind one another:
//!
//! ```text
//! magic "AFSB", stored length u32, raw length u32 (bit 31: a frame begins), CRC32C u32 (of the 12 bytes before and the
//! body), body
//! ```
//! The bodies of a frame are one zstd stream, flushed at the end of each: small batches find what was in the ones before
//! them, and a batch is read with those before it in its frame. A file begins with a frame and has mostly this one.
//! The file is reserved ahead with zeros; the first batch whose bytes are all zero, or the end of the file, is the
//! end. Anything else that is no batch is a torn tail. A file is removed once all its rows are in blocks that are
//! synced; rows that are both here and in a block are known by their container's row number.

pub(crate) mod file;
mod frame;
pub(crate) mod row;

use crate::{
    bytes::{Input, Malformed, Output, checksum_is},
    limits,
};

/// Begins a stage file.
const MAGIC: [u8; 8] = [0x89, b'A', b'F', b'G', b'\r', b'\n', 0x1a, b'\n'];
/// Begins a batch.
const BATCH_MAGIC: [u8; 4] = *b"AFSB";
/// Bytes of a stage file's header.
pub(crate) const HEADER_LEN: usize = 64;
const HEADER_CRC_AT: usize = 60;
/// Set in a batch's raw length where a frame begins.
const FRAME_BIT: u32 = 1 << 31;
/// Bytes before a batch's body.
const BATCH_HEADER_LEN: usize = 16;

/// What a stage file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageHeader {
    pub(crate) boot_id: [u8; 16],
    pub(crate) time_base: u64,
    pub(crate) number: u64,
}

impl StageHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.put_u16(crate::segment::MAJOR);
        out.put_u16(crate::segment::MINOR);
        out.put_u32(0);
        out.extend_from_slice(&self.boot_id);
        out.put_u64(self.time_base);
        out.put_u64(self.number);
        out.resize(HEADER_CRC_AT, 0);
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let covered = bytes.get(..HEADER_CRC_AT).ok_or(Malformed("the stage's header ends early"))?;
        let mut input = Input::new(bytes);
        if input.bytes()? != MAGIC {
            return Err(Malformed("the stage has no header"));
        }
        let crc = Input::new(bytes.get(HEADER_CRC_AT..).unwrap_or(&[])).u32()?;
        if !checksum_is(crc, &[covered]) {
            return Err(Malformed("the stage header's checksum is wrong"));
        }
        if input.u16()? != crate::segment::MAJOR {
            return Err(Malformed("the stage has another version"));
        }
        let (_minor, _reserved) = (input.u16()?, input.u32()?);
        Ok(Self { boot_id: input.bytes()?, time_base: input.u64()?, number: input.u64()? })
    }
}

/// Puts a batch around its compressed body.
pub(crate) fn encode_batch(body: &[u8], raw_len: usize, begins_frame: bool, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&BATCH_MAGIC);
    out.put_u32(body.len() as u32);
    out.put_u32(raw_len as u32 | if begins_frame { FRAME_BIT } else { 0 });
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[begin..]), body);
    out.put_u32(crc);
    out.extend_from_slice(body);
}

/// A batch, still compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) raw_len: usize,
    /// It can be read without the ones before it.
    pub(crate) begins_frame: bool,
}

/// What follows in a stage file.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Batch(Batch<'a>),
    /// Nothing: zeros or the end of the file.
    End,
    /// A write that was cut.
    Torn(Malformed),
}

/// Reads what follows; `input` stands behind it afterwards.
pub(crate) fn next_batch<'a>(input: &mut Input<'a>) -> Next<'a> {
    let before = *input;
    match read_batch(input) {
        Ok(batch) => Next::Batch(batch),
        Err(malformed) => {
            *input = before;
            // Zeros all the way: reserved space. Only as much as a header is looked at where the rest is zero too.
            if before.rest().iter().all(|&b| b == 0) { Next::End } else { Next::Torn(malformed) }
        }
    }
}

fn read_batch<'a>(input: &mut Input<'a>) -> Result<Batch<'a>, Malformed> {
    let covered = input.rest().get(..BATCH_HEADER_LEN - 4).ok_or(Malformed("a batch ends early"))?;
    if input.bytes()? != BATCH_MAGIC {
        return Err(Malformed("no batch begins here"));
    }
    let (stored, raw_word, crc) = (input.u32()? as usize, input.u32()?, input.u32()?);
    let (raw_len, begins_frame) = ((raw_word & !FRAME_BIT) as usize, raw_word & FRAME_BIT != 0);
    if raw_len > limits::BATCH_BYTES {
        return Err(Malformed("a batch is over the limit"));
    }
    let body = input.take(stored)?;
    if !checksum_is(crc, &[covered, body]) {
        return Err(Malformed("a batch's checksum is wrong"));
    }
    Ok(Batch { body, raw_len, begins_frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let header = StageHeader { boot_id: [3; 16], time_base: 4, number: 5 };
        assert_eq!(header.encode().len(), HEADER_LEN);
        assert_eq!(StageHeader::parse(&header.encode()), Ok(header));
    }

    #[test]
    fn a_batch_comes_back_zeros_end_and_any_cut_is_torn() {
        let mut bytes = Vec::new();
        encode_batch(b"body", 77, true, &mut bytes);
        let length = bytes.len();
        bytes.resize(length + 100, 0);
        let mut input = Input::new(&bytes);
        let Next::Batch(batch) = next_batch(&mut input) else { panic!("a batch was written") };
        assert_eq!((batch.body, batch.raw_len, batch.begins_frame), (&b"body"[..], 77, true));
        assert!(matches!(next_batch(&mut input), Next::End));
        for cut in 1..length {
            assert!(matches!(next_batch(&mut Input::new(&bytes[..cut])), Next::Torn(_)));
        }
    }
}
