//! `cargo xtask test --vm`: the recorder's privileged tests on a second kernel, in a virtual machine.
//!
//! The machine is emulated (QEMU's TCG, so it runs anywhere, slowly), its kernel is Debian's cloud kernel, whose cgroups
//! are version 2 alone, and its disk holds the programs that the tests use, from the packages installed here. Nothing of
//! this machine is shared with it, and nothing is downloaded but the kernel.

mod disk;
mod kernel;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use self::kernel::Kernel;
use crate::checkout;
use crate::tally;

/// Programs that it takes, and Debian's packages of them.
const NEEDED: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("mke2fs", "e2fsprogs"),
    ("busybox", "busybox-static"),
    ("dpkg-deb", "dpkg"),
];
/// What the machine says last, with the status of the tests.
const END: &str = "vm: tests ended with status ";
/// Longer than all tests take where nothing helps the emulation, in seconds.
const LIMIT: &str = "10800";

/// Builds the tests, boots the machine, and says whether every test in it passed.
pub(crate) fn run(only: &[String]) -> anyhow::Result<bool> {
    for (program, package) in NEEDED {
        if checkout::output(Command::new("sh").args(["-c", &format!("command -v {program}")])).is_none() {
            bail!("`{program}` is not installed (apt-get install {package})");
        }
    }
    let work = checkout::root().join("target/vm");
    fs::create_dir_all(&work).with_context(|| format!("cannot make `{}`", work.display()))?;
    let kernel = Kernel::debian(&work)?;
    let programs = disk::programs()?;
    let image = disk::make(&work, &programs, only)?;
    let initial = kernel.initial_ramdisk(&work)?;
    println!("== booting {}", kernel.release);
    let (ended, tally) = tally::run(&mut machine(&kernel, &initial, &image))?;
    fs::remove_file(&image).with_context(|| format!("cannot remove `{}`", image.display()))?;
    println!("{}: {tally}", kernel.release);
    // A machine that hung or crashed has not said how its tests ended.
    Ok(ended && tally.failed == 0 && tally.passed > 0)
}

/// The command that runs the machine until it powers off; its status is 0 only after [`END`] with status 0.
fn machine(kernel: &Kernel, initial: &Path, image: &Path) -> Command {
    let script = format!(
        "set -o pipefail; timeout {LIMIT} qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 4096 \
         -nographic -no-reboot -nic none -kernel \"$1\" -initrd \"$2\" -drive file=\"$3\",format=raw,if=virtio,cache=unsafe \
         -append 'console=ttyS0 quiet panic=-1 root=/dev/vda' | stdbuf -oL tr -d '\\r' | tee \"$3.log\"; grep -q '^{END}0$' \"$3.log\""
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script, "vm"]).arg(&kernel.image).arg(initial).arg(image).stdin(Stdio::null());
    command
}

/// What the machine runs as its first program from its disk.
fn init(programs: &disk::Programs, only: &[String]) -> String {
    let (tests, directory) = (programs.tests.display(), programs.directory.display());
    let only = only.iter().map(|name| format!(" '{}'", name.replace('\'', ""))).collect::<String>();
    format!(
        "#!/bin/busybox sh\n\
         export PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root TMPDIR=/var/tmp RUST_BACKTRACE=1 TERM=dumb AFTERIMAGE_TEST_PATIENCE=600\n\
         busybox mount -t proc p /proc; busybox mount -t sysfs s /sys; busybox mount -t devtmpfs d /dev\n\
         busybox mkdir -p /dev/pts /dev/shm; busybox mount -t devpts p /dev/pts; busybox mount -t tmpfs s /dev/shm\n\
         busybox mount -t tmpfs r /run; busybox mount -t tmpfs t /tmp; busybox mount -t tracefs t /sys/kernel/tracing\n\
         busybox mount -t bpf b /sys/fs/bpf; busybox mount -t cgroup2 c /sys/fs/cgroup\n\
         busybox mkdir -p /run/lock; busybox ifconfig lo up; busybox hostname vm\n\
         busybox uname -a; busybox cat /sys/fs/cgroup/cgroup.controllers\n\
         cd {directory} && {tests} --include-ignored --test-threads=1{only} < /dev/null\n\
         echo \"{END}$?\"\n\
         busybox sync; busybox poweroff -f\n"
    )
}
