//! The cgroup v2 hierarchy and one container's directory in it.
//!
//! Everything is relative to a descriptor of the hierarchy's root, so that a hierarchy that is mounted nowhere can
//! be used as well: it is then mounted detached, visible to this process alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::{CgroupPath, LaunchError};

/// How long a removal may meet a busy cgroup: the last task leaves it a moment after it was reaped.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(10);

/// The root of the cgroup v2 hierarchy.
#[derive(Debug)]
pub struct Hierarchy {
    root: OwnedFd,
    mount_point: Option<PathBuf>,
}

impl Hierarchy {
    /// Opens the hierarchy where it is mounted (hybrid hosts have it at `/sys/fs/cgroup/unified`), or mounts it
    /// detached.
    pub fn open() -> Result<Self, LaunchError> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")
            .map_err(|source| LaunchError::NoHierarchy { call: "read /proc/self/mountinfo", source })?;
        match mount_point(&mounts) {
            Some(path) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let root = rustix::fs::open(&path, flags, Mode::empty())
                    .map_err(|e| LaunchError::NoHierarchy { call: "open", source: e.into() })?;
                Ok(Self { root, mount_point: Some(path) })
            }
            None => Self::detached(),
        }
    }

    /// Mounts the hierarchy without a place in the file tree.
    pub fn detached() -> Result<Self, LaunchError> {
        let fail = |call| move |e: Errno| LaunchError::NoHierarchy { call, source: e.into() };
        let fs = rustix::mount::fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail("fsopen"))?;
        rustix::mount::fsconfig_create(fs.as_fd()).map_err(fail("fsconfig"))?;
        let root = rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            .map_err(fail("fsmount"))?;
        Ok(Self { root, mount_point: None })
    }

    /// Where the hierarchy is mounted; nothing when it is mounted detached.
    pub fn mount_point(&self) -> Option<&std::path::Path> {
        self.mount_point.as_deref()
    }

    /// Makes the cgroup of one container.
    pub(crate) fn make(&self, path: &CgroupPath) -> Result<OwnedFd, LaunchError> {
        match self.make_owned(path) {
            Err(Errno::NOENT) => {
                for shared in path.shared() {
                    match rustix::fs::mkdirat(&self.root, &shared, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(e) => return Err(failure("mkdir", shared, e)),
                    }
                }
                self.make_owned(path).map_err(|e| failure("mkdir", path.to_string(), e))?;
            }
            other => other.map_err(|e| failure("mkdir", path.to_string(), e))?,
        }
        let leaf = path.owned().next_back().unwrap_or_default();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.root, &leaf, flags, Mode::empty()).map_err(|e| failure("open", leaf, e))
    }

    fn make_owned(&self, path: &CgroupPath) -> Result<(), Errno> {
        path.owned().try_for_each(|dir| rustix::fs::mkdirat(&self.root, &dir, Mode::from_raw_mode(0o755)))
    }

    /// Removes the directories that belong to the container alone, innermost first.
    pub(crate) fn remove(&self, path: &CgroupPath) -> Result<(), LaunchError> {
        let deadline = Instant::now() + REMOVAL_DEADLINE;
        for dir in path.owned().rev() {
            loop {
                match rustix::fs::unlinkat(&self.root, &dir, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => break,
                    Err(Errno::BUSY) if Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                    Err(e) => return Err(failure("rmdir", dir, e)),
                }
            }
        }
        Ok(())
    }
}

/// Moves process `pid` into the cgroup whose directory is `dir`, as a runtime without `CLONE_INTO_CGROUP` does.
pub(crate) fn attach(dir: BorrowedFd<'_>, path: &CgroupPath, pid: i32) -> Result<(), LaunchError> {
    let fail = |call| move |e: Errno| failure(call, path.to_string(), e);
    let procs = rustix::fs::openat(dir, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(fail("open cgroup.procs"))?;
    rustix::io::write(&procs, pid.to_string().as_bytes()).map_err(fail("write cgroup.procs"))?;
    Ok(())
}

fn failure(call: &'static str, cgroup: String, error: Errno) -> LaunchError {
    LaunchError::Cgroup { call, cgroup, source: io::Error::from(error) }
}

/// Finds where cgroup v2 is mounted in the text of `/proc/self/mountinfo`.
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let is_root = before.split(' ').nth(3)? == "/";
        (is_root && after.starts_with("cgroup2 ")).then(|| before.split(' ').nth(4))?
    });
    // The usual places first: a container manager may have mounted the hierarchy a second time for its own use.
    let mut mounts: Vec<&str> = mounts.collect();
    mounts.sort_by_key(|path| !path.starts_with("/sys/fs/cgroup"));
    mounts.first().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 1 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
26 24 0:24 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "26 24 0:24 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "25 24 0:23 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n";

    #[test]
    fn hierarchy_is_found_on_every_layout() {
        assert_eq!(mount_point(HYBRID), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point(UNIFIED), Some("/sys/fs/cgroup".into()));
        assert_eq!(mount_point(V1), None);
    }

    #[test]
    fn usual_place_wins_and_a_bound_part_does_not_count() {
        let other = "30 1 0:24 / /run/other rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(&format!("{other}{HYBRID}")), Some("/sys/fs/cgroup/unified".into()));
        let bound = "31 1 0:24 /docker /mnt rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(bound), None);
    }
}
