//! One block after the other: hashes, contents, and the numbers that show what is missing between them.

use std::collections::HashMap;

use super::FindingKind;
use crate::{
    BootNanos, ContainerUid,
    block::{self, BlockHeader, STORE_SCOPE, kind},
    bytes::Malformed,
    events::{decode::EventDecoder, filter::BlockFilter, repeated::Repeated},
    meta::Record,
    payload::Payload,
    segment::{BlockEntry, records::decode_records},
};

/// Checks a block's content root, that everything in it can be decoded, and that its filter lets all its rows pass.
/// Gives its records, too.
pub(super) fn check(
    bytes: &[u8],
    decoder: &mut EventDecoder,
) -> Result<(BlockHeader, Vec<Record>), Malformed> {
    let header = BlockHeader::parse(bytes)?;
    let payload_bytes = block::checked_payload(&header, bytes)?;
    block::check_padding(&header, bytes)?;
    let payload = Payload::parse(payload_bytes)?;
    if payload.root() != header.root {
        return Err(Malformed("the content is not what was hashed"));
    }
    let records = decoder.records(&payload)?;
    let mut told = Vec::new();
    decode_records(&records, header.base, &mut told, &mut 0)?;
    if header.kind == kind::EVENTS {
        let rows = decoder.rows(&header, payload_bytes)?;
        let repeated = decoder.repeated(&payload)?;
        let filter = Repeated::decode(&repeated)?.filter;
        if !filter.is_empty() {
            let filter = BlockFilter::decode(filter)?;
            let denied =
                (0..rows.len()).find_map(|row| rows.with(row, |event| filter.denies(event)).flatten());
            denied.map_or(Ok(()), |what| Err(Malformed(what)))?;
        }
    }
    if header.kind == kind::STATE {
        decoder.state(&payload)?;
    }
    Ok((header, told))
}

/// Whether what a footer repeats of a block is what the block says.
pub(super) fn is_repeated(bytes: &[u8], decoder: &mut EventDecoder, footer: Option<Repeated<'_>>) -> bool {
    let own = BlockHeader::parse(bytes).and_then(|header| {
        let payload = Payload::parse(block::checked_payload(&header, bytes)?)?;
        decoder.repeated(&payload)
    });
    // What cannot be read is told of elsewhere.
    let Ok(own) = own else { return true };
    Repeated::decode(&own).unwrap_or_default() == footer.unwrap_or_default()
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
    /// Times of the first and the last event.
    range: (BootNanos, BootNanos),
    place: Place,
}

/// Blocks that are missing before another one.
struct Hole {
    place: Place,
    blocks: u64,
    rows: u64,
    /// From the last event before to the first behind; nothing where no block is before.
    range: Option<(BootNanos, BootNanos)>,
}

/// What is missing: what that is, of whom, before which block, between which times, and in words.
pub(super) type Gap = (FindingKind, ContainerUid, Place, Option<(BootNanos, BootNanos)>, String);

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
            range: entry.times(),
            place,
        });
    }

    /// The number behind the last row of each container.
    pub(super) fn ends(&self) -> HashMap<u64, u64> {
        let end = |seen: &Vec<Seen>| seen.iter().map(|seen| seen.end_row).max().unwrap_or(0);
        self.of.iter().map(|(uid, seen)| (*uid, end(seen))).collect()
    }

    /// What is missing, and what that is: of each container as many blocks may be as were `evicted`. In a `store`, where that is
    /// signed, the blocks of a container begin with number 0; an extract is believed nothing. Where so many rows are told to have been
    /// `corrupt` in what it was copied from as are missing, that has been told already.
    pub(super) fn gaps(
        self,
        evicted: &HashMap<u64, u64>,
        corrupt: &HashMap<ContainerUid, u64>,
        is_store: bool,
    ) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (container, mut seen) in self.of {
            seen.sort_by_key(|seen| seen.number);
            // Beside a writer the same block can be met before and after it was moved.
            seen.dedup_by_key(|seen| seen.number);
            let mut holes = Vec::new();
            let mut next = if is_store { Some((0, 0)) } else { None };
            let mut before = None;
            for block in seen {
                let (number, row) = next.unwrap_or((block.number, block.first_row));
                let has_rows = block.end_row > block.first_row;
                if block.number > number {
                    holes.push(Hole {
                        place: block.place,
                        blocks: block.number - number,
                        rows: block.first_row.saturating_sub(row),
                        range: before.map(|before| (before, block.range.0)),
                    });
                } else if has_rows && block.first_row != row {
                    let detail = "blocks of the container are out of order".to_owned();
                    gaps.push((
                        FindingKind::MissingBlock,
                        ContainerUid(container),
                        block.place,
                        None,
                        detail,
                    ));
                }
                before = before.max(Some(block.range.1));
                next = Some((block.number.saturating_add(1), block.end_row.max(row)));
            }
            let allowed = evicted.get(&container).copied().unwrap_or(0);
            let missing: u64 = holes.iter().map(|hole| hole.blocks).sum();
            let rows = holes.iter().map(|hole| hole.rows).fold(0, u64::saturating_add);
            if rows > 0 && corrupt.get(&ContainerUid(container)).is_some_and(|&told| rows <= told) {
                continue;
            }
            if missing <= allowed {
                if let Some(hole) = holes.first().filter(|_| !is_store) {
                    let detail = format!(
                        "`{missing}` blocks are missing before this one and later, and nothing signed says that they were evicted"
                    );
                    gaps.push((
                        FindingKind::NotSignedYet,
                        ContainerUid(container),
                        hole.place,
                        hole.range,
                        detail,
                    ));
                }
                continue;
            }
            gaps.extend(holes.into_iter().map(|Hole { place, blocks, rows, range }| {
                let known = if allowed == 0 {
                    String::new()
                } else {
                    format!("; of `{missing}` missing in all, `{allowed}` were evicted")
                };
                let detail =
                    format!("`{blocks}` blocks with `{rows}` rows are missing before this one{known}");
                (FindingKind::MissingBlock, ContainerUid(container), place, range, detail)
            }));
        }
        gaps.sort_by_key(|(_, container, place, ..)| (place.segment, place.block, *container));
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, FindingKind, TaskKey, VerifyOptions,
        block::seal_block,
        events::{
            column,
            encode::{Around, EventEncoder},
            ingest::OpenBlock,
        },
        payload::{PayloadWriter, Unpacker},
        segment::{SegmentHeader, file::SegmentWriter, origin_kind},
        verify,
    };

    /// A block with one event: header, payload, and what a footer repeats of it.
    fn encoded(code: u16, tid: u32, tag: FieldTag, text: &[u8]) -> (BlockHeader, Vec<u8>, Vec<u8>) {
        let fields = [Field { tag, flags: FieldFlags(0), full_len: text.len() as u32, bytes: text }];
        let mut open = OpenBlock::new();
        let event = Event {
            time: BootNanos(1000),
            duration: None,
            task: TaskKey { tgid: 100, tid, start: BootNanos(50) },
            code: EventCode(code),
            flags: EventFlags(0),
            cpu: 1,
            ret: 0,
            args: &[],
            fields: &fields,
        };
        open.push(&event, 1);
        let (mut payload, mut encoder) = (Vec::new(), EventEncoder::new().unwrap());
        let header = encoder.encode(&open, &Around { container: 5, ..Around::default() }, &mut payload);
        (header, payload, encoder.repeated().to_vec())
    }

    /// The first with the filter of the second, and hashes that fit.
    fn with_filter_of(
        (mut header, payload, _): (BlockHeader, Vec<u8>, Vec<u8>),
        other: &(BlockHeader, Vec<u8>, Vec<u8>),
    ) -> Vec<u8> {
        let (own, other) = (Payload::parse(&payload).unwrap(), Payload::parse(&other.1).unwrap());
        let mut columns = PayloadWriter::new().unwrap();
        let mut unpacker = Unpacker::new().unwrap();
        for column in own.columns() {
            let from =
                if column.id == column::FILTER { other.column(column::FILTER).unwrap() } else { column };
            columns.column(column.id, unpacker.unpack(from, &mut Vec::new()).unwrap());
        }
        let mut changed = Vec::new();
        header.root = columns.finish(&mut changed);
        let mut block = Vec::new();
        seal_block(&mut header, &changed, &mut block);
        block
    }

    #[test]
    fn a_filter_that_denies_what_is_in_the_rows_is_found() {
        let own = || encoded(257, 101, FieldTag::PATH, b"/etc/shadow");
        let check = |other: &(BlockHeader, Vec<u8>, Vec<u8>)| {
            let block = with_filter_of(own(), other);
            check(&block, &mut EventDecoder::new().unwrap()).map(drop)
        };
        assert_eq!(check(&own()), Ok(()));
        let denied = |what| Err(Malformed(what));
        let other = encoded(3, 101, FieldTag::PATH, b"/etc/shadow");
        assert_eq!(check(&other), denied("the filter has not all codes"));
        let other = encoded(257, 102, FieldTag::PATH, b"/etc/shadow");
        assert_eq!(check(&other), denied("the filter has not all tasks"));
        let other = encoded(257, 101, FieldTag::PATH, b"/etc/passwd");
        assert_eq!(check(&other), denied("the filter has not all strings"));
        let address = |port| encoded(42, 101, FieldTag::PEER, &[2, 0, 0, port, 10, 0, 0, 1]);
        let block = with_filter_of(address(22), &address(80));
        let found = super::check(&block, &mut EventDecoder::new().unwrap());
        assert!(matches!(found, Err(Malformed(what)) if what.starts_with("the filter has not all")));
    }

    #[test]
    fn a_footer_that_repeats_another_filter_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let other = encoded(3, 7, FieldTag::PATH, b"/other").2;
        for (name, changed) in [("good", None), ("bad", Some(other))] {
            let path = dir.path().join(name);
            let header = SegmentHeader::of_copy(([1; 16], [2; 16]), origin_kind::EXTRACT, 0, 0);
            let mut segment = SegmentWriter::create(path.clone(), &header).unwrap();
            let (mut header, payload, repeated) = encoded(257, 101, FieldTag::PATH, b"/etc/shadow");
            let is_changed = changed.is_some();
            segment.append(&mut header, &payload, &changed.unwrap_or(repeated)).unwrap();
            segment.seal(&[]).unwrap();
            let report = verify(&path, &VerifyOptions::default(), &mut |_, _| {}).unwrap();
            let bad = report.findings.iter().any(|finding| finding.kind == FindingKind::BadFooter);
            assert_eq!(bad, is_changed, "{name}: {:?}", report.findings);
        }
    }
}
