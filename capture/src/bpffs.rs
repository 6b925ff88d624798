//! What stays in the kernel when the recorder is killed: programs, rings and counts, pinned in a BPF file system, so that
//! the kernel goes on recording and the next recorder takes the rings over.
//!
//! `BPFFS/afterimage/STORE-BUILD/`: the store's uuid, and a fingerprint of all that the programs were loaded with. What is
//! there under another fingerprint is of no use and is removed. A recorder that stops removes its own.
//!
//! The directories are root's alone: who can write to them could have a recorder read a ring of theirs.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use afterimage_model::artifacts::hex;

/// Where a system has it.
pub const USUAL: &str = "/sys/fs/bpf";
/// The recorders' directory in it.
const DIRECTORY: &str = "afterimage";
/// Links begin so: without one of them a program does not run, and the rest is of no use.
const LINK: &str = "link-";
/// `BPF_FS_MAGIC`.
const MAGIC: u64 = 0xcafe_4a11;

/// Nothing can be pinned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// No BPF file system.
    #[error("`{}` is no BPF file system", path.display())]
    Another {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Somebody else could write there.
    #[error("`{}` is not this user's alone", path.display())]
    Shared {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be used.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The recorders' directory of a BPF file system.
pub fn directory(bpffs: &Path) -> PathBuf {
    bpffs.join(DIRECTORY)
}

/// Whether a BPF file system is mounted there.
pub fn is_one(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type as u64 == MAGIC)
}

/// The same, made where it is not there, and looked at.
fn checked(bpffs: &Path) -> Result<PathBuf, Unusable> {
    if !is_one(bpffs) {
        return Err(Unusable::Another { path: bpffs.to_owned() });
    }
    let path = directory(bpffs);
    make(&path)?;
    Ok(path)
}

/// Makes a directory of this user's alone, or finds it.
fn make(path: &Path) -> Result<(), Unusable> {
    let failed = |source| Unusable::Io { path: path.to_owned(), source };
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let meta = fs::symlink_metadata(path).map_err(failed)?;
    let own = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o77 == 0;
    if own { Ok(()) } else { Err(Unusable::Shared { path: path.to_owned() }) }
}

/// Where the things of one store and one way of loading are pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    store: String,
    build: String,
}

impl Place {
    /// Of a store, and of programs with this fingerprint.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn of(bpffs: &Path, store: [u8; 16], build: [u8; 8]) -> Result<Self, Unusable> {
        Ok(Self { directory: checked(bpffs)?, store: hex(&store), build: hex(&build) })
    }

    /// Its own directory.
    pub fn path(&self) -> PathBuf {
        self.directory.join(format!("{}-{}", self.store, self.build))
    }

    /// Where a map is.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Where a program's link is.
    pub fn link(&self, name: &str) -> PathBuf {
        self.path().join(format!("{LINK}{name}"))
    }

    /// Whether something of an earlier recorder is there.
    pub fn is_taken(&self) -> bool {
        fs::symlink_metadata(self.path()).is_ok()
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn make(&self) -> Result<(), Unusable> {
        make(&self.directory)?;
        make(&self.path())
    }

    /// Removes everything of this store: what is not pinned any more ends with the last who has it open.
    pub fn clear(&self) {
        for path in places(&self.directory) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.strip_prefix(&self.store).is_some_and(|rest| rest.starts_with('-')) {
                remove(&path);
            }
        }
        // Others may have theirs in it.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// What recorders have pinned, or left behind.
pub fn places(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Links first: half of a directory is then never taken for a whole one.
fn remove(place: &Path) {
    let mut files = places(place);
    files.sort_by_key(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LINK)));
    for file in files {
        if let Err(error) = fs::remove_file(&file) {
            tracing::warn!("`{}` is still pinned: {error}", file.display());
        }
    }
    let _ = fs::remove_dir(place);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_ordinary_directory_is_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let error = Place::of(dir.path(), [1; 16], [2; 8]).unwrap_err();
        assert!(matches!(error, Unusable::Another { .. }), "{error}");
    }

    #[test]
    fn what_others_can_write_to_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("afterimage");
        make(&path).unwrap();
        make(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(make(&path), Err(Unusable::Shared { .. })));
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(dir.path(), &path).unwrap();
        assert!(matches!(make(&path), Err(Unusable::Shared { .. })));
    }

    #[test]
    fn a_store_clears_what_is_its_own_whatever_build_it_is_of() {
        let dir = tempfile::tempdir().unwrap();
        let place = |store: &str, build: &str| Place {
            directory: dir.path().join("afterimage"),
            store: store.to_owned(),
            build: build.to_owned(),
        };
        make(&dir.path().join("afterimage")).unwrap();
        let (old, other) = (place("aa", "01"), place("bb", "01"));
        for place in [&old, &other] {
            place.make().unwrap();
            fs::write(place.link("exec"), "").unwrap();
            fs::write(place.map("DATA"), "").unwrap();
        }
        let new = place("aa", "02");
        assert!(!new.is_taken() && old.is_taken());
        new.clear();
        assert!(!old.is_taken() && other.is_taken());
        other.clear();
        assert!(!dir.path().join("afterimage").exists());
    }
}
