//! What kind of event a code is, in Falco's terms: its names, its descriptor, its category.
//!
//! Computed once for all codes of all ABIs from the tables of the model; per event it is one look-up.

use std::sync::OnceLock;

use afterimage_format::EventCode;
use afterimage_model::{
    streams::counts_messages,
    syscalls::{self, ArgKind, Signature},
};

/// Codes of system calls, all ABIs.
const CALLS: usize = 0x3000;

/// A kind of event.
#[derive(Debug)]
pub(crate) struct Shape {
    /// `evt.type`.
    pub(crate) name: &'static str,
    /// Other names that `evt.type` also answers to.
    pub(crate) also: &'static [&'static str],
    /// Arguments of a system call.
    pub(crate) signature: Option<&'static Signature>,
    /// The argument that is the event's descriptor.
    pub(crate) fd_arg: Option<usize>,
    /// The result is a new descriptor.
    pub(crate) makes_fd: bool,
    /// It opens a path.
    pub(crate) opens: bool,
    /// It reads or writes.
    pub(crate) io: Io,
    /// It can change a socket's ends.
    pub(crate) renames: bool,
    /// It moves many messages at once.
    pub(crate) moves_many: bool,
    /// It may wait.
    pub(crate) waits: bool,
    /// `evt.category` where it does not depend on the descriptor.
    pub(crate) category: &'static str,
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Io {
    /// It is no I/O.
    None,
    /// To the process.
    Read,
    /// From the process.
    Write,
}

/// Calls under the names that Falco has for them.
const RENAMED: &[(&str, &str)] = &[
    ("pread64", "pread"),
    ("pwrite64", "pwrite"),
    ("prlimit64", "prlimit"),
    ("sendfile64", "sendfile"),
    ("_llseek", "llseek"),
    ("fcntl64", "fcntl"),
    ("exit", "exit_syscall"),
];

/// Event types of Falco that no recording has: accepted, never matched.
pub(crate) const FOREIGN: &[&str] = &[
    "switch",
    "drop",
    "signaldeliver",
    "procinfo",
    "cpu_hotplug",
    "page_fault",
    "pluginevent",
    "container",
    "k8s",
    "tracer",
    "notification",
    "infra",
    "user_added",
    "user_deleted",
    "group_added",
    "group_deleted",
    "asyncevent",
    "exit_syscall",
    "syscall",
];

static EXEC: Shape = other("execve", &["exec"], "process");
static EXECVEAT: Shape = other("execveat", &["exec"], "process");
static EXIT: Shape = other("procexit", &["exit"], "process");
static FORK: Shape = other("clone", &["fork"], "process");
static PROCESS: Shape = other("process", &[], "internal");
static OPEN_FD: Shape = other("open_fd", &[], "internal");
static IN_CALL: Shape = other("in_call", &[], "internal");
static ARTIFACT: Shape = other("artifact", &[], "internal");
static CGROUP_MKDIR: Shape = other("cgroup_mkdir", &[], "internal");
static CGROUP_RMDIR: Shape = other("cgroup_rmdir", &[], "internal");
static CGROUP_ATTACH: Shape = other("cgroup_attach", &[], "internal");
static URING_SUBMIT: Shape = other("uring_submit", &[], "other");
static URING_COMPLETE: Shape = other("uring_complete", &[], "other");
static UNKNOWN: Shape = other("unknown", &[], "unknown");

const fn other(name: &'static str, also: &'static [&'static str], category: &'static str) -> Shape {
    Shape {
        name,
        also,
        signature: None,
        fd_arg: None,
        makes_fd: false,
        opens: false,
        io: Io::None,
        renames: false,
        moves_many: false,
        waits: false,
        category,
    }
}

/// The shape of a code. An exec by descriptor is an `execveat`: see [`of_event`].
pub(crate) fn of(code: EventCode) -> &'static Shape {
    if let Some(index) = table().index.get(usize::from(code.0)) {
        return table().shapes.get(usize::from(*index)).unwrap_or(&UNKNOWN);
    }
    match code {
        EventCode::EXEC => &EXEC,
        EventCode::EXIT => &EXIT,
        EventCode::FORK => &FORK,
        EventCode::PROCESS => &PROCESS,
        EventCode::OPEN_FD => &OPEN_FD,
        EventCode::IN_CALL => &IN_CALL,
        EventCode::ARTIFACT => &ARTIFACT,
        EventCode::CGROUP_MKDIR => &CGROUP_MKDIR,
        EventCode::CGROUP_RMDIR => &CGROUP_RMDIR,
        EventCode::CGROUP_ATTACH => &CGROUP_ATTACH,
        EventCode::URING_SUBMIT => &URING_SUBMIT,
        EventCode::URING_COMPLETE => &URING_COMPLETE,
        _ => &UNKNOWN,
    }
}

/// The shape of an event.
pub(crate) fn of_event(event: &afterimage_format::Event<'_>) -> &'static Shape {
    use afterimage_format::layout::exec;
    let by_descriptor =
        event.code == EventCode::EXEC && event.number(exec::EXE_FLAGS).is_some_and(|f| f & exec::EXE_FD != 0);
    if by_descriptor { &EXECVEAT } else { of(event.code) }
}

/// All codes whose events may answer to a name of `evt.type`; `None` when no event has that name.
pub(crate) fn codes(name: &str) -> Option<Vec<EventCode>> {
    let mut codes: Vec<EventCode> = afterimage_model::event_codes(name);
    for (kernel, falco) in RENAMED {
        if *falco == name {
            codes.extend_from_slice(syscalls::codes_by_name(kernel));
        }
    }
    match name {
        "execve" | "execveat" => codes.push(EventCode::EXEC),
        "procexit" => codes.push(EventCode::EXIT),
        "clone" => codes.push(EventCode::FORK),
        _ => {}
    }
    codes.sort_unstable();
    codes.dedup();
    (!codes.is_empty() || FOREIGN.contains(&name)).then_some(codes)
}

/// Every name that `evt.type` knows.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = table().shapes.iter().map(|s| s.name).collect();
    names.extend(["execve", "execveat", "procexit", "clone", "exec", "exit", "fork", "process", "open_fd"]);
    names.extend(FOREIGN);
    names.sort_unstable();
    names.dedup();
    names
}

struct Table {
    index: Box<[u16]>,
    shapes: Vec<Shape>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { index: vec![u16::MAX; CALLS].into(), shapes: Vec::new() };
        for (code, signature) in syscalls::all() {
            if let (Some(slot), Ok(at)) =
                (table.index.get_mut(usize::from(code.0)), u16::try_from(table.shapes.len()))
            {
                *slot = at;
                table.shapes.push(Shape::of_call(signature));
            }
        }
        table
    })
}

impl Shape {
    fn of_call(signature: &'static Signature) -> Self {
        let kernel = signature.name;
        let renamed = RENAMED.iter().find(|(name, _)| *name == kernel);
        let makes_fd = makes_descriptor(kernel);
        let fd_kind = |kind: ArgKind| kind == ArgKind::Fd || kind == ArgKind::Dirfd && !makes_fd;
        let moves = |kinds: [ArgKind; 3]| signature.args.iter().any(|a| kinds.contains(&a.kind));
        let io = if kernel == "setxattr" || kernel == "lsetxattr" || kernel == "fsetxattr" {
            Io::None
        } else if moves([ArgKind::WriteBuffer, ArgKind::WriteVector, ArgKind::WriteMessage]) || writes(kernel)
        {
            Io::Write
        } else if moves([ArgKind::ReadBuffer, ArgKind::ReadVector, ArgKind::ReadMessage])
            && uses_fd(signature)
        {
            Io::Read
        } else {
            Io::None
        };
        Self {
            name: renamed.map_or(kernel, |(_, falco)| falco),
            also: if renamed.is_some() { std::slice::from_ref(&signature.name) } else { &[] },
            signature: Some(signature),
            fd_arg: signature.args.iter().position(|a| fd_kind(a.kind)),
            makes_fd,
            opens: matches!(kernel, "open" | "openat" | "openat2" | "open_by_handle_at"),
            io,
            renames: renames(kernel),
            moves_many: counts_messages(kernel),
            waits: waits(kernel),
            category: category(kernel),
        }
    }

    /// Whether `evt.type` answers to this name.
    pub(crate) fn is_called(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name || self.also.iter().any(|also| also.as_bytes() == name)
    }

    /// The position of an argument by name.
    pub(crate) fn argument(&self, name: &str) -> Option<usize> {
        self.signature?.args.iter().position(|arg| arg.name == name)
    }

    /// Whether it has a descriptor at all: Falco's `fd.*` are absent for events without.
    pub(crate) fn has_fd(&self) -> bool {
        self.fd_arg.is_some() || self.makes_fd
    }
}

fn uses_fd(signature: &Signature) -> bool {
    signature.args.iter().any(|a| a.kind == ArgKind::Fd)
}

fn writes(name: &str) -> bool {
    matches!(name, "sendfile" | "sendfile64" | "copy_file_range")
}

fn makes_descriptor(name: &str) -> bool {
    matches!(
        name,
        "open"
            | "openat"
            | "openat2"
            | "creat"
            | "open_by_handle_at"
            | "socket"
            | "accept"
            | "accept4"
            | "dup"
            | "dup2"
            | "dup3"
            | "eventfd"
            | "eventfd2"
            | "signalfd"
            | "signalfd4"
            | "timerfd_create"
            | "epoll_create"
            | "epoll_create1"
            | "inotify_init"
            | "inotify_init1"
            | "fanotify_init"
            | "memfd_create"
            | "memfd_secret"
            | "pidfd_open"
            | "pidfd_getfd"
            | "userfaultfd"
            | "bpf"
            | "perf_event_open"
            | "io_uring_setup"
            | "fsopen"
            | "fsmount"
            | "fspick"
            | "open_tree"
            | "mq_open"
            | "pipe"
            | "pipe2"
            | "socketpair"
    )
}

fn renames(name: &str) -> bool {
    counts_messages(name)
        || matches!(name, "connect" | "bind" | "sendto" | "sendmsg" | "recvfrom" | "recvmsg")
}

fn waits(name: &str) -> bool {
    name.contains("poll") && !name.starts_with("epoll_c")
        || name.contains("nanosleep")
        || name.starts_with("epoll_p")
        || name.starts_with("wait")
        || matches!(name, "select" | "pselect6" | "epoll_wait" | "pause" | "futex_wait")
}

/// `evt.category` of a call; `io` where it depends on the descriptor.
fn category(name: &str) -> &'static str {
    const PREFIXES: &[(&str, &str)] = &[
        ("rt_sig", "signal"),
        ("sig", "signal"),
        ("sched_", "process"),
        ("sem", "IPC"),
        ("msg", "IPC"),
        ("shm", "IPC"),
        ("mq_", "IPC"),
        ("futex", "IPC"),
        ("timer", "time"),
        ("clock_", "time"),
    ];
    match name {
        "read" | "readv" | "pread64" | "preadv" | "preadv2" | "recv" | "recvfrom" | "recvmsg"
        | "recvmmsg" | "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "send" | "sendto"
        | "sendmsg" | "sendmmsg" | "close" | "fcntl" | "fcntl64" | "ioctl" | "dup" | "dup2" | "dup3"
        | "sendfile" | "sendfile64" | "splice" => "io",
        "socket" | "bind" | "connect" | "listen" | "accept" | "accept4" | "shutdown" | "getsockname"
        | "getpeername" | "setsockopt" | "getsockopt" => "net",
        "socketpair" | "pipe" | "pipe2" | "eventfd" | "eventfd2" | "inotify_init" | "inotify_init1"
        | "process_vm_readv" | "process_vm_writev" => "IPC",
        "kill" | "tkill" | "tgkill" | "pause" | "alarm" => "signal",
        "nanosleep" | "clock_nanosleep" => "sleep",
        "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait" | "epoll_create"
        | "epoll_create1" | "epoll_ctl" => "wait",
        "setuid" | "setgid" | "setreuid" | "setregid" | "setresuid" | "setresgid" | "getuid" | "geteuid"
        | "getgid" | "getegid" | "getresuid" | "getresgid" | "setfsuid" | "setfsgid" | "setgroups"
        | "quotactl" => "user",
        "clone" | "clone3" | "fork" | "vfork" | "execve" | "execveat" | "exit" | "exit_group" | "wait4"
        | "waitid" | "ptrace" | "prctl" | "arch_prctl" | "setns" | "unshare" | "chroot" | "setsid"
        | "setpgid" | "getpgid" | "getrlimit" | "setrlimit" | "prlimit64" | "capset" | "capget"
        | "personality" | "kcmp" | "pidfd_open" => "process",
        "mmap" | "mmap2" | "munmap" | "mprotect" | "brk" | "mremap" | "madvise" | "mlock" | "mlock2"
        | "munlock" | "mlockall" | "munlockall" | "msync" | "mincore" | "memfd_create" | "memfd_secret"
        | "pkey_mprotect" => "memory",
        "gettimeofday" | "settimeofday" | "time" | "times" | "adjtimex" => "time",
        "bpf" | "init_module" | "finit_module" | "delete_module" | "seccomp" | "keyctl" | "reboot"
        | "syslog" | "sethostname" | "setdomainname" | "kexec_load" | "perf_event_open" | "userfaultfd" => {
            "other"
        }
        _ => PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map_or("file", |(_, category)| category),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(name: &str) -> &'static Shape {
        of(*codes(name).unwrap().first().unwrap())
    }

    #[test]
    fn names_are_falcos_and_the_kernels() {
        assert_eq!(shape("pread").name, "pread");
        assert_eq!(shape("pread64").name, "pread");
        assert!(shape("pread").is_called(b"pread64"));
        assert!(codes("execve").unwrap().contains(&EventCode::EXEC));
        assert!(codes("open").unwrap().len() >= 2, "open of every ABI");
        assert_eq!(codes("switch"), Some(Vec::new()));
        assert_eq!(codes("no_such_call"), None);
        assert_eq!(of(EventCode::EXIT).name, "procexit");
    }

    #[test]
    fn every_category_is_one_that_completion_offers() {
        let (field, _) = crate::fields::lookup("evt.category").unwrap();
        let known = crate::complete::values(field);
        for code in (0..=u16::MAX).map(EventCode) {
            let category = of(code).category;
            assert!(category == "io" || known.contains(&category), "{category}");
        }
    }

    #[test]
    fn descriptors_and_directions_are_found() {
        assert_eq!((shape("read").fd_arg, shape("read").io), (Some(0), Io::Read));
        assert_eq!((shape("sendto").fd_arg, shape("sendto").io), (Some(0), Io::Write));
        assert!(shape("openat").makes_fd && shape("openat").opens);
        assert_eq!(shape("openat").fd_arg, None);
        assert_eq!(shape("unlinkat").fd_arg, Some(0));
        assert!(!shape("getpid").has_fd());
        assert_eq!(shape("getcwd").io, Io::None);
        assert_eq!(shape("kill").category, "signal");
    }
}
