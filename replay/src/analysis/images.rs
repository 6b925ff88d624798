//! Executed images that the recorder kept, put together from their pieces.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use afterimage_detect::Filter;
use afterimage_format::{
    BlockInfo, BootNanos, ContainerUid, Event, EventCode, FieldTag, Query, layout::artifact,
};
use afterimage_model::{
    World,
    files::{ActKind, FileRecord},
};
use sha2::{Digest as _, Sha256};

use crate::{events, failure::Failure, progress::Progress, time::Span, trace::Trace};

/// Most bytes of one image: what a recorder keeps at most.
const LARGEST: u64 = 16 << 20;
/// Most executions of images remembered of a container.
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
}

/// The images that were executed from one path.
#[derive(Debug, Default)]
struct Executed {
    /// Each once, in order.
    images: Vec<Image>,
    /// When which of them was executed; zero where that was not told.
    when: Vec<(BootNanos, usize)>,
}

/// The images of a container.
#[derive(Debug, Default)]
pub struct Images {
    by_path: BTreeMap<Vec<u8>, Executed>,
    remembered: usize,
    /// By their hashes.
    kept: BTreeMap<[u8; 32], Vec<u8>>,
    /// How many bytes there is room for.
    room: usize,
}

impl Images {
    /// With the bytes of images as far as there is room for these.
    pub fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// The image that was executed from a file: of all that its paths had, the latest while it was there.
    pub fn of(&self, file: &FileRecord) -> Option<&Image> {
        let paths = file.names().chain(file.formerly.iter().map(Vec::as_slice));
        let own = paths.filter_map(|path| self.by_path.get(path));
        let name = memory_name(&file.path).filter(|_| file.memory);
        let in_memory = self.by_path.iter().filter(|(path, _)| name.is_some() && memory_name(path) == name);
        let when = own.chain(in_memory.map(|(_, executed)| executed)).flat_map(|path| {
            path.when.iter().filter_map(|(at, image)| Some((*at, path.images.get(*image)?)))
        });
        let during = |at: BootNanos| at >= file.first && at <= file.last;
        // Where it is not told when, it is one of those that were executed.
        let best = when.filter(|(at, _)| during(*at) || *at == BootNanos(0) && file.was(ActKind::Executed));
        best.max_by_key(|(at, _)| *at).map(|(_, image)| image)
    }

    /// The images that were executed from memory (`memfd_create`) under a name, each once, in order: no file has it.
    pub fn in_memory(&self, name: &[u8]) -> impl Iterator<Item = &Image> {
        let all = self.by_path.iter().filter(move |(path, _)| memory_name(path) == Some(name));
        all.flat_map(|(_, executed)| &executed.images)
    }

    /// An image's bytes, where all of them are here; that they are what the hash says is [`Self::check`]'s.
    pub fn bytes(&self, image: &Image) -> Option<&[u8]> {
        let bytes = self.kept.get(&image.hash?)?;
        (bytes.len() as u64 == image.size).then_some(bytes)
    }

    /// Forgets all bytes that are not what their hash says.
    pub fn check(&mut self) {
        self.kept.retain(|hash, bytes| *hash == *Sha256::digest(bytes));
    }

    /// Takes an event into account that `world` has applied already; without one a path is as the program's process had it.
    pub fn apply(&mut self, world: Option<&World>, event: &Event<'_>) {
        if event.code != EventCode::ARTIFACT {
            return;
        }
        let told = || event.bytes(FieldTag::KPATH).map(<[u8]>::to_vec);
        let Some(path) = world.map_or_else(told, |world| world.kernel_path_of(event)) else { return };
        let number = |at| event.number(at).unwrap_or(0);
        let hash: Option<[u8; 32]> = event.bytes(FieldTag::HASH).and_then(|hash| hash.try_into().ok());
        let (size, outcome, offset) =
            (number(artifact::SIZE), number(artifact::OUTCOME), number(artifact::OFFSET));
        if offset == 0 {
            self.note(&path, BootNanos(number(artifact::EXECUTED)), Image { hash, size, outcome });
        }
        let piece = event.bytes(FieldTag::CONTENT).unwrap_or_default();
        let (Some(hash), false) = (hash, piece.is_empty() || outcome != artifact::KEPT) else { return };
        let whole = self.kept.entry(hash).or_default();
        if offset == 0 && (whole.len() as u64) < size {
            self.room += whole.len();
            whole.clear();
        }
        let fits = whole.len() as u64 == offset && offset + piece.len() as u64 <= LARGEST;
        if fits && piece.len() <= self.room {
            self.room -= piece.len();
            whole.extend_from_slice(piece);
        }
    }

    fn note(&mut self, path: &[u8], at: BootNanos, image: Image) {
        if self.remembered >= MOST {
            return;
        }
        self.remembered += 1;
        let executed = self.by_path.entry(path.to_vec()).or_default();
        let known = executed.images.iter().position(|one| match image.hash {
            Some(hash) => one.hash == Some(hash),
            // What was not read is told once for each way it was missed.
            None => *one == image,
        });
        let place = match known {
            Some(place) => place,
            None => {
                executed.images.push(image.clone());
                executed.images.len() - 1
            }
        };
        // What was kept before is there.
        if let Some(one) = executed.images.get_mut(place).filter(|_| image.outcome != artifact::KNOWN) {
            *one = image;
        }
        executed.when.push((at, place));
    }
}

/// The name under which something was made in memory, of what the kernel calls it.
pub fn memory_name(path: &[u8]) -> Option<&[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path).strip_prefix(b"memfd:")?;
    Some(path.strip_suffix(b" (deleted)").unwrap_or(path))
}

/// Whose an image was, the path it was executed from, and the image.
pub type Told = (ContainerUid, Vec<u8>, Image);

/// The images that were executed in a container, or in any, in a range of time: whose, from where, and what became of
/// each. Only blocks that have any are read; nothing is, and nothing comes back, where these have more than `most` rows.
///
/// # Errors
/// [`Failure::Read`].
pub fn executed(
    trace: &Trace,
    only: Option<ContainerUid>,
    span: Span,
    most: u64,
) -> Result<Option<Vec<Told>>, Failure> {
    let recording = &trace.recording;
    let frame = events::frame(trace);
    let filter = Filter::parse("evt.type = artifact")
        .map_err(|error| Failure::Environment(format!("the filter for images: {error}")))?;
    let blocks: HashSet<usize> = filter.prefilter(&frame).blocks(recording).into_iter().collect();
    let is_asked = |block: &&BlockInfo| {
        only.is_none_or(|uid| uid == block.container) && span.overlaps(block.first, block.last)
    };
    let read = recording.blocks().iter().filter(|block| blocks.contains(&block.index)).filter(is_asked);
    let rows = read.map(|block| u64::from(block.rows)).sum();
    if rows > most {
        return Ok(None);
    }
    let mut progress = Progress::new(rows, false);
    let mut by_container: BTreeMap<ContainerUid, Images> = BTreeMap::new();
    let query = Query { containers: only.into_iter().collect(), begin: span.begin, end: span.end };
    let wanted = |block: &BlockInfo| blocks.contains(&block.index);
    recording.walk_blocks(&query, &wanted, &mut |_, uid, event| {
        progress.tick();
        if event.code == EventCode::ARTIFACT {
            by_container.entry(uid).or_default().apply(None, event);
        }
        ControlFlow::Continue(())
    })?;
    let of = |(uid, images): (ContainerUid, Images)| {
        images.by_path.into_iter().flat_map(move |(path, executed)| {
            executed.images.into_iter().map(move |image| (uid, path.clone(), image))
        })
    };
    Ok(Some(by_container.into_iter().flat_map(of).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::{EventFlags, Field, FieldFlags, TaskKey};

    fn apply(images: &mut Images, hash: &[u8], size: u64, offset: u64, outcome: u64, piece: &[u8]) {
        let field = |tag, bytes| Field { tag, flags: FieldFlags::default(), full_len: 0, bytes };
        images.apply(
            None,
            &Event {
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
            },
        );
    }

    fn whole(images: &Images, hash: [u8; 32], size: u64) -> Option<&[u8]> {
        images.bytes(&Image { hash: Some(hash), size, outcome: artifact::KEPT })
    }

    #[test]
    fn pieces_are_put_together_and_held_against_the_hash() {
        let hash: [u8; 32] = Sha256::digest(b"abcdef").into();
        let mut images = Images::new(100);
        apply(&mut images, &hash, 6, 0, artifact::KEPT, b"abc");
        assert_eq!(whole(&images, hash, 6), None, "not whole");
        apply(&mut images, &hash, 6, 3, artifact::KEPT, b"def");
        apply(&mut images, &hash, 6, 0, artifact::KNOWN, b"");
        // A hostile recording: pieces out of place, a size or a hash that lies.
        apply(&mut images, &hash, 6, 9, artifact::KEPT, b"def");
        apply(&mut images, &[1; 32], 3, 0, artifact::KEPT, b"abc");
        apply(&mut images, b"short", u64::MAX, u64::MAX, artifact::GONE, b"x");
        assert_eq!(whole(&images, hash, 6), Some(&b"abcdef"[..]));
        assert_eq!(whole(&images, [1; 32], 3), Some(&b"abc"[..]), "not checked yet");
        images.check();
        assert_eq!((whole(&images, hash, 6), whole(&images, hash, 7)), (Some(&b"abcdef"[..]), None));
        assert_eq!(whole(&images, [1; 32], 3), None);
        let outcomes: Vec<u64> = images.by_path[&b"/tmp/.x"[..]].images.iter().map(|i| i.outcome).collect();
        assert_eq!(outcomes, [artifact::KEPT, artifact::KEPT, artifact::GONE]);
    }

    #[test]
    fn a_program_that_was_not_seen_twice_is_told_once() {
        let mut images = Images::default();
        for (size, outcome) in [(6, artifact::GONE), (6, artifact::GONE), (6, artifact::UNREADABLE)] {
            apply(&mut images, b"", size, 0, outcome, b"");
        }
        let told: Vec<_> =
            images.by_path[&b"/tmp/.x"[..]].images.iter().map(|i| (i.size, i.outcome)).collect();
        assert_eq!(told, [(6, artifact::GONE), (6, artifact::UNREADABLE)]);
    }

    #[test]
    fn bytes_are_kept_as_far_as_there_is_room() {
        let mut images = Images::new(4);
        for (byte, text) in [(1, b"abc"), (2, b"def")] {
            apply(&mut images, &[byte; 32], 3, 0, artifact::KEPT, text);
            apply(&mut images, &[byte; 32], 3, 0, artifact::KEPT, text);
        }
        assert_eq!((whole(&images, [1; 32], 3), whole(&images, [2; 32], 3)), (Some(&b"abc"[..]), None));
    }
}
