//! Constants of clocks, bpf, keys, modules, System V IPC and the machine.

use super::{flag, symbol_sets};

symbol_sets! {
    SYSTEM_SETS;
    /// Clocks.
    CLOCK: 32, "clock" [
        flag(0, "CLOCK_REALTIME"), flag(1, "CLOCK_MONOTONIC"), flag(2, "CLOCK_PROCESS_CPUTIME_ID"),
        flag(3, "CLOCK_THREAD_CPUTIME_ID"), flag(4, "CLOCK_MONOTONIC_RAW"), flag(5, "CLOCK_REALTIME_COARSE"),
        flag(6, "CLOCK_MONOTONIC_COARSE"), flag(7, "CLOCK_BOOTTIME"), flag(8, "CLOCK_REALTIME_ALARM"),
        flag(9, "CLOCK_BOOTTIME_ALARM"), flag(11, "CLOCK_TAI"),
    ];
    /// Timer flags.
    TIMER_FLAGS: 32, "timer" [flag(1, "TIMER_ABSTIME"),];
    /// Interval timers.
    ITIMER: 32, "itimer" [flag(0, "ITIMER_REAL"), flag(1, "ITIMER_VIRTUAL"), flag(2, "ITIMER_PROF"),];
    /// `bpf` commands.
    BPF: 32, "bpf" [
        flag(0, "BPF_MAP_CREATE"), flag(1, "BPF_MAP_LOOKUP_ELEM"), flag(2, "BPF_MAP_UPDATE_ELEM"),
        flag(3, "BPF_MAP_DELETE_ELEM"), flag(4, "BPF_MAP_GET_NEXT_KEY"), flag(5, "BPF_PROG_LOAD"),
        flag(6, "BPF_OBJ_PIN"), flag(7, "BPF_OBJ_GET"), flag(8, "BPF_PROG_ATTACH"), flag(9, "BPF_PROG_DETACH"),
        flag(10, "BPF_PROG_TEST_RUN"), flag(11, "BPF_PROG_GET_NEXT_ID"), flag(12, "BPF_MAP_GET_NEXT_ID"),
        flag(13, "BPF_PROG_GET_FD_BY_ID"), flag(14, "BPF_MAP_GET_FD_BY_ID"), flag(15, "BPF_OBJ_GET_INFO_BY_FD"),
        flag(16, "BPF_PROG_QUERY"), flag(17, "BPF_RAW_TRACEPOINT_OPEN"), flag(18, "BPF_BTF_LOAD"),
        flag(19, "BPF_BTF_GET_FD_BY_ID"), flag(20, "BPF_TASK_FD_QUERY"), flag(21, "BPF_MAP_LOOKUP_AND_DELETE_ELEM"),
        flag(22, "BPF_MAP_FREEZE"), flag(23, "BPF_BTF_GET_NEXT_ID"), flag(24, "BPF_MAP_LOOKUP_BATCH"),
        flag(25, "BPF_MAP_LOOKUP_AND_DELETE_BATCH"), flag(26, "BPF_MAP_UPDATE_BATCH"),
        flag(27, "BPF_MAP_DELETE_BATCH"), flag(28, "BPF_LINK_CREATE"), flag(29, "BPF_LINK_UPDATE"),
        flag(30, "BPF_LINK_GET_FD_BY_ID"), flag(31, "BPF_LINK_GET_NEXT_ID"), flag(32, "BPF_ENABLE_STATS"),
        flag(33, "BPF_ITER_CREATE"), flag(34, "BPF_LINK_DETACH"), flag(35, "BPF_PROG_BIND_MAP"),
        flag(36, "BPF_TOKEN_CREATE"), flag(37, "BPF_PROG_STREAM_READ_BY_FD"),
    ];
    /// `perf_event_open` flags.
    PERF_OPEN: 64, "perf_open" [
        flag(1, "PERF_FLAG_FD_NO_GROUP"), flag(2, "PERF_FLAG_FD_OUTPUT"), flag(4, "PERF_FLAG_PID_CGROUP"),
        flag(8, "PERF_FLAG_FD_CLOEXEC"),
    ];
    /// `finit_module` flags.
    FINIT_MODULE: 32, "finit_module" [
        flag(1, "MODULE_INIT_IGNORE_MODVERSIONS"), flag(2, "MODULE_INIT_IGNORE_VERMAGIC"),
        flag(4, "MODULE_INIT_COMPRESSED_FILE"),
    ];
    /// `getrandom` flags.
    GETRANDOM: 32, "getrandom" [flag(1, "GRND_NONBLOCK"), flag(2, "GRND_RANDOM"), flag(4, "GRND_INSECURE"),];
    /// `keyctl` operations.
    KEYCTL: 32, "keyctl" [
        flag(0, "KEYCTL_GET_KEYRING_ID"), flag(1, "KEYCTL_JOIN_SESSION_KEYRING"), flag(2, "KEYCTL_UPDATE"),
        flag(3, "KEYCTL_REVOKE"), flag(4, "KEYCTL_CHOWN"), flag(5, "KEYCTL_SETPERM"), flag(6, "KEYCTL_DESCRIBE"),
        flag(7, "KEYCTL_CLEAR"), flag(8, "KEYCTL_LINK"), flag(9, "KEYCTL_UNLINK"), flag(10, "KEYCTL_SEARCH"),
        flag(11, "KEYCTL_READ"), flag(12, "KEYCTL_INSTANTIATE"), flag(13, "KEYCTL_NEGATE"),
        flag(14, "KEYCTL_SET_REQKEY_KEYRING"), flag(15, "KEYCTL_SET_TIMEOUT"), flag(16, "KEYCTL_ASSUME_AUTHORITY"),
        flag(17, "KEYCTL_GET_SECURITY"), flag(18, "KEYCTL_SESSION_TO_PARENT"), flag(19, "KEYCTL_REJECT"),
        flag(20, "KEYCTL_INSTANTIATE_IOV"), flag(21, "KEYCTL_INVALIDATE"), flag(22, "KEYCTL_GET_PERSISTENT"),
        flag(23, "KEYCTL_DH_COMPUTE"), flag(24, "KEYCTL_PKEY_QUERY"), flag(25, "KEYCTL_PKEY_ENCRYPT"),
        flag(26, "KEYCTL_PKEY_DECRYPT"), flag(27, "KEYCTL_PKEY_SIGN"), flag(28, "KEYCTL_PKEY_VERIFY"),
        flag(29, "KEYCTL_RESTRICT_KEYRING"), flag(30, "KEYCTL_MOVE"), flag(31, "KEYCTL_CAPABILITIES"),
        flag(32, "KEYCTL_WATCH_KEY"),
    ];
    /// `syslog` actions.
    SYSLOG: 32, "syslog" [
        flag(0, "SYSLOG_ACTION_CLOSE"), flag(1, "SYSLOG_ACTION_OPEN"), flag(2, "SYSLOG_ACTION_READ"),
        flag(3, "SYSLOG_ACTION_READ_ALL"), flag(4, "SYSLOG_ACTION_READ_CLEAR"), flag(5, "SYSLOG_ACTION_CLEAR"),
        flag(6, "SYSLOG_ACTION_CONSOLE_OFF"), flag(7, "SYSLOG_ACTION_CONSOLE_ON"),
        flag(8, "SYSLOG_ACTION_CONSOLE_LEVEL"), flag(9, "SYSLOG_ACTION_SIZE_UNREAD"),
        flag(10, "SYSLOG_ACTION_SIZE_BUFFER"),
    ];
    /// `reboot` commands.
    REBOOT: 32, "reboot" [
        flag(0x0123_4567, "LINUX_REBOOT_CMD_RESTART"), flag(0xcdef_0123, "LINUX_REBOOT_CMD_HALT"),
        flag(0x89ab_cdef, "LINUX_REBOOT_CMD_CAD_ON"), flag(0, "LINUX_REBOOT_CMD_CAD_OFF"),
        flag(0x4321_fedc, "LINUX_REBOOT_CMD_POWER_OFF"), flag(0xa1b2_c3d4, "LINUX_REBOOT_CMD_RESTART2"),
        flag(0xd000_fce2, "LINUX_REBOOT_CMD_SW_SUSPEND"), flag(0x4558_4543, "LINUX_REBOOT_CMD_KEXEC"),
    ];
    /// Flags of `shmget`, `semget`, `msgget`, and the permission bits as a rest.
    IPC: 32, "ipc" [flag(0o1000, "IPC_CREAT"), flag(0o2000, "IPC_EXCL"), flag(0o4000, "SHM_HUGETLB"),];
    /// Flags of `msgsnd` and `msgrcv`.
    MSG_IPC: 32, "msg_ipc" [
        flag(0o4000, "IPC_NOWAIT"), flag(0o10000, "MSG_NOERROR"), flag(0o20000, "MSG_EXCEPT"), flag(0o40000, "MSG_COPY"),
    ];
    /// Commands of `shmctl`, `semctl`, `msgctl`.
    IPC_CMD: 32, "ipc_cmd" [
        flag(0, "IPC_RMID"), flag(1, "IPC_SET"), flag(2, "IPC_STAT"), flag(3, "IPC_INFO"), flag(11, "SHM_LOCK"),
        flag(12, "SHM_UNLOCK"), flag(13, "SHM_STAT"), flag(14, "SHM_INFO"), flag(16, "SETVAL"), flag(17, "SETALL"),
        flag(18, "SEM_STAT"), flag(19, "SEM_INFO"),
    ];
    /// Audit message types and other numbers of processes' `arch` in seccomp are left as numbers; this set names
    /// the calls of i386 `socketcall`.
    SOCKETCALL: 32, "socketcall" [
        flag(1, "SYS_SOCKET"), flag(2, "SYS_BIND"), flag(3, "SYS_CONNECT"), flag(4, "SYS_LISTEN"),
        flag(5, "SYS_ACCEPT"), flag(6, "SYS_GETSOCKNAME"), flag(7, "SYS_GETPEERNAME"), flag(8, "SYS_SOCKETPAIR"),
        flag(9, "SYS_SEND"), flag(10, "SYS_RECV"), flag(11, "SYS_SENDTO"), flag(12, "SYS_RECVFROM"),
        flag(13, "SYS_SHUTDOWN"), flag(14, "SYS_SETSOCKOPT"), flag(15, "SYS_GETSOCKOPT"), flag(16, "SYS_SENDMSG"),
        flag(17, "SYS_RECVMSG"), flag(18, "SYS_ACCEPT4"), flag(19, "SYS_RECVMMSG"), flag(20, "SYS_SENDMMSG"),
    ];
}
