//! The table that tells the programs what to record of each call, made from the model's signatures.

use afterimage_capture_abi::spec::{CallSpec, MAX_NR, NONE, data, handler, path as paths, profile, special};
use afterimage_format::{Abi, EventCode};
use afterimage_model::syscalls::{self, ArgKind, Signature};

/// Calls that a forensic recording does without: they neither change nor reveal state.
const NOT_FORENSIC: [&str; 61] = [
    "brk",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "futex",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_robust_list",
    "getcpu",
    "getitimer",
    "getpriority",
    "getrusage",
    "gettimeofday",
    "io_getevents",
    "_llseek",
    "lseek",
    "madvise",
    "mincore",
    "munmap",
    "nanosleep",
    "_newselect",
    "pause",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "restart_syscall",
    "rseq",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_yield",
    "select",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "sigreturn",
    "sysinfo",
    "time",
    "timer_gettime",
    "timer_gettime64",
    "timerfd_gettime",
    "timerfd_gettime64",
    "times",
    "umask",
];

/// Calls that a minimal recording keeps.
const MINIMAL: [&str; 57] = [
    "accept",
    "accept4",
    "bind",
    "bpf",
    "capset",
    "chroot",
    "connect",
    "creat",
    "delete_module",
    "execve",
    "execveat",
    "finit_module",
    "fsmount",
    "init_module",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "listen",
    "memfd_create",
    "mount",
    "mount_setattr",
    "move_mount",
    "open",
    "open_by_handle_at",
    "open_tree",
    "openat",
    "openat2",
    "pivot_root",
    "process_vm_writev",
    "ptrace",
    "rename",
    "renameat",
    "renameat2",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setns",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setuid",
    "setuid32",
    "umount",
    "umount2",
    "unlink",
    "unlinkat",
    "unshare",
];

/// Calls whose result is a descriptor with a path of its own.
pub(crate) const OPENS: [&str; 6] =
    ["creat", "memfd_create", "open", "open_by_handle_at", "openat", "openat2"];

/// The specs of both tables: x86-64 numbers, then i386 numbers. With `numbers_only` no call has byte fields.
pub fn table(numbers_only: bool) -> Vec<CallSpec> {
    [Abi::X86_64, Abi::I386]
        .into_iter()
        .flat_map(|abi| (0..MAX_NR).map(move |nr| (abi, nr)))
        .map(|(abi, nr)| {
            let signature = EventCode::syscall(abi, nr).and_then(syscalls::signature);
            let spec = signature.map_or_else(unlisted, spec);
            if numbers_only { CallSpec { handler: handler::PLAIN, ..spec } } else { spec }
        })
        .collect()
}

/// A number without a name: kept with all its registers.
fn unlisted() -> CallSpec {
    CallSpec {
        nargs: 6,
        handler: handler::PLAIN,
        a: NONE,
        b: NONE,
        c: NONE,
        d: NONE,
        profiles: profile::MINIMAL | profile::FORENSIC | profile::FULL,
        special: special::NOTHING,
    }
}

/// What to record of a call with this signature.
fn spec(signature: &Signature) -> CallSpec {
    let name = signature.name;
    let mut profiles = profile::FULL;
    if !NOT_FORENSIC.contains(&name) {
        profiles |= profile::FORENSIC;
    }
    if MINIMAL.contains(&name) {
        profiles |= profile::MINIMAL;
    }
    let special = match name {
        "clone" | "clone3" | "fork" | "vfork" => special::FORK,
        "execve" | "execveat" => special::EXEC,
        _ => special::NOTHING,
    };
    let nargs = signature.args.len().min(6) as u8;
    CallSpec { nargs, profiles, special, ..fields(signature) }
}

/// Which byte fields the call has, by the kinds of its arguments.
fn fields(signature: &Signature) -> CallSpec {
    let at = |wanted: &dyn Fn(&ArgKind) -> bool| {
        signature.args.iter().position(|arg| wanted(&arg.kind)).map_or(NONE, |index| index as u8)
    };
    let of = |handler, a, b, c, d| CallSpec { handler, a, b, c, d, ..unlisted() };
    let fd = at(&|kind| matches!(kind, ArgKind::Fd));
    let path = at(&|kind| matches!(kind, ArgKind::Path));
    let path2 = at(&|kind| matches!(kind, ArgKind::Path2));
    let opens = if OPENS.contains(&signature.name) { paths::OPENS } else { 0 };
    if path != NONE || opens != 0 {
        let (data, kind) = match signature.name {
            "openat2" => (at(&|kind| matches!(kind, ArgKind::OpenHow)), paths::OPEN_HOW),
            // The type of the file system.
            "mount" => (2, paths::STRING),
            _ => (NONE, 0),
        };
        return of(handler::PATH, path, path2, opens | kind, data);
    }
    let address = at(&|kind| matches!(kind, ArgKind::Sockaddr | ArgKind::SockaddrOut));
    let length = if address == NONE { NONE } else { address + 1 };
    let buffer = at(&|kind| matches!(kind, ArgKind::WriteBuffer | ArgKind::ReadBuffer));
    if buffer != NONE && fd != NONE {
        return of(handler::BUFFER, fd, buffer, address, length);
    }
    let vector = at(&|kind| matches!(kind, ArgKind::WriteVector | ArgKind::ReadVector));
    if vector != NONE && fd != NONE {
        return of(handler::VECTOR, fd, vector, vector + 1, NONE);
    }
    let message = at(&|kind| matches!(kind, ArgKind::WriteMessage | ArgKind::ReadMessage));
    if message != NONE && fd != NONE {
        return of(handler::MESSAGE, fd, message, NONE, NONE);
    }
    let by_pointer = u8::from(at(&|kind| matches!(kind, ArgKind::SockaddrOut)) != NONE);
    match signature.name {
        "accept" | "accept4" => return of(handler::SOCKET, NONE, address, length, by_pointer),
        "listen" => return of(handler::SOCKET, 0, NONE, NONE, 0),
        _ if address != NONE => return of(handler::SOCKET, fd, address, length, by_pointer),
        _ => {}
    }
    let pair = at(&|kind| matches!(kind, ArgKind::FdPair));
    if pair != NONE {
        return of(handler::FDS, pair, NONE, NONE, NONE);
    }
    match signature.name {
        // `struct clone_args`: 11 words.
        "clone3" => of(handler::DATA, 0, 88, data::WHOLE, NONE),
        // The option that names a thread takes a string; others ignore what is read.
        "prctl" => of(handler::DATA, 1, 0, data::STRING, NONE),
        // Of the attributes those that say which object it is about, and a program's name.
        "bpf" => of(handler::DATA, 1, 64, data::COUNTED, 2),
        "capset" => of(handler::DATA, 1, 24, data::WHOLE, NONE),
        "setsockopt" => of(handler::DATA, 3, 64, data::COUNTED, 4),
        // `struct rlimit64`, which this table's `struct rlimit` is too.
        "setrlimit" => of(handler::DATA, 1, 16, data::WHOLE, NONE),
        "prlimit64" => of(handler::DATA, 2, 16, data::WHOLE, NONE),
        _ => of(handler::PLAIN, NONE, NONE, NONE, NONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> CallSpec {
        let code = syscalls::by_name(name).unwrap();
        table(false)[usize::from(code.0)]
    }

    #[test]
    fn calls_are_read_by_what_their_arguments_are() {
        let parts = |name| {
            let s = of(name);
            (s.handler, s.a, s.b, s.c, s.d)
        };
        assert_eq!(parts("openat"), (handler::PATH, 1, NONE, 1, NONE));
        assert_eq!(parts("openat2"), (handler::PATH, 1, NONE, 3, 2));
        assert_eq!(parts("mount"), (handler::PATH, 0, 1, 4, 2));
        assert_eq!(parts("bpf"), (handler::DATA, 1, 64, 2, 2));
        assert_eq!(parts("setsockopt"), (handler::DATA, 3, 64, 2, 4));
        assert_eq!(parts("renameat"), (handler::PATH, 1, 3, 0, NONE));
        assert_eq!(parts("write"), (handler::BUFFER, 0, 1, NONE, NONE));
        assert_eq!(parts("sendto"), (handler::BUFFER, 0, 1, 4, 5));
        assert_eq!(parts("recvfrom"), (handler::BUFFER, 0, 1, 4, 5));
        assert_eq!(parts("writev"), (handler::VECTOR, 0, 1, 2, NONE));
        assert_eq!(parts("sendmsg"), (handler::MESSAGE, 0, 1, NONE, NONE));
        assert_eq!(parts("connect"), (handler::SOCKET, 0, 1, 2, 0));
        assert_eq!(parts("accept4"), (handler::SOCKET, NONE, 1, 2, 1));
        assert_eq!(parts("pipe2"), (handler::FDS, 0, NONE, NONE, NONE));
        assert_eq!(of("getpid").handler, handler::PLAIN);
        assert_eq!(of("clone3").special, special::FORK);
        assert_eq!(of("execve").special, special::EXEC);
    }

    #[test]
    fn every_name_in_the_lists_is_a_system_call() {
        for name in NOT_FORENSIC.iter().chain(&MINIMAL).chain(&OPENS) {
            let known = syscalls::by_name(name).is_some()
                || (0..MAX_NR).any(|nr| {
                    let code = EventCode::syscall(Abi::I386, nr).unwrap();
                    syscalls::signature(code).is_some_and(|s| s.name == *name)
                });
            assert!(known, "{name}");
        }
    }

    #[test]
    fn forensic_keeps_state_and_drops_waiting() {
        assert_eq!(of("futex").profiles, profile::FULL);
        assert_eq!(of("unlinkat").profiles, profile::FULL | profile::FORENSIC | profile::MINIMAL);
        assert_eq!(of("getdents64").profiles, profile::FULL | profile::FORENSIC);
    }
}
