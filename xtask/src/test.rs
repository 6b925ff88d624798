//! `cargo xtask test`: everything that CI tests, on any machine.
//!
//! Tests that need root are marked `#[ignore = "needs …"]`. The first run of the tests names each of them as
//! ignored; the second runs exactly those, one at a time, when the machine allows it.

use clap::Args;

use crate::soak::fuzz;
use crate::step::{Steps, Verdict};
use crate::tally::{self, Tally};
use crate::{checkout, ebpf, foreign, package, policy, privilege, syscalls, vm};

#[derive(Args)]
pub(crate) struct TestArgs {
    /// Instead: the recorder's tests on a second kernel, Debian's, in an emulated machine (slow; needs qemu-system-x86)
    #[arg(long)]
    vm: bool,
    /// With `--vm`, only tests with this in their name; may be given several times
    #[arg(long, requires = "vm", value_name = "NAME")]
    only: Vec<String>,
}

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<bool> {
    if args.vm {
        return vm::run(&args.only);
    }
    let mut steps = Steps::default();
    steps.run("formatting", || cargo(&["fmt", "--all", "--check"]));
    steps.run("formatting of the eBPF programs", || {
        cargo(&["fmt", "--manifest-path", "capture-ebpf/Cargo.toml", "--check"])
    });
    steps.run("formatting of the fuzz targets", || {
        cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    });
    steps.run("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    steps.run("documentation", documentation);
    steps.run("dependency policy", policy::dependencies);
    steps.run("known vulnerabilities of dependencies", policy::advisories);
    steps.run("reader on a system that is not Linux", foreign::check);
    steps.run("committed table of system calls", || syscalls::check().map(Verdict::of));
    steps.run("committed eBPF object", ebpf::verify);
    let (mut anywhere, mut privileged) = (Tally::default(), Tally::default());
    steps.run("tests that run anywhere", || tests(&["test", "--workspace", "--no-fail-fast"], &mut anywhere));
    steps.run("tests that need root and eBPF", || run_privileged(&mut privileged));
    steps.run("Debian package", || match package::installed() {
        true => package::run(package::Profile::Dev).map(Verdict::of),
        false => Ok(Verdict::NotRun(package::INSTALL.to_owned())),
    });
    steps.run("fuzz targets, 20 seconds each", fuzz::short);
    let success = steps.summary();
    println!("{}", anywhere.followed_by(privileged));
    Ok(success)
}

fn cargo(args: &[&str]) -> anyhow::Result<Verdict> {
    Ok(Verdict::of(checkout::succeeds(&mut checkout::cargo(args))?))
}

fn tests(args: &[&str], tally: &mut Tally) -> anyhow::Result<Verdict> {
    println!("$ cargo {}", args.join(" "));
    let (success, counted) = tally::run(&mut checkout::cargo(args))?;
    *tally = counted;
    Ok(Verdict::of(success))
}

fn documentation() -> anyhow::Result<Verdict> {
    let mut doc = checkout::cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    // Private items are documented as well, so a link to one is no dead end.
    doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
    Ok(Verdict::of(checkout::succeeds(&mut doc)?))
}

fn run_privileged(tally: &mut Tally) -> anyhow::Result<Verdict> {
    match privilege::lacking() {
        Some(lack) => Ok(Verdict::NotRun(format!("{lack}; they are named above as ignored"))),
        // `--lib --bins --tests` leaves out documentation examples, where `ignore` means something else.
        None => {
            let targets = ["--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"];
            tests(&[&["test"], &targets[..], &["--", "--ignored", "--test-threads=1"]].concat(), tally)
        }
    }
}
