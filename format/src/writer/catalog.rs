//! Keeps the catalog up to date: the one file from which a reader opens the store.
//!
//! It is written anew when files came or went, at most once a second, and when the writer opens and seals. That it
//! could not be written costs readers time and nothing else, so it never stops recording.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use super::{Space, StoreWriter};
use crate::{
    catalog::{self, Part},
    file,
    keeping::FileId,
    reader::scan,
    store::path_of,
};

/// Most often that it is written beside recording.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the catalog is made of.
#[derive(Debug, Default)]
pub(super) struct CatalogParts {
    parts: BTreeMap<FileId, Part>,
    /// Files came or went since it was written.
    changed: bool,
    tried: Option<Instant>,
    /// Its size on disk.
    bytes: u64,
}

impl CatalogParts {
    pub(super) fn insert(&mut self, id: FileId, part: Part) {
        self.parts.insert(id, part);
        self.changed = true;
    }

    pub(super) fn remove(&mut self, id: FileId) {
        self.changed |= self.parts.remove(&id).is_some();
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl StoreWriter {
    /// Lists a file that does not change any more.
    pub(super) fn list_file(&mut self, id: FileId) {
        let path = path_of(&self.dir, id);
        let part = match scan::load(&path, true) {
            Ok(loaded) => Part::of(id, &loaded),
            Err(_) => Part::unreadable(id, std::fs::metadata(&path).map_or(0, |about| about.len())),
        };
        self.catalog.insert(id, part);
    }

    /// Writes the catalog when it is due.
    pub(super) fn tend_catalog(&mut self) {
        let due = self.catalog.tried.is_none_or(|at| at.elapsed() >= INTERVAL);
        if self.catalog.changed && due && self.disk_has_room() {
            self.write_catalog();
        }
    }

    fn disk_has_room(&self) -> bool {
        matches!(self.space(), Space::Enough | Space::Low)
    }

    /// Writes the catalog as it should be now.
    pub(super) fn write_catalog(&mut self) {
        self.catalog.tried = Some(Instant::now());
        let new = self.dir.join(catalog::NEW);
        // What an earlier writer did not finish.
        let _ = std::fs::remove_file(&new);
        match self.try_write_catalog(&new) {
            Ok(bytes) => (self.catalog.bytes, self.catalog.changed) = (bytes, false),
            Err(_) => {
                let _ = std::fs::remove_file(&new);
            }
        }
    }

    fn try_write_catalog(&self, new: &std::path::Path) -> io::Result<u64> {
        let path = self.dir.join(catalog::NAME);
        let Some(bytes) = catalog::encode(self.origin.store_uuid, self.catalog.parts.values())? else {
            // More than a reader takes: it reads the footers, and what lies there is of another time.
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(0),
            };
        };
        let made = file::create_new(new)?;
        file::write_all_at(&made, &bytes, 0)?;
        file::sync_data(&made)?;
        // The directory is not synced: the old one and the new one are both whole.
        std::fs::rename(new, &path)?;
        Ok(bytes.len() as u64)
    }
}
