//! Files as this crate opens them: never through a symbolic link inside a store, never over an existing one,
//! readable by the owner alone.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::OFlags;

/// Flags of `open` that hold for every file: no symbolic link as the last component, no blocking on a pipe.
fn careful() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed()
}

/// Makes a file that must not exist.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    fault::check(fault::Call::Create)?;
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).custom_flags(careful()).open(path)
}

/// Opens or makes a file.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(careful())
        .open(path)
}

/// Opens a file inside a store for reading.
pub(crate) fn open_in_store(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).custom_flags(careful()).open(path)?)
}

/// Opens the file that somebody named for reading: symbolic links are theirs.
pub(crate) fn open_named(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    regular(OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?)
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Makes a directory that only its owner enters.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// As [`create_new`], and fills it; nothing is left behind when that fails.
pub(crate) fn create_with(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
    let file = create_new(path)?;
    match fill(&file) {
        Ok(()) => Ok(file),
        Err(error) => {
            // Made by us a moment ago; where even this fails, the name is stepped over.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// Makes renames and removals in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::check(fault::Call::Sync)?;
    File::open(path)?.sync_all()
}

/// Makes what was written to a file durable.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(test)]
    fault::check(fault::Call::Sync)?;
    file.sync_data()
}

/// Bytes that are free for us on the file system of `path`.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    #[cfg(test)]
    if let Some(free) = fault::free() {
        return Ok(free);
    }
    let about = rustix::fs::statvfs(path)?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(test)]
    fault::check(fault::Call::Write)?;
    file.write_all_at(bytes, offset)
}

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Whether a sector of what was to be written at `offset` was not: a power cut keeps any of them from the disk.
pub(crate) fn has_unwritten_sector(bytes: &[u8], offset: u64) -> bool {
    let begun = (offset % SECTOR as u64) as usize;
    let (head, whole) = bytes.split_at(bytes.len().min((SECTOR - begun) % SECTOR));
    let mut sectors = Some(head).filter(|head| !head.is_empty()).into_iter().chain(whole.chunks(SECTOR));
    sectors.any(|sector| sector.iter().all(|&byte| byte == 0))
}

/// Reads `length` bytes at `offset`, fewer at the end of the file.
pub(crate) fn read_at_most(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_again(file, offset, length, &mut bytes)?;
    Ok(bytes)
}

/// The same into memory that was read into before; it is not cleared where it is read over.
fn read_again(file: &File, offset: u64, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let size = file.metadata()?.len();
    let there = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let length = length.min(there);
    bytes.try_reserve_exact(length.saturating_sub(bytes.len())).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read_at(room, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

/// What is in memory of one file that is read from front to back in small pieces: many of them at a time, always into the same
/// memory.
#[derive(Debug, Default)]
pub(crate) struct Window {
    begin: u64,
    bytes: Vec<u8>,
}

/// Bytes that are read at a time, or as many as a piece has.
const WINDOW_BYTES: usize = 256 << 10;

impl Window {
    /// The `length` bytes of `file` at `offset`, fewer at its end.
    pub(crate) fn read(&mut self, file: &File, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.there(offset).len() < length {
            read_again(file, offset, length.max(WINDOW_BYTES), &mut self.bytes)?;
            self.begin = offset;
        }
        let there = self.there(offset);
        Ok(there.get(..length).unwrap_or(there))
    }

    /// What is there from `offset` on.
    fn there(&self, offset: u64) -> &[u8] {
        let skipped = offset.checked_sub(self.begin).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.bytes.get(skipped..)).unwrap_or(&[])
    }
}

/// Reserves disk space up to `length`, where the platform can; the file then has that length.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
    #[cfg(test)]
    fault::check(fault::Call::Write)?;
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length).map_err(io::Error::from)
}

/// Reserves disk space up to `length`, where the platform can; the file then has that length.
#[cfg(not(target_os = "linux"))]
pub(crate) fn reserve(_file: &File, _length: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Wall clock, nanoseconds since 1970.
pub(crate) fn wall_clock() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// `CLOCK_BOOTTIME`; 0 where there is none.
#[cfg(target_os = "linux")]
pub(crate) fn boot_clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// `CLOCK_BOOTTIME`; 0 where there is none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn boot_clock() -> u64 {
    0
}

/// CPU time of this thread, nanoseconds; 0 where there is none.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// CPU time of this thread, nanoseconds; 0 where there is none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_clock() -> u64 {
    0
}

/// Lets calls fail as a disk does, for tests of this thread.
#[cfg(test)]
pub(crate) mod fault {
    use std::{cell::Cell, io};

    /// What a call does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Call {
        Create,
        Write,
        Sync,
    }

    /// Which calls fail: those of `call` (or all), after `after` good ones, with this error number.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Fault {
        pub(crate) call: Option<Call>,
        pub(crate) after: u64,
        pub(crate) errno: i32,
    }

    thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
        static FREE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on; `None` for a good disk.
    pub(crate) fn set(fault: Option<Fault>) {
        FAULT.set(fault);
    }

    /// What the file system says is free.
    pub(crate) fn set_free(free: Option<u64>) {
        FREE.set(free);
    }

    pub(super) fn free() -> Option<u64> {
        FREE.get()
    }

    pub(super) fn check(call: Call) -> io::Result<()> {
        let Some(mut fault) = FAULT.get().filter(|f| f.call.is_none_or(|only| only == call)) else {
            return Ok(());
        };
        if fault.after > 0 {
            fault.after -= 1;
            FAULT.set(Some(fault));
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(fault.errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_the_file_has() {
        let dir = tempfile::tempdir().unwrap();
        let file = create_new(&dir.path().join("file")).unwrap();
        let bytes: Vec<u8> = (0..3 * WINDOW_BYTES as u32 + 100).map(|n| (n % 251) as u8).collect();
        write_all_at(&file, &bytes, 0).unwrap();
        let mut window = Window::default();
        let end = bytes.len() as u64;
        let large = WINDOW_BYTES as u64 + 7;
        for (offset, length) in [
            (0, 10),
            (10, 128),
            (0, 5),
            (large - 20, 128),
            (large, 2 * large),
            (5, 1),
            (end - 4, 128),
            (end + 9, 1),
        ] {
            let expected = read_at_most(&file, offset, length as usize).unwrap();
            assert_eq!(
                window.read(&file, offset, length as usize).unwrap(),
                expected,
                "{length} at {offset}"
            );
        }
        // It grew since its end was read.
        write_all_at(&file, b"more", end).unwrap();
        assert_eq!(window.read(&file, end - 1, 5).unwrap(), [bytes[bytes.len() - 1], b'm', b'o', b'r', b'e']);
    }
}
