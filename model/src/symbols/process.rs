//! Constants of processes, namespaces, capabilities, tracing and seccomp.

use super::{flag, hex, push_or, signal, symbol_sets};

symbol_sets! {
    PROCESS_SETS;
    /// `clone`, `unshare` and `setns` flags. The low byte of `clone`'s is the signal at the child's end.
    CLONE: 64, "clone" [
        flag(0x80, "CLONE_NEWTIME"), flag(0x100, "CLONE_VM"), flag(0x200, "CLONE_FS"), flag(0x400, "CLONE_FILES"),
        flag(0x800, "CLONE_SIGHAND"), flag(0x1000, "CLONE_PIDFD"), flag(0x2000, "CLONE_PTRACE"),
        flag(0x4000, "CLONE_VFORK"), flag(0x8000, "CLONE_PARENT"), flag(0x10000, "CLONE_THREAD"),
        flag(0x20000, "CLONE_NEWNS"), flag(0x40000, "CLONE_SYSVSEM"), flag(0x80000, "CLONE_SETTLS"),
        flag(0x0010_0000, "CLONE_PARENT_SETTID"), flag(0x0020_0000, "CLONE_CHILD_CLEARTID"),
        flag(0x0040_0000, "CLONE_DETACHED"), flag(0x0080_0000, "CLONE_UNTRACED"),
        flag(0x0100_0000, "CLONE_CHILD_SETTID"), flag(0x0200_0000, "CLONE_NEWCGROUP"),
        flag(0x0400_0000, "CLONE_NEWUTS"), flag(0x0800_0000, "CLONE_NEWIPC"), flag(0x1000_0000, "CLONE_NEWUSER"),
        flag(0x2000_0000, "CLONE_NEWPID"), flag(0x4000_0000, "CLONE_NEWNET"), flag(0x8000_0000, "CLONE_IO"),
        flag(0x1_0000_0000, "CLONE_CLEAR_SIGHAND"), flag(0x2_0000_0000, "CLONE_INTO_CGROUP"),
    ];
    /// `wait4`, `waitid` options.
    WAIT: 32, "wait" [
        flag(1, "WNOHANG"), flag(2, "WSTOPPED"), flag(4, "WEXITED"), flag(8, "WCONTINUED"),
        flag(0x0100_0000, "WNOWAIT"), flag(0x2000_0000, "__WNOTHREAD"), flag(0x4000_0000, "__WALL"),
        flag(0x8000_0000, "__WCLONE"),
    ];
    /// What `waitid` waits for.
    IDTYPE: 32, "idtype" [flag(0, "P_ALL"), flag(1, "P_PID"), flag(2, "P_PGID"), flag(3, "P_PIDFD"),];
    /// `pidfd_open` flags.
    PIDFD: 32, "pidfd" [flag(0o4000, "PIDFD_NONBLOCK"), flag(0o200, "PIDFD_THREAD"),];
    /// `pidfd_send_signal` flags.
    PIDFD_SIGNAL: 32, "pidfd_signal" [
        flag(1, "PIDFD_SIGNAL_THREAD"), flag(2, "PIDFD_SIGNAL_THREAD_GROUP"), flag(4, "PIDFD_SIGNAL_PROCESS_GROUP"),
    ];
    /// `ptrace` requests.
    PTRACE: 64, "ptrace" [
        flag(0, "PTRACE_TRACEME"), flag(1, "PTRACE_PEEKTEXT"), flag(2, "PTRACE_PEEKDATA"), flag(3, "PTRACE_PEEKUSER"),
        flag(4, "PTRACE_POKETEXT"), flag(5, "PTRACE_POKEDATA"), flag(6, "PTRACE_POKEUSER"), flag(7, "PTRACE_CONT"),
        flag(8, "PTRACE_KILL"), flag(9, "PTRACE_SINGLESTEP"), flag(12, "PTRACE_GETREGS"), flag(13, "PTRACE_SETREGS"),
        flag(14, "PTRACE_GETFPREGS"), flag(15, "PTRACE_SETFPREGS"), flag(16, "PTRACE_ATTACH"),
        flag(17, "PTRACE_DETACH"), flag(18, "PTRACE_GETFPXREGS"), flag(19, "PTRACE_SETFPXREGS"),
        flag(21, "PTRACE_OLDSETOPTIONS"), flag(24, "PTRACE_SYSCALL"), flag(25, "PTRACE_GET_THREAD_AREA"),
        flag(26, "PTRACE_SET_THREAD_AREA"), flag(30, "PTRACE_ARCH_PRCTL"), flag(31, "PTRACE_SYSEMU"),
        flag(32, "PTRACE_SYSEMU_SINGLESTEP"), flag(33, "PTRACE_SINGLEBLOCK"), flag(0x4200, "PTRACE_SETOPTIONS"),
        flag(0x4201, "PTRACE_GETEVENTMSG"), flag(0x4202, "PTRACE_GETSIGINFO"), flag(0x4203, "PTRACE_SETSIGINFO"),
        flag(0x4204, "PTRACE_GETREGSET"), flag(0x4205, "PTRACE_SETREGSET"), flag(0x4206, "PTRACE_SEIZE"),
        flag(0x4207, "PTRACE_INTERRUPT"), flag(0x4208, "PTRACE_LISTEN"), flag(0x4209, "PTRACE_PEEKSIGINFO"),
        flag(0x420a, "PTRACE_GETSIGMASK"), flag(0x420b, "PTRACE_SETSIGMASK"), flag(0x420c, "PTRACE_SECCOMP_GET_FILTER"),
        flag(0x420d, "PTRACE_SECCOMP_GET_METADATA"), flag(0x420e, "PTRACE_GET_SYSCALL_INFO"),
        flag(0x420f, "PTRACE_GET_RSEQ_CONFIGURATION"), flag(0x4210, "PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG"),
        flag(0x4211, "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG"), flag(0x4212, "PTRACE_SET_SYSCALL_INFO"),
    ];
    /// `prctl` options.
    PRCTL: 32, "prctl" [
        flag(1, "PR_SET_PDEATHSIG"), flag(2, "PR_GET_PDEATHSIG"), flag(3, "PR_GET_DUMPABLE"),
        flag(4, "PR_SET_DUMPABLE"), flag(5, "PR_GET_UNALIGN"), flag(6, "PR_SET_UNALIGN"), flag(7, "PR_GET_KEEPCAPS"),
        flag(8, "PR_SET_KEEPCAPS"), flag(9, "PR_GET_FPEMU"), flag(10, "PR_SET_FPEMU"), flag(11, "PR_GET_FPEXC"),
        flag(12, "PR_SET_FPEXC"), flag(13, "PR_GET_TIMING"), flag(14, "PR_SET_TIMING"), flag(15, "PR_SET_NAME"),
        flag(16, "PR_GET_NAME"), flag(19, "PR_GET_ENDIAN"), flag(20, "PR_SET_ENDIAN"), flag(21, "PR_GET_SECCOMP"),
        flag(22, "PR_SET_SECCOMP"), flag(23, "PR_CAPBSET_READ"), flag(24, "PR_CAPBSET_DROP"), flag(25, "PR_GET_TSC"),
        flag(26, "PR_SET_TSC"), flag(27, "PR_GET_SECUREBITS"), flag(28, "PR_SET_SECUREBITS"),
        flag(29, "PR_SET_TIMERSLACK"), flag(30, "PR_GET_TIMERSLACK"), flag(31, "PR_TASK_PERF_EVENTS_DISABLE"),
        flag(32, "PR_TASK_PERF_EVENTS_ENABLE"), flag(33, "PR_MCE_KILL"), flag(34, "PR_MCE_KILL_GET"),
        flag(35, "PR_SET_MM"), flag(36, "PR_SET_CHILD_SUBREAPER"), flag(37, "PR_GET_CHILD_SUBREAPER"),
        flag(38, "PR_SET_NO_NEW_PRIVS"), flag(39, "PR_GET_NO_NEW_PRIVS"), flag(40, "PR_GET_TID_ADDRESS"),
        flag(41, "PR_SET_THP_DISABLE"), flag(42, "PR_GET_THP_DISABLE"), flag(43, "PR_MPX_ENABLE_MANAGEMENT"),
        flag(44, "PR_MPX_DISABLE_MANAGEMENT"), flag(45, "PR_SET_FP_MODE"), flag(46, "PR_GET_FP_MODE"),
        flag(47, "PR_CAP_AMBIENT"), flag(50, "PR_SVE_SET_VL"), flag(51, "PR_SVE_GET_VL"),
        flag(52, "PR_GET_SPECULATION_CTRL"), flag(53, "PR_SET_SPECULATION_CTRL"), flag(54, "PR_PAC_RESET_KEYS"),
        flag(55, "PR_SET_TAGGED_ADDR_CTRL"), flag(56, "PR_GET_TAGGED_ADDR_CTRL"), flag(57, "PR_SET_IO_FLUSHER"),
        flag(58, "PR_GET_IO_FLUSHER"), flag(59, "PR_SET_SYSCALL_USER_DISPATCH"), flag(60, "PR_PAC_SET_ENABLED_KEYS"),
        flag(61, "PR_PAC_GET_ENABLED_KEYS"), flag(62, "PR_SCHED_CORE"), flag(63, "PR_SME_SET_VL"),
        flag(64, "PR_SME_GET_VL"), flag(65, "PR_SET_MDWE"), flag(66, "PR_GET_MDWE"), flag(67, "PR_SET_MEMORY_MERGE"),
        flag(68, "PR_GET_MEMORY_MERGE"), flag(69, "PR_RISCV_V_SET_CONTROL"), flag(70, "PR_RISCV_V_GET_CONTROL"),
        flag(74, "PR_GET_SHADOW_STACK_STATUS"), flag(75, "PR_SET_SHADOW_STACK_STATUS"),
        flag(76, "PR_LOCK_SHADOW_STACK_STATUS"), flag(77, "PR_TIMER_CREATE_RESTORE_IDS"), flag(78, "PR_FUTEX_HASH"),
        flag(0x5356_4d41, "PR_SET_VMA"), flag(0x5961_6d61, "PR_SET_PTRACER"), flag(0x4155_5856, "PR_GET_AUXV"),
    ];
    /// `arch_prctl` codes.
    ARCH_PRCTL: 32, "arch_prctl" [
        flag(0x1001, "ARCH_SET_GS"), flag(0x1002, "ARCH_SET_FS"), flag(0x1003, "ARCH_GET_FS"),
        flag(0x1004, "ARCH_GET_GS"), flag(0x1011, "ARCH_GET_CPUID"), flag(0x1012, "ARCH_SET_CPUID"),
        flag(0x1021, "ARCH_GET_XCOMP_SUPP"), flag(0x1022, "ARCH_GET_XCOMP_PERM"), flag(0x1023, "ARCH_REQ_XCOMP_PERM"),
        flag(0x2001, "ARCH_MAP_VDSO_X32"), flag(0x2002, "ARCH_MAP_VDSO_32"), flag(0x2003, "ARCH_MAP_VDSO_64"),
        flag(0x5001, "ARCH_SHSTK_ENABLE"), flag(0x5002, "ARCH_SHSTK_DISABLE"), flag(0x5005, "ARCH_SHSTK_STATUS"),
    ];
    /// Capabilities by bit number.
    CAPABILITY: 32, "capability" [
        flag(0, "CAP_CHOWN"), flag(1, "CAP_DAC_OVERRIDE"), flag(2, "CAP_DAC_READ_SEARCH"), flag(3, "CAP_FOWNER"),
        flag(4, "CAP_FSETID"), flag(5, "CAP_KILL"), flag(6, "CAP_SETGID"), flag(7, "CAP_SETUID"),
        flag(8, "CAP_SETPCAP"), flag(9, "CAP_LINUX_IMMUTABLE"), flag(10, "CAP_NET_BIND_SERVICE"),
        flag(11, "CAP_NET_BROADCAST"), flag(12, "CAP_NET_ADMIN"), flag(13, "CAP_NET_RAW"), flag(14, "CAP_IPC_LOCK"),
        flag(15, "CAP_IPC_OWNER"), flag(16, "CAP_SYS_MODULE"), flag(17, "CAP_SYS_RAWIO"), flag(18, "CAP_SYS_CHROOT"),
        flag(19, "CAP_SYS_PTRACE"), flag(20, "CAP_SYS_PACCT"), flag(21, "CAP_SYS_ADMIN"), flag(22, "CAP_SYS_BOOT"),
        flag(23, "CAP_SYS_NICE"), flag(24, "CAP_SYS_RESOURCE"), flag(25, "CAP_SYS_TIME"),
        flag(26, "CAP_SYS_TTY_CONFIG"), flag(27, "CAP_MKNOD"), flag(28, "CAP_LEASE"), flag(29, "CAP_AUDIT_WRITE"),
        flag(30, "CAP_AUDIT_CONTROL"), flag(31, "CAP_SETFCAP"), flag(32, "CAP_MAC_OVERRIDE"),
        flag(33, "CAP_MAC_ADMIN"), flag(34, "CAP_SYSLOG"), flag(35, "CAP_WAKE_ALARM"), flag(36, "CAP_BLOCK_SUSPEND"),
        flag(37, "CAP_AUDIT_READ"), flag(38, "CAP_PERFMON"), flag(39, "CAP_BPF"), flag(40, "CAP_CHECKPOINT_RESTORE"),
    ];
    /// `seccomp` operations.
    SECCOMP: 32, "seccomp" [
        flag(0, "SECCOMP_SET_MODE_STRICT"), flag(1, "SECCOMP_SET_MODE_FILTER"), flag(2, "SECCOMP_GET_ACTION_AVAIL"),
        flag(3, "SECCOMP_GET_NOTIF_SIZES"),
    ];
    /// Flags of a seccomp filter.
    SECCOMP_FILTER: 32, "seccomp_filter" [
        flag(1, "SECCOMP_FILTER_FLAG_TSYNC"), flag(2, "SECCOMP_FILTER_FLAG_LOG"),
        flag(4, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"), flag(8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
        flag(16, "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"), flag(32, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
    ];
    /// Seccomp modes of `prctl(PR_SET_SECCOMP)`.
    SECCOMP_MODE: 32, "seccomp_mode" [
        flag(0, "SECCOMP_MODE_DISABLED"), flag(1, "SECCOMP_MODE_STRICT"), flag(2, "SECCOMP_MODE_FILTER"),
    ];
    /// Resources of limits.
    RLIMIT: 32, "rlimit" [
        flag(0, "RLIMIT_CPU"), flag(1, "RLIMIT_FSIZE"), flag(2, "RLIMIT_DATA"), flag(3, "RLIMIT_STACK"),
        flag(4, "RLIMIT_CORE"), flag(5, "RLIMIT_RSS"), flag(6, "RLIMIT_NPROC"), flag(7, "RLIMIT_NOFILE"),
        flag(8, "RLIMIT_MEMLOCK"), flag(9, "RLIMIT_AS"), flag(10, "RLIMIT_LOCKS"), flag(11, "RLIMIT_SIGPENDING"),
        flag(12, "RLIMIT_MSGQUEUE"), flag(13, "RLIMIT_NICE"), flag(14, "RLIMIT_RTPRIO"), flag(15, "RLIMIT_RTTIME"),
    ];
    /// Whom `getrusage` asks about.
    RUSAGE: 32, "rusage" [flag(0, "RUSAGE_SELF"), flag(0xffff_ffff, "RUSAGE_CHILDREN"), flag(1, "RUSAGE_THREAD"),];
    /// Whose priority.
    PRIORITY: 32, "priority" [flag(0, "PRIO_PROCESS"), flag(1, "PRIO_PGRP"), flag(2, "PRIO_USER"),];
    /// `kcmp` types.
    KCMP: 32, "kcmp" [
        flag(0, "KCMP_FILE"), flag(1, "KCMP_VM"), flag(2, "KCMP_FILES"), flag(3, "KCMP_FS"), flag(4, "KCMP_SIGHAND"),
        flag(5, "KCMP_IO"), flag(6, "KCMP_SYSVSEM"), flag(7, "KCMP_EPOLL_TFD"),
    ];
    /// Scheduling policies without their flag.
    SCHED: 32, "sched" [
        flag(0, "SCHED_OTHER"), flag(1, "SCHED_FIFO"), flag(2, "SCHED_RR"), flag(3, "SCHED_BATCH"),
        flag(4, "SCHED_ISO"), flag(5, "SCHED_IDLE"), flag(6, "SCHED_DEADLINE"), flag(7, "SCHED_EXT"),
    ];
    /// How `rt_sigprocmask` changes the mask.
    SIGMASK: 32, "sigmask" [flag(0, "SIG_BLOCK"), flag(1, "SIG_UNBLOCK"), flag(2, "SIG_SETMASK"),];
}

/// `clone` flags with the child's end signal: `CLONE_VM|CLONE_VFORK|SIGCHLD`.
pub fn clone_flags(value: u64) -> String {
    const SIGNAL: u64 = 0xff;
    let value = value & 0xffff_ffff;
    let mut out = if value & !SIGNAL == 0 { String::new() } else { CLONE.flags(value & !SIGNAL) };
    match (value & SIGNAL, signal(value & SIGNAL)) {
        (0, _) => {}
        (_, Some(name)) => push_or(&mut out, &name),
        (other, None) => push_or(&mut out, &hex(other)),
    }
    if out.is_empty() { "0".to_owned() } else { out }
}

/// A scheduling policy: `SCHED_FIFO|SCHED_RESET_ON_FORK`.
pub fn sched_policy(value: u64) -> String {
    const RESET_ON_FORK: u64 = 0x4000_0000;
    let value = value & 0xffff_ffff;
    let mut out = SCHED.symbol(value & !RESET_ON_FORK);
    if value & RESET_ON_FORK != 0 {
        push_or(&mut out, "SCHED_RESET_ON_FORK");
    }
    out
}

/// A capability set: names in order of their bits joined by `|`, `none` for nothing.
pub fn capabilities(bits: u64) -> String {
    let mut out = String::new();
    for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
        match CAPABILITY.name_of(bit) {
            Some(name) => push_or(&mut out, name),
            None => push_or(&mut out, &format!("CAP_{bit}")),
        }
    }
    if out.is_empty() { "none".to_owned() } else { out }
}
