//! The index of everything a store has on disk besides what is being written: what retention chooses from.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    BootNanos, ContainerUid,
    block::{STORE_SCOPE, kind},
    keeping::{FileId, PinIndex},
    segment::BlockEntry,
};

/// A block that belongs to a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldBlock {
    /// Its number in its file.
    pub(super) number: usize,
    pub(super) container: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) first: BootNanos,
    pub(super) last: BootNanos,
}

/// A file that does not change any more.
#[derive(Debug, Default)]
pub(super) struct HeldFile {
    pub(super) bytes: u64,
    /// By container.
    pub(super) blocks: Vec<HeldBlock>,
    /// Latest time in it, of anybody's.
    pub(super) last: BootNanos,
    /// Its first event.
    pub(super) first: Option<BootNanos>,
    /// It cannot be read, and so not be taken apart.
    pub(super) stuck: bool,
}

/// All such files.
#[derive(Debug, Default)]
pub(super) struct Held {
    files: BTreeMap<FileId, HeldFile>,
    bytes: u64,
}

/// Which blocks of which files go.
pub(super) type Marks = HashSet<(FileId, usize)>;

impl HeldBlock {
    /// From an index entry; `None` for blocks of the store's scope.
    pub(super) fn of(number: usize, entry: &BlockEntry) -> Option<Self> {
        let of_container = entry.container != STORE_SCOPE && entry.kind < kind::CHECKPOINT;
        let (first, last) = entry.times();
        of_container.then(|| Self {
            number,
            container: entry.container,
            bytes: u64::from(entry.len),
            rows: u64::from(entry.rows),
            first,
            last,
        })
    }

    pub(super) fn is_pinned(&self, pins: &PinIndex) -> bool {
        pins.holds(ContainerUid(self.container), self.first, self.last)
    }
}

/// The first event of these blocks, as a time of the store.
pub(super) fn first_event(entries: &[BlockEntry]) -> Option<BootNanos> {
    let rows = entries.iter().filter(|entry| entry.rows > 0);
    rows.map(|entry| entry.times().0).min()
}

impl Held {
    pub(super) fn add(&mut self, id: FileId, bytes: u64, entries: &[BlockEntry]) {
        let mut blocks = held_blocks(entries);
        blocks.sort_by_key(|block| (block.container, block.number));
        self.bytes += bytes;
        let last = entries.iter().map(|entry| entry.last.saturating_add(entry.base)).max().unwrap_or(0);
        let first = first_event(entries);
        self.files.insert(id, HeldFile { bytes, blocks, last: BootNanos(last), first, stuck: false });
    }

    pub(super) fn remove(&mut self, id: FileId) -> Option<HeldFile> {
        let file = self.files.remove(&id)?;
        self.bytes -= file.bytes;
        Some(file)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (FileId, &HeldFile)> {
        self.files.iter().map(|(id, file)| (*id, file))
    }

    /// Notes that a file cannot be taken apart.
    pub(super) fn set_stuck(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(&id) {
            file.stuck = true;
        }
    }

    pub(super) fn get(&self, id: FileId) -> Option<&HeldFile> {
        self.files.get(&id)
    }

    fn blocks(&self) -> impl Iterator<Item = (FileId, &HeldBlock)> {
        self.files.iter().flat_map(|(id, file)| file.blocks.iter().map(|block| (*id, block)))
    }

    /// The blocks of a container.
    pub(super) fn of_container(&self, uid: u64) -> impl Iterator<Item = &HeldBlock> {
        self.files.values().flat_map(move |file| {
            let begin = file.blocks.partition_point(|block| block.container < uid);
            let own = file.blocks.get(begin..).unwrap_or(&[]);
            own.iter().take_while(move |block| block.container == uid)
        })
    }

    /// Bytes of blocks for which `wanted` is true.
    pub(super) fn bytes_of(&self, wanted: impl Fn(&HeldBlock) -> bool) -> u64 {
        self.blocks().filter(|(_, block)| wanted(block)).map(|(_, block)| block.bytes).sum()
    }

    /// Bytes of marked blocks.
    pub(super) fn marked_bytes(&self, marks: &Marks) -> u64 {
        let marked = self.blocks().filter(|(id, block)| marks.contains(&(*id, block.number)));
        marked.map(|(_, block)| block.bytes).sum()
    }

    /// Marks what is older than `horizon`, a file at a time: when everything in it that is not pinned is.
    pub(super) fn mark_old(&self, horizon: BootNanos, pins: &PinIndex, marks: &mut Marks) -> Vec<FileId> {
        let mut old = Vec::new();
        for (id, file) in self.files() {
            let loose: Vec<&HeldBlock> = file.blocks.iter().filter(|block| !block.is_pinned(pins)).collect();
            let all_old = match (loose.is_empty(), file.blocks.is_empty()) {
                (false, _) => loose.iter().all(|block| block.last < horizon),
                (true, false) => false,
                (true, true) => file.last < horizon,
            };
            if all_old && !file.stuck {
                marks.extend(loose.iter().map(|block| (id, block.number)));
                old.push(id);
            }
        }
        old
    }

    /// Marks blocks until those that are left and not pinned take at most `room` bytes. The room is shared out fairly:
    /// no container loses anything while another one has more than it; each loses its oldest first. None keeps more
    /// than `most`.
    pub(super) fn mark_over(&self, room: u64, most: u64, pins: &PinIndex, marks: &mut Marks) {
        let mut of: HashMap<u64, Vec<(FileId, &HeldBlock)>> = HashMap::new();
        let movable = self.files.iter().filter(|(_, file)| !file.stuck);
        let blocks = movable.flat_map(|(id, file)| file.blocks.iter().map(|block| (*id, block)));
        for (id, block) in blocks {
            if !marks.contains(&(id, block.number)) && !block.is_pinned(pins) {
                of.entry(block.container).or_default().push((id, block));
            }
        }
        let sizes: Vec<u64> = of.values().map(|blocks| blocks.iter().map(|b| b.1.bytes).sum()).collect();
        let share = fair_share(sizes, room).min(most);
        for blocks in of.values_mut() {
            let mut size: u64 = blocks.iter().map(|b| b.1.bytes).sum();
            blocks.sort_by_key(|(id, block)| (block.last, *id, block.number));
            for (id, block) in blocks.iter() {
                if size <= share {
                    break;
                }
                size -= block.bytes;
                marks.insert((*id, block.number));
            }
        }
    }
}

/// A file's blocks of containers. A keyframe counts as of all the time until the next one: what lies between needs it,
/// so that it is pinned with it and goes behind it.
fn held_blocks(entries: &[BlockEntry]) -> Vec<HeldBlock> {
    let mut latest: HashMap<u64, BootNanos> = HashMap::new();
    let mut blocks = Vec::new();
    for (number, entry) in entries.iter().enumerate().rev() {
        let Some(mut block) = HeldBlock::of(number, entry) else { continue };
        let last = latest.entry(block.container).or_insert(block.last);
        *last = (*last).max(block.last);
        if entry.kind == kind::STATE {
            block.last = *last;
            latest.remove(&block.container);
        }
        blocks.push(block);
    }
    blocks
}

/// The greatest share such that nobody gets more than it and all together at most `room`.
fn fair_share(mut sizes: Vec<u64>, room: u64) -> u64 {
    sizes.sort_unstable();
    let mut left = room;
    let mut others = sizes.len() as u64;
    for size in sizes {
        let share = left / others;
        if size > share {
            return share;
        }
        left -= size;
        others -= 1;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pin;

    #[test]
    fn shares_are_fair() {
        assert_eq!(fair_share(vec![], 10), u64::MAX);
        assert_eq!(fair_share(vec![5, 5], 10), u64::MAX);
        assert_eq!(fair_share(vec![100, 2, 3], 25), 20);
        assert_eq!(fair_share(vec![10, 10, 10], 15), 5);
        assert_eq!(fair_share(vec![10, 1], 0), 0);
    }

    fn held(blocks: &[(u64, u64, u64)]) -> Held {
        let mut held = Held::default();
        for (number, &(container, bytes, time)) in blocks.iter().enumerate() {
            let block = HeldBlock {
                number,
                container,
                bytes,
                rows: 1,
                first: BootNanos(time),
                last: BootNanos(time),
            };
            let file = held.files.entry(FileId::Segment(0)).or_default();
            file.blocks.push(block);
            file.bytes += bytes;
            file.last = file.last.max(BootNanos(time));
        }
        held
    }

    fn marked(held: &Held, room: u64, pins: &[Pin]) -> Vec<usize> {
        let mut marks = Marks::new();
        held.mark_over(room, u64::MAX, &PinIndex::new(pins), &mut marks);
        let mut numbers: Vec<usize> = marks.into_iter().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn the_noisy_lose_their_oldest_and_the_quiet_nothing() {
        // Container 1 is quiet and oldest of all; container 2 is noisy.
        let held = held(&[(1, 10, 0), (2, 50, 1), (2, 50, 2), (2, 50, 3), (1, 10, 4)]);
        assert_eq!(marked(&held, 1000, &[]), []);
        assert_eq!(marked(&held, 130, &[]), [1]);
        assert_eq!(marked(&held, 70, &[]), [1, 2]);
        assert_eq!(marked(&held, 20, &[]), [0, 1, 2, 3]);
        let pin = Pin {
            id: "p".to_owned(),
            containers: vec![ContainerUid(2)],
            end: Some(BootNanos(1)),
            ..Pin::default()
        };
        assert_eq!(marked(&held, 70, &[pin]), [2]);
        let mut marks = Marks::new();
        held.mark_over(1000, 50, &PinIndex::default(), &mut marks);
        assert_eq!(marks.len(), 2, "no container keeps more than its share of the budget");
    }

    #[test]
    fn a_file_is_old_when_everything_in_it_is_that_is_not_pinned() {
        let held = held(&[(1, 10, 0), (2, 50, 1), (1, 50, 9)]);
        let old = |horizon, pins: &[Pin]| {
            let mut marks = Marks::new();
            let files = held.mark_old(BootNanos(horizon), &PinIndex::new(pins), &mut marks);
            (files.len(), marks.len())
        };
        assert_eq!(old(9, &[]), (0, 0));
        assert_eq!(old(10, &[]), (1, 3));
        let pin = Pin { id: "p".to_owned(), containers: vec![ContainerUid(2)], ..Pin::default() };
        assert_eq!(old(10, &[pin]), (1, 2));
        let all = Pin { id: "p".to_owned(), ..Pin::default() };
        assert_eq!(old(10, &[all]), (0, 0));
    }
}
