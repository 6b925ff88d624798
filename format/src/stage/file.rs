//! Stage files on disk: appending to the newest, reading what is left of all.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{
    HEADER_LEN, Next, StageHeader, encode_batch,
    frame::{FrameReader, FrameWriter},
    next_batch,
    row::{RowReader, RowWriter, Taker},
};
use crate::{
    Defect, DefectKind, Event,
    bytes::{Input, Malformed},
    file, limits,
    meta::Record,
    store::STAGES,
};

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
    /// Reads a stage file. `Err(Some(defect))` when its header is damaged, `Err(None)` when it is gone. A torn tail
    /// is told in the second place.
    pub(crate) fn read(path: &Path) -> Result<(Self, Option<Defect>), StageError> {
        let file = match file::open_in_store(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StageError::Gone),
            Err(error) => return Err(StageError::Io(error)),
        };
        let mut bytes = file::read_at_most(&file, 0, limits::STAGE_BYTES).map_err(StageError::Io)?;
        let defect = |offset: usize, kind, Malformed(what): Malformed| Defect {
            path: path.to_owned(),
            offset: offset as u64,
            kind,
            detail: what.to_owned(),
        };
        let header = match StageHeader::parse(&bytes) {
            Ok(header) => header,
            // A crash right after it was made leaves it empty or zero: nothing was ever in it.
            Err(_) if bytes.iter().all(|&b| b == 0) => return Err(StageError::Gone),
            Err(malformed) => return Err(StageError::Defect(defect(0, DefectKind::Corrupt, malformed))),
        };
        let mut input = Input::new(bytes.get(HEADER_LEN..).unwrap_or(&[]));
        let (end, torn) = loop {
            let at = bytes.len() - input.rest().len();
            match next_batch(&mut input) {
                Next::Batch(_) => {}
                Next::End => break (at, None),
                Next::Torn(malformed) => break (at, Some(defect(at, DefectKind::Torn, malformed))),
            }
        };
        // What is reserved behind the last batch is not kept.
        bytes.truncate(end);
        bytes.shrink_to_fit();
        Ok((Self { header, bytes, end }, torn))
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
        let mut input = Input::new(self.bytes.get(HEADER_LEN..self.end).unwrap_or(&[]));
        loop {
            let at = (self.end - input.rest().len()) as u64;
            let Next::Batch(batch) = next_batch(&mut input) else { return Ok(()) };
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
                damaged(at, malformed);
            }
        }
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
    let mut input = Input::new(bytes.get(HEADER_LEN..).unwrap_or(&[]));
    let mut frame = FrameReader::new().expect("memory for a decoder");
    let mut buffer = Vec::new();
    while let Next::Batch(batch) = next_batch(&mut input) {
        if frame.batch(batch.body, batch.raw_len, &mut buffer).is_ok() {
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
        let (stage, torn) = StageFile::read(writer.path()).unwrap();
        assert_eq!(torn, None);
        let mut seen = Vec::new();
        let mut take = |item: Item<'_>| {
            let Item::Event(container, row, event, _) = item else { panic!("only rows were written") };
            assert_eq!((container, row), (5 + event.args[0] % 2, event.args[0] / 2));
            assert_eq!(event.fields[0].bytes, text);
            seen.push(event.args[0]);
        };
        stage.for_each(&mut take, |at, what| panic!("damage at {at}: {what:?}")).unwrap();
        assert_eq!(seen, (0..rows as u64).collect::<Vec<_>>());
        let mut input = Input::new(&stage.bytes[HEADER_LEN..]);
        let mut frames = 0;
        while let Next::Batch(batch) = next_batch(&mut input) {
            frames += usize::from(batch.begins_frame);
        }
        assert!((2..=4).contains(&frames), "{frames}");
    }
}
