//! Reading files that somebody else laid out.
//!
//! Everything about such a file is hostile: its size, its type, the links on the way to it. A path is resolved inside
//! the root of the process that named it and never leaves it, links of `/proc` are not followed, only regular files of
//! local file systems are opened (a device can do things when it is opened, a pipe or a FUSE file can make the reader
//! wait), and never more than a limit is read.

use std::{
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat, openat2};

use crate::host;

/// File systems that are not read from: files of remote ones and FUSE can keep their reader waiting for as long as
/// somebody likes, those of the kernel's own are no files, and reading some of them does things.
const REFUSED: [i64; 13] = [
    0x6573_5546, // FUSE
    0x6969,      // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0102_1997, // 9P
    0x00c3_6400, // Ceph
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x7472_6163, // tracefs
    0x6462_6720, // debugfs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
];

/// A root directory: paths are resolved in it and do not leave it.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// What a process sees as `/`.
    ///
    /// # Errors
    /// When there is no such process any more, or no right to look.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::at(&host::process_file(pid, "root"))
    }

    /// What the host sees as `/`.
    ///
    /// # Errors
    /// None in practice.
    pub fn of_host() -> io::Result<Self> {
        // A recorder in a container of its own sees the host's root through the first process.
        Self::of_process(1).or_else(|_| Self::at(Path::new("/")))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// Finds what is at `path`, without opening it.
    ///
    /// # Errors
    /// As of `openat2`; links out of the root, and the last component being a link, count as not there.
    pub fn find(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        Ok(openat2(&self.0, path, flags, Mode::empty(), resolve)?)
    }

    /// Reads the regular file at `path`, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Self::find`]; [`io::ErrorKind::InvalidData`] for what is no regular file or is too large.
    pub fn read(&self, path: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        read_whole(self.open(path)?, limit)
    }

    /// Opens the regular file at `path` for reading.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn open(&self, path: &[u8]) -> io::Result<File> {
        let found = self.find(path)?;
        let stat = fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused("not a regular file"));
        }
        if REFUSED.contains(&(fstatfs(&found)?.f_type as i64 & 0xffff_ffff)) {
            return Err(refused("on a file system that is not read from"));
        }
        reopen(found.as_fd())
    }

    /// A path under which this process, and the kernel on its behalf, reaches `found`.
    pub fn path_of(found: &OwnedFd) -> String {
        format!("/proc/self/fd/{}", found.as_raw_fd())
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Opens for reading what an `O_PATH` descriptor is of.
fn reopen(found: impl AsFd) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    Ok(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?
        .into())
}

fn read_whole(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes)?;
    if read as u64 > limit {
        return Err(refused("larger than its limit"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/file"), b"within").unwrap();
        let root = Root::at(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn links_stay_inside_the_root() {
        let (dir, root) = root();
        let at = |name: &str| dir.path().join(name);
        symlink("/a", at("absolute")).unwrap();
        symlink("../../../../../../a", at("a/b/upwards")).unwrap();
        assert_eq!(root.read(b"/absolute/file", 100).unwrap(), b"within");
        assert_eq!(root.read(b"/a/b/upwards/file", 100).unwrap(), b"within");
        assert_eq!(root.read(b"../../../a/file", 100).unwrap(), b"within");
        symlink("/etc/passwd", at("secret")).unwrap();
        root.read(b"/secret", 1 << 20).unwrap_err();
        symlink("/proc/self/root", at("out")).unwrap();
        root.read(b"/out/etc/passwd", 1 << 20).unwrap_err();
    }

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let (dir, root) = root();
        assert_eq!(root.read(b"/a/file", 6).unwrap(), b"within");
        assert_eq!(root.read(b"/a/file", 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(root.read(b"/a/b", 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(root.read(b"/pipe", 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(root.read(b"/absent", 100).unwrap_err().kind(), io::ErrorKind::NotFound);
        let own = Root::of_process(std::process::id()).unwrap();
        assert_eq!(own.read(b"/dev/zero", 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn links_of_proc_are_not_followed() {
        let own = Root::of_process(std::process::id()).unwrap();
        own.read(b"/proc/self/root/etc/hostname", 1 << 20).unwrap_err();
        assert_eq!(own.read(b"/proc/version", 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
