//! The segments of a recording, opened by their footers or as the catalog lists them.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::scan::Loaded;
use crate::{
    block::{BlockHeader, HEADER_LEN, kind},
    catalog, file,
    keeping::FileId,
    map::Map,
    segment::OfBlocks,
    store::{KEPT, SEGMENTS},
};

/// A segment that is open for reading.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) loaded: Loaded,
    /// Its records are in the catalog.
    pub(super) in_catalog: bool,
    /// Our own, in memory from when it is first read from.
    map: OnceLock<Option<Map>>,
    /// What its footer repeats of its blocks, each read when it is first asked for: the filters are several times what the
    /// counters are, and most that are drawn from these never ask for them.
    counts: OnceLock<OfBlocks>,
    filters: Mutex<Option<Arc<OfBlocks>>>,
    /// Whether its footer is another one than the catalog says, found out when it is first read from.
    differs: OnceLock<bool>,
}

impl Segment {
    pub(super) fn new(loaded: Loaded, in_catalog: bool) -> Self {
        Self {
            loaded,
            in_catalog,
            map: OnceLock::new(),
            counts: OnceLock::new(),
            filters: Mutex::default(),
            differs: OnceLock::new(),
        }
    }

    /// The sealed segment of a store in memory; `None` for anything else.
    pub(super) fn map(&self) -> Option<&Map> {
        let may = self.loaded.sealed && self.loaded.in_store;
        self.map
            .get_or_init(|| if may { Map::of_own(&self.loaded.file).ok().flatten() } else { None })
            .as_ref()
    }

    /// Whether the catalog was made for a segment with another footer; true the first time only.
    pub(super) fn is_found_to_differ(&self) -> bool {
        if !self.in_catalog || self.differs.get().is_some() {
            return false;
        }
        let Some(((offset, _), root)) = self.loaded.footer.zip(self.loaded.footer_root) else { return false };
        let bytes = file::read_at_most(&self.loaded.file, offset, HEADER_LEN).unwrap_or_default();
        let header = BlockHeader::parse(&bytes);
        let same = header.is_ok_and(|header| header.kind == kind::FOOTER && header.root == root);
        self.differs.set(!same).is_ok() && !same
    }

    /// The counters that its footer repeats of its blocks, when it has one.
    pub(super) fn footer_counts(&self) -> Option<&OfBlocks> {
        let footer = self.loaded.footer?;
        Some(self.counts.get_or_init(|| OfBlocks::counts(&self.footer(footer)).unwrap_or_default()))
    }

    /// The filters that its footer repeats of its blocks, when it has one.
    pub(super) fn footer_filters(&self) -> Option<Arc<OfBlocks>> {
        let footer = self.loaded.footer?;
        let mut known = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || Arc::new(OfBlocks::filters(&self.footer(footer)).unwrap_or_default());
        Some(Arc::clone(known.get_or_insert_with(read)))
    }

    /// The filters are not needed for now: who asks again reads them again.
    pub(super) fn forget_filters(&self) {
        *self.filters.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether its footer repeats the counters of the block with this number.
    pub(super) fn has_counts(&self, number: usize) -> bool {
        self.footer_counts().is_some_and(|counts| counts.get(number).is_some())
    }

    /// Whether the counters and the filters are in memory.
    #[cfg(test)]
    pub(super) fn keeps(&self) -> (bool, bool) {
        (self.counts.get().is_some(), self.filters.lock().unwrap().is_some())
    }

    fn footer(&self, (offset, length): (u64, usize)) -> Vec<u8> {
        file::read_at_most(&self.loaded.file, offset, length).unwrap_or_default()
    }
}

/// A file that the catalog lists.
pub(super) enum Listed {
    Sealed(Box<Segment>),
    /// It must be asked itself; its records are in the catalog.
    Unsealed,
}

impl Listed {
    /// How many blocks are known of it.
    pub(super) fn blocks(&self) -> usize {
        match self {
            Self::Sealed(segment) => segment.loaded.entries.len(),
            Self::Unsealed => 0,
        }
    }
}

/// Opens the files that the catalog lists; why it must not be used, where one is not as long as it says.
pub(super) fn open_listed(
    dir: &Path,
    files: Vec<catalog::Listed>,
    known: &mut BTreeMap<FileId, Segment>,
) -> Result<HashMap<FileId, Listed>, &'static str> {
    let mut listed = HashMap::with_capacity(files.len());
    for file in files {
        let path = match file.id {
            FileId::Kept(number) => KEPT.path(dir, number),
            FileId::Segment(number) => SEGMENTS.path(dir, number),
        };
        let opened = file::open_in_store(&path).map_err(|_| "it lists a file that cannot be opened")?;
        let length = opened.metadata().map_or(0, |about| about.len());
        if length != file.length {
            return Err("it lists a file that has another length");
        }
        let found = match (file.sealed, known.remove(&file.id)) {
            (None, _) => Listed::Unsealed,
            // Its memory map and what was read of its footer are there already.
            (Some(sealed), Some(segment)) if segment.loaded.footer_root == Some(sealed.root) => {
                Listed::Sealed(Box::new(Segment { in_catalog: true, ..segment }))
            }
            (Some(sealed), _) => {
                let mut loaded = Loaded::listed(&path, opened, length, sealed);
                loaded.compare_header();
                Listed::Sealed(Box::new(Segment::new(loaded, true)))
            }
        };
        listed.insert(file.id, found);
    }
    Ok(listed)
}
