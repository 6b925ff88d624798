//! The sources that the eBPF object is built from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

/// Files and folders, from the checkout's root, whose every byte goes into the hash.
const HASHED: [&str; 6] = [
    "capture-abi/Cargo.toml",
    "capture-abi/src",
    "capture-ebpf/.cargo/config.toml",
    "capture-ebpf/Cargo.toml",
    "capture-ebpf/Cargo.lock",
    "capture-ebpf/src",
];

/// What a build of the programs reads besides: the workspace's manifest, from which capture-abi inherits.
const ALSO_READ: [&str; 1] = ["Cargo.toml"];

/// SHA-256 over each file's path, length and bytes, in the order of their paths.
pub(crate) fn hash(root: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for path in files(root, &HASHED)? {
        let bytes =
            fs::read(root.join(&path)).with_context(|| format!("cannot read `{}`", path.display()))?;
        let name = path.to_string_lossy();
        hash.update(format!("{} {name}\n", bytes.len()));
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Copies what a build needs from the checkout `root` into the folder `to`.
pub(crate) fn copy(root: &Path, to: &Path) -> anyhow::Result<()> {
    for path in files(root, &HASHED)?.into_iter().chain(files(root, &ALSO_READ)?) {
        let target = to.join(&path);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(root.join(&path), &target)
            .with_context(|| format!("cannot copy `{}` to `{}`", path.display(), target.display()))?;
    }
    Ok(())
}

fn files(root: &Path, roots: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
    while let Some(path) = open.pop() {
        let here = root.join(&path);
        let metadata = fs::metadata(&here).with_context(|| format!("cannot read `{}`", here.display()))?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&here)? {
                open.push(path.join(entry?.file_name()));
            }
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["capture-abi/src", "capture-ebpf/src/deep", "capture-ebpf/.cargo"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in
            HASHED.iter().filter(|path| path.ends_with(".toml") || path.ends_with(".lock")).chain(&ALSO_READ)
        {
            fs::write(dir.path().join(file), file).unwrap();
        }
        for file in ["capture-abi/src/lib.rs", "capture-ebpf/src/deep/a.rs"] {
            fs::write(dir.path().join(file), "a").unwrap();
        }
        dir
    }

    #[test]
    fn every_change_of_content_or_name_changes_the_hash() {
        let dir = tree();
        let before = hash(dir.path()).unwrap();
        let (old, new) = ("capture-ebpf/src/deep/a.rs", "capture-ebpf/src/deep/b.rs");
        fs::rename(dir.path().join(old), dir.path().join(new)).unwrap();
        let renamed = hash(dir.path()).unwrap();
        fs::write(dir.path().join("capture-ebpf/Cargo.lock"), "other").unwrap();
        let relocked = hash(dir.path()).unwrap();
        assert!(before != renamed && renamed != relocked && before != relocked);
    }

    #[test]
    fn a_copy_elsewhere_has_the_same_hash() {
        let (dir, other) = (tree(), tempfile::tempdir().unwrap());
        copy(dir.path(), other.path()).unwrap();
        assert_eq!(hash(dir.path()).unwrap(), hash(other.path()).unwrap());
        assert!(other.path().join("Cargo.toml").exists());
    }
}
