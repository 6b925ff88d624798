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

/// Makes renames and removals in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Reads `length` bytes at `offset`, fewer at the end of the file.
pub(crate) fn read_at_most(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let there = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length.min(there)).map_err(io::Error::other)?;
    bytes.resize(length.min(there), 0);
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
    Ok(bytes)
}

/// Reserves disk space up to `length`, where the platform can; the file then has that length.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
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
