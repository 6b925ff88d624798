//! One block after the other: hashes, contents, and the numbers that show what is missing between them.

use std::collections::HashMap;

use crate::{
    block::{self, BlockHeader, STORE_SCOPE, kind},
    bytes::Malformed,
    events::decode::EventDecoder,
    payload::Payload,
    segment::{BlockEntry, records::decode_records},
};

/// Checks a block's content root and that everything in it can be decoded.
pub(super) fn check(bytes: &[u8], decoder: &mut EventDecoder) -> Result<BlockHeader, Malformed> {
    let header = BlockHeader::parse(bytes)?;
    let payload_bytes = block::checked_payload(&header, bytes)?;
    let padding = bytes.get(block::HEADER_LEN + payload_bytes.len()..).unwrap_or(&[]);
    if padding.iter().any(|&b| b != 0) {
        return Err(Malformed("the padding behind the block is not zero"));
    }
    let payload = Payload::parse(payload_bytes)?;
    if payload.root() != header.root {
        return Err(Malformed("the content is not what was hashed"));
    }
    let records = decoder.records(&payload)?;
    decode_records(&records, header.base, &mut Vec::new(), &mut 0)?;
    if header.kind == kind::EVENTS {
        decoder.rows(&header, payload_bytes)?;
    }
    Ok(header)
}

/// What should come next of each container.
#[derive(Debug, Default)]
pub(super) struct Continuity {
    next: HashMap<u64, (u64, u64)>,
}

impl Continuity {
    /// Notes a block; tells what is missing before it.
    pub(super) fn follow(&mut self, entry: &BlockEntry) -> Option<String> {
        if entry.container == STORE_SCOPE || !matches!(entry.kind, kind::EVENTS | kind::META) {
            return None;
        }
        let end = entry.first_row.saturating_add(u64::from(entry.rows));
        let next = (entry.number.saturating_add(1), end);
        // The first block found of a container: older ones may have been evicted.
        let (number, row) = self.next.insert(entry.container, next)?;
        if entry.number > number {
            let missing = entry.number - number;
            let rows = entry.first_row.saturating_sub(row);
            return Some(format!("`{missing}` blocks with `{rows}` rows are missing before this one"));
        }
        if entry.number < number || (entry.rows > 0 && entry.first_row != row) {
            return Some("blocks of the container are out of order".to_owned());
        }
        None
    }
}
