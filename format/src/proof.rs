//! Where blocks come from: the signed segment they were written to, and how that can still be proven when they were
//! copied without their neighbours.
//!
//! In a segment of a store each checkpoint covers all blocks before it. In an extract, blocks of one source segment
//! lie together and a PROOF block follows them: the source's link, the places of these blocks in it, the pruned tree
//! and the signed checkpoint. Blocks behind the last PROOF are not proven; a PROOF of no blocks says so of those before it. A CHAIN block holds the links of the
//! segments in between, so that the proofs rest on any key of the chain.

use std::io;

use crate::{
    block::{self, BlockHeader, HEADER_LEN, kind},
    bytes::{Input, Malformed, Output},
    events::column,
    file, limits,
    merkle::{self, Partial},
    note::{Checkpoint, NOTE_BYTES},
    payload::{Hash, Payload, PayloadWriter, Unpacker},
    reader::scan::Loaded,
    segment::{
        BlockEntry,
        chain::{LINK_LEN, Link},
        origin_kind, parse_leaves,
    },
    stream::{StreamWriter, read_stream},
};

/// Blocks of one signed segment, as far as they are at hand.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) store_uuid: [u8; 16],
    pub(crate) link: Link,
    /// Blocks that the checkpoint covers.
    pub(crate) size: u64,
    /// Place and hash of those at hand.
    pub(crate) leaves: Vec<(u64, Hash)>,
    /// Their numbers in the file that holds them, in the same order.
    pub(crate) entries: Vec<usize>,
    pub(crate) pruned: Vec<Hash>,
    /// The signed text of the checkpoint.
    pub(crate) note: String,
}

/// Where all blocks of a file come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    pub(crate) groups: Vec<Group>,
    /// Numbers of blocks that no checkpoint covers.
    pub(crate) unproven: Vec<usize>,
    pub(crate) links: Vec<Link>,
    /// Blocks that should tell more but cannot be read.
    pub(crate) damaged: Vec<(usize, Malformed)>,
}

impl Group {
    pub(crate) fn partial(&self) -> Partial<'_> {
        Partial { size: self.size, leaves: &self.leaves, pruned: &self.pruned }
    }

    /// The group of only those blocks whose numbers are wanted, with its pruned tree; `None` when there are none or
    /// the parts do not fit together.
    pub(crate) fn restrict(&self, wanted: impl Fn(usize) -> bool) -> Option<Self> {
        let kept = || self.entries.iter().zip(&self.leaves).filter(|(entry, _)| wanted(**entry));
        let places: Vec<u64> = kept().map(|(_, (place, _))| *place).collect();
        if places.is_empty() {
            return None;
        }
        let (_, pruned) = self.partial().prune(&places)?;
        let leaves = kept().map(|(_, leaf)| *leaf).collect();
        let entries = kept().map(|(entry, _)| *entry).collect();
        Some(Self { leaves, entries, pruned, ..self.clone() })
    }

    /// The payload of its PROOF block.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.store_uuid);
        self.link.encode(&mut out);
        out.put_u64(self.size);
        out.put_varint(self.leaves.len() as u64);
        let places: Vec<u64> = self.leaves.iter().map(|(place, _)| *place).collect();
        StreamWriter::new().put(&mut out, &places);
        out.put_varint(self.pruned.len() as u64);
        out.extend_from_slice(self.pruned.as_flattened());
        out.put_varint(self.note.len() as u64);
        out.extend_from_slice(self.note.as_bytes());
        out
    }

    /// Reads the payload of a PROOF block for the blocks `before` it, of which it proves the first.
    fn parse(bytes: &[u8], before: &mut Vec<(usize, Hash)>) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let store_uuid = input.bytes()?;
        let link = Link::parse(&mut input)?;
        let size = input.u64()?;
        let count = input.count(before.len())?;
        let mut places = Vec::new();
        read_stream(&mut input, count, &mut places)?;
        let hashes = input.count(bytes.len() / 32)?;
        let mut pruned = Vec::new();
        for _ in 0..hashes {
            pruned.push(input.bytes()?);
        }
        let length = input.count(NOTE_BYTES)?;
        let note = str::from_utf8(input.take(length)?).map_err(|_| Malformed("a checkpoint is not text"))?;
        if !input.is_empty() {
            return Err(Malformed("a proof has bytes behind its end"));
        }
        let proven: Vec<(usize, Hash)> = before.drain(..count).collect();
        Ok(Self {
            store_uuid,
            link,
            size,
            leaves: places.iter().copied().zip(proven.iter().map(|(_, leaf)| *leaf)).collect(),
            entries: proven.iter().map(|(entry, _)| *entry).collect(),
            pruned,
            note: note.to_owned(),
        })
    }
}

/// A block of the whole file with this one column.
fn single(kind: u8, id: u8, bytes: &[u8]) -> io::Result<(BlockHeader, Vec<u8>)> {
    let mut columns = PayloadWriter::new()?;
    columns.column(id, bytes);
    let mut payload = Vec::new();
    let root = columns.finish(&mut payload);
    let header = BlockHeader::of_store(kind, 0, root);
    Ok((header, payload))
}

/// The PROOF block of a group.
pub(crate) fn proof_block(group: &Group) -> io::Result<(BlockHeader, Vec<u8>)> {
    single(kind::PROOF, column::PROOF, &group.encode())
}

/// A PROOF block of no blocks: those before it, back to the last one, are not proven.
pub(crate) fn separator_block() -> io::Result<(BlockHeader, Vec<u8>)> {
    let nothing = Group {
        store_uuid: [0; 16],
        link: Link::unsigned(0),
        size: 0,
        leaves: Vec::new(),
        entries: Vec::new(),
        pruned: Vec::new(),
        note: String::new(),
    };
    single(kind::PROOF, column::PROOF, &nothing.encode())
}

/// The CHAIN block of these links.
pub(crate) fn chain_block(links: &[Link]) -> io::Result<(BlockHeader, Vec<u8>)> {
    let mut bytes = Vec::new();
    bytes.put_varint(links.len() as u64);
    links.iter().for_each(|link| link.encode(&mut bytes));
    single(kind::CHAIN, column::CHAIN, &bytes)
}

fn parse_chain(bytes: &[u8]) -> Result<Vec<Link>, Malformed> {
    let mut input = Input::new(bytes);
    let count = input.count(bytes.len() / LINK_LEN)?;
    (0..count).map(|_| Link::parse(&mut input)).collect()
}

/// The one column of a block whose header says that it has this kind.
pub(crate) fn single_column(block: &[u8], id: u8) -> Result<Vec<u8>, Malformed> {
    let header = BlockHeader::parse(block)?;
    let payload = Payload::parse(block::checked_payload(&header, block)?)?;
    let column = payload.column(id).ok_or(Malformed("a block lacks its column"))?;
    if column.raw_len() > limits::RECORD_BYTES {
        return Err(Malformed("a proof is over the limit"));
    }
    let mut unpacker = Unpacker::new().map_err(|_| Malformed("no memory for a proof"))?;
    Ok(unpacker.unpack(column, &mut Vec::new())?.to_vec())
}

/// The text of a CHECKPOINT block and what it says.
pub(crate) fn read_checkpoint(block: &[u8]) -> Result<(String, Checkpoint), Malformed> {
    let bytes = single_column(block, column::NOTE)?;
    if bytes.len() > NOTE_BYTES {
        return Err(Malformed("a checkpoint is over the limit"));
    }
    let note = String::from_utf8(bytes).map_err(|_| Malformed("a checkpoint is not text"))?;
    let checkpoint = Checkpoint::parse(&note)?;
    Ok((note, checkpoint))
}

/// The leaves of its blocks, as the footer has them; none when it was not opened by it.
fn leaves(loaded: &Loaded) -> Vec<Hash> {
    let Some((offset, length)) = loaded.footer else { return Vec::new() };
    let block = file::read_at_most(&loaded.file, offset, length).unwrap_or_default();
    parse_leaves(&block).ok().filter(|leaves| leaves.len() == loaded.entries.len()).unwrap_or_default()
}

/// Finds out where the blocks of an opened file come from. Proves nothing yet.
pub(crate) fn provenance(loaded: &Loaded) -> io::Result<Provenance> {
    let mut found = Provenance::default();
    // Number and leaf of blocks that nothing covers so far.
    let mut before: Vec<(usize, Hash)> = Vec::new();
    let mut checkpoint = None;
    let mut footer = None;
    for (number, entry) in loaded.entries.iter().enumerate() {
        let head = file::read_at_most(&loaded.file, entry.offset, HEADER_LEN)?;
        let is_whole = BlockHeader::parse(&head).is_ok_and(|h| BlockEntry::of(entry.offset, &h) == *entry);
        // A damaged header takes only its own block out of the tree: what it was, the footer tells.
        let leaf = if is_whole { None } else { footer.get_or_insert_with(|| leaves(loaded)).get(number) };
        let leaf = leaf.copied().unwrap_or_else(|| merkle::leaf(&head));
        let whole = || file::read_at_most(&loaded.file, entry.offset, entry.len as usize);
        match entry.kind {
            kind::CHECKPOINT => match read_checkpoint(&whole()?) {
                Ok(read) => checkpoint = Some(read),
                Err(malformed) => found.damaged.push((number, malformed)),
            },
            kind::PROOF => {
                match single_column(&whole()?, column::PROOF).and_then(|b| Group::parse(&b, &mut before)) {
                    Ok(group) if group.leaves.is_empty() => {}
                    Ok(group) => found.groups.push(group),
                    Err(malformed) => found.damaged.push((number, malformed)),
                }
                found.unproven.extend(before.drain(..).map(|(number, _)| number));
                continue;
            }
            kind::CHAIN => {
                match single_column(&whole()?, column::CHAIN).and_then(|bytes| parse_chain(&bytes)) {
                    Ok(links) => found.links.extend(links),
                    Err(malformed) => found.damaged.push((number, malformed)),
                }
                continue;
            }
            _ => {}
        }
        before.push((number, leaf));
    }
    if loaded.header.origin_kind == origin_kind::STORE {
        found.links.push(loaded.header.link);
        if let Some((note, checkpoint)) = checkpoint {
            let covered = usize::try_from(checkpoint.size).unwrap_or(usize::MAX).min(before.len());
            let proven: Vec<(usize, Hash)> = before.drain(..covered).collect();
            found.groups.push(Group {
                store_uuid: loaded.header.store_uuid,
                link: loaded.header.link,
                size: checkpoint.size,
                leaves: proven.iter().map(|&(number, leaf)| (number as u64, leaf)).collect(),
                entries: proven.iter().map(|&(number, _)| number).collect(),
                pruned: Vec::new(),
                note,
            });
        }
        // Checkpoints prove themselves.
        before.retain(|(n, _)| loaded.entries.get(*n).is_some_and(|e| e.kind != kind::CHECKPOINT));
    }
    found.unproven.extend(before.into_iter().map(|(number, _)| number));
    Ok(found)
}

/// What a fuzzer hands over as a block.
#[cfg(fuzzing)]
pub(crate) fn fuzz(header: &BlockHeader, bytes: &[u8]) {
    match header.kind {
        kind::CHECKPOINT => drop(read_checkpoint(bytes)),
        kind::PROOF => drop(single_column(bytes, column::PROOF).map(|bytes| fuzz_columns(&bytes))),
        kind::CHAIN => drop(single_column(bytes, column::CHAIN).map(|bytes| parse_chain(&bytes).is_ok())),
        _ => {}
    }
}

/// What a fuzzer hands over as a proof or a chain.
#[cfg(fuzzing)]
pub(crate) fn fuzz_columns(bytes: &[u8]) {
    let _ = parse_chain(bytes);
    let mut before: Vec<(usize, Hash)> = (0..40).map(|number| (number, [number as u8; 32])).collect();
    if let Ok(group) = Group::parse(bytes, &mut before) {
        let _ = group.partial().root();
        let _ = group.restrict(|entry| entry % 3 == 0).map(|part| part.partial().root());
        let mut before = group.entries.iter().copied().zip(group.leaves.iter().map(|leaf| leaf.1)).collect();
        let again = Group::parse(&group.encode(), &mut before).expect("our own proof reads");
        assert_eq!(again.encode(), group.encode());
    }
}
