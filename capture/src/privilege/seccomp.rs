//! System calls that a process of the recorder has no use for are refused to it, whatever runs in it.
//!
//! A list of what is refused, not of what is allowed: the C library and the runtime change what they call, and a
//! recorder that a new library stops does not record. Refused calls fail with `EPERM`; `clone3` with `ENOSYS`, so that
//! the C library makes threads by `clone`, whose flags a filter can see.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::Role;

/// Refused to all: other programs, other processes' memory, mounts, modules, clocks, keys, namespaces, and io_uring,
/// whose requests a filter does not see.
const ALL: [i64; 43] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_mknodat,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
];

/// What x86-64 has besides.
#[cfg(target_arch = "x86_64")]
const MACHINE: [i64; 5] =
    [libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_mknod, libc::SYS_modify_ldt, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const MACHINE: [i64; 0] = [];

/// Numbers with this bit are calls of x32, and the filter's architecture is the same.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
/// `execve`, `ptrace`, `kexec_load`, `process_vm_readv`, `process_vm_writev`, `execveat` of x32.
#[cfg(target_arch = "x86_64")]
const X32_OWN: [i64; 6] = [520, 521, 528, 539, 540, 545];

/// Refuses calls to this thread, and to those that it makes.
///
/// # Errors
/// Why not, in words.
pub fn forbid(role: Role) -> Result<(), String> {
    let words = |error: seccompiler::Error| format!("no system call is refused: seccomp: {error}");
    let apply = |rules, action| -> Result<(), String> {
        let program = program(rules, action).map_err(|error| words(error.into()))?;
        apply_filter(&program).map_err(words)
    };
    apply(refused(role), SeccompAction::Errno(libc::EPERM as u32))?;
    if role != Role::Spawner {
        let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        apply(rules, SeccompAction::Errno(libc::ENOSYS as u32))?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(rules: Rules, action: SeccompAction) -> Result<BpfProgram, seccompiler::BackendError> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, action, machine)?.try_into()
}

fn refused(role: Role) -> Rules {
    let mut numbers: Vec<i64> = ALL.into_iter().chain(MACHINE).collect();
    if matches!(role, Role::Metadata | Role::Control) {
        numbers.extend([libc::SYS_bpf, libc::SYS_perf_event_open]);
    }
    #[cfg(target_arch = "x86_64")]
    {
        let x32: Vec<i64> = numbers.iter().copied().chain(X32_OWN).map(|number| number | X32).collect();
        numbers.extend(x32);
    }
    let mut rules: Rules = numbers.into_iter().map(|number| (number, Vec::new())).collect();
    let condition = |place, op, value| SeccompCondition::new(place, Len::Dword, op, value as u64).ok();
    let rule = |conditions: Vec<Option<SeccompCondition>>| {
        SeccompRule::new(conditions.into_iter().flatten().collect()).ok()
    };
    // Sockets of other families than those a process serves.
    let mut families = vec![condition(0, Op::Ne, libc::AF_UNIX)];
    if matches!(role, Role::Control | Role::Spawner) {
        families.extend([condition(0, Op::Ne, libc::AF_INET), condition(0, Op::Ne, libc::AF_INET6)]);
    }
    rules.insert(libc::SYS_socket, rule(families).into_iter().collect());
    if role != Role::Spawner {
        // Threads, but no processes.
        let threads = Op::MaskedEq(libc::CLONE_THREAD as u64);
        rules.insert(libc::SYS_clone, rule(vec![condition(0, threads, 0)]).into_iter().collect());
        #[cfg(target_arch = "x86_64")]
        rules.extend([(libc::SYS_fork, Vec::new()), (libc::SYS_vfork, Vec::new())]);
    }
    rules
}

/// Whether this kernel refuses calls on request.
pub fn is_there() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.split_whitespace().any(|action| action == "errno"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs on a thread of its own, which the filter ends with.
    fn under(role: Role, then: impl FnOnce() + Send + 'static) {
        std::thread::spawn(move || {
            forbid(role).unwrap();
            then();
        })
        .join()
        .unwrap();
    }

    fn executes() -> bool {
        std::process::Command::new("/bin/true").status().is_ok()
    }

    fn connects(address: &str) -> std::io::ErrorKind {
        std::net::TcpStream::connect(address).unwrap_err().kind()
    }

    #[test]
    fn nobody_executes_and_only_control_has_ip_sockets() {
        use std::io::ErrorKind::{ConnectionRefused, PermissionDenied};
        assert!(executes());
        // Nobody listens on port 1.
        for (role, four, six) in [
            (Role::Capture, PermissionDenied, PermissionDenied),
            (Role::Metadata, PermissionDenied, PermissionDenied),
            (Role::Control, ConnectionRefused, ConnectionRefused),
        ] {
            under(role, move || {
                assert!(!executes(), "{role:?}");
                assert_eq!(connects("127.0.0.1:1"), four, "{role:?}");
                if std::path::Path::new("/proc/net/if_inet6").exists() {
                    assert_eq!(connects("[::1]:1"), six, "{role:?}");
                }
                std::os::unix::net::UnixStream::pair().unwrap();
                assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7, "threads are made");
                let mounted = rustix::mount::mount_bind("/tmp", "/tmp");
                assert_eq!(mounted, Err(rustix::io::Errno::PERM), "{role:?}");
            });
        }
    }
}
