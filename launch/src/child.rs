//! The container's process from `clone3` to `execve`.
//!
//! The launcher may have many threads, and the child is a copy of one of them: locks of the others stay locked
//! for ever. So the child allocates nothing, takes no lock, and makes the same system calls in the same order for
//! the same [`Plan`], which the launcher built beforehand. `rustix` is used with its raw system calls and
//! C strings; nothing of `std` is called but pure functions.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::net::{AddressFamily, SocketType};

use crate::Stage;

/// Where the container's root comes from, in words that need no allocation.
pub(crate) enum RootPlan {
    /// Enter this directory.
    Chroot(CString),
    /// Mount an overlay over a private tmpfs and make it the root.
    Overlay {
        /// An existing directory to mount the tmpfs on.
        scratch: CString,
        /// Directories made inside the tmpfs: upper, work and merged.
        layers: [CString; 3],
        /// The option string of the overlay.
        options: CString,
    },
}

/// Pointers to C strings, ended by a null pointer, as `execve` takes them.
pub(crate) struct Vector {
    /// Owns what `pointers` point to.
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Vector {
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Self { strings, pointers }
    }

    fn first(&self) -> &CStr {
        self.strings.first().map_or(c"", CString::as_c_str)
    }
}

/// Everything the child needs, made before it exists.
pub(crate) struct Plan<'a> {
    pub(crate) root: &'a RootPlan,
    pub(crate) loopback: bool,
    pub(crate) host_name: &'a [u8],
    pub(crate) argv: &'a Vector,
    pub(crate) envp: &'a Vector,
    /// Standard input, output and error; one that is absent is inherited.
    pub(crate) stdio: [Option<BorrowedFd<'a>>; 3],
    /// Both ends of a pipe that is read before anything else, when the launcher attaches the child to its cgroup.
    pub(crate) gate: Option<&'a (OwnedFd, OwnedFd)>,
    /// Takes the stage and the error of a failure; closed by a successful exec.
    pub(crate) report: &'a OwnedFd,
}

/// Runs in the child and never returns.
pub(crate) fn run(plan: &Plan<'_>) -> ! {
    let (stage, error) = match set_up(plan) {
        Err(failure) => failure,
        Ok(()) => (Stage::Exec, exec(plan)),
    };
    let errno = error.raw_os_error().to_le_bytes();
    let message = [stage as u8, errno[0], errno[1], errno[2], errno[3]];
    // Nobody is left to tell when this fails as well; the exit status still says that the program never ran.
    let _ = rustix::io::write(plan.report, &message);
    // SAFETY: `_exit` takes any status, runs no destructor and does not return.
    unsafe { libc::_exit(127) }
}

type Failure = (Stage, Errno);

fn set_up(plan: &Plan<'_>) -> Result<(), Failure> {
    if let Some((gate, open)) = plan.gate {
        // Without this copy of the writing end, a launcher that dies leaves an end of file and no child for ever.
        // SAFETY: the child closes its own copy of a descriptor that it never uses, and runs no destructor.
        unsafe { libc::close(open.as_raw_fd()) };
        match rustix::io::read(gate, &mut [0; 1]) {
            Ok(1) => {}
            Ok(_) => return Err((Stage::Join, Errno::PIPE)),
            Err(error) => return Err((Stage::Join, error)),
        }
    }
    rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at(Stage::PrivateMounts))?;
    if plan.loopback {
        raise_loopback().map_err(at(Stage::Loopback))?;
    }
    rustix::system::sethostname(plan.host_name).map_err(at(Stage::HostName))?;
    enter_root(plan.root)?;
    rustix::mount::mount(c"proc", c"/proc", c"proc", MountFlags::empty(), None).map_err(at(Stage::Proc))?;
    take_stdio(plan.stdio).map_err(at(Stage::Stdio))
}

fn at(stage: Stage) -> impl Fn(Errno) -> Failure {
    move |error| (stage, error)
}

fn enter_root(root: &RootPlan) -> Result<(), Failure> {
    match root {
        RootPlan::Chroot(dir) => {
            rustix::process::chroot(dir.as_c_str()).map_err(at(Stage::Root))?;
        }
        RootPlan::Overlay { scratch, layers, options } => {
            rustix::mount::mount(c"tmpfs", scratch.as_c_str(), c"tmpfs", MountFlags::empty(), None)
                .map_err(at(Stage::UpperLayer))?;
            for layer in layers {
                rustix::fs::mkdir(layer.as_c_str(), Mode::from_raw_mode(0o755))
                    .map_err(at(Stage::UpperLayer))?;
            }
            let merged = layers[2].as_c_str();
            rustix::mount::mount(c"overlay", merged, c"overlay", MountFlags::empty(), options.as_c_str())
                .map_err(at(Stage::Overlay))?;
            rustix::process::chdir(merged).map_err(at(Stage::Root))?;
            // As runtimes do it: the old root is stacked onto the new one and then detached.
            rustix::process::pivot_root(c".", c".").map_err(at(Stage::Root))?;
            rustix::mount::unmount(c".", UnmountFlags::DETACH).map_err(at(Stage::Root))?;
        }
    }
    rustix::process::chdir(c"/").map_err(at(Stage::Root))
}

fn take_stdio(stdio: [Option<BorrowedFd<'_>>; 3]) -> Result<(), Errno> {
    if let Some(fd) = stdio[0] {
        rustix::stdio::dup2_stdin(fd)?;
    }
    if let Some(fd) = stdio[1] {
        rustix::stdio::dup2_stdout(fd)?;
    }
    if let Some(fd) = stdio[2] {
        rustix::stdio::dup2_stderr(fd)?;
    }
    Ok(())
}

fn raise_loopback() -> Result<(), Errno> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: an `ifreq` is plain integers and bytes, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    let fd = socket.as_raw_fd();
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives until the call returns; `fd` is open.
    match unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

fn exec(plan: &Plan<'_>) -> Errno {
    // SAFETY: setting a disposition to the default touches no memory. The standard library of the launcher
    // ignores SIGPIPE, and an ignored signal stays ignored across exec, which would surprise the program.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: both vectors end in a null pointer and own the C strings that they point to.
    unsafe {
        libc::execve(plan.argv.first().as_ptr(), plan.argv.pointers.as_ptr(), plan.envp.pointers.as_ptr())
    };
    last_errno()
}

/// The C library's error number of this thread, which `last_os_error` reads without allocating.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
