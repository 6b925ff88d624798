//! Makes a container, waits for it and takes it away again.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tempfile::TempDir;

use crate::child::{self, Plan, RootPlan, Vector};
use crate::{CgroupPath, ContainerId, Hierarchy, LaunchError, PodUid, Stage, Style, cgroup};

/// `CLONE_INTO_CGROUP` of `linux/sched.h`: the C library's binding has a type too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the container's root file system is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// This directory, entered by `chroot`. Containers share it, and what they write stays.
    Chroot(PathBuf),
    /// An overlay of this directory and a tmpfs of the container's own, entered by `pivot_root`. What the
    /// container writes is gone with it.
    Overlay(PathBuf),
}

/// How the container's process comes into its cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// Born in it, by `CLONE_INTO_CGROUP`: no attach event exists.
    #[default]
    Clone,
    /// Moved by a write to `cgroup.procs` before it does anything but wait for that.
    Attach,
}

/// The standard streams of a container; one that is absent is inherited. Descriptors 0 to 2 of the caller cannot
/// be given crosswise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdio<'a> {
    /// Standard input.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Standard error.
    pub stderr: Option<BorrowedFd<'a>>,
}

/// How a container's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// Says whether the program itself reported success.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A code is written as a number, a signal as `signal:9`.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Signal(signal) => write!(f, "signal:{signal}"),
        }
    }
}

/// A container that was: what the launcher knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The id in the cgroup's name.
    pub id: ContainerId,
    /// The first process, as the launcher's pid namespace numbers it.
    pub pid: i32,
    /// How it ended.
    pub status: ExitStatus,
    /// The cgroup, which no longer exists.
    pub cgroup: CgroupPath,
}

/// Makes containers of one kind. Can be used from many threads at once.
#[derive(Debug)]
pub struct Launcher {
    /// Whose cgroup names are used.
    pub style: Style,
    /// How a container enters its cgroup.
    pub join: Join,
    /// Whether a container has a network namespace of its own, with its loopback device up.
    pub netns: bool,
    /// The environment of the program, as `NAME=value`.
    pub env: Vec<String>,
    root: Root,
    hierarchy: Arc<Hierarchy>,
    /// The mount point of every overlay: mounts are private to each container, so that one directory serves all.
    scratch: Option<TempDir>,
}

impl Launcher {
    /// A launcher of containers with this naming and root, born in their cgroups, sharing the host's network.
    pub fn new(style: Style, root: Root) -> Result<Self, LaunchError> {
        Self::on(Hierarchy::open()?, style, root)
    }

    /// Like [`Launcher::new`], on a hierarchy that the caller opened.
    pub fn on(hierarchy: Hierarchy, style: Style, root: Root) -> Result<Self, LaunchError> {
        let scratch = match &root {
            Root::Chroot(_) => None,
            Root::Overlay(_) => {
                Some(TempDir::with_prefix("afterimage-launch-").map_err(call("make a scratch directory"))?)
            }
        };
        let hierarchy = Arc::new(hierarchy);
        let env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
        Ok(Self { style, join: Join::default(), netns: false, env, root, hierarchy, scratch })
    }

    /// Runs `argv` in a container of its own, waits for it and takes the container away. The first word of
    /// `argv` is a path inside the container's root.
    pub fn run<S: AsRef<OsStr>>(&self, argv: &[S], stdio: Stdio<'_>) -> Result<Outcome, LaunchError> {
        self.spawn(argv, stdio)?.wait()
    }

    /// Runs `argv` in `count` containers, at most `jobs` at a time, and hands each outcome to `done` as soon as
    /// its container is gone. Stops at the first container that cannot be made.
    pub fn run_many<S: AsRef<OsStr> + Sync>(
        &self,
        count: usize,
        jobs: usize,
        argv: &[S],
        stdio: Stdio<'_>,
        done: impl Fn(Outcome) + Sync,
    ) -> Result<(), LaunchError> {
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, count.max(1)) {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < count {
                        match self.run(argv, stdio) {
                            Ok(outcome) => done(outcome),
                            Err(error) => {
                                next.store(count, Ordering::Relaxed);
                                failure.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
    }

    /// Starts `argv` in a container of its own and returns when its exec has succeeded.
    pub fn spawn<S: AsRef<OsStr>>(&self, argv: &[S], stdio: Stdio<'_>) -> Result<Running, LaunchError> {
        self.spawn_as(ContainerId::random()?, argv, stdio)
    }

    /// Like [`Launcher::spawn`], with an id that the caller drew: for what must be there before the container is.
    pub fn spawn_as<S: AsRef<OsStr>>(
        &self,
        id: ContainerId,
        argv: &[S],
        stdio: Stdio<'_>,
    ) -> Result<Running, LaunchError> {
        let (argv, program) = command(argv)?;
        let env = self.env.iter().map(|var| c_string(OsStr::new(var))).collect::<Result<_, _>>()?;
        let (envp, root, host_name) = (Vector::new(env), self.root_plan()?, id.short());
        let (report, report_write) =
            rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| call("pipe2")(e.into()))?;
        let gate = match self.join {
            Join::Clone => None,
            Join::Attach => {
                Some(rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| call("pipe2")(e.into()))?)
            }
        };
        let plan = Plan {
            root: &root,
            loopback: self.netns,
            host_name: host_name.as_bytes(),
            argv: &argv,
            envp: &envp,
            stdio: [stdio.stdin, stdio.stdout, stdio.stderr],
            gate: gate.as_ref(),
            report: &report_write,
        };
        let cgroup = OwnCgroup::make(&self.hierarchy, self.style.cgroup_path(&id, &PodUid::random()?))?;
        let pid = self.clone_into(cgroup.dir.as_fd(), &plan)?;
        let running = Running { id, pid: Some(pid), cgroup };
        drop(report_write);
        if let Some((_, open)) = gate {
            cgroup::attach(running.cgroup.dir.as_fd(), &running.cgroup.path, pid.as_raw_nonzero().get())?;
            rustix::io::write(&open, b"x").map_err(|e| call("write")(e.into()))?;
        }
        await_exec(&report, program)?;
        Ok(running)
    }

    fn root_plan(&self) -> Result<RootPlan, LaunchError> {
        match (&self.root, &self.scratch) {
            (Root::Overlay(lower), Some(scratch)) => overlay_plan(lower, scratch.path()),
            (Root::Chroot(dir) | Root::Overlay(dir), _) => Ok(RootPlan::Chroot(c_string(dir.as_os_str())?)),
        }
    }

    fn clone_into(&self, cgroup: BorrowedFd<'_>, plan: &Plan<'_>) -> Result<Pid, LaunchError> {
        let mut flags = libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWCGROUP
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC;
        if self.netns {
            flags |= libc::CLONE_NEWNET;
        }
        // SAFETY: `clone_args` is plain integers, for which all zeroes is a value and means "not asked for".
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = flags as u64;
        args.exit_signal = libc::SIGCHLD as u64;
        if self.join == Join::Clone {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = cgroup.as_raw_fd() as u64;
        }
        let size = size_of::<libc::clone_args>();
        // SAFETY: without CLONE_VM the child has its own copy of this process's memory, and on that copy it runs
        // only `child::run`, which keeps to what is allowed after a fork of a process with threads.
        match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) } {
            0 => child::run(plan),
            pid => Pid::from_raw(pid as i32)
                .filter(|_| pid > 0)
                .ok_or_else(|| call("clone3")(std::io::Error::last_os_error())),
        }
    }
}

/// A container that runs. Dropped, it is killed and taken away.
#[derive(Debug)]
pub struct Running {
    id: ContainerId,
    /// Absent once it was waited for.
    pid: Option<Pid>,
    cgroup: OwnCgroup,
}

impl Running {
    /// The id in the cgroup's name.
    pub fn id(&self) -> ContainerId {
        self.id
    }

    /// The first process, as the launcher's pid namespace numbers it.
    pub fn pid(&self) -> i32 {
        self.pid.map_or(0, |pid| pid.as_raw_nonzero().get())
    }

    /// The container's cgroup.
    pub fn cgroup(&self) -> &CgroupPath {
        &self.cgroup.path
    }

    /// Kills the container's first process, and with it all others of its pid namespace.
    pub fn kill(&self) -> Result<(), LaunchError> {
        match self.pid {
            None => Ok(()),
            Some(pid) => rustix::process::kill_process(pid, Signal::KILL).map_err(|e| call("kill")(e.into())),
        }
    }

    /// Waits until the first process ends, then takes the container away.
    pub fn wait(mut self) -> Result<Outcome, LaunchError> {
        let pid = self.pid();
        let status = self.reap()?;
        self.take_away(pid, status)
    }

    /// Like [`Running::wait`], but kills the container when `limit` has passed.
    pub fn wait_at_most(mut self, limit: Duration) -> Result<Outcome, LaunchError> {
        let (pid, deadline) = (self.pid(), Instant::now() + limit);
        let status = loop {
            match rustix::process::waitpid(self.pid, WaitOptions::NOHANG) {
                Ok(Some((_, status))) => {
                    self.pid = None;
                    break exit_status(status);
                }
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    self.kill()?;
                    break self.reap()?;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(call("waitpid")(error.into())),
            }
        };
        self.take_away(pid, status)
    }

    fn take_away(mut self, pid: i32, status: ExitStatus) -> Result<Outcome, LaunchError> {
        self.cgroup.remove()?;
        Ok(Outcome { id: self.id, pid, status, cgroup: self.cgroup.path.clone() })
    }

    fn reap(&mut self) -> Result<ExitStatus, LaunchError> {
        loop {
            match rustix::process::waitpid(self.pid, WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) | Ok(None) => {}
                Err(error) => return Err(call("waitpid")(error.into())),
                Ok(Some((_, status))) => {
                    self.pid = None;
                    return Ok(exit_status(status));
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.pid.is_some() {
            // Killing fails only when the process has already ended, and then it can be reaped all the same.
            let _ = self.kill();
            let _ = self.reap();
        }
    }
}

/// A cgroup that goes with its value.
#[derive(Debug)]
struct OwnCgroup {
    hierarchy: Arc<Hierarchy>,
    path: CgroupPath,
    dir: OwnedFd,
    removed: bool,
}

impl OwnCgroup {
    fn make(hierarchy: &Arc<Hierarchy>, path: CgroupPath) -> Result<Self, LaunchError> {
        let dir = hierarchy.make(&path)?;
        Ok(Self { hierarchy: Arc::clone(hierarchy), path, dir, removed: false })
    }

    fn remove(&mut self) -> Result<(), LaunchError> {
        self.removed = true;
        self.hierarchy.remove(&self.path)
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        if !self.removed {
            // The error that led here is the one to report.
            let _ = self.remove();
        }
    }
}

/// Reads the report of the child until exec closes it.
fn await_exec(report: &OwnedFd, program: String) -> Result<(), LaunchError> {
    let mut message = [0; 5];
    let length = loop {
        match rustix::io::read(report, &mut message) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.map_err(|e| call("read")(e.into()))?,
        }
    };
    match (length, Stage::from_byte(message[0])) {
        (5, Some(stage)) => {
            let errno = i32::from_le_bytes([message[1], message[2], message[3], message[4]]);
            Err(LaunchError::Setup { program, stage, source: std::io::Error::from_raw_os_error(errno) })
        }
        // Also when a signal ended the child before its exec: its exit status tells.
        _ => Ok(()),
    }
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Code(-1),
    }
}

fn overlay_plan(lower: &Path, scratch: &Path) -> Result<RootPlan, LaunchError> {
    for path in [lower, scratch] {
        if path.as_os_str().as_bytes().iter().any(|byte| b":,\\".contains(byte)) {
            return Err(LaunchError::OverlayPath { path: path.to_owned() });
        }
    }
    let layers = [scratch.join("upper"), scratch.join("work"), scratch.join("merged")];
    let options = [
        b"lowerdir=",
        lower.as_os_str().as_bytes(),
        b",upperdir=",
        layers[0].as_os_str().as_bytes(),
        b",workdir=",
        layers[1].as_os_str().as_bytes(),
    ]
    .concat();
    Ok(RootPlan::Overlay {
        scratch: c_string(scratch.as_os_str())?,
        layers: [
            c_string(layers[0].as_os_str())?,
            c_string(layers[1].as_os_str())?,
            c_string(layers[2].as_os_str())?,
        ],
        options: c_string(OsStr::from_bytes(&options))?,
    })
}

fn command<S: AsRef<OsStr>>(argv: &[S]) -> Result<(Vector, String), LaunchError> {
    let program = argv.first().ok_or_else(|| LaunchError::NotACommand { text: String::new() })?;
    let program = program.as_ref().to_string_lossy().into_owned();
    let argv = argv.iter().map(|arg| c_string(arg.as_ref())).collect::<Result<_, _>>()?;
    Ok((Vector::new(argv), program))
}

fn c_string(text: &OsStr) -> Result<CString, LaunchError> {
    CString::new(text.as_bytes())
        .map_err(|_| LaunchError::NotACommand { text: text.to_string_lossy().into_owned() })
}

fn call(name: &'static str) -> impl Fn(std::io::Error) -> LaunchError {
    move |source| LaunchError::Call { call: name, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_needs_a_first_word_without_nul() {
        assert!(matches!(command::<&str>(&[]), Err(LaunchError::NotACommand { .. })));
        assert!(matches!(command(&["/bin/true", "a\0b"]), Err(LaunchError::NotACommand { .. })));
        assert_eq!(command(&["/bin/true"]).unwrap().1, "/bin/true");
    }

    #[test]
    fn an_overlay_over_a_path_with_option_syntax_is_refused() {
        for lower in ["/a:b", "/a,b", "/a\\b"] {
            let plan = overlay_plan(Path::new(lower), Path::new("/tmp/s"));
            assert!(matches!(plan, Err(LaunchError::OverlayPath { .. })), "{lower}");
        }
    }

    #[test]
    fn a_status_is_written_so_that_a_signal_is_no_code() {
        assert_eq!(ExitStatus::Code(9).to_string(), "9");
        assert_eq!(ExitStatus::Signal(9).to_string(), "signal:9");
    }
}
