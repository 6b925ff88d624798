//! Fetches and decodes blocks, and keeps the ones used last.

use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::Arc,
};

use super::{Query, Recording, columns::Columns, opened::Segment, scan::Loaded};
use crate::{
    BootNanos, ContainerUid, Defect, DefectKind, Event, EventId, ReadError,
    block::{self, BlockHeader},
    bytes::Malformed,
    events::{
        column,
        counts::{self, Counts},
        decode::EventDecoder,
        filter::BlockFilter,
        repeated::Repeated,
        rows::Rows,
    },
    file, limits,
    meta::Record,
    payload::{Column, Payload},
    segment::{BlockEntry, SegmentHeader, origin_kind},
};

/// Where a block's bytes are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// Segment number in the recording.
    Segment(u32),
    /// Block number among those made from the stage.
    Memory(u32),
}

/// Where the index has a block. A store has very many: what the index says of it is there once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed {
    pub(super) source: Source,
    /// Its number among the blocks of its segment.
    pub(super) number: u32,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) source: Source,
    /// Its number among the blocks of its segment.
    pub(super) number: usize,
    pub(super) entry: BlockEntry,
}

/// A column of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnInfo {
    /// What it holds.
    pub name: &'static str,
    /// Bytes on disk.
    pub stored: u64,
    /// Bytes after decompression.
    pub raw: u64,
}

/// A decoded block and its rows in order of time.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) columns: Columns,
    pub(super) by_time: Vec<u32>,
}

impl Decoded {
    pub(super) fn rows(&self) -> &Rows {
        &self.columns.rows
    }

    pub(super) fn memory(&self) -> usize {
        self.columns.rows.memory() + self.by_time.len() * 4
    }
}

/// Decoded blocks, the one used last at the back.
#[derive(Debug, Default)]
pub(super) struct Cache {
    blocks: VecDeque<(usize, Arc<Decoded>)>,
    bytes: usize,
}

/// Damage that reading has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) defects: Vec<Defect>,
    /// Blocks that could not be read, by index.
    pub(super) unread: BTreeSet<usize>,
}

/// Bytes that decoded blocks may take in the cache: a moment is made of a few, and who looks around needs the same again.
const CACHE_BYTES: usize = 24 << 20;

impl Cache {
    fn get(&mut self, index: usize) -> Option<Arc<Decoded>> {
        let at = self.blocks.iter().position(|(i, _)| *i == index)?;
        let entry = self.blocks.remove(at)?;
        let decoded = entry.1.clone();
        self.blocks.push_back(entry);
        Some(decoded)
    }

    fn put(&mut self, index: usize, decoded: Arc<Decoded>) {
        self.bytes += decoded.memory();
        self.blocks.push_back((index, decoded));
        while self.bytes > CACHE_BYTES
            && let Some((_, old)) = self.blocks.pop_front()
        {
            self.bytes -= old.memory();
        }
    }
}

impl Recording {
    /// The header of an extract of this recording.
    pub(crate) fn extract_header(&self) -> SegmentHeader {
        SegmentHeader::of_copy((self.origin.store_uuid, self.origin.boot_id), origin_kind::EXTRACT, 0, 0)
    }

    /// The segments in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Loaded> {
        self.segments.iter().map(|segment| &segment.loaded)
    }

    /// The blocks made from the stage.
    pub(crate) fn staged_blocks(&self) -> impl Iterator<Item = (&BlockEntry, &[u8])> {
        self.staged.iter().map(|(entry, bytes)| (entry, bytes.as_slice()))
    }

    /// Where the block of this index is.
    pub(super) fn place(&self, index: usize) -> Option<Place> {
        let Indexed { source, number } = *self.indexed.get(index)?;
        let entry = match source {
            Source::Segment(segment) => {
                *self.segments.get(segment as usize)?.loaded.entries.get(number as usize)?
            }
            Source::Memory(block) => self.staged.get(block as usize)?.0,
        };
        Some(Place { source, number: number as usize, entry })
    }

    /// Records that are only in the stage.
    pub(crate) fn staged_records(&self) -> &[Record] {
        &self.staged_records
    }

    /// How the bytes of a block are spent, column by column; empty when it is damaged.
    ///
    /// # Errors
    /// [`ReadError`] only for I/O failures.
    pub fn columns(&self, index: usize) -> Result<Vec<ColumnInfo>, ReadError> {
        let Some(place) = self.place(index) else { return Ok(Vec::new()) };
        let bytes = self.block_bytes(&place)?;
        let payload = header_as_indexed(&bytes, &place.entry)
            .and_then(|header| block::checked_payload(&header, &bytes))
            .and_then(Payload::parse);
        let Ok(payload) = payload else { return Ok(Vec::new()) };
        let info = |c: &Column<'_>| ColumnInfo {
            name: column::name(c.id),
            stored: c.stored_len() as u64,
            raw: c.raw_len() as u64,
        };
        Ok(payload.columns().iter().map(info).collect())
    }

    /// The bytes of a block as they lie on disk.
    pub(super) fn block_bytes(&self, place: &Place) -> Result<Cow<'_, [u8]>, ReadError> {
        let entry = &place.entry;
        match place.source {
            Source::Memory(number) => {
                let staged = self.staged.get(number as usize);
                Ok(Cow::Borrowed(staged.map_or(&[], |(_, bytes)| bytes.as_slice())))
            }
            Source::Segment(number) => {
                let Some(segment) = self.segments.get(number as usize) else { return Ok(Cow::Borrowed(&[])) };
                if segment.is_found_to_differ() {
                    self.found_damage(place, "the footer is not the one in the catalog");
                }
                if let Some(map) = segment.map() {
                    let begin = usize::try_from(entry.offset).unwrap_or(usize::MAX);
                    let end = begin.saturating_add(entry.len as usize);
                    return Ok(Cow::Borrowed(map.bytes().get(begin..end).unwrap_or(&[])));
                }
                let path = &segment.loaded.path;
                file::read_at_most(&segment.loaded.file, entry.offset, entry.len as usize)
                    .map(Cow::Owned)
                    .map_err(|source| ReadError::Io { path: path.clone(), source })
            }
        }
    }

    /// Decodes the block of this index, and remembers it where `keeps`; `None` when it is damaged, which becomes a defect.
    pub(super) fn decode(
        &self,
        index: usize,
        keeps: bool,
        decoder: &mut EventDecoder,
    ) -> Result<Option<Arc<Decoded>>, ReadError> {
        if let Ok(mut cache) = self.cache.lock()
            && let Some(decoded) = cache.get(index)
        {
            return Ok(Some(decoded));
        }
        let Some(decoded) = self.decode_once(index, decoder)? else { return Ok(None) };
        let decoded = Arc::new(decoded);
        if keeps && let Ok(mut cache) = self.cache.lock() {
            cache.put(index, decoded.clone());
        }
        Ok(Some(decoded))
    }

    /// As [`Self::decode`], without the cache.
    fn decode_once(&self, index: usize, decoder: &mut EventDecoder) -> Result<Option<Decoded>, ReadError> {
        let Some(place) = self.place(index) else { return Ok(None) };
        let bytes = self.block_bytes(&place)?;
        let rows = header_as_indexed(&bytes, &place.entry).and_then(|header| {
            let payload = block::checked_payload(&header, &bytes)?;
            decoder.rows(&header, payload)
        });
        match rows {
            Ok(mut rows) => {
                rows.rebase(place.entry.base);
                let by_time = rows.by_time();
                Ok(Some(Decoded { columns: Columns { rows }, by_time }))
            }
            Err(Malformed(what)) => {
                self.found_unreadable(index, &place, what);
                Ok(None)
            }
        }
    }

    /// The counters of a block, its time base added; `None` when there are none.
    pub(super) fn counts(&self, index: usize, decoder: &mut EventDecoder) -> Option<Counts> {
        let place = self.place(index)?;
        let decode = |bytes: &[u8]| {
            let entry = &place.entry;
            let mut counts = counts::decode(bytes, entry.first, entry.last).ok()?;
            counts.begin = counts.begin.saturating_add(entry.base);
            Some(counts)
        };
        match self.segment_of(&place).and_then(|segment| segment.footer_counts()?.get(place.number)) {
            Some(bytes) => decode(bytes),
            None => self.own_repeated(&place, decoder, |own| decode(own.counts)),
        }
    }

    /// What can be in a block; `None` where the file does not say.
    pub(super) fn filter(&self, index: usize, decoder: &mut EventDecoder) -> Option<BlockFilter> {
        let place = self.place(index)?;
        let decode = |bytes: &[u8]| (!bytes.is_empty()).then(|| BlockFilter::decode(bytes).ok())?;
        let segment = self.segment_of(&place);
        let footer = segment.and_then(Segment::footer_filters);
        match footer.as_ref().and_then(|filters| filters.get(place.number)) {
            Some(bytes) => decode(bytes),
            // Older writers made counters and no filters: then the block has none either.
            None if segment.is_some_and(|segment| segment.has_counts(place.number)) => None,
            None => self.own_repeated(&place, decoder, |own| decode(own.filter)),
        }
    }

    pub(super) fn segment_of(&self, place: &Place) -> Option<&Segment> {
        match place.source {
            Source::Segment(number) => self.segments.get(number as usize),
            Source::Memory(_) => None,
        }
    }

    /// What a footer repeats of a block, from the block itself: where there is no footer, or nothing in it.
    fn own_repeated<R>(
        &self,
        place: &Place,
        decoder: &mut EventDecoder,
        read: impl FnOnce(Repeated<'_>) -> Option<R>,
    ) -> Option<R> {
        let block = self.block_bytes(place).ok()?;
        let header = header_as_indexed(&block, &place.entry).ok()?;
        let payload = Payload::parse(block::checked_payload(&header, &block).ok()?).ok()?;
        let own = decoder.repeated(&payload).ok()?;
        read(Repeated::decode(&own).ok()?)
    }

    /// The block of this index cannot be read.
    pub(super) fn found_unreadable(&self, index: usize, place: &Place, what: &str) {
        self.found_damage(place, what);
        if let Ok(mut found) = self.found.lock() {
            found.unread.insert(index);
        }
    }

    pub(super) fn found_damage(&self, place: &Place, what: &str) {
        let path = match place.source {
            Source::Segment(number) => self.segments.get(number as usize).map(|s| s.loaded.path.clone()),
            Source::Memory(_) => None,
        };
        self.found(Defect {
            path: path.unwrap_or_else(|| self.path.clone()),
            offset: place.entry.offset,
            kind: DefectKind::Corrupt,
            detail: what.to_owned(),
        });
    }

    /// Remembers damage that was found by reading.
    pub(crate) fn found(&self, defect: Defect) {
        if let Ok(mut found) = self.found.lock()
            && found.defects.len() < limits::DEFECTS
            && !found.defects.contains(&defect)
        {
            found.defects.push(defect);
        }
    }
}

/// The header in the block's own bytes, when it says what the index says: where they differ the block is right, and
/// the index was made for another.
pub(super) fn header_as_indexed(bytes: &[u8], entry: &BlockEntry) -> Result<BlockHeader, Malformed> {
    let header = BlockHeader::parse(bytes)?;
    if BlockEntry::of(entry.offset, &header) == *entry {
        Ok(header)
    } else {
        Err(Malformed("the block is not the one in the index"))
    }
}

/// See [`Recording::scan`]. Blocks are not kept in the cache: each is visited once.
pub(super) fn scan(
    recording: &Recording,
    query: &Query,
    visit: &mut dyn FnMut(EventId, ContainerUid, &Event<'_>) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let Ok(mut decoder) = EventDecoder::new() else { return Ok(()) };
    let (begin, end) = (query.begin.unwrap_or(BootNanos(0)), query.end.unwrap_or(BootNanos(u64::MAX)));
    for info in recording.blocks.iter().filter(|block| query.touches(block)) {
        let Some(decoded) = recording.decode_once(info.index, &mut decoder)? else { continue };
        for &row in &decoded.by_time {
            let time = BootNanos(decoded.rows().time(row as usize));
            if time < begin || time > end {
                continue;
            }
            let id = EventId { time, block: info.index as u32, row };
            let flow = decoded.rows().with(row as usize, |event| visit(id, info.container, event));
            if flow.is_some_and(|flow| flow.is_break()) {
                return Ok(());
            }
        }
        decoder.take_back(decoded.columns.rows);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        BootNanos, ContainerUid, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, Origin,
        Recording, StoreOptions, StoreWriter, TaskKey, events::decode::EventDecoder,
    };

    use super::Segment;

    /// A container with a large block, four with one row each.
    fn recording(dir: &std::path::Path) -> Recording {
        let origin = Origin { boot_id: [1; 16], ..Origin::default() };
        let mut store = StoreWriter::open(dir, origin, StoreOptions::default()).unwrap();
        let mut push = |uid: u64, rows: u64, strings: u64| {
            for row in 0..rows {
                let texts: Vec<[u8; 8]> = (0..strings).map(|n| (row * strings + n).to_le_bytes()).collect();
                let field = |bytes| Field { tag: FieldTag::PATH, flags: FieldFlags(0), full_len: 8, bytes };
                let fields: Vec<Field<'_>> = texts.iter().map(|text| field(&text[..])).collect();
                let event = Event {
                    time: BootNanos(1000 + row),
                    duration: None,
                    task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
                    code: EventCode(257),
                    flags: EventFlags::default(),
                    cpu: 0,
                    ret: 0,
                    args: &[],
                    fields: &fields,
                };
                store.push(ContainerUid(uid), &event).unwrap();
            }
        };
        push(1, 8000, 12);
        (2..6).for_each(|uid| push(uid, 1, 1));
        store.seal().unwrap();
        Recording::open(dir).unwrap()
    }

    #[test]
    fn counters_and_filters_of_a_footer_are_each_kept_for_who_asks_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let recording = recording(dir.path());
        let kept = || {
            let kept: Vec<_> = recording.segments.iter().map(Segment::keeps).collect();
            assert!(!kept.is_empty() && kept.iter().all(|one| *one == kept[0]));
            kept[0]
        };
        assert_eq!(kept(), (false, false));
        recording.density(None, BootNanos(0), BootNanos(20_000), 10);
        assert_eq!(kept(), (true, false), "filters are not asked for");
        let mut known = 0;
        recording.filters(&mut |_, filter| known += u64::from(filter.is_some()));
        assert_eq!((known, kept()), (5, (true, true)));
        recording.filters_kept(4, &mut |_, filter| known += u64::from(filter.is_some()));
        assert_eq!((known, kept()), (10, (true, false)), "there are more than are kept");
        let mut decoder = EventDecoder::new().unwrap();
        for index in 0..5 {
            let place = recording.place(index).unwrap();
            let own = recording
                .own_repeated(&place, &mut decoder, |own| Some((own.counts.to_vec(), own.filter.to_vec())));
            let segment = recording.segment_of(&place).unwrap();
            let counts = segment.footer_counts().unwrap().get(place.number).unwrap().to_vec();
            let filter = segment.footer_filters().unwrap().get(place.number).unwrap().to_vec();
            assert_eq!(own, Some((counts, filter)));
        }
    }

    #[test]
    fn what_a_block_takes_does_not_depend_on_those_decoded_before() {
        let dir = tempfile::tempdir().unwrap();
        let recording = recording(dir.path());
        let mut decoder = EventDecoder::new().unwrap();
        let of = |uid| move |block: &crate::BlockInfo| block.container == ContainerUid(uid);
        let mut memory = |uid| {
            let index = recording.blocks().iter().position(of(uid)).unwrap();
            recording.decode_once(index, &mut decoder).unwrap().unwrap().memory()
        };
        assert!(memory(1) > 1 << 20);
        for uid in 2..6 {
            let taken = memory(uid);
            assert!(taken < 1 << 12, "{taken} bytes for one row");
            assert!(memory(1) > 1 << 20);
        }
    }
}
