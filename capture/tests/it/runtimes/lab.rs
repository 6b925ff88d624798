//! A corner of the machine for container engines: a mount and a pid namespace of its own, in which daemons and
//! containers run and with which all of them end, mounts included, whatever becomes of the test.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use afterimage_launch::rootfs;
use tempfile::TempDir;

/// No command takes longer; those that do are killed and fail their test.
const SECONDS: &str = "120";
/// Most time a daemon has until it answers, and until it is gone.
const DAEMON: Duration = Duration::from_secs(60);
/// What Debian's nobody is: who runs rootless engines.
pub(super) const NOBODY: u32 = 65534;

/// What `/sys/fs/cgroup` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cgroups {
    /// As the host has it.
    Host,
    /// The host's without a v2 hierarchy: crun runs nowhere where that one has a controller and there are v1 ones besides, and
    /// which controllers it has changes with what was mounted before.
    V1,
    /// cgroup v2, as on every current distribution.
    V2,
}

/// The corner.
pub(super) struct Lab {
    holder: Child,
    init: u32,
    daemons: Vec<Child>,
    dir: TempDir,
}

impl Lab {
    /// Makes one.
    pub(super) fn new(cgroups: Cgroups) -> Self {
        const SCRIPT: &str = "set -e; case $1 in \
                              V1) ! mountpoint -q /sys/fs/cgroup/unified || umount -l /sys/fs/cgroup/unified;; \
                              V2) umount -R -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup;; esac; \
                              trap '' CHLD; echo ready; exec cat";
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // `cat` is the namespace's first process: it ends when this process does, because its input does. It ignores
        // SIGCHLD, so that what it inherits leaves no zombies.
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SCRIPT, "sh", &format!("{cgroups:?}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let init = child_of(holder.id()).unwrap();
        Self { holder, init, daemons: Vec::new(), dir }
    }

    /// A place for whatever the engines keep.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A program's name, with `timeout` and the namespaces before it.
    fn command(&self, seconds: &str, argv: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", seconds, "nsenter", "--mount", "--pid", "--target"]);
        command.arg(self.init.to_string()).arg("--").args(argv).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub(super) fn run(&self, argv: &[&str]) -> Output {
        self.command(SECONDS, argv).output().unwrap()
    }

    /// The same; it must succeed.
    pub(super) fn must(&self, argv: &[&str]) -> String {
        let out = self.run(argv);
        assert!(out.status.success(), "{argv:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// Starts a daemon and waits until `probe` succeeds.
    pub(super) fn daemon(&mut self, argv: &[&str], probe: &[&str]) {
        let log = self.dir().join(format!("daemon{}.log", self.daemons.len()));
        let out = fs::File::create(&log).unwrap();
        let mut command = self.command("1200", argv);
        let child = command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        self.daemons.push(child);
        let begin = Instant::now();
        while !self.run(probe).status.success() {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(begin.elapsed() < DAEMON, "{argv:?} does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The first process's end is everybody's.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let begin = Instant::now();
        while Path::new(&format!("/proc/{}", self.init)).exists() && begin.elapsed() < DAEMON {
            std::thread::sleep(Duration::from_millis(20));
        }
        for daemon in &mut self.daemons {
            let _ = daemon.wait();
        }
    }
}

/// The one child of a process.
fn child_of(parent: u32) -> Option<u32> {
    let stat = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid| stat(*pid) == Some(parent))
}

/// A root file system with busybox and `acts`; beside it, the same as an image's layer.
pub(super) fn image() -> &'static (PathBuf, PathBuf) {
    static IMAGE: OnceLock<(TempDir, (PathBuf, PathBuf))> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let (root, layer) = (dir.path().join("root"), dir.path().join("layer.tar"));
        fs::create_dir(&root).unwrap();
        rootfs::busybox(&root).unwrap();
        crate::evasion::build_acts(&root.join("bin/acts"));
        let packed = Command::new("tar")
            .args(["--exclude=./dev/*", "-C"])
            .arg(&root)
            .arg("-cf")
            .arg(&layer)
            .arg(".")
            .status()
            .unwrap();
        assert!(packed.success());
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        (dir, (root, layer))
    };
    &IMAGE.get_or_init(make).1
}
