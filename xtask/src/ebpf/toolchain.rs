//! What builds eBPF programs: a Rust compiler that takes unstable options, its library sources, bpf-linker, and an
//! llvm-objcopy that knows the target.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::checkout;

const TARGET: &str = "bpfel-unknown-none";
const LIBRARY: &str = "lib/rustlib/src/rust/library";

/// Debian's compiler of `rustc-web`, if the library sources of `rust-web-src` are there as well. It is a release
/// compiler; `RUSTC_BOOTSTRAP=1` makes it take unstable options, as Debian's own builds do.
pub(crate) fn debian_rustc() -> Option<PathBuf> {
    let usable = Path::new("/usr/bin/rustc").exists() && Path::new("/usr").join(LIBRARY).is_dir();
    usable.then(|| PathBuf::from("/usr/bin/rustc"))
}

enum Compiler {
    Debian(PathBuf),
    /// A nightly toolchain of rustup with the `rust-src` component.
    Nightly,
}

pub(crate) struct Toolchain {
    compiler: Compiler,
    sysroot: PathBuf,
    rustc: String,
    linker: String,
    objcopy: String,
    objcopy_version: String,
}

impl Toolchain {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let hint = "see capture-ebpf/README.md";
        let Some(compiler) = debian_rustc().map(Compiler::Debian).or_else(nightly) else {
            bail!(
                "no eBPF toolchain: neither Debian's rustc-web with rust-web-src nor nightly with rust-src ({hint})"
            );
        };
        let rustc = compiler.query(&["--version"]).context("the eBPF compiler does not run")?;
        let sysroot = compiler.query(&["--print", "sysroot"]).context("the eBPF compiler has no sysroot")?;
        let linker = checkout::output(Command::new("bpf-linker").arg("--version"))
            .with_context(|| format!("no eBPF toolchain: `bpf-linker` is not installed ({hint})"))?;
        let (objcopy, objcopy_version) = objcopy()
            .with_context(|| format!("no eBPF toolchain: `llvm-objcopy` is not installed ({hint})"))?;
        Ok(Self { compiler, sysroot: sysroot.into(), rustc, linker, objcopy, objcopy_version })
    }

    pub(crate) fn rustc_version(&self) -> &str {
        &self.rustc
    }

    pub(crate) fn linker_version(&self) -> &str {
        &self.linker
    }

    pub(crate) fn objcopy_version(&self) -> &str {
        &self.objcopy_version
    }

    pub(crate) fn objcopy(&self) -> Command {
        Command::new(&self.objcopy)
    }

    /// The cargo command that builds the programs of the checkout `root` so that no path shows in the result.
    pub(crate) fn cargo(&self, root: &Path) -> anyhow::Result<Command> {
        let registry = cargo_home()?.join("registry/src");
        let flags = [
            "-Cdebuginfo=2".to_owned(),
            "-Clink-arg=--btf".to_owned(),
            remap(root, "/afterimage"),
            remap(&registry, "/registry"),
            remap(&self.sysroot.join(LIBRARY), "/library"),
        ];
        let mut cargo = match &self.compiler {
            Compiler::Debian(rustc) => {
                let mut cargo = checkout::cargo(["build"]);
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
            Compiler::Nightly => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", "nightly", "cargo", "build"]).env_remove("RUSTC").env_remove("CARGO");
                cargo
            }
        };
        cargo
            .args(["--release", "-Zbuild-std=core", "--target", TARGET])
            .current_dir(root.join("capture-ebpf"))
            .env("CARGO_TARGET_DIR", root.join("capture-ebpf/target"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env_remove("RUSTUP_TOOLCHAIN");
        Ok(cargo)
    }
}

impl Compiler {
    fn query(&self, args: &[&str]) -> Option<String> {
        let mut command = match self {
            Self::Debian(rustc) => Command::new(rustc),
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "rustc"]);
                command
            }
        };
        checkout::output(command.args(args))
    }
}

fn nightly() -> Option<Compiler> {
    let sysroot = Compiler::Nightly.query(&["--print", "sysroot"])?;
    Path::new(&sysroot).join(LIBRARY).is_dir().then_some(Compiler::Nightly)
}

/// The name of the newest llvm-objcopy and what it says of its version.
fn objcopy() -> Option<(String, String)> {
    let numbered = (19..=30).rev().map(|version| format!("llvm-objcopy-{version}"));
    numbered.chain(["llvm-objcopy".to_owned(), "rust-objcopy".to_owned()]).find_map(|name| {
        let text = checkout::output(Command::new(&name).arg("--version"))?;
        let version = text.lines().find(|line| line.contains("LLVM version"))?.trim().to_owned();
        Some((name, version))
    })
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    let given = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || std::env::home_dir().map(|home| home.join(".cargo"));
    given.or_else(usual).context("neither `CARGO_HOME` nor a home directory is known")
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}
