//! What a call can return.

use afterimage_format::{Abi, EventCode};

use super::base_name;

/// The bit that marks a number as one of x32.
const X32_BIT: i64 = 0x4000_0000;

/// Calls that return a number where they succeed: a descriptor, a count, an id, or what was asked for. All others return 0, an
/// address, or a number that is smaller than their own.
const NUMBERS: &str = "\
    open openat openat2 creat open_by_handle_at memfd_create memfd_secret socket accept accept4 dup dup2 dup3 fcntl fcntl64 \
    epoll_create epoll_create1 eventfd eventfd2 signalfd signalfd4 timerfd_create inotify_init inotify_init1 \
    inotify_add_watch fanotify_init userfaultfd io_uring_setup perf_event_open fsopen fsmount fspick open_tree \
    open_tree_attr landlock_create_ruleset pidfd_open pidfd_getfd bpf mq_open seccomp ioctl \
    read pread64 readv preadv preadv2 recvfrom recvmsg recvmmsg recvmmsg_time64 write pwrite64 writev pwritev pwritev2 \
    sendto sendmsg sendmmsg sendfile sendfile64 splice tee vmsplice copy_file_range getdents getdents64 readlink readlinkat \
    getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat lseek getcwd getrandom \
    select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_wait epoll_pwait epoll_pwait2 \
    epoll_wait_old io_submit io_getevents io_pgetevents io_pgetevents_time64 io_uring_enter io_uring_register \
    process_vm_readv process_vm_writev process_madvise mq_timedreceive mq_timedreceive_time64 msgrcv lookup_dcookie \
    sched_getaffinity getgroups getgroups32 add_key request_key keyctl sysfs syslog listmount lsm_list_modules \
    lsm_get_self_attr move_pages migrate_pages modify_ldt membarrier \
    futex futex_time64 futex_wake futex_waitv futex_requeue restart_syscall \
    fork vfork clone clone3 getpid gettid getppid getpgid getpgrp getsid setsid wait4 waitpid set_tid_address \
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 setfsuid setfsuid32 setfsgid setfsgid32 \
    umask personality getpriority sched_getscheduler sched_get_priority_max sched_get_priority_min \
    shmget semget msgget semctl shmctl msgctl ipc socketcall signal sgetmask ssetmask alarm time times timer_getoverrun \
    arch_prctl";

/// Whether the result of a call is its own number, and that is none of its results: what the register holds where a seccomp filter
/// kept the call from being made, by a signal or by ending the program. A call that returns numbers may return its own.
pub fn is_no_result(code: EventCode, args: &[u64], ret: i64) -> bool {
    is_own_number(code, ret) && !returns_numbers(code, args.first().copied())
}

/// Whether the result of a call is its own number, of one that is not 0.
pub fn is_own_number(code: EventCode, ret: i64) -> bool {
    let Some((abi, nr)) = code.as_syscall() else { return false };
    let own = i64::from(nr) | if abi == Abi::X32 { X32_BIT } else { 0 };
    ret == own && own != 0
}

fn returns_numbers(code: EventCode, first: Option<u64>) -> bool {
    /// `PTRACE_PEEKSIGINFO`, and what tells of seccomp, calls and rseq; all other requests return 0.
    const COUNTING: [u64; 5] = [0x4209, 0x420c, 0x420d, 0x420e, 0x420f];
    /// `PR_GET_SECUREBITS` and `PR_GET_TIMERSLACK`; all other options return less than the call's number.
    const TELLING: [u64; 2] = [27, 30];
    match (base_name(code), first) {
        ("ptrace", Some(request)) => COUNTING.contains(&request),
        ("prctl", Some(option)) => TELLING.contains(&option),
        (name, _) => NUMBERS.split_ascii_whitespace().any(|known| known == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::{by_name, codes_by_name};

    #[test]
    fn every_listed_name_is_a_system_call_and_listed_once() {
        let mut seen = std::collections::HashSet::new();
        for name in NUMBERS.split_ascii_whitespace() {
            assert!(!codes_by_name(name).is_empty(), "`{name}` is no system call");
            assert!(seen.insert(name), "`{name}` is listed twice");
        }
    }

    #[test]
    fn a_call_that_returns_its_own_number_was_not_made_unless_it_returns_numbers() {
        let with = |name: &str, args: &[u64], ret| is_no_result(by_name(name).unwrap(), args, ret);
        let is = |name: &str, ret| with(name, &[0; 3], ret);
        for (name, nr) in [("setuid", 105), ("unlink", 87), ("connect", 42), ("execve", 59), ("mmap", 9)] {
            assert!(is(name, nr), "{name}");
            assert!(!is(name, 0) && !is(name, -1) && !is(name, nr + 1), "{name}");
        }
        for (name, nr) in [("write", 1), ("dup2", 33), ("getpid", 39), ("fork", 57), ("sendto", 44)] {
            assert!(!is(name, nr), "{name}");
        }
        // `PTRACE_ATTACH` and `PR_SET_NAME`; `PTRACE_SECCOMP_GET_FILTER` and `PR_GET_TIMERSLACK`.
        assert!(with("ptrace", &[16, 7], 101) && with("prctl", &[15, 0], 157));
        assert!(!with("ptrace", &[0x420c, 7], 101) && !with("prctl", &[30, 0], 157));
        assert!(is("setuid(i386)", 23) && is("unlink(x32)", X32_BIT | 87));
        assert!(!is("read", 0) && !is("write(i386)", 4) && !is("write(x32)", X32_BIT | 1));
        assert!(is("syscall_999", 999), "no such call returns anything");
    }
}
