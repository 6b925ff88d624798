//! Which class an event counts in.

use std::sync::OnceLock;

use afterimage_format::{Class, Event, EventCode, FieldTag, layout};

use crate::{sockaddr::SocketAddress, symbols, syscalls, syscalls::ArgKind};

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// `O_WRONLY | O_RDWR | O_CREAT | O_TRUNC`: opening with one of these changes or may change a file.
const OPEN_WRITES: u64 = 0o1 | 0o2 | 0o100 | 0o1000;
/// Numbers per ABI in the table.
const SPAN: usize = 0x1000;
/// ABIs in the table.
const ABIS: usize = 3;

/// The class of an event. Cheap enough for every event that is recorded.
pub fn classify(event: &Event<'_>) -> Class {
    if matches!(event.code, EventCode::URING_SUBMIT | EventCode::URING_COMPLETE) {
        return event.number(layout::uring::OPCODE).map_or(Class::Other, request_class);
    }
    let Entry { class, opens } = entry(event.code);
    match class {
        Class::File if opens_for_writing(opens, event) => Class::FileWrite,
        Class::Net if speaks_dns(event) => Class::Dns,
        other => other,
    }
}

/// The class of a kind of event, before its arguments are looked at.
pub fn class_of(code: EventCode) -> Class {
    entry(code).class
}

/// What the table says of a kind of event.
#[derive(Clone, Copy)]
struct Entry {
    class: Class,
    opens: Opens,
}

/// Where a call has the flags that a file is opened with.
#[derive(Clone, Copy)]
enum Opens {
    /// It opens none.
    Nothing,
    /// In an argument.
    Argument(u8),
    /// In a `struct open_how`.
    How,
}

fn entry(code: EventCode) -> Entry {
    static TABLE: OnceLock<Vec<Entry>> = OnceLock::new();
    const OTHER: Entry = Entry { class: Class::Other, opens: Opens::Nothing };
    if code.as_syscall().is_some() {
        let table = TABLE.get_or_init(|| {
            let mut table = vec![OTHER; SPAN * ABIS];
            for (code, signature) in syscalls::all() {
                if let Some(slot) = table.get_mut(usize::from(code.0)) {
                    *slot = Entry { class: by_name(signature.name), opens: opens(signature.name) };
                }
            }
            table
        });
        return table.get(usize::from(code.0)).copied().unwrap_or(OTHER);
    }
    let class = match code {
        EventCode::FORK | EventCode::EXEC | EventCode::EXIT | EventCode::PROCESS => Class::Exec,
        EventCode::ARTIFACT => Class::Exec,
        EventCode::OPEN_FD | EventCode::URING_SUBMIT | EventCode::URING_COMPLETE => Class::File,
        _ => Class::Other,
    };
    Entry { class, opens: Opens::Nothing }
}

fn opens(name: &str) -> Opens {
    match name {
        "open" => Opens::Argument(1),
        "openat" => Opens::Argument(2),
        "openat2" => Opens::How,
        _ => Opens::Nothing,
    }
}

/// System calls by class. Descriptors are not known here: reading and writing count as file access, whatever they
/// go to.
static NAMES: &[(Class, &str)] = &[
    (Class::Exec, "fork vfork clone clone3 execve execveat exit exit_group wait4 waitpid waitid"),
    (
        Class::FileWrite,
        "creat rename renameat renameat2 unlink unlinkat link linkat symlink symlinkat mkdir mkdirat \
         rmdir mknod mknodat truncate truncate64 ftruncate ftruncate64 fallocate chmod fchmod fchmodat \
         fchmodat2 chown chown32 lchown lchown32 fchown fchown32 fchownat setxattr lsetxattr fsetxattr \
         setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr utime utimes \
         futimesat utimensat utimensat_time64 write pwrite64 writev pwritev pwritev2 copy_file_range \
         memfd_create",
    ),
    (
        Class::Priv,
        "setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 \
         setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capset \
         prctl seccomp unshare setns mount umount umount2 pivot_root chroot move_mount open_tree \
         open_tree_attr fsopen fsconfig fsmount fspick mount_setattr init_module finit_module \
         delete_module create_module bpf perf_event_open ptrace process_vm_readv process_vm_writev \
         pidfd_getfd kexec_load kexec_file_load reboot swapon swapoff add_key request_key keyctl \
         settimeofday clock_settime clock_settime64 stime adjtimex clock_adjtime clock_adjtime64 \
         sethostname setdomainname iopl ioperm acct quotactl quotactl_fd userfaultfd syslog \
         open_by_handle_at personality landlock_create_ruleset landlock_add_rule landlock_restrict_self \
         uselib",
    ),
    (
        Class::Mem,
        "mmap mmap2 munmap mprotect pkey_mprotect mremap remap_file_pages brk madvise process_madvise \
         mlock mlock2 munlock mlockall munlockall msync mincore mseal mbind membarrier shmat shmdt \
         shmget shmctl map_shadow_stack memfd_secret",
    ),
    (
        Class::Signal,
        "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal rt_sigaction \
         rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_sigreturn \
         sigreturn sigaltstack sigaction signal sigprocmask sigpending sigsuspend signalfd signalfd4 \
         pipe pipe2 msgget msgsnd msgrcv msgctl semget semop semtimedop semtimedop_time64 semctl ipc \
         mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 \
         mq_notify mq_getsetattr futex futex_time64 futex_wait futex_wake futex_waitv futex_requeue \
         eventfd eventfd2",
    ),
    (
        Class::Net,
        "socket socketpair bind connect listen accept accept4 getsockname getpeername sendto recvfrom \
         sendmsg recvmsg sendmmsg recvmmsg recvmmsg_time64 setsockopt getsockopt shutdown socketcall",
    ),
];

/// The class of a system call by name.
fn by_name(name: &str) -> Class {
    let listed = NAMES.iter().find(|(_, names)| names.split_whitespace().any(|n| n == name));
    listed.map_or_else(|| by_arguments(name), |(class, _)| *class)
}

/// The class of an io_uring request: that of the system call it stands for.
fn request_class(operation: u64) -> Class {
    let name = symbols::URING_OP.name_of(operation).and_then(|name| name.strip_prefix("IORING_OP_"));
    let name = name.unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "send" | "recv" | "send_zc" | "sendmsg_zc" | "recv_zc" => Class::Net,
        "write_fixed" | "writev_fixed" => Class::FileWrite,
        "read_fixed" | "readv_fixed" | "read_multishot" | "openat" | "openat2" => Class::File,
        name if syscalls::codes_by_name(name).is_empty() => Class::Other,
        name => by_name(name),
    }
}

/// What is left: calls about a path or a descriptor count as file access.
fn by_arguments(name: &str) -> Class {
    const WAITING: [&str; 3] = ["epoll_ctl", "epoll_wait", "timerfd_settime"];
    let about_files = |code: &EventCode| {
        syscalls::signature(*code).is_some_and(|s| {
            s.args.iter().any(|a| matches!(a.kind, ArgKind::Path | ArgKind::Dirfd | ArgKind::Fd))
        })
    };
    let waits = WAITING.contains(&name) || name.starts_with("epoll_") || name.starts_with("timerfd_");
    if !waits && syscalls::codes_by_name(name).iter().any(about_files) { Class::File } else { Class::Other }
}

fn opens_for_writing(opens: Opens, event: &Event<'_>) -> bool {
    let flags = match opens {
        Opens::Nothing => None,
        Opens::Argument(index) => event.args.get(usize::from(index)).copied(),
        Opens::How => open_how_flags(event),
    };
    flags.is_some_and(|flags| flags & OPEN_WRITES != 0)
}

/// `flags` of the `struct open_how` that `openat2` was given, where it was recorded.
pub(crate) fn open_how_flags(event: &Event<'_>) -> Option<u64> {
    event.bytes(FieldTag::DATA)?.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

fn speaks_dns(event: &Event<'_>) -> bool {
    event
        .fields
        .iter()
        .filter(|f| matches!(f.tag, FieldTag::SOCKADDR | FieldTag::PEER))
        .any(|f| SocketAddress::parse(f.bytes).is_some_and(|a| a.port() == Some(DNS_PORT)))
}

#[cfg(test)]
mod tests {
    use afterimage_format::{Abi, BootNanos, EventFlags, Field, FieldFlags, TaskKey};

    use super::*;

    fn call<'a>(name: &str, args: &'a [u64], fields: &'a [Field<'a>]) -> Event<'a> {
        Event {
            time: BootNanos(0),
            duration: None,
            task: TaskKey::default(),
            code: syscalls::by_name(name).unwrap(),
            flags: EventFlags::default(),
            cpu: 0,
            ret: 0,
            args,
            fields,
        }
    }

    #[test]
    fn every_listed_name_is_a_system_call_and_listed_once() {
        let mut seen = std::collections::HashSet::new();
        for name in NAMES.iter().flat_map(|(_, names)| names.split_whitespace()) {
            assert!(!syscalls::codes_by_name(name).is_empty(), "`{name}` is no system call");
            assert!(seen.insert(name), "`{name}` is listed twice");
        }
    }

    #[test]
    fn events_count_where_an_analyst_looks_for_them() {
        for (name, class) in [
            ("execve", Class::Exec),
            ("stat", Class::File),
            ("read", Class::File),
            ("unlinkat", Class::FileWrite),
            ("connect", Class::Net),
            ("setns", Class::Priv),
            ("mmap", Class::Mem),
            ("mmap(i386)", Class::Mem),
            ("kill", Class::Signal),
            ("getpid", Class::Other),
            ("epoll_wait", Class::Other),
            ("epoll_ctl", Class::Other),
        ] {
            assert_eq!(classify(&call(name, &[], &[])), class, "{name}");
        }
        assert_eq!(class_of(EventCode::EXEC), Class::Exec);
        assert_eq!(class_of(EventCode::syscall(Abi::X86_64, 4000).unwrap()), Class::Other);
    }

    #[test]
    fn opening_for_writing_is_writing() {
        assert_eq!(classify(&call("openat", &[0, 0, 0, 0], &[])), Class::File);
        assert_eq!(classify(&call("openat", &[0, 0, 0o101, 0], &[])), Class::FileWrite);
        assert_eq!(classify(&call("open", &[0, 2], &[])), Class::FileWrite);
        assert_eq!(classify(&call("open(i386)", &[0, 2], &[])), Class::FileWrite);
        let how = 0o1000_u64.to_le_bytes();
        let data = [Field { tag: FieldTag::DATA, flags: FieldFlags(0), full_len: 8, bytes: &how }];
        assert_eq!(classify(&call("openat2", &[0, 0, 0, 24], &data)), Class::FileWrite);
    }

    #[test]
    fn requests_of_a_ring_count_as_the_calls_they_stand_for() {
        let request = |operation: u64| {
            classify(&Event { code: EventCode::URING_SUBMIT, ..call("read", &[operation], &[]) })
        };
        assert_eq!(request(18), Class::File, "openat");
        assert_eq!(request(36), Class::FileWrite, "unlinkat");
        assert_eq!(request(16), Class::Net, "connect");
        assert_eq!(request(23), Class::FileWrite, "write");
        assert_eq!(request(0), Class::Other, "nop");
        assert_eq!(request(999), Class::Other);
    }

    #[test]
    fn port_53_is_dns() {
        let bytes = [2, 0, 0, 53, 8, 8, 8, 8];
        let peer = [Field { tag: FieldTag::SOCKADDR, flags: FieldFlags(0), full_len: 8, bytes: &bytes }];
        assert_eq!(classify(&call("sendto", &[3], &peer)), Class::Dns);
        assert_eq!(classify(&call("sendto", &[3], &[])), Class::Net);
    }
}
