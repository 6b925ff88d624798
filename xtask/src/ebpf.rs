//! `cargo xtask ebpf`: the object with the eBPF programs, which is committed so that users need neither nightly
//! Rust nor LLVM.
//!
//! The object is a function of its sources and the toolchain, in whatever directory it is built: paths are
//! remapped, debugging information is stripped, BTF is kept. `--check` proves it by building a copy of the sources
//! elsewhere.

mod manifest;
mod sources;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::checkout;
use crate::step::{Steps, Verdict};
use manifest::Manifest;
use toolchain::Toolchain;
pub(crate) use toolchain::debian_rustc;

const OBJECT: &str = "capture/ebpf/afterimage.bpf.o";
const MANIFEST: &str = "capture/ebpf/manifest.toml";
const BUILT: &str = "capture-ebpf/target/bpfel-unknown-none/release/afterimage";

/// Builds the object and its manifest into the checkout.
pub(crate) fn build() -> anyhow::Result<bool> {
    let root = checkout::root();
    let toolchain = Toolchain::find()?;
    // Before the sources are hashed: formatted later, they would no longer be those of the object.
    if !checkout::succeeds(&mut checkout::cargo(["fmt", "--manifest-path", "capture-ebpf/Cargo.toml"]))? {
        bail!("the eBPF programs cannot be formatted");
    }
    let object = compile(&toolchain, &root, false)?;
    let manifest = Manifest {
        object: hash(&object),
        sources: sources::hash(&root)?,
        rustc: toolchain.rustc_version().to_owned(),
        linker: toolchain.linker_version().to_owned(),
        objcopy: toolchain.objcopy_version().to_owned(),
    };
    fs::create_dir_all(root.join("capture/ebpf"))?;
    fs::write(root.join(OBJECT), &object)?;
    fs::write(root.join(MANIFEST), manifest.to_string())?;
    println!("{OBJECT}: {} bytes, sha256 {}", object.len(), manifest.object);
    Ok(true)
}

/// Compares the committed object with its manifest, its sources, and a build of its sources elsewhere.
pub(crate) fn check() -> anyhow::Result<bool> {
    let mut steps = Steps::default();
    steps.run("committed eBPF object", verify);
    Ok(steps.summary())
}

/// The check as a step of a longer run.
pub(crate) fn verify() -> anyhow::Result<Verdict> {
    let root = checkout::root();
    let manifest = Manifest::read(&root.join(MANIFEST))?;
    let committed = fs::read(root.join(OBJECT)).with_context(|| format!("cannot read `{OBJECT}`"))?;
    if hash(&committed) != manifest.object {
        bail!("`{OBJECT}` is not the object that `{MANIFEST}` describes: run `cargo xtask ebpf`");
    }
    if sources::hash(&root)? != manifest.sources {
        bail!("the sources of the eBPF programs changed after `{OBJECT}` was built: run `cargo xtask ebpf`");
    }
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(error) => return Ok(Verdict::NotRun(format!("{error:#}"))),
    };
    if let Some(difference) = manifest.other_toolchain(&toolchain) {
        return Ok(Verdict::NotRun(format!("other toolchain, not comparable: {difference}")));
    }
    let elsewhere = TempDir::with_prefix("afterimage-ebpf-check-")?;
    sources::copy(&root, elsewhere.path())?;
    let rebuilt = compile(&toolchain, elsewhere.path(), true)?;
    if rebuilt == committed {
        println!("rebuilt in `{}`: the same {} bytes", elsewhere.path().display(), rebuilt.len());
        return Ok(Verdict::Passed);
    }
    let first = committed.iter().zip(&rebuilt).position(|(a, b)| a != b).unwrap_or(0);
    bail!(
        "a rebuild differs from `{OBJECT}`: `{}` bytes against `{}`, first difference at offset `{first}`",
        rebuilt.len(),
        committed.len()
    )
}

/// Builds the object from the sources in `root` and strips it.
fn compile(toolchain: &Toolchain, root: &Path, locked: bool) -> anyhow::Result<Vec<u8>> {
    let mut cargo = toolchain.cargo(root)?;
    if locked {
        cargo.arg("--locked");
    }
    if !checkout::succeeds(&mut cargo)? {
        bail!("the eBPF programs do not build");
    }
    let stripped: PathBuf = root.join("capture-ebpf/target/afterimage.bpf.o");
    let mut strip = toolchain.objcopy();
    strip.arg("--strip-debug").arg(root.join(BUILT)).arg(&stripped);
    if !checkout::succeeds(&mut strip)? {
        bail!("the eBPF object could not be stripped");
    }
    fs::read(&stripped).with_context(|| format!("cannot read `{}`", stripped.display()))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs no toolchain, so a change to the programs without a rebuild is caught on every machine.
    #[test]
    fn committed_object_was_built_from_these_sources() {
        let root = checkout::root();
        let manifest = Manifest::read(&root.join(MANIFEST)).unwrap();
        let sources = sources::hash(&root).unwrap();
        assert_eq!(manifest.sources, sources, "run `cargo xtask ebpf` and commit what it writes");
        assert_eq!(manifest.object, hash(&fs::read(root.join(OBJECT)).unwrap()));
    }
}
