//! Opens one segment: by its footer when it is sealed, by walking its blocks when it is not or the footer is
//! damaged. A block whose checksums are right is always found, whatever lies before it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::told;
use crate::{
    Defect, DefectKind, OpenError,
    block::{self, ALIGN, BlockHeader, HEADER_LEN, flag, kind},
    bytes::Malformed,
    catalog::Sealed,
    events::decode::EventDecoder,
    file::{self, Window},
    limits,
    merkle::{self, Tree},
    meta::Record,
    payload::{Hash, Payload},
    segment::{
        BlockEntry, Footer, HeaderError, MAJOR, SEGMENT_HEADER_LEN, SegmentHeader, TRAILER_LEN, parse_footer,
        parse_trailer, records::decode_records,
    },
};

/// A segment that was opened.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// It is a store's own.
    pub(crate) in_store: bool,
    pub(crate) header: SegmentHeader,
    pub(crate) entries: Vec<BlockEntry>,
    /// Blocks that walking passed over because their contents are damaged: only their headers are whole.
    pub(crate) damaged: Vec<BlockEntry>,
    /// Its metadata records in order, their times with the base added.
    pub(crate) records: Vec<Record>,
    records_cost: usize,
    pub(crate) sealed: bool,
    /// Where the footer is and how long, when it is sealed.
    pub(crate) footer: Option<(u64, usize)>,
    /// Content root of the footer that was read, or that the catalog says is there.
    pub(crate) footer_root: Option<Hash>,
    /// What its footer says and where it is, when it was opened by walking.
    walked_footer: Option<(u64, usize)>,
    footer_entries: Option<Vec<BlockEntry>>,
    /// It has a trailer: it was sealed, whatever has become of it.
    pub(crate) has_trailer: bool,
    /// Where the next block would begin.
    pub(crate) end: u64,
    pub(crate) defects: Vec<Defect>,
}

/// A segment that could not be opened.
#[derive(Debug)]
pub(crate) enum LoadError {
    Open(OpenError),
    /// Made, but nothing is in it: the recorder ended at that moment.
    Empty,
}

/// What the end of a segment says.
enum Found {
    Footer((u64, usize), Footer),
    /// A trailer names a footer that is damaged.
    Damaged(u64, Malformed),
    /// No trailer.
    Nothing,
}

/// Opens the segment at `path`; `in_store` when it is a store's own and not one that somebody named.
pub(crate) fn load(path: &Path, in_store: bool) -> Result<Loaded, LoadError> {
    open(path, in_store, false)
}

/// As [`load`], but finds the blocks by walking even where there is a footer.
pub(crate) fn walk(path: &Path, in_store: bool) -> Result<Loaded, LoadError> {
    open(path, in_store, true)
}

/// Walks a segment of a store whose header is damaged, as if it had this one; an error where it is not damaged.
pub(crate) fn salvage(path: &Path, header: SegmentHeader) -> io::Result<Loaded> {
    let file = file::open_in_store(path)?;
    let length = file.metadata()?.len();
    let bytes = file::read_at_most(&file, 0, SEGMENT_HEADER_LEN)?;
    if !matches!(SegmentHeader::parse(&bytes), Err(HeaderError::NotOurs | HeaderError::Damaged(_))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut loaded = Loaded::new(path, file, header);
    loaded.read(length, true)?;
    Ok(loaded)
}

fn open(path: &Path, in_store: bool, walk: bool) -> Result<Loaded, LoadError> {
    let opened = if in_store { file::open_in_store(path) } else { file::open_named(path) };
    let io_error = |action, source| LoadError::Open(OpenError::Io { action, path: path.to_owned(), source });
    let file = opened.map_err(|source| io_error("open", source))?;
    let length = file.metadata().map_err(|source| io_error("read", source))?.len();
    let bytes = file::read_at_most(&file, 0, SEGMENT_HEADER_LEN).map_err(|s| io_error("read", s))?;
    if in_store && bytes.iter().all(|&b| b == 0) {
        return Err(LoadError::Empty);
    }
    let header = SegmentHeader::parse(&bytes).map_err(|error| LoadError::Open(header_error(path, error)))?;
    let mut loaded = Loaded { in_store, ..Loaded::new(path, file, header) };
    loaded.read(length, walk).map_err(|source| io_error("read", source))?;
    Ok(loaded)
}

fn header_error(path: &Path, error: HeaderError) -> OpenError {
    let path = path.to_owned();
    match error {
        HeaderError::NotOurs => OpenError::NotARecording { path },
        HeaderError::Version(found) => OpenError::Version { path, found, supported: MAJOR },
        HeaderError::Damaged(Malformed(what)) => OpenError::Damaged {
            defect: Defect {
                path: path.clone(),
                offset: 0,
                kind: DefectKind::Corrupt,
                detail: what.to_owned(),
            },
            path,
        },
    }
}

impl Loaded {
    fn new(path: &Path, file: File, header: SegmentHeader) -> Self {
        Self {
            path: path.to_owned(),
            file,
            in_store: false,
            header,
            entries: Vec::new(),
            damaged: Vec::new(),
            records: Vec::new(),
            records_cost: 0,
            sealed: false,
            footer: None,
            footer_root: None,
            walked_footer: None,
            footer_entries: None,
            has_trailer: false,
            end: SEGMENT_HEADER_LEN as u64,
            defects: Vec::new(),
        }
    }

    /// A sealed segment as the catalog lists it; its records are in the catalog, merged with those of the others.
    pub(crate) fn listed(path: &Path, file: File, length: u64, sealed: Sealed) -> Self {
        Self {
            entries: sealed.entries,
            in_store: true,
            sealed: true,
            footer: Some(sealed.footer),
            footer_root: Some(sealed.root),
            has_trailer: true,
            end: length,
            ..Self::new(path, file, sealed.header)
        }
    }

    /// Notes a header on disk that is another one than the catalog says: one small read finds that out.
    pub(crate) fn compare_header(&mut self) {
        let bytes = file::read_at_most(&self.file, 0, SEGMENT_HEADER_LEN).unwrap_or_default();
        if !SegmentHeader::parse(&bytes).is_ok_and(|header| header == self.header) {
            let what = "the segment's header is damaged, or another one than the catalog says";
            self.defect(0, DefectKind::Corrupt, what);
        }
    }

    fn read(&mut self, length: u64, walk: bool) -> io::Result<()> {
        match self.read_footer(length)? {
            Found::Footer(place, footer) if walk => {
                self.has_trailer = true;
                self.walked_footer = Some(place);
                self.footer_entries = Some(footer.entries);
                self.footer_root = Some(footer.root);
            }
            Found::Footer(place, footer) => {
                self.has_trailer = true;
                self.footer = Some(place);
                self.footer_root = Some(footer.root);
                self.entries = footer.entries;
                if let Err(Malformed(what)) =
                    decode_records(&footer.records, 0, &mut self.records, &mut self.records_cost)
                {
                    self.defect(length, DefectKind::Corrupt, what);
                }
                self.sealed = true;
                self.end = length;
                return Ok(());
            }
            Found::Damaged(offset, Malformed(what)) => {
                self.has_trailer = true;
                self.defect(offset, DefectKind::Corrupt, what);
            }
            Found::Nothing => {}
        }
        let checkpointed = self.walk(length)?;
        if self.header.link.public_key != [0; 32] {
            told::drop_unsigned(&mut self.records, checkpointed);
        }
        Ok(())
    }

    /// What is wrong with the footer, when the file was opened by walking.
    pub(crate) fn footer_disagrees(&self) -> Option<&'static str> {
        let entries = self.footer_entries.as_ref()?;
        (*entries != self.entries).then_some("its index is not of these blocks")
    }

    /// What its footer says of its blocks, when it was opened by walking and has a good one.
    pub(crate) fn footer_entries(&self) -> &[BlockEntry] {
        self.footer_entries.as_deref().unwrap_or(&[])
    }

    /// The bytes of its footer, when it was opened by walking and the footer lists the blocks that were found.
    pub(crate) fn agreeing_footer(&self) -> io::Result<Option<Vec<u8>>> {
        let agrees = self.footer_entries.as_ref() == Some(&self.entries);
        let place = self.walked_footer.filter(|_| agrees);
        place.map(|(offset, length)| file::read_at_most(&self.file, offset, length)).transpose()
    }

    /// Whether it has a good footer, opened by walking, and that is another one.
    pub(crate) fn footer_is_not(&self, entries: &[BlockEntry], root: &Hash) -> bool {
        let is = |footer: &Vec<BlockEntry>| footer == entries && self.footer_root.as_ref() == Some(root);
        self.footer_entries.as_ref().is_some_and(|footer| !is(footer))
    }

    /// The tree over its blocks.
    pub(crate) fn tree(&self) -> io::Result<Tree> {
        let mut tree = Tree::default();
        for entry in &self.entries {
            tree.push(merkle::leaf(&file::read_at_most(&self.file, entry.offset, HEADER_LEN)?));
        }
        Ok(tree)
    }

    fn defect(&mut self, offset: u64, kind: DefectKind, detail: impl Into<String>) {
        if self.defects.len() >= limits::DEFECTS {
            return;
        }
        self.defects.push(Defect { path: self.path.clone(), offset, kind, detail: detail.into() });
    }

    fn read_footer(&self, length: u64) -> io::Result<Found> {
        let Some(at) = length.checked_sub(TRAILER_LEN as u64).filter(|&at| at >= SEGMENT_HEADER_LEN as u64)
        else {
            return Ok(Found::Nothing);
        };
        let trailer = file::read_at_most(&self.file, at, TRAILER_LEN)?;
        let Ok((offset, footer_len)) = parse_trailer(&trailer, length) else { return Ok(Found::Nothing) };
        let bytes = file::read_at_most(&self.file, offset, footer_len)?;
        Ok(match parse_footer(&bytes, offset) {
            Ok(footer) => Found::Footer((offset, footer_len), footer),
            // They were one write, and the power was cut: it is no seal.
            Err(_) if file::has_unwritten_sector(&bytes, offset) => Found::Nothing,
            Err(malformed) => Found::Damaged(offset, malformed),
        })
    }

    /// Walks the blocks; how many records lie before the last checkpoint.
    fn walk(&mut self, length: u64) -> io::Result<usize> {
        let mut checkpointed = 0;
        let mut decoder = EventDecoder::new()?;
        // The first byte of a piece that is no block, and whether a block followed it.
        let mut bad_since = None;
        let mut at = self.end;
        let mut window = Window::default();
        while at < length && self.entries.len() < limits::SEGMENT_BLOCKS {
            let head = window.read(&self.file, at, HEADER_LEN)?;
            let Ok(header) = BlockHeader::parse(head) else {
                bad_since.get_or_insert(at);
                let Some(next) = self.find_block(at, length)? else { break };
                at = next;
                continue;
            };
            let block = window.read(&self.file, at, header.total_len())?;
            let next = at.saturating_add(header.total_len() as u64);
            let Ok(payload) = block::checked_payload(&header, block) else {
                bad_since.get_or_insert(at);
                if self.damaged.len() < limits::DEFECTS {
                    self.damaged.push(BlockEntry::of(at, &header));
                }
                at = next;
                continue;
            };
            if let Some(bad) = bad_since.take() {
                self.defect(bad, DefectKind::Corrupt, format!("`{}` bytes are no blocks", at - bad));
            }
            if header.kind == kind::FOOTER {
                self.end = at;
                return Ok(checkpointed);
            }
            self.take(&mut decoder, at, &header, payload);
            if header.kind == kind::CHECKPOINT {
                checkpointed = self.records.len();
            }
            self.end = next;
            at = next;
        }
        if let Some(bad) = bad_since {
            let mut torn = bad;
            while let Some(next) = self.end_of_written(torn, length)? {
                torn = next;
            }
            if torn > bad {
                self.defect(bad, DefectKind::Corrupt, format!("`{}` bytes are no blocks", torn - bad));
            }
            // A write that was cut leaves a header without its contents: torn, not damaged.
            self.damaged.retain(|entry| entry.offset < torn);
            self.torn_at(torn, length)?;
        }
        Ok(checkpointed)
    }

    /// Where the damaged block at `at` ends, if all of it was written: no crash leaves such a one.
    fn end_of_written(&self, at: u64, length: u64) -> io::Result<Option<u64>> {
        let Ok(header) = BlockHeader::parse(&file::read_at_most(&self.file, at, HEADER_LEN)?) else {
            return Ok(None);
        };
        let end = at.saturating_add(header.total_len() as u64);
        // What is left of a seal is looked at where seals are.
        if header.kind == kind::FOOTER || end > length {
            return Ok(None);
        }
        let bytes = file::read_at_most(&self.file, at, header.total_len())?;
        Ok((!file::has_unwritten_sector(&bytes, at)).then_some(end))
    }

    fn take(&mut self, decoder: &mut EventDecoder, at: u64, header: &BlockHeader, payload: &[u8]) {
        if header.flags & flag::RECORDS != 0 {
            let records = Payload::parse(payload).and_then(|payload| decoder.records(&payload));
            let decoded = records.and_then(|bytes| {
                decode_records(&bytes, header.base, &mut self.records, &mut self.records_cost)
            });
            if let Err(Malformed(what)) = decoded {
                self.defect(at, DefectKind::Corrupt, what);
            }
        }
        self.entries.push(BlockEntry::of(at, header));
    }

    /// Reports the bytes from `at` to the end when they are more than reserved space.
    fn torn_at(&mut self, at: u64, length: u64) -> io::Result<()> {
        let mut from = at;
        while from < length {
            let bytes = file::read_at_most(&self.file, from, WINDOW)?;
            if bytes.is_empty() {
                break;
            }
            if bytes.iter().any(|&b| b != 0) {
                self.defect(at, DefectKind::Torn, format!("the last `{}` bytes are no block", length - at));
                break;
            }
            from += bytes.len() as u64;
        }
        Ok(())
    }

    /// The next place behind `from` where a block's header begins.
    fn find_block(&self, from: u64, length: u64) -> io::Result<Option<u64>> {
        let mut base = from.saturating_add(1).next_multiple_of(ALIGN as u64);
        while base < length {
            // Windows overlap by a header.
            let bytes = file::read_at_most(&self.file, base, WINDOW + HEADER_LEN)?;
            let mut offset = 0;
            while offset < WINDOW
                && let Some(candidate) = bytes.get(offset..)
                && candidate.len() >= HEADER_LEN
            {
                if candidate.starts_with(&block::MAGIC) && BlockHeader::parse(candidate).is_ok() {
                    return Ok(Some(base + offset as u64));
                }
                offset += ALIGN;
            }
            base += WINDOW as u64;
        }
        Ok(None)
    }
}

/// Bytes that are looked at together when searching.
const WINDOW: usize = 1 << 20;
