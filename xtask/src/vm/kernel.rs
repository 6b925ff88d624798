//! The second kernel: Debian's for cloud machines, taken from its package without installing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::checkout;

/// The package that always depends on the newest.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// Modules that reach the disk and that containers use; their dependencies come along.
const MODULES: [&str; 9] =
    ["virtio_pci", "virtio_blk", "ext4", "overlay", "fuse", "veth", "bridge", "loop", "nf_tables"];

pub(crate) struct Kernel {
    pub(crate) release: String,
    pub(crate) image: PathBuf,
    root: PathBuf,
}

impl Kernel {
    /// Downloads and unpacks it below `work`, unless it is there.
    pub(crate) fn debian(work: &Path) -> anyhow::Result<Self> {
        let root = work.join("kernel");
        if !root.join("boot").is_dir() {
            download(work, &root)?;
        }
        let entries =
            fs::read_dir(root.join("lib/modules")).context("the kernel's package has no modules")?;
        let release = entries.flatten().map(|entry| entry.file_name()).next();
        let release = release.context("the kernel's package has no modules")?.to_string_lossy().into_owned();
        let image = root.join("boot").join(format!("vmlinuz-{release}"));
        Ok(Self { release, image, root })
    }

    /// The archive that the kernel unpacks first: busybox, the modules, and a script that goes on from the disk.
    pub(crate) fn initial_ramdisk(&self, work: &Path) -> anyhow::Result<PathBuf> {
        let (tree, archive) = (work.join("initial"), work.join("initial.cpio.gz"));
        let script = format!(
            "set -e; rm -rf \"$1\"; mkdir -p \"$1\"/bin \"$1\"/proc \"$1\"/sys \"$1\"/dev \"$1\"/disk \"$1\"/lib/modules\n\
             cp \"$(command -v busybox)\" \"$1\"/bin/busybox; ln -s busybox \"$1\"/bin/modprobe; ln -s busybox \"$1\"/bin/sh\n\
             busybox depmod -b \"$3\" {release} > /dev/null\n\
             cp -r \"$3\"/lib/modules/{release} \"$1\"/lib/modules/\n\
             cat > \"$1\"/init && chmod 755 \"$1\"/init\n\
             cd \"$1\" && find . | cpio --quiet -o -H newc | gzip -1 > \"$2\"; rm -rf \"$1\"",
            release = self.release,
        );
        let init = format!(
            "#!/bin/busybox sh\n/bin/busybox mount -t proc p /proc; /bin/busybox mount -t devtmpfs d /dev\n\
             for module in {modules}; do /bin/modprobe $module; done 2>/dev/null\n\
             for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] && break; /bin/busybox sleep 1; done\n\
             /bin/busybox mount -t ext4 /dev/vda /disk || exec /bin/busybox poweroff -f\n\
             exec /bin/busybox switch_root /disk /vm-init\n",
            modules = MODULES.join(" "),
        );
        let mut make = Command::new("bash");
        make.args(["-c", &script, "initial"]).arg(&tree).arg(&archive).arg(&self.root);
        super::disk::feed(&mut make, init.as_bytes())?;
        Ok(archive)
    }
}

fn download(work: &Path, root: &Path) -> anyhow::Result<()> {
    let depends = checkout::output(Command::new("apt-cache").args(["depends", PACKAGE])).unwrap_or_default();
    let newest = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let newest = newest.with_context(|| format!("apt knows no `{PACKAGE}` (apt-get update)"))?;
    if !checkout::succeeds(Command::new("apt-get").args(["-q", "download", newest]).current_dir(work))? {
        bail!("`{newest}` cannot be downloaded");
    }
    let package = fs::read_dir(work)?.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(newest) && name.ends_with(".deb")
    });
    let package = package.with_context(|| format!("apt-get left no package of `{newest}`"))?;
    if !checkout::succeeds(Command::new("dpkg-deb").arg("-x").arg(&package).arg(root))? {
        bail!("`{}` cannot be unpacked", package.display());
    }
    fs::remove_file(&package).with_context(|| format!("cannot remove `{}`", package.display()))
}
