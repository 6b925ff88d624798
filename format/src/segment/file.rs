//! Writes one segment: blocks one behind the other, at the end footer and trailer.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{BlockEntry, FooterParts, Pieces, SEGMENT_HEADER_LEN, SegmentHeader, encode_footer};
use crate::{
    block::{BlockHeader, HEADER_LEN, seal_block},
    events::repeated::Repeated,
    file,
    merkle::{Tree, leaf},
    payload::Hash,
};

/// A segment being written. Nothing that was written is written again.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    path: PathBuf,
    file: File,
    sequence: u64,
    /// Where the next block goes; bytes behind it are of a write that failed.
    end: u64,
    entries: Vec<BlockEntry>,
    leaves: Vec<Hash>,
    tree: Tree,
    /// The blocks' counters one behind the other, and their lengths.
    counts: Vec<u8>,
    count_lengths: Vec<u64>,
    /// The same of their filters.
    filters: Vec<u8>,
    filter_lengths: Vec<u64>,
    out: Vec<u8>,
    dirty: bool,
    sealed: bool,
}

impl SegmentWriter {
    /// Makes the file, which must not exist, with its header.
    pub(crate) fn create(path: PathBuf, header: &SegmentHeader) -> io::Result<Self> {
        let file = file::create_with(&path, |file| {
            file::write_all_at(file, &header.encode(), 0)?;
            match path.parent().filter(|d| !d.as_os_str().is_empty()) {
                Some(dir) => file::sync_data(file).and_then(|()| file::sync_dir(dir)),
                None => Ok(()),
            }
        })?;
        Ok(Self {
            path,
            file,
            sequence: header.link.sequence,
            end: SEGMENT_HEADER_LEN as u64,
            entries: Vec::new(),
            leaves: Vec::new(),
            tree: Tree::default(),
            counts: Vec::new(),
            count_lengths: Vec::new(),
            filters: Vec::new(),
            filter_lengths: Vec::new(),
            out: Vec::new(),
            dirty: true,
            sealed: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The blocks written so far.
    pub(crate) fn entries(&self) -> &[BlockEntry] {
        &self.entries
    }

    /// The tree over the blocks written so far.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether it has its footer.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Bytes written.
    pub(crate) fn len(&self) -> u64 {
        self.end
    }

    /// Writes a block around `payload`; the footer has `repeated` of it.
    pub(crate) fn append(
        &mut self,
        header: &mut BlockHeader,
        payload: &[u8],
        repeated: &[u8],
    ) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        seal_block(header, payload, &mut out);
        let written = self.append_sealed(header, &out, repeated);
        self.out = out;
        written
    }

    /// Writes the bytes of a whole block as they are.
    pub(crate) fn append_sealed(
        &mut self,
        header: &BlockHeader,
        block: &[u8],
        repeated: &[u8],
    ) -> io::Result<()> {
        if self.sealed {
            return Err(io::Error::other("the segment is sealed and the next one could not be made yet"));
        }
        file::write_all_at(&self.file, block, self.end)?;
        self.entries.push(BlockEntry::of(self.end, header));
        let repeated = Repeated::decode(repeated).unwrap_or_default();
        self.counts.extend_from_slice(repeated.counts);
        self.count_lengths.push(repeated.counts.len() as u64);
        self.filters.extend_from_slice(repeated.filter);
        self.filter_lengths.push(repeated.filter.len() as u64);
        let leaf = leaf(block.get(..HEADER_LEN).unwrap_or(block));
        self.leaves.push(leaf);
        self.tree.push(leaf);
        self.end += block.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            file::sync_data(&self.file)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Writes footer and trailer and makes all durable. The segment never changes again.
    pub(crate) fn seal(&mut self, records: &[u8]) -> io::Result<()> {
        let parts = FooterParts {
            entries: &self.entries,
            leaves: &self.leaves,
            records,
            counts: Pieces { bytes: &self.counts, lengths: &self.count_lengths },
            filters: Pieces { bytes: &self.filters, lengths: &self.filter_lengths },
        };
        let bytes = encode_footer(&parts, self.end)?;
        file::write_all_at(&self.file, &bytes, self.end)?;
        // A write that failed half-way may have left bytes behind this end.
        let end = self.end + bytes.len() as u64;
        self.file.set_len(end)?;
        self.end = end;
        self.sealed = true;
        file::sync_data(&self.file)
    }
}
