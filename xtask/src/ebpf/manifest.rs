//! What the committed object was built from and with: five lines of TOML beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;

use super::toolchain::Toolchain;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// SHA-256 of the object.
    pub(crate) object: String,
    /// SHA-256 over the sources, as `sources::hash` counts them.
    pub(crate) sources: String,
    /// What `rustc --version` said.
    pub(crate) rustc: String,
    /// What `bpf-linker --version` said.
    pub(crate) linker: String,
    /// What `llvm-objcopy --version` said of LLVM.
    pub(crate) objcopy: String,
}

impl Manifest {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("`{}` is damaged", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (key, value) = line.split_once(" = ").with_context(|| format!("no value in `{line}`"))?;
            values.insert(key, value.trim_matches('"').to_owned());
        }
        let mut take = |key: &str| values.remove(key).with_context(|| format!("no `{key}`"));
        Ok(Self {
            object: take("object_sha256")?,
            sources: take("sources_sha256")?,
            rustc: take("rustc")?,
            linker: take("bpf_linker")?,
            objcopy: take("llvm_objcopy")?,
        })
    }

    /// How this toolchain differs from the one that built the object; nothing when it is the same.
    pub(crate) fn other_toolchain(&self, toolchain: &Toolchain) -> Option<String> {
        let pairs = [
            (&self.rustc, toolchain.rustc_version()),
            (&self.linker, toolchain.linker_version()),
            (&self.objcopy, toolchain.objcopy_version()),
        ];
        let (pinned, found) = pairs.into_iter().find(|(pinned, found)| pinned.as_str() != *found)?;
        Some(format!("the object was built with `{pinned}`, here is `{found}`"))
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `cargo xtask ebpf`, which also says how the sources are hashed.")?;
        writeln!(f, "object_sha256 = \"{}\"", self.object)?;
        writeln!(f, "sources_sha256 = \"{}\"", self.sources)?;
        writeln!(f, "rustc = \"{}\"", self.rustc)?;
        writeln!(f, "bpf_linker = \"{}\"", self.linker)?;
        writeln!(f, "llvm_objcopy = \"{}\"", self.objcopy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let manifest = Manifest {
            object: "ab".into(),
            sources: "cd".into(),
            rustc: "rustc 1.96.0 (built from a source tarball)".into(),
            linker: "bpf-linker 0.13.0".into(),
            objcopy: "Debian LLVM version 22.1.8".into(),
        };
        assert_eq!(Manifest::parse(&manifest.to_string()).unwrap(), manifest);
    }

    #[test]
    fn a_manifest_that_lacks_a_line_says_which() {
        let error = Manifest::parse("object_sha256 = \"ab\"\n").unwrap_err();
        assert_eq!(error.to_string(), "no `sources_sha256`");
    }
}
