//! The index of everything a store has on disk besides what is being written: what retention chooses from.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    BootNanos, ContainerUid, Pin,
    block::{STORE_SCOPE, kind},
    keeping::FileId,
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
    pub(super) blocks: Vec<HeldBlock>,
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
        of_container.then(|| Self {
            number,
            container: entry.container,
            bytes: u64::from(entry.len),
            rows: u64::from(entry.rows),
            first: BootNanos(entry.first.saturating_add(entry.base)),
            last: BootNanos(entry.last.saturating_add(entry.base)),
        })
    }

    pub(super) fn is_pinned(&self, pins: &[Pin]) -> bool {
        pins.iter().any(|pin| pin.holds(ContainerUid(self.container), self.first, self.last))
    }
}

impl Held {
    pub(super) fn add(&mut self, id: FileId, bytes: u64, entries: &[BlockEntry]) {
        let blocks = entries.iter().enumerate().filter_map(|(n, entry)| HeldBlock::of(n, entry)).collect();
        self.bytes += bytes;
        self.files.insert(id, HeldFile { bytes, blocks });
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

    pub(super) fn get(&self, id: FileId) -> Option<&HeldFile> {
        self.files.get(&id)
    }

    fn blocks(&self) -> impl Iterator<Item = (FileId, &HeldBlock)> {
        self.files.iter().flat_map(|(id, file)| file.blocks.iter().map(|block| (*id, block)))
    }

    /// Whether anything of the container is left.
    pub(super) fn has(&self, container: u64) -> bool {
        self.blocks().any(|(_, block)| block.container == container)
    }

    /// Bytes of blocks for which `wanted` is true.
    pub(super) fn bytes_of(&self, wanted: impl Fn(&HeldBlock) -> bool) -> u64 {
        self.blocks().filter(|(_, block)| wanted(block)).map(|(_, block)| block.bytes).sum()
    }

    /// Marks blocks whose last event is before `horizon`.
    pub(super) fn mark_old(&self, horizon: BootNanos, pins: &[Pin], marks: &mut Marks) {
        let old = self.blocks().filter(|(_, block)| block.last < horizon && !block.is_pinned(pins));
        marks.extend(old.map(|(id, block)| (id, block.number)));
    }

    /// Marks blocks until those that are left and not pinned take at most `room` bytes. The room is shared out fairly:
    /// no container loses anything while another one has more than it; each loses its oldest first.
    pub(super) fn mark_over(&self, room: u64, pins: &[Pin], marks: &mut Marks) {
        let mut of: HashMap<u64, Vec<(FileId, &HeldBlock)>> = HashMap::new();
        for (id, block) in self.blocks() {
            if !marks.contains(&(id, block.number)) && !block.is_pinned(pins) {
                of.entry(block.container).or_default().push((id, block));
            }
        }
        let sizes: Vec<u64> = of.values().map(|blocks| blocks.iter().map(|b| b.1.bytes).sum()).collect();
        let share = fair_share(sizes, room);
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
        }
        held
    }

    fn marked(held: &Held, room: u64, pins: &[Pin]) -> Vec<usize> {
        let mut marks = Marks::new();
        held.mark_over(room, pins, &mut marks);
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
            id: 0,
            containers: vec![ContainerUid(2)],
            begin: None,
            end: Some(BootNanos(1)),
            label: Vec::new(),
        };
        assert_eq!(marked(&held, 70, &[pin]), [2]);
        let mut marks = Marks::new();
        held.mark_old(BootNanos(2), &[], &mut marks);
        assert_eq!(marks.len(), 2);
    }
}
