//! Arguments as we decode them against arguments as strace decodes them.
//!
//! The test runs itself under strace as a child that makes a corpus of raw calls; each stands behind a `close` of a
//! number that names it. What strace writes for each argument must be what `describe::args` makes of the same raw
//! numbers. The calls are chosen to fail: bad descriptors, null pointers.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use afterimage_format::{BootNanos, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, TaskKey};
use afterimage_model::{
    describe,
    symbols::{self, SymbolSet},
    syscalls::{self, ArgKind},
};

const CHILD: &str = "AFTERIMAGE_STRACE_CORPUS";
/// Added to a call's place in the corpus: descriptors that are not open.
const MARK: i64 = 1_000_000;
const PATH: &[u8] = b"/nowhere/at-all\0";
const NO_FD: u64 = u64::MAX;

/// A call of the corpus with its raw arguments.
struct RawCall {
    name: &'static str,
    code: EventCode,
    args: Vec<u64>,
}

/// Calls that must not be made: they would end, stop, confine or rename the child, reach other processes, or
/// change the machine.
const NEVER: &[&str] = &[
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "pause",
    "reboot",
    "ptrace",
    "seccomp",
    "personality",
    "syslog",
    "kexec_load",
    "kexec_file_load",
    "keyctl",
    "prctl",
    "arch_prctl",
    "munmap",
    "mremap",
    "brk",
    "mprotect",
    "pkey_mprotect",
    "madvise",
    "setsid",
    "vhangup",
    "sync",
    "umask",
    "alarm",
    "setitimer",
    "settimeofday",
    "sched_setscheduler",
    "setpriority",
    "unshare",
    "restart_syscall",
    "munlockall",
    "wait4",
    "waitid",
    "shmget",
    "shmat",
    "shmctl",
    "shmdt",
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
    "semget",
    "semop",
    "semtimedop",
    "semctl",
    "request_key",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "uprobe",
    "uretprobe",
    "poll",
    "select",
    "ppoll",
    "pselect6",
    "nanosleep",
    "clock_nanosleep",
    "close_range",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "setpgid",
    "rt_sigaction",
    "rt_sigprocmask",
    "mlockall",
    "setns",
    "chroot",
    "swapon",
    "swapoff",
    "acct",
    "sethostname",
    "setdomainname",
];

/// A harmless value for an argument that is not varied.
fn harmless(kind: ArgKind, path: u64) -> u64 {
    match kind {
        ArgKind::Path | ArgKind::Path2 => path,
        ArgKind::Fd | ArgKind::Dirfd => NO_FD,
        ArgKind::Pid => 0x7fff_fff0,
        ArgKind::Uid | ArgKind::Gid => u64::from(u32::MAX),
        ArgKind::Signal => 99,
        ArgKind::Symbol(set) => set.symbols.first().map_or(0, |s| s.value),
        _ => 0,
    }
}

/// Values worth trying for an argument.
fn values(kind: ArgKind) -> Vec<u64> {
    let single = |set: &'static SymbolSet| set.symbols.iter().map(|s| s.value).collect::<Vec<_>>();
    let mixed = |set: &'static SymbolSet| {
        let mut out = vec![0];
        out.extend(single(set));
        // All neighbours, and everything that single bits can make.
        out.extend(set.symbols.windows(2).map(|w| w[0].value | w[1].value));
        out.push(set.symbols.iter().filter(|s| s.value.is_power_of_two()).fold(0, |all, s| all | s.value));
        out
    };
    match kind {
        ArgKind::Flags(set) => mixed(set),
        ArgKind::Symbol(set) => single(set),
        ArgKind::Mode => vec![0, 0o7, 0o22, 0o644, 0o4755, 0o7777],
        ArgKind::FileMode => vec![0o644, 0o020_666, 0o100_600, 0o010_644, 0o140_777],
        ArgKind::Signal => (0..=66).collect(),
        ArgKind::Ioctl => {
            let mut out = single(&symbols::IOCTL);
            out.extend([0x8038_9967, 0x1234_5678, 0xc010_0001]);
            out
        }
        ArgKind::FutexOp => (0..14).flat_map(|op| [op, op | 128, op | 128 | 256]).collect(),
        ArgKind::SchedPolicy => vec![0, 1, 2, 3, 5, 6],
        ArgKind::SocketType => vec![1, 2, 3, 5, 10, 1 | 0o2_000_000, 2 | 0o4000, 1 | 0o2_004_000],
        ArgKind::SocketProtocol => vec![0, 1, 6, 17, 58, 255],
        ArgKind::Sockopt => (1..=60).collect(),
        ArgKind::MmapFlags => {
            vec![0x22, 0x21, 0x32, 0x22 | 0x4000, 0x22 | 0x8000 | 0x20000, 0x22 | 0x40000 | 21 << 26]
        }
        ArgKind::Int | ArgKind::Pid | ArgKind::Offset | ArgKind::Long => vec![0, 7, u64::MAX],
        ArgKind::Uid | ArgKind::Gid => vec![7, u64::from(u32::MAX)],
        ArgKind::Fd | ArgKind::Dirfd => vec![NO_FD, 0xffff_ff9c],
        ArgKind::Device => vec![0x0103, 0x8_0001],
        _ => Vec::new(),
    }
}

fn corpus(path: u64) -> Vec<RawCall> {
    let mut out = Vec::new();
    for (code, signature) in syscalls::all() {
        let native = code.as_syscall().is_some_and(|(abi, _)| abi == afterimage_format::Abi::X86_64);
        if !native || NEVER.contains(&signature.name) {
            continue;
        }
        let base: Vec<u64> = signature.args.iter().map(|a| harmless(a.kind, path)).collect();
        for (at, arg) in signature.args.iter().enumerate() {
            for value in values(arg.kind) {
                let mut args = base.clone();
                args[at] = value;
                if is_harmless(signature.name, &args) {
                    out.push(RawCall { name: signature.name, code, args });
                }
            }
        }
    }
    out
}

/// Whether a call of the corpus leaves child and machine as they are.
fn is_harmless(name: &str, args: &[u64]) -> bool {
    const BPF_ENABLE_STATS: u64 = 32;
    match name {
        "mmap" => args[4] == NO_FD && args[1] == 0,
        "bpf" => args[0] != BPF_ENABLE_STATS,
        _ => true,
    }
}

/// Run by strace: makes the calls.
fn be_the_child() {
    // SAFETY: ends this child should a call of the corpus wait for something.
    unsafe { libc::alarm(120) };
    for (at, call) in corpus(PATH.as_ptr() as u64).iter().enumerate() {
        let mut args = [0_i64; 6];
        for (to, from) in args.iter_mut().zip(&call.args) {
            *to = from.cast_signed();
        }
        let mark = -(MARK + i64::try_from(at).unwrap());
        // SAFETY: closing a negative number does nothing.
        unsafe { libc::syscall(libc::SYS_close, mark) };
        let [a, b, c, d, e, f] = args;
        // SAFETY: the corpus holds only calls that fail or change nothing that this child uses: pointers are null
        // or point to a constant string, descriptors are not open.
        unsafe { libc::syscall(i64::from(call.code.0), a, b, c, d, e, f) };
    }
}

/// What strace wrote, by the place in the corpus: name and arguments.
fn under_strace() -> BTreeMap<usize, (String, Vec<String>)> {
    let dir = std::env::temp_dir().join(format!("afterimage-strace-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let log: PathBuf = dir.join("log");
    let status = Command::new("strace")
        .args(["-f", "-s", "4096", "-e", "signal=none", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "strace::arguments_are_decoded_as_strace_decodes_them",
            "--include-ignored",
            "--nocapture",
        ])
        .args(["--test-threads", "1"])
        .env(CHILD, "1")
        .status()
        .expect("strace runs");
    assert!(status.success());
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    std::fs::remove_dir_all(&dir).unwrap();
    let mut out = BTreeMap::new();
    let mut place: Option<usize> = None;
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(' ').and_then(|(_, rest)| rest.trim_start().split_once('('))
        else {
            continue;
        };
        let arguments = split(rest);
        if let Some(at) = place.take() {
            out.insert(at, (name.to_owned(), arguments));
        } else if name == "close" {
            let mark = arguments.first().and_then(|a| a.parse::<i64>().ok()).filter(|&fd| fd <= -MARK);
            place = mark.and_then(|fd| usize::try_from(-fd - MARK).ok());
        }
    }
    out
}

/// Arguments up to the closing parenthesis, comments taken out.
fn split(rest: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut depth, mut quoted, mut comment) = (0_i32, false, false);
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if comment && chars.peek() == Some(&'/') => {
                chars.next();
                comment = false;
                continue;
            }
            _ if comment => continue,
            '/' if !quoted && chars.peek() == Some(&'*') => {
                comment = true;
                continue;
            }
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                out.push(String::new());
                continue;
            }
            _ => {}
        }
        out.last_mut().unwrap().push(c);
    }
    out.iter().map(|a| a.trim().to_owned()).filter(|a| !a.is_empty()).collect()
}

/// Ours for a raw call.
fn ours(call: &RawCall) -> Vec<String> {
    let path = &PATH[..PATH.len() - 1];
    let full_len = u32::try_from(path.len()).unwrap();
    let fields = [FieldTag::PATH, FieldTag::PATH2].map(|tag| Field {
        tag,
        flags: FieldFlags(0),
        full_len,
        bytes: path,
    });
    let event = Event {
        time: BootNanos(0),
        duration: None,
        task: TaskKey::default(),
        code: call.code,
        flags: EventFlags::default(),
        cpu: 0,
        ret: -22,
        args: &call.args,
        fields: &fields,
    };
    describe::args(&event).into_iter().map(|(_, value)| value.into_string()).collect()
}

/// Names that strace 6.1 does not have yet: it writes their numbers.
const NEWER: &[&str] = &[
    "BPF_TOKEN_CREATE",
    "BPF_PROG_STREAM_READ_BY_FD",
    "FAN_REPORT_FD_ERROR",
    "FAN_REPORT_MNT",
    "FAN_MARK_MNTNS",
    "F_DUPFD_QUERY",
    "F_CREATED_QUERY",
    "F_SET_RW_HINT",
    "F_SET_FILE_RW_HINT",
    "FSCONFIG_CMD_CREATE_EXCL",
    "IORING_ENTER_ABS_TIMER",
    "IORING_ENTER_EXT_ARG_REG",
    "IORING_ENTER_NO_IOWAIT",
    "IORING_REGISTER_SYNC_CANCEL",
    "IORING_REGISTER_FILE_ALLOC_RANGE",
    "MFD_NOEXEC_SEAL",
    "MFD_EXEC",
    "MOVE_MOUNT_BENEATH",
    "PIDFD_THREAD",
    "PIDFD_SIGNAL_THREAD",
    "PIDFD_SIGNAL_PROCESS_GROUP",
    "MADV_GUARD_INSTALL",
    "MADV_GUARD_REMOVE",
    "SOL_MPTCP",
    "SOL_VSOCK",
    "STATX_MNT_ID_UNIQUE",
    "STATX_SUBVOL",
    "STATX_WRITE_ATOMIC",
    "MOUNT_ATTR_IDMAP",
    "MOUNT_ATTR_NOSYMFOLLOW",
    "MPOL_WEIGHTED_INTERLEAVE",
    "PIDFD_GET_PID_NAMESPACE",
    "SECCOMP_IOCTL_NOTIF_SET_FLAGS",
    "RWF_NOAPPEND",
    "RWF_ATOMIC",
    "RWF_DONTCACHE",
];

/// Arguments of which we say less than strace does, or the same in other words, and why that is so.
fn is_known_difference(call: &str, ours: &str, theirs: &str) -> bool {
    if NEWER.iter().any(|name| ours.contains(name)) {
        return true;
    }
    match call {
        // A flag that the call does not take is a number for strace, a name for us.
        "delete_module" | "memfd_secret" | "userfaultfd" | "mount_setattr" | "name_to_handle_at" => {
            theirs.contains("0x")
        }
        // Names of one request in several drivers: we give that of the terminal or file system.
        "ioctl" => theirs.contains(" or ") || ours == "0" || theirs.starts_with("_IOC(_IOC_NONE, 0, 0, 0)"),
        // Numbers that depend on another argument in a way we do not follow.
        "fcntl" | "fsconfig" | "ioprio_set" | "quotactl" | "quotactl_fd" => true,
        "futex" => theirs.contains("FUTEX_OP") || theirs.starts_with("0x1"),
        "socket" | "socketpair" | "getsockopt" | "setsockopt" => {
            matches!(ours, "0" | "IPPROTO_IP" | "NETLINK_ROUTE")
        }
        "add_key" => theirs.starts_with("KEY_SPEC"),
        "fanotify_mark" => theirs == "FAN_NOFD",
        // Two values of one field at once, which no kernel takes.
        "fanotify_init" => ours.contains("0xc"),
        "statx" => ours.contains("0x6000"),
        "mbind" | "set_mempolicy" => ours.contains("0x"),
        "truncate" | "ftruncate" => theirs.starts_with("184467"),
        _ => false,
    }
}

fn same(ours: &str, theirs: &str) -> bool {
    let plain = |text: &str| {
        let text = text.replace("FASYNC", "O_ASYNC");
        if text == "NULL" { "0".to_owned() } else { text }
    };
    let (ours, theirs) = (plain(ours), plain(theirs));
    // Numbers in another base.
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse::<i64>().ok().map(|n| u64::from(n as u32)),
    };
    if let (Some(a), Some(b)) = (number(&ours), number(&theirs)) {
        return a as u32 == b as u32;
    }
    // A set of flags in another order.
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split('|').map(|part| part.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    ours == theirs || sorted(&ours) == sorted(&theirs)
}

#[test]
#[ignore = "needs strace and the right to trace"]
fn arguments_are_decoded_as_strace_decodes_them() {
    if std::env::var_os(CHILD).is_some() {
        be_the_child();
        return;
    }
    let theirs = under_strace();
    let (mut arguments, mut calls) = (0, 0);
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, call) in corpus(PATH.as_ptr() as u64).iter().enumerate() {
        let Some((name, theirs)) = theirs.get(&at) else { continue };
        let ours = ours(call);
        // A call that this strace has no name for, or of which it leaves arguments out.
        if name != call.name || ours.len() != theirs.len() {
            continue;
        }
        calls += 1;
        for (ours, theirs) in ours.iter().zip(theirs) {
            arguments += 1;
            if !same(ours, theirs) && !is_known_difference(call.name, ours, theirs) {
                wrong.entry(call.name.to_owned()).or_default().push(format!("{ours} != {theirs}"));
            }
        }
    }
    for (name, list) in &wrong {
        eprintln!("{name}: {}", list.join("; "));
    }
    eprintln!("{calls} calls, {arguments} arguments compared with strace");
    assert!(wrong.is_empty());
    assert!(calls > 2_000 && arguments > 8_000, "the corpus was not made");
}
