//! One block after the other: hashes, contents, and the numbers that show what is missing between them.

use std::collections::HashMap;

use crate::{
    ContainerUid,
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
    if header.kind == kind::STATE {
        decoder.state(&payload)?;
    }
    Ok(header)
}

/// Where a block was found: file among those reported, block, offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: usize,
    pub(super) block: u64,
    pub(super) offset: u64,
}

/// A block as its numbers tell.
#[derive(Debug, Clone, Copy)]
struct Seen {
    number: u64,
    first_row: u64,
    end_row: u64,
    place: Place,
}

/// The blocks of each container.
#[derive(Debug, Default)]
pub(super) struct Continuity {
    of: HashMap<u64, Vec<Seen>>,
}

impl Continuity {
    /// Notes a block.
    pub(super) fn follow(&mut self, entry: &BlockEntry, place: Place) {
        if entry.container == STORE_SCOPE || !matches!(entry.kind, kind::EVENTS | kind::META | kind::STATE) {
            return;
        }
        self.of.entry(entry.container).or_default().push(Seen {
            number: entry.number,
            first_row: entry.first_row,
            end_row: entry.first_row.saturating_add(u64::from(entry.rows)),
            place,
        });
    }

    /// What is missing, besides blocks that were `evicted` of a container: behind which place. Where `from_first`, the
    /// blocks of a container begin with number 0.
    pub(super) fn gaps(
        self,
        evicted: &HashMap<u64, u64>,
        from_first: bool,
    ) -> Vec<(ContainerUid, Place, String)> {
        let mut gaps = Vec::new();
        for (container, mut seen) in self.of {
            seen.sort_by_key(|seen| seen.number);
            // Beside a writer the same block can be met before and after it was moved.
            seen.dedup_by_key(|seen| seen.number);
            let mut holes = Vec::new();
            let mut next = if from_first { Some((0, 0)) } else { None };
            for block in seen {
                let (number, row) = next.unwrap_or((block.number, block.first_row));
                let has_rows = block.end_row > block.first_row;
                if block.number > number {
                    holes.push((block.place, block.number - number, block.first_row.saturating_sub(row)));
                } else if has_rows && block.first_row != row {
                    let detail = "blocks of the container are out of order".to_owned();
                    gaps.push((ContainerUid(container), block.place, detail));
                }
                next = Some((block.number.saturating_add(1), block.end_row.max(row)));
            }
            let allowed = evicted.get(&container).copied().unwrap_or(0);
            let missing: u64 = holes.iter().map(|(_, blocks, _)| blocks).sum();
            if missing <= allowed {
                continue;
            }
            gaps.extend(holes.into_iter().map(|(place, blocks, rows)| {
                let known = if allowed == 0 {
                    String::new()
                } else {
                    format!("; of `{missing}` missing in all, `{allowed}` were evicted")
                };
                let detail =
                    format!("`{blocks}` blocks with `{rows}` rows are missing before this one{known}");
                (ContainerUid(container), place, detail)
            }));
        }
        gaps.sort_by_key(|(container, place, _)| (place.segment, place.block, *container));
        gaps
    }
}
