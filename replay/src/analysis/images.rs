//! Executed images that the recorder kept, put together from their pieces.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use afterimage_detect::Filter;
use afterimage_format::{BlockInfo, ContainerUid, Event, EventCode, FieldTag, Query, layout::artifact};
use sha2::{Digest as _, Sha256};

use crate::{events, failure::Failure, time::Span, trace::Trace};

/// Most bytes of one image: what a recorder keeps at most.
const LARGEST: u64 = 16 << 20;
/// Most images remembered of a container.
const MOST: usize = 4096;

/// An image that was executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// SHA-256, where it was read.
    pub hash: Option<[u8; 32]>,
    /// Its size.
    pub size: u64,
    /// What became of it: one of [`artifact`]'s outcomes.
    pub outcome: u64,
    bytes: Vec<u8>,
}

impl Image {
    /// Its bytes, where the recording has all of them and they are what the hash says.
    pub fn bytes(&self) -> Option<&[u8]> {
        let hash = self.hash?;
        let whole = self.outcome == artifact::KEPT && self.bytes.len() as u64 == self.size;
        (whole && hash == *Sha256::digest(&self.bytes)).then_some(&self.bytes)
    }
}

/// The images of a container by path, the latest of each.
#[derive(Debug, Default)]
pub struct Images {
    by_path: BTreeMap<Vec<u8>, Image>,
    /// The one whose bytes are wanted.
    wanted: Option<Vec<u8>>,
}

impl Images {
    /// With the bytes of the image at this path, if one is named.
    pub fn new(wanted: Option<Vec<u8>>) -> Self {
        Self { by_path: BTreeMap::new(), wanted }
    }

    /// The latest image that was executed from a path.
    pub fn get(&self, path: &[u8]) -> Option<&Image> {
        self.by_path.get(path)
    }

    /// Takes an event into account.
    pub fn apply(&mut self, event: &Event<'_>) {
        if event.code != EventCode::ARTIFACT {
            return;
        }
        let Some(path) = event.bytes(FieldTag::KPATH) else { return };
        let number = |at| event.number(at).unwrap_or(0);
        let hash = event.bytes(FieldTag::HASH).and_then(|hash| hash.try_into().ok());
        let (size, outcome) = (number(artifact::SIZE), number(artifact::OUTCOME));
        if !self.by_path.contains_key(path) && self.by_path.len() >= MOST {
            return;
        }
        let image = self.by_path.entry(path.to_vec()).or_default();
        let same = hash.is_some() && image.hash == hash;
        if same && outcome == artifact::KNOWN {
            // What was kept before is there.
            return;
        }
        if !same || number(artifact::OFFSET) == 0 {
            *image = Image { hash, size, outcome, bytes: Vec::new() };
        }
        let piece = event.bytes(FieldTag::CONTENT).unwrap_or_default();
        let fits = image.bytes.len() as u64 == number(artifact::OFFSET)
            && image.bytes.len() as u64 + piece.len() as u64 <= LARGEST;
        if fits && self.wanted.as_deref() == Some(path) {
            image.bytes.extend_from_slice(piece);
        }
    }
}

/// The images that were executed in a container, or in any, in a range of time: whose, from where, and what became of
/// each. Only blocks that have any are read.
///
/// # Errors
/// [`Failure::Read`].
pub fn executed(
    trace: &Trace,
    only: Option<ContainerUid>,
    span: Span,
) -> Result<Vec<(ContainerUid, Vec<u8>, Image)>, Failure> {
    let recording = &trace.recording;
    let frame = events::frame(trace);
    let filter = Filter::parse("evt.type = artifact")
        .map_err(|error| Failure::Environment(format!("the filter for images: {error}")))?;
    let blocks: HashSet<usize> = filter.prefilter(&frame).blocks(recording).into_iter().collect();
    let mut by_container: BTreeMap<ContainerUid, Images> = BTreeMap::new();
    let query = Query { containers: only.into_iter().collect(), begin: span.begin, end: span.end };
    let wanted = |block: &BlockInfo| blocks.contains(&block.index);
    recording.walk_blocks(&query, &wanted, &mut |_, uid, event| {
        if event.code == EventCode::ARTIFACT {
            by_container.entry(uid).or_default().apply(event);
        }
        ControlFlow::Continue(())
    })?;
    let of = |(uid, images): (ContainerUid, Images)| {
        images.by_path.into_iter().map(move |(path, image)| (uid, path, image))
    };
    Ok(by_container.into_iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{BootNanos, EventFlags, Field, FieldFlags, TaskKey};

    fn apply(images: &mut Images, hash: &[u8], size: u64, offset: u64, outcome: u64, piece: &[u8]) {
        let field = |tag, bytes| Field { tag, flags: FieldFlags::default(), full_len: 0, bytes };
        images.apply(&Event {
            time: BootNanos(1),
            duration: None,
            task: TaskKey { tgid: 1, tid: 1, start: BootNanos(1) },
            code: EventCode::ARTIFACT,
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args: &[size, 7, 1, offset, outcome],
            fields: &[
                field(FieldTag::KPATH, b"/tmp/.x"),
                field(FieldTag::HASH, hash),
                field(FieldTag::CONTENT, piece),
            ],
        });
    }

    #[test]
    fn pieces_are_put_together_and_held_against_the_hash() {
        let hash = Sha256::digest(b"abcdef");
        let mut images = Images::new(Some(b"/tmp/.x".to_vec()));
        apply(&mut images, &hash, 6, 0, artifact::KEPT, b"abc");
        assert_eq!(images.get(b"/tmp/.x").unwrap().bytes(), None, "not whole");
        apply(&mut images, &hash, 6, 3, artifact::KEPT, b"def");
        apply(&mut images, &hash, 6, 0, artifact::KNOWN, b"");
        assert_eq!(images.get(b"/tmp/.x").unwrap().bytes(), Some(&b"abcdef"[..]));
        // A hostile recording: pieces out of place, a size that lies, another hash.
        apply(&mut images, &hash, 6, 9, artifact::KEPT, b"def");
        apply(&mut images, &[1; 32], 3, 0, artifact::KEPT, b"abc");
        let image = images.get(b"/tmp/.x").unwrap();
        assert_eq!((image.hash, image.bytes()), (Some([1; 32]), None));
        apply(&mut images, b"short", u64::MAX, 0, artifact::GONE, b"");
        assert_eq!(images.get(b"/tmp/.x").unwrap().hash, None);
    }
}
