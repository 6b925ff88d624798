//! Stage files on disk: appending to the newest, reading what is left of all.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    HEADER_LEN, Piece, Pieces, StageHeader, encode_batch,
    frame::{FrameReader, FrameWriter},
    row::{RowReader, RowWriter, Taker},
};
use crate::{Defect, DefectKind, Event, bytes::Malformed, file, limits, meta::Record, store::STAGES};

/// When the disk refuses, batches wait in memory up to this many bytes; then they are given up, and their rows are
/// safe again when their blocks are cut.
const WAITING_BYTES: usize = 8 << 20;

/// A frame ends when it has so many bytes before compression. zstd keeps them in a ring, and once that has gone round it looks
/// for what it has seen in two places, which costs a fifth more.
const FRAME_BYTES: usize = 1 << 20;

/// Appends batches to the newest stage file.
pub(crate) struct StageWriter {
    path: PathBuf,
    file: File,
    number: u64,
    /// Where the next batch goes.
    end: u64,
    reserved: u64,
    /// Space is reserved in steps of this.
    step: u64,
    rows: RowWriter,
    frame: FrameWriter,
    begins_frame: bool,
    /// Bytes in the present frame, not compressed.
    frame_bytes: usize,
    body: Vec<u8>,
    /// Batches that are not written yet.
    out: Vec<u8>,
    /// Batches written since the last sync.
    dirty: bool,
}

impl std::fmt::Debug for StageWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageWriter")
            .field("path", &self.path)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl StageWriter {
    /// Begins a new stage file that reserves space in steps of `step` bytes.
    pub(crate) fn create(dir: &Path, header: &StageHeader, step: u64) -> io::Result<Self> {
        let path = STAGES.path(dir, header.number);
        let mut reserved = 0;
        let file = file::create_with(&path, |file| {
            reserved = reserve(file, HEADER_LEN as u64, step);
            file::write_all_at(file, &header.encode(), 0)?;
            file::sync_dir(dir)
        })?;
        Ok(Self {
            path,
            file,
            number: header.number,
            end: HEADER_LEN as u64,
            reserved,
            step,
            rows: RowWriter::new(),
            frame: FrameWriter::new()?,
            begins_frame: true,
            frame_bytes: 0,
            body: Vec::new(),
            out: Vec::new(),
            dirty: true,
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that it takes on disk, those reserved included.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.reserved.max(self.end)
    }

    /// Bytes in the file.
    pub(crate) fn len(&self) -> u64 {
        self.end
    }

    /// Whether nothing was written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == HEADER_LEN as u64
    }

    pub(crate) fn event(&mut self, container: u64, row: u64, event: &Event<'_>, class: u8) {
        self.rows.event(container, row, event, class);
    }

    /// False when the record is over the limit.
    pub(crate) fn record(&mut self, record: &Record) -> bool {
        self.rows.record(record)
    }

    /// Bytes collected for the next batch.
    pub(crate) fn pending(&self) -> usize {
        self.rows.bytes().len()
    }

    /// Whether there is nothing to hand over.
    pub(crate) fn is_flushed(&self) -> bool {
        self.rows.bytes().is_empty() && self.out.is_empty()
    }

    /// Hands what was collected to the operating system. After an error it is tried again by the next flush.
    pub(crate) fn flush(&mut self) -> io::Result<u64> {
        let raw = self.rows.bytes();
        if !raw.is_empty() {
            self.body.clear();
            self.frame.batch(raw, &mut self.body)?;
            encode_batch(&self.body, raw.len(), self.begins_frame, &mut self.out);
            self.begins_frame = false;
            self.frame_bytes += raw.len();
            self.rows.next_batch();
            if self.frame_bytes >= FRAME_BYTES {
                self.next_frame()?;
            }
        }
        let written = self.out.len() as u64;
        if written == 0 {
            return Ok(0);
        }
        if self.end + written > self.reserved {
            self.reserved = reserve(&self.file, self.end + written, self.step);
        }
        if let Err(error) = file::write_all_at(&self.file, &self.out, self.end) {
            if self.out.len() > WAITING_BYTES {
                self.out.clear();
                self.next_frame()?;
            }
            return Err(error);
        }
        self.end += written;
        self.out.clear();
        self.dirty = true;
        Ok(written)
    }

    /// What follows can be read without what was before. To be called between batches.
    fn next_frame(&mut self) -> io::Result<()> {
        self.frame.reset()?;
        self.rows.next_frame();
        (self.begins_frame, self.frame_bytes) = (true, 0);
        Ok(())
    }

    /// Gives back what was reserved and not used: nothing more will be written.
    pub(crate) fn trim(&mut self) -> io::Result<()> {
        if self.reserved > self.end {
            self.file.set_len(self.end)?;
            self.reserved = self.end;
        }
        Ok(())
    }

    /// Makes what was flushed durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            file::sync_data(&self.file)?;
            self.dirty = false;
        }
        Ok(())
    }
}

/// Reserves space ahead, in steps; where that is not possible, writing goes on without. Gives how far it is reserved.
fn reserve(file: &File, needed: u64, step: u64) -> u64 {
    let length = needed.next_multiple_of(step.max(1));
    if file::reserve(file, length).is_ok() { length } else { needed }
}

/// What an earlier or a present writer left in a stage file: checked batches.
#[derive(Debug)]
pub(crate) struct StageFile {
    pub(crate) header: StageHeader,
    bytes: Vec<u8>,
    /// Where the valid batches end.
    end: usize,
}

impl StageFile {
    /// Reads a stage file; what is damaged in it is told in the second place.
    pub(crate) fn read(path: &Path) -> Result<(Self, Damage), StageError> {
        let file = match file::open_in_store(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StageError::Gone),
            Err(error) => return Err(StageError::Io(error)),
        };
        let mut bytes = file::read_at_most(&file, 0, limits::STAGE_BYTES).map_err(StageError::Io)?;
        let header = match StageHeader::parse(&bytes) {
            Ok(header) => header,
            // A crash right after it was made leaves it empty or zero: nothing was ever in it.
            Err(_) if bytes.iter().all(|&b| b == 0) => return Err(StageError::Gone),
            Err(malformed) => {
                let head = bytes.get(..HEADER_LEN).filter(|head| !file::has_unwritten_sector(head, 0));
                let kind = if head.is_some() { DefectKind::Corrupt } else { DefectKind::Torn };
                return Err(StageError::Defect(defect(path, 0, kind, malformed)));
            }
        };
        let (mut damage, mut end) = Damage::of(path, &bytes);
        if !damage.within.is_empty() {
            // A writer that lives may have written there when the reading was past it; now all up to the last batch is written.
            bytes = file::read_at_most(&file, 0, end).map_err(StageError::Io)?;
            let again = Damage::of(path, &bytes);
            (damage.within, end) = (again.0.within, again.1);
        }
        // What is reserved behind the last batch is not kept.
        bytes.truncate(end);
        bytes.shrink_to_fit();
        Ok((Self { header, bytes, end }, damage))
    }

    /// Bytes that are kept in memory of it.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Hands every row and record that is wanted to `taker`; damaged batches are reported and stepped over.
    pub(crate) fn for_each(
        &self,
        taker: &mut impl Taker,
        mut damaged: impl FnMut(u64, Malformed),
    ) -> io::Result<()> {
        let mut frame = FrameReader::new()?;
        let mut rows = RowReader::new();
        // Behind a damaged batch nothing can be read until a new frame begins.
        let mut broken = false;
        let mut buffer = Vec::new();
        for (range, piece) in Pieces::of(self.bytes.get(..self.end).unwrap_or(&[])) {
            let Piece::Batch(batch) = piece else {
                // Told when the file was read.
                broken = true;
                continue;
            };
            if batch.begins_frame {
                frame.reset()?;
                rows.next_frame();
                broken = false;
            }
            if broken {
                continue;
            }
            let read =
                frame.batch(batch.body, batch.raw_len, &mut buffer).and_then(|()| rows.batch(&buffer, taker));
            if let Err(malformed) = read {
                broken = true;
                damaged(range.start as u64, malformed);
            }
        }
        Ok(())
    }
}

fn defect(path: &Path, offset: usize, kind: DefectKind, Malformed(what): Malformed) -> Defect {
    Defect { path: path.to_owned(), offset: offset as u64, kind, detail: what.to_owned() }
}

/// What is damaged in a stage file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Before its last batch.
    pub(crate) within: Vec<Defect>,
    /// Behind it, where a writer that lives may be writing.
    pub(crate) behind: Vec<Defect>,
}

impl Damage {
    /// What is damaged in a file, and where its last batch ends.
    fn of(path: &Path, bytes: &[u8]) -> (Self, usize) {
        let (mut damage, mut end) = (Self::default(), HEADER_LEN);
        for (range, piece) in Pieces::of(bytes) {
            match piece {
                Piece::Batch(_) => {
                    end = range.end;
                    damage.within.append(&mut damage.behind);
                }
                Piece::Damaged(kind, malformed) if damage.len() < limits::DEFECTS => {
                    damage.behind.push(defect(path, range.start, kind, malformed));
                }
                Piece::Damaged(..) => {}
            }
        }
        (damage, end)
    }

    fn len(&self) -> usize {
        self.within.len() + self.behind.len()
    }

    /// Whether bytes were changed after they were written.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.within.iter().chain(&self.behind).any(|defect| defect.kind == DefectKind::Corrupt)
    }

    /// What to tell of it: what a writer that lives is just writing is no damage.
    pub(crate) fn told(self, live: bool) -> impl Iterator<Item = Defect> {
        let behind = if live { Vec::new() } else { self.behind };
        self.within.into_iter().chain(behind)
    }
}

/// A stage file could not be read.
#[derive(Debug)]
pub(crate) enum StageError {
    /// It is not there any more, or has nothing in it yet.
    Gone,
    Io(io::Error),
    Defect(Defect),
}

/// The unpacked batches of a stage file.
#[cfg(fuzzing)]
pub(crate) fn fuzz_batches(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    let mut frame = FrameReader::new().expect("memory for a decoder");
    let mut buffer = Vec::new();
    for (_, piece) in Pieces::of(bytes) {
        if let Piece::Batch(batch) = piece
            && frame.batch(batch.body, batch.raw_len, &mut buffer).is_ok()
        {
            visit(&buffer);
        }
    }
}

/// What a fuzzer hands over as a stage file.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(header) = StageHeader::parse(bytes) else { return };
    let stage = StageFile { header, bytes: bytes.to_vec(), end: bytes.len() };
    let _ = stage.for_each(&mut |_: super::row::Item<'_>| {}, |_, _| {});
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootNanos, EventCode, EventFlags, Field, FieldFlags, FieldTag, TaskKey, stage::row::Item};

    #[test]
    fn a_long_stage_has_several_frames_and_all_of_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let header = StageHeader { boot_id: [3; 16], time_base: 0, number: 0 };
        let mut writer = StageWriter::create(dir.path(), &header, 4096).unwrap();
        let text = [b'x'; 4000];
        let fields =
            [Field { tag: FieldTag::PATH, flags: FieldFlags::default(), full_len: 4000, bytes: &text }];
        let rows = 3 * FRAME_BYTES / text.len();
        for row in 0..rows as u64 {
            let event = Event {
                time: BootNanos(row),
                duration: None,
                task: TaskKey { tgid: 1, tid: 1 + row as u32 % 3, start: BootNanos(9) },
                code: EventCode(257),
                flags: EventFlags::default(),
                cpu: 0,
                ret: 3,
                args: &[row],
                fields: &fields,
            };
            writer.event(5 + row % 2, row / 2, &event, 0);
            if row % 50 == 0 {
                writer.flush().unwrap();
            }
        }
        writer.flush().unwrap();
        let (stage, damage) = StageFile::read(writer.path()).unwrap();
        assert_eq!(damage, Damage::default());
        let mut seen = Vec::new();
        let mut take = |item: Item<'_>| {
            let Item::Event(container, row, event, _) = item else { panic!("only rows were written") };
            assert_eq!((container, row), (5 + event.args[0] % 2, event.args[0] / 2));
            assert_eq!(event.fields[0].bytes, text);
            seen.push(event.args[0]);
        };
        stage.for_each(&mut take, |at, what| panic!("damage at {at}: {what:?}")).unwrap();
        assert_eq!(seen, (0..rows as u64).collect::<Vec<_>>());
        let frames = Pieces::of(&stage.bytes)
            .filter(|(_, p)| matches!(p, Piece::Batch(batch) if batch.begins_frame))
            .count();
        assert!((2..=4).contains(&frames), "{frames}");
    }
}
