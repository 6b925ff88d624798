//! The catalog: it must say what the files that it lists say. Nothing that is verified is taken from it.

use std::path::Path;

use crate::{
    bytes::Malformed,
    catalog::{Catalog, merged::Merged},
    keeping::FileId,
    reader::scan::Loaded,
};

/// The catalog beside the files, which are walked one after the other.
#[derive(Debug, Default)]
pub(super) struct CatalogCheck {
    catalog: Option<Catalog>,
    /// It lists the files that are there, and all seen so far are whole.
    is_current: bool,
    seen: usize,
    merged: Merged,
}

impl CatalogCheck {
    /// Reads it; what is wrong with it, where it cannot be read.
    pub(super) fn read(dir: &Path, kept: &[u64], segments: &[u64]) -> (Self, Option<&'static str>) {
        match Catalog::read(dir) {
            Ok(catalog) => {
                // One of an earlier moment is not wrong.
                let is_current =
                    catalog.as_ref().is_some_and(|c| c.disagrees(None, kept, segments).is_none());
                (Self { catalog, is_current, ..Self::default() }, None)
            }
            Err(Malformed(what)) => (Self::default(), Some(what)),
        }
    }

    /// The files that it lists, where it is of this store.
    pub(super) fn listed(&self, store_uuid: [u8; 16]) -> Vec<FileId> {
        let own = self.catalog.iter().filter(|catalog| catalog.store_uuid == store_uuid);
        own.flat_map(|catalog| catalog.files.iter().map(|file| file.id)).collect()
    }

    /// Whether it lists this file.
    pub(super) fn lists(&self, id: FileId) -> bool {
        self.catalog.as_ref().is_some_and(|catalog| catalog.files.iter().any(|file| file.id == id))
    }

    /// Compares a file that was walked; what the catalog says of it that is not so.
    pub(super) fn file(&mut self, id: FileId, loaded: &Loaded) -> Option<&'static str> {
        let catalog = self.catalog.as_ref()?;
        let listed = catalog.files.iter().find(|file| file.id == id)?;
        self.seen += 1;
        self.is_current &= loaded.defects.is_empty();
        loaded.records.iter().for_each(|record| self.merged.add(record.clone()));
        if loaded.file.metadata().is_ok_and(|about| about.len() != listed.length) {
            return Some("it lists the file with another length");
        }
        let sealed = listed.sealed.as_ref()?;
        if loaded.header.store_uuid != catalog.store_uuid || loaded.header != sealed.header {
            return Some("it has another header of the file");
        }
        loaded.footer_is_not(&sealed.entries, &sealed.root).then_some("it has another index of the file")
    }

    /// Compares the records, once all files were walked.
    pub(super) fn finish(self) -> Option<&'static str> {
        let catalog = self.catalog?;
        if !self.is_current || self.seen != catalog.files.len() {
            return None;
        }
        let mut said = Merged::default();
        catalog.records.into_iter().for_each(|record| said.add(record));
        (!said.agrees(&self.merged))
            .then_some("it tells other things of containers, gaps or pins than the files")
    }
}
