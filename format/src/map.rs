//! Memory maps of sealed segments: the one place with unsafe code.
#![allow(unsafe_code, reason = "a memory map cannot be made without; see the comment there")]

use std::{fs::File, io, os::unix::fs::MetadataExt};

use memmap2::Mmap;

/// A sealed segment in memory.
#[derive(Debug)]
pub(crate) struct Map(Mmap);

impl Map {
    /// Maps `file` when it is our own: owned by root or by whoever runs this, and writable by no one else.
    /// `None` for any other file, which is then read with `pread`: whoever can truncate a mapped file can end its
    /// readers with a signal.
    pub(crate) fn of_own(file: &File) -> io::Result<Option<Self>> {
        let about = file.metadata()?;
        let own = about.uid() == 0 || about.uid() == rustix::process::geteuid().as_raw();
        if !own || about.mode() & 0o022 != 0 || about.len() == 0 {
            return Ok(None);
        }
        // SAFETY: the file is a sealed segment of a store. By the rules of this crate a sealed segment is never
        // written or truncated again, only unlinked, which leaves the mapping whole; and the check above found that
        // nobody but root and this user could break that rule.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Some(Self(map)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
