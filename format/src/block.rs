//! The header of a block: 128 bytes, little-endian, the same for every kind.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    bytes::{Input, Malformed, Output, checksum_is},
    limits,
    payload::Hash,
};

/// Begins every block.
pub(crate) const MAGIC: [u8; 4] = *b"AFB1";
/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 128;
const CRC_AT: usize = 124;
/// Blocks begin and end at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// The container of blocks that belong to the whole store.
pub(crate) const STORE_SCOPE: u64 = u64::MAX;

/// What a block holds.
pub(crate) mod kind {
    /// Rows of one container.
    pub(crate) const EVENTS: u8 = 1;
    /// Metadata records only.
    pub(crate) const META: u8 = 2;
    /// A container's state between two of its blocks, as bytes that mean nothing here.
    pub(crate) const STATE: u8 = 3;
    /// A signed checkpoint ([`crate::note`]) over the blocks before it.
    pub(crate) const CHECKPOINT: u8 = 6;
    /// Proves the blocks before it, copied from a signed segment ([`crate::proof`]).
    pub(crate) const PROOF: u8 = 8;
    /// Links of the chain of segments that proofs rest on.
    pub(crate) const CHAIN: u8 = 9;
    /// What the store keeps and removed ([`crate::keeping`]); not in extracts, since it tells of all containers.
    pub(crate) const KEEPING: u8 = 10;
    /// Index of the segment; the last block.
    pub(crate) const FOOTER: u8 = 7;
    /// From here on, a reader that does not know a kind ignores it silently; below, it says so.
    pub(crate) const IGNORABLE: u8 = 0x80;
}

/// Bits of a block's flags.
pub(crate) mod flag {
    /// Rows that an earlier writer had left in the stage.
    pub(crate) const RECOVERED: u8 = 1;
    /// At least one row has its duration.
    pub(crate) const ENTRY_TIMES: u8 = 2;
    /// Has a column of metadata records.
    pub(crate) const RECORDS: u8 = 4;
}

/// A block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Bytes of the payload; the block's own length is this, the header and padding to [`ALIGN`].
    pub(crate) payload_len: u32,
    /// Whose: a container's uid or [`STORE_SCOPE`].
    pub(crate) container: u64,
    /// The container's row number of the first row.
    pub(crate) first_row: u64,
    pub(crate) rows: u32,
    pub(crate) payload_crc: u32,
    /// Earliest known time: of entry, where known, else of the first event.
    pub(crate) earliest: u64,
    /// First event's time.
    pub(crate) first: u64,
    /// Last event's time.
    pub(crate) last: u64,
    /// Added to every time in the block, header included: orders the boots of a store one behind the other.
    pub(crate) base: u64,
    /// Events of the container lost so far, where they could be counted.
    pub(crate) lost: u64,
    /// The container's number of this block, from 0.
    pub(crate) number: u64,
    pub(crate) root: Hash,
}

impl BlockHeader {
    /// Of a block of the whole file; sealing it adds the payload's length and checksum.
    pub(crate) fn of_store(kind: u8, rows: u32, root: Hash) -> Self {
        Self {
            kind,
            flags: 0,
            payload_len: 0,
            container: STORE_SCOPE,
            first_row: 0,
            rows,
            payload_crc: 0,
            earliest: 0,
            first: 0,
            last: 0,
            base: 0,
            lost: 0,
            number: 0,
            root,
        }
    }

    /// Bytes of the block on disk.
    pub(crate) fn total_len(&self) -> usize {
        HEADER_LEN.saturating_add(self.payload_len as usize).next_multiple_of(ALIGN)
    }

    /// Appends the header.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&MAGIC);
        out.put_u16(HEADER_LEN as u16);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u32(u32::try_from(self.total_len()).unwrap_or(u32::MAX));
        out.put_u32(self.payload_len);
        out.put_u64(self.container);
        out.put_u64(self.first_row);
        out.put_u32(self.rows);
        out.put_u32(self.payload_crc);
        out.put_u64(self.earliest);
        out.put_u64(self.first);
        out.put_u64(self.last);
        out.put_u64(self.lost);
        out.put_u64(self.number);
        out.extend_from_slice(&self.root);
        out.put_u64(self.base);
        out.resize(begin.saturating_add(CRC_AT), 0);
        let crc = crc32c::crc32c(out.get(begin..).unwrap_or(&[]));
        out.put_u32(crc);
    }

    /// Reads and checks a header at the beginning of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let header = bytes.get(..HEADER_LEN).ok_or(Malformed("a block's header ends early"))?;
        let (covered, crc) = header.split_at_checked(CRC_AT).ok_or(Malformed("no header"))?;
        let mut input = Input::new(header);
        if input.bytes()? != MAGIC {
            return Err(Malformed("no block begins here"));
        }
        if !checksum_is(Input::new(crc).u32()?, &[covered]) {
            return Err(Malformed("a block header's checksum is wrong"));
        }
        if usize::from(input.u16()?) != HEADER_LEN {
            return Err(Malformed("a block's header has another length"));
        }
        let (kind, flags) = (input.u8()?, input.u8()?);
        let total_len = input.u32()? as usize;
        let parsed = Self {
            kind,
            flags,
            payload_len: input.u32()?,
            container: input.u64()?,
            first_row: input.u64()?,
            rows: input.u32()?,
            payload_crc: input.u32()?,
            earliest: input.u64()?,
            first: input.u64()?,
            last: input.u64()?,
            lost: input.u64()?,
            number: input.u64()?,
            root: input.bytes()?,
            base: input.u64()?,
        };
        let limit = if kind == kind::FOOTER { limits::FOOTER_BYTES } else { limits::BLOCK_BYTES };
        if total_len != parsed.total_len() || total_len > limit {
            return Err(Malformed("a block's length is wrong or over the limit"));
        }
        if parsed.rows as usize > limits::BLOCK_ROWS && kind != kind::FOOTER {
            return Err(Malformed("a block has too many rows"));
        }
        if parsed.earliest > parsed.first || parsed.first > parsed.last {
            return Err(Malformed("a block's times are out of order"));
        }
        if parsed.first_row.checked_add(u64::from(parsed.rows)).is_none() {
            return Err(Malformed("a block's row numbers overflow"));
        }
        Ok(parsed)
    }
}

/// Puts a block together around its payload.
pub(crate) fn seal_block(header: &mut BlockHeader, payload: &[u8], out: &mut Vec<u8>) {
    header.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header.payload_crc = crc32c::crc32c(payload);
    let begin = out.len();
    header.encode(out);
    out.extend_from_slice(payload);
    out.resize(begin.saturating_add(header.total_len()), 0);
}

/// The payload in the bytes of the block with this header, once its checksum is found right.
pub(crate) fn checked_payload<'a>(header: &BlockHeader, block: &'a [u8]) -> Result<&'a [u8], Malformed> {
    let end = HEADER_LEN.saturating_add(header.payload_len as usize);
    let payload = block.get(HEADER_LEN..end).ok_or(Malformed("a block's payload ends early"))?;
    if !checksum_is(header.payload_crc, &[payload]) {
        return Err(Malformed("a block payload's checksum is wrong"));
    }
    Ok(payload)
}

/// What lies between the payload and the end of a block must be zeros: no checksum covers it.
pub(crate) fn check_padding(header: &BlockHeader, block: &[u8]) -> Result<(), Malformed> {
    let payload_end = HEADER_LEN.saturating_add(header.payload_len as usize);
    let padding = block.get(payload_end..).unwrap_or(&[]);
    if padding.iter().any(|&byte| byte != 0) {
        return Err(Malformed("the padding behind the block is not zero"));
    }
    Ok(())
}
