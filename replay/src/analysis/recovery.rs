//! A file's bytes as far as the recording has them: of a program that was executed the kept file itself, of all else
//! what was written to it.

use std::borrow::Cow;

use afterimage_format::layout::artifact;
use afterimage_model::files::FileRecord;

use crate::analysis::images::Images;

/// Most bytes of a file that are put together to be saved.
pub const LARGEST: usize = 256 << 20;

/// A file's bytes, and what is to be said of them.
#[derive(Debug)]
pub struct Recovered<'a> {
    /// The bytes; what is not known is zero.
    pub bytes: Cow<'a, [u8]>,
    /// How they were come by.
    pub source: Source,
    /// What is not certain of them, or lacking; nothing where they are the whole file.
    pub doubts: Vec<String>,
}

/// Where a file's bytes are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was executed: the recorder kept it.
    Image,
    /// Writes: how many, and how many bytes of the file were not recorded.
    Writes(u64, u64),
}

/// A file's bytes, at most `limit` of what was written; nothing where none were recorded. `losses` says that events
/// of its container are missing.
pub fn recover<'a>(
    file: &FileRecord,
    images: &'a Images,
    losses: bool,
    limit: usize,
) -> Option<Recovered<'a>> {
    let image = images.of(file);
    if let Some(bytes) = image.and_then(|image| images.bytes(image)) {
        return Some(Recovered { bytes: Cow::Borrowed(bytes), source: Source::Image, doubts: Vec::new() });
    }
    if file.content.kept() == 0 {
        return None;
    }
    let made = file.content.assemble(limit);
    if made.bytes.is_empty() {
        return None;
    }
    let missing: u64 = made.holes.iter().map(|(_, length)| length).sum();
    let mut doubts = Vec::new();
    let mut doubt = |holds: bool, text: String| {
        if holds {
            doubts.push(text);
        }
    };
    let kept = image.is_some_and(|image| matches!(image.outcome, artifact::KEPT | artifact::KNOWN));
    doubt(kept, "it was executed and kept, but what was kept is not whole here".to_owned());
    doubt(missing > 0, format!("{missing} bytes of it were not recorded and are zero"));
    let unplaced = made.unplaced;
    let from = made.unplaced_from;
    let writes = if unplaced == 1 { "1 write".to_owned() } else { format!("{unplaced} writes") };
    let whereabouts = if from == 0 { "are".to_owned() } else { format!("begin at byte {from},") };
    let order = format!(
        "{writes} whose place in the file is not known {whereabouts} behind each other in order of time"
    );
    doubt(unplaced > 0, order);
    let content = &file.content;
    doubt(!content.is_from_empty(), "what the file may have held before is not known".to_owned());
    doubt(content.had_unseen_writes(), "it was also changed in ways whose bytes are not recorded".to_owned());
    doubt(
        content.is_disordered(),
        "threads wrote to it at the same time: the order is not certain".to_owned(),
    );
    let left_out = content.left_out();
    doubt(left_out > 0, format!("{left_out} bytes written to it did not fit into memory"));
    doubt(made.cut, format!("no more than its first {limit} bytes were put together"));
    doubt(
        losses,
        "events of its container are missing from the recording: they may have been writes".to_owned(),
    );
    let source = Source::Writes(content.writes(), missing);
    Some(Recovered { bytes: Cow::Owned(made.bytes), source, doubts })
}
