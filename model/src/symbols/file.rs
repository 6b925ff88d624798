//! Constants of files, descriptors, mounts and notification.

use super::{field, flag, symbol_sets};

const ACCMODE: u64 = 3;

symbol_sets! {
    FILE_SETS;
    /// `open` flags. `O_LARGEFILE` is 0100000 on x86, which the kernel adds itself for 64-bit callers.
    OPEN: 32, "open" [
        field(ACCMODE, 0, "O_RDONLY"), field(ACCMODE, 1, "O_WRONLY"), field(ACCMODE, 2, "O_RDWR"),
        field(ACCMODE, 3, "O_ACCMODE"),
        flag(0o100, "O_CREAT"), flag(0o200, "O_EXCL"), flag(0o400, "O_NOCTTY"), flag(0o1000, "O_TRUNC"),
        flag(0o2000, "O_APPEND"), flag(0o4000, "O_NONBLOCK"), flag(0o4_010_000, "O_SYNC"),
        flag(0o10000, "O_DSYNC"), flag(0o20000, "O_ASYNC"), flag(0o40000, "O_DIRECT"),
        flag(0o100_000, "O_LARGEFILE"), flag(0o400_000, "O_NOFOLLOW"), flag(0o1_000_000, "O_NOATIME"),
        flag(0o2_000_000, "O_CLOEXEC"), flag(0o10_000_000, "O_PATH"), flag(0o20_200_000, "O_TMPFILE"),
        flag(0o200_000, "O_DIRECTORY"),
    ];
    /// Open flags of calls that make descriptors without an access mode: `pipe2`, `dup3`, `userfaultfd`.
    OPEN_BITS: 32, "open_bits" [
        flag(0o2_000_000, "O_CLOEXEC"), flag(0o40000, "O_DIRECT"), flag(0o4000, "O_NONBLOCK"),
        flag(0o1000, "O_TRUNC"), flag(0o200, "O_EXCL"),
    ];
    /// `openat2` resolution.
    RESOLVE: 64, "resolve" [
        flag(1, "RESOLVE_NO_XDEV"), flag(2, "RESOLVE_NO_MAGICLINKS"), flag(4, "RESOLVE_NO_SYMLINKS"),
        flag(8, "RESOLVE_BENEATH"), flag(16, "RESOLVE_IN_ROOT"), flag(32, "RESOLVE_CACHED"),
    ];
    /// `*at` flags in general.
    AT: 32, "at" [
        flag(0x100, "AT_SYMLINK_NOFOLLOW"), flag(0x200, "AT_REMOVEDIR"), flag(0x400, "AT_SYMLINK_FOLLOW"),
        flag(0x800, "AT_NO_AUTOMOUNT"), flag(0x1000, "AT_EMPTY_PATH"), flag(0x8000, "AT_RECURSIVE"),
    ];
    /// `faccessat2` flags: bit 0x200 means something else there.
    AT_EACCESS: 32, "at_eaccess" [
        flag(0x100, "AT_SYMLINK_NOFOLLOW"), flag(0x200, "AT_EACCESS"), flag(0x1000, "AT_EMPTY_PATH"),
    ];
    /// `unlinkat` flags.
    UNLINKAT: 32, "unlinkat" [flag(0x200, "AT_REMOVEDIR"),];
    /// `statx` flags.
    STATX_FLAGS: 32, "statx_flags" [
        field(0x6000, 0x0000, "AT_STATX_SYNC_AS_STAT"), field(0x6000, 0x2000, "AT_STATX_FORCE_SYNC"),
        field(0x6000, 0x4000, "AT_STATX_DONT_SYNC"), flag(0x100, "AT_SYMLINK_NOFOLLOW"),
        flag(0x800, "AT_NO_AUTOMOUNT"), flag(0x1000, "AT_EMPTY_PATH"),
    ];
    /// `statx` mask.
    STATX_MASK: 32, "statx_mask" [
        flag(0xfff, "STATX_ALL"), flag(0x7ff, "STATX_BASIC_STATS"), flag(1, "STATX_TYPE"), flag(2, "STATX_MODE"),
        flag(4, "STATX_NLINK"), flag(8, "STATX_UID"), flag(0x10, "STATX_GID"), flag(0x20, "STATX_ATIME"),
        flag(0x40, "STATX_MTIME"), flag(0x80, "STATX_CTIME"), flag(0x100, "STATX_INO"), flag(0x200, "STATX_SIZE"),
        flag(0x400, "STATX_BLOCKS"), flag(0x800, "STATX_BTIME"), flag(0x1000, "STATX_MNT_ID"),
        flag(0x2000, "STATX_DIOALIGN"), flag(0x4000, "STATX_MNT_ID_UNIQUE"), flag(0x8000, "STATX_SUBVOL"),
        flag(0x10000, "STATX_WRITE_ATOMIC"),
    ];
    /// `access` modes.
    ACCESS: 32, "access" [field(u64::MAX, 0, "F_OK"), flag(4, "R_OK"), flag(2, "W_OK"), flag(1, "X_OK"),];
    /// `rename` flags.
    RENAME: 32, "rename" [flag(1, "RENAME_NOREPLACE"), flag(2, "RENAME_EXCHANGE"), flag(4, "RENAME_WHITEOUT"),];
    /// `lseek` origin.
    WHENCE: 32, "whence" [
        flag(0, "SEEK_SET"), flag(1, "SEEK_CUR"), flag(2, "SEEK_END"), flag(3, "SEEK_DATA"), flag(4, "SEEK_HOLE"),
    ];
    /// File types of a mode.
    FILE_TYPE: 32, "file_type" [
        flag(0o140_000, "S_IFSOCK"), flag(0o120_000, "S_IFLNK"), flag(0o100_000, "S_IFREG"),
        flag(0o060_000, "S_IFBLK"), flag(0o040_000, "S_IFDIR"), flag(0o020_000, "S_IFCHR"),
        flag(0o010_000, "S_IFIFO"),
    ];
    /// Permission bits by name, as rules name them.
    MODE: 32, "mode" [
        flag(0o4000, "S_ISUID"), flag(0o2000, "S_ISGID"), flag(0o1000, "S_ISVTX"), flag(0o400, "S_IRUSR"),
        flag(0o200, "S_IWUSR"), flag(0o100, "S_IXUSR"), flag(0o40, "S_IRGRP"), flag(0o20, "S_IWGRP"),
        flag(0o10, "S_IXGRP"), flag(0o4, "S_IROTH"), flag(0o2, "S_IWOTH"), flag(0o1, "S_IXOTH"),
    ];
    /// `fcntl` commands.
    FCNTL: 32, "fcntl" [
        flag(0, "F_DUPFD"), flag(1, "F_GETFD"), flag(2, "F_SETFD"), flag(3, "F_GETFL"), flag(4, "F_SETFL"),
        flag(5, "F_GETLK"), flag(6, "F_SETLK"), flag(7, "F_SETLKW"), flag(8, "F_SETOWN"), flag(9, "F_GETOWN"),
        flag(10, "F_SETSIG"), flag(11, "F_GETSIG"), flag(12, "F_GETLK64"), flag(13, "F_SETLK64"),
        flag(14, "F_SETLKW64"), flag(15, "F_SETOWN_EX"), flag(16, "F_GETOWN_EX"), flag(17, "F_GETOWNER_UIDS"),
        flag(36, "F_OFD_GETLK"), flag(37, "F_OFD_SETLK"), flag(38, "F_OFD_SETLKW"), flag(1024, "F_SETLEASE"),
        flag(1025, "F_GETLEASE"), flag(1026, "F_NOTIFY"), flag(1027, "F_DUPFD_QUERY"),
        flag(1028, "F_CREATED_QUERY"), flag(1029, "F_CANCELLK"), flag(1030, "F_DUPFD_CLOEXEC"),
        flag(1031, "F_SETPIPE_SZ"), flag(1032, "F_GETPIPE_SZ"), flag(1033, "F_ADD_SEALS"),
        flag(1034, "F_GET_SEALS"), flag(1035, "F_GET_RW_HINT"), flag(1036, "F_SET_RW_HINT"),
        flag(1037, "F_GET_FILE_RW_HINT"), flag(1038, "F_SET_FILE_RW_HINT"),
    ];
    /// Descriptor flags (`F_SETFD`).
    FD_FLAGS: 32, "fd" [flag(1, "FD_CLOEXEC"),];
    /// Seals of a memfd.
    SEALS: 32, "seals" [
        flag(1, "F_SEAL_SEAL"), flag(2, "F_SEAL_SHRINK"), flag(4, "F_SEAL_GROW"), flag(8, "F_SEAL_WRITE"),
        flag(16, "F_SEAL_FUTURE_WRITE"), flag(32, "F_SEAL_EXEC"),
    ];
    /// `flock` operations.
    FLOCK: 32, "flock" [flag(1, "LOCK_SH"), flag(2, "LOCK_EX"), flag(8, "LOCK_UN"), flag(4, "LOCK_NB"),];
    /// `close_range` flags.
    CLOSE_RANGE: 32, "close_range" [flag(2, "CLOSE_RANGE_UNSHARE"), flag(4, "CLOSE_RANGE_CLOEXEC"),];
    /// `memfd_create` flags.
    MEMFD: 32, "memfd" [
        flag(1, "MFD_CLOEXEC"), flag(2, "MFD_ALLOW_SEALING"), flag(4, "MFD_HUGETLB"), flag(8, "MFD_NOEXEC_SEAL"),
        flag(16, "MFD_EXEC"),
    ];
    /// `eventfd2` flags.
    EVENTFD: 32, "eventfd" [flag(0o2_000_000, "EFD_CLOEXEC"), flag(0o4000, "EFD_NONBLOCK"), flag(1, "EFD_SEMAPHORE"),];
    /// `signalfd4` flags.
    SIGNALFD: 32, "signalfd" [flag(0o2_000_000, "SFD_CLOEXEC"), flag(0o4000, "SFD_NONBLOCK"),];
    /// `timerfd_create` flags.
    TIMERFD: 32, "timerfd" [flag(0o2_000_000, "TFD_CLOEXEC"), flag(0o4000, "TFD_NONBLOCK"),];
    /// `timerfd_settime` flags.
    TIMERFD_SETTIME: 32, "timerfd_settime" [flag(1, "TFD_TIMER_ABSTIME"), flag(2, "TFD_TIMER_CANCEL_ON_SET"),];
    /// `epoll_create1` flags.
    EPOLL_CREATE: 32, "epoll_create" [flag(0o2_000_000, "EPOLL_CLOEXEC"),];
    /// `epoll_ctl` operations.
    EPOLL_CTL: 32, "epoll_ctl" [flag(1, "EPOLL_CTL_ADD"), flag(2, "EPOLL_CTL_DEL"), flag(3, "EPOLL_CTL_MOD"),];
    /// `inotify_init1` flags.
    INOTIFY_INIT: 32, "inotify_init" [flag(0o2_000_000, "IN_CLOEXEC"), flag(0o4000, "IN_NONBLOCK"),];
    /// `inotify_add_watch` events.
    INOTIFY: 32, "inotify" [
        flag(1, "IN_ACCESS"), flag(2, "IN_MODIFY"), flag(4, "IN_ATTRIB"),
        flag(8, "IN_CLOSE_WRITE"), flag(0x10, "IN_CLOSE_NOWRITE"), flag(0x20, "IN_OPEN"),
        flag(0x40, "IN_MOVED_FROM"), flag(0x80, "IN_MOVED_TO"), flag(0x100, "IN_CREATE"), flag(0x200, "IN_DELETE"),
        flag(0x400, "IN_DELETE_SELF"), flag(0x800, "IN_MOVE_SELF"), flag(0x0100_0000, "IN_ONLYDIR"),
        flag(0x0200_0000, "IN_DONT_FOLLOW"), flag(0x0400_0000, "IN_EXCL_UNLINK"),
        flag(0x1000_0000, "IN_MASK_CREATE"), flag(0x2000_0000, "IN_MASK_ADD"), flag(0x4000_0000, "IN_ISDIR"),
        flag(0x8000_0000, "IN_ONESHOT"),
    ];
    /// `fanotify_init` flags.
    FANOTIFY_INIT: 32, "fanotify_init" [
        field(0xc, 0, "FAN_CLASS_NOTIF"), field(0xc, 4, "FAN_CLASS_CONTENT"), field(0xc, 8, "FAN_CLASS_PRE_CONTENT"),
        flag(1, "FAN_CLOEXEC"), flag(2, "FAN_NONBLOCK"), flag(0x10, "FAN_UNLIMITED_QUEUE"),
        flag(0x20, "FAN_UNLIMITED_MARKS"), flag(0x40, "FAN_ENABLE_AUDIT"), flag(0x80, "FAN_REPORT_PIDFD"),
        flag(0x100, "FAN_REPORT_TID"), flag(0x200, "FAN_REPORT_FID"), flag(0x400, "FAN_REPORT_DIR_FID"),
        flag(0x800, "FAN_REPORT_NAME"), flag(0x1000, "FAN_REPORT_TARGET_FID"), flag(0x2000, "FAN_REPORT_FD_ERROR"),
        flag(0x4000, "FAN_REPORT_MNT"),
    ];
    /// `fanotify_mark` flags.
    FANOTIFY_MARK: 32, "fanotify_mark" [
        flag(1, "FAN_MARK_ADD"), flag(2, "FAN_MARK_REMOVE"), flag(4, "FAN_MARK_DONT_FOLLOW"),
        flag(8, "FAN_MARK_ONLYDIR"), flag(0x110, "FAN_MARK_MNTNS"), flag(0x10, "FAN_MARK_MOUNT"),
        flag(0x20, "FAN_MARK_IGNORED_MASK"), flag(0x40, "FAN_MARK_IGNORED_SURV_MODIFY"), flag(0x80, "FAN_MARK_FLUSH"),
        flag(0x100, "FAN_MARK_FILESYSTEM"), flag(0x200, "FAN_MARK_EVICTABLE"), flag(0x400, "FAN_MARK_IGNORE"),
    ];
    /// Events of `fanotify_mark`.
    FANOTIFY_EVENT: 64, "fanotify_event" [
        flag(1, "FAN_ACCESS"), flag(2, "FAN_MODIFY"), flag(4, "FAN_ATTRIB"), flag(8, "FAN_CLOSE_WRITE"),
        flag(0x10, "FAN_CLOSE_NOWRITE"), flag(0x20, "FAN_OPEN"), flag(0x40, "FAN_MOVED_FROM"),
        flag(0x80, "FAN_MOVED_TO"), flag(0x100, "FAN_CREATE"), flag(0x200, "FAN_DELETE"),
        flag(0x400, "FAN_DELETE_SELF"), flag(0x800, "FAN_MOVE_SELF"), flag(0x1000, "FAN_OPEN_EXEC"),
        flag(0x4000, "FAN_Q_OVERFLOW"), flag(0x8000, "FAN_FS_ERROR"), flag(0x10000, "FAN_OPEN_PERM"),
        flag(0x20000, "FAN_ACCESS_PERM"), flag(0x40000, "FAN_OPEN_EXEC_PERM"), flag(0x0800_0000, "FAN_EVENT_ON_CHILD"),
        flag(0x1000_0000, "FAN_RENAME"), flag(0x4000_0000, "FAN_ONDIR"),
    ];
    /// `fallocate` modes.
    FALLOCATE: 32, "fallocate" [
        flag(1, "FALLOC_FL_KEEP_SIZE"), flag(2, "FALLOC_FL_PUNCH_HOLE"), flag(4, "FALLOC_FL_NO_HIDE_STALE"),
        flag(8, "FALLOC_FL_COLLAPSE_RANGE"), flag(16, "FALLOC_FL_ZERO_RANGE"), flag(32, "FALLOC_FL_INSERT_RANGE"),
        flag(64, "FALLOC_FL_UNSHARE_RANGE"),
    ];
    /// `fadvise64` advice.
    FADVISE: 32, "fadvise" [
        flag(0, "POSIX_FADV_NORMAL"), flag(1, "POSIX_FADV_RANDOM"), flag(2, "POSIX_FADV_SEQUENTIAL"),
        flag(3, "POSIX_FADV_WILLNEED"), flag(4, "POSIX_FADV_DONTNEED"), flag(5, "POSIX_FADV_NOREUSE"),
    ];
    /// `preadv2`, `pwritev2` flags.
    RWF: 32, "rwf" [
        flag(1, "RWF_HIPRI"), flag(2, "RWF_DSYNC"), flag(4, "RWF_SYNC"), flag(8, "RWF_NOWAIT"),
        flag(16, "RWF_APPEND"), flag(32, "RWF_NOAPPEND"), flag(64, "RWF_ATOMIC"), flag(128, "RWF_DONTCACHE"),
    ];
    /// `splice`, `tee`, `vmsplice` flags.
    SPLICE: 32, "splice" [
        flag(1, "SPLICE_F_MOVE"), flag(2, "SPLICE_F_NONBLOCK"), flag(4, "SPLICE_F_MORE"), flag(8, "SPLICE_F_GIFT"),
    ];
    /// `sync_file_range` flags.
    SYNC_FILE_RANGE: 32, "sync_file_range" [
        flag(1, "SYNC_FILE_RANGE_WAIT_BEFORE"), flag(2, "SYNC_FILE_RANGE_WRITE"),
        flag(4, "SYNC_FILE_RANGE_WAIT_AFTER"),
    ];
    /// `setxattr` flags.
    XATTR: 32, "xattr" [flag(1, "XATTR_CREATE"), flag(2, "XATTR_REPLACE"),];
    /// `mount` flags.
    MOUNT: 64, "mount" [
        field(0xffff_0000, 0xc0ed_0000, "MS_MGC_VAL"),
        flag(1, "MS_RDONLY"), flag(2, "MS_NOSUID"), flag(4, "MS_NODEV"), flag(8, "MS_NOEXEC"),
        flag(16, "MS_SYNCHRONOUS"), flag(32, "MS_REMOUNT"), flag(64, "MS_MANDLOCK"), flag(128, "MS_DIRSYNC"),
        flag(256, "MS_NOSYMFOLLOW"), flag(1024, "MS_NOATIME"), flag(2048, "MS_NODIRATIME"), flag(4096, "MS_BIND"),
        flag(8192, "MS_MOVE"), flag(16384, "MS_REC"), flag(32768, "MS_SILENT"), flag(1 << 16, "MS_POSIXACL"),
        flag(1 << 17, "MS_UNBINDABLE"), flag(1 << 18, "MS_PRIVATE"), flag(1 << 19, "MS_SLAVE"),
        flag(1 << 20, "MS_SHARED"), flag(1 << 21, "MS_RELATIME"), flag(1 << 22, "MS_KERNMOUNT"),
        flag(1 << 23, "MS_I_VERSION"), flag(1 << 24, "MS_STRICTATIME"), flag(1 << 25, "MS_LAZYTIME"),
    ];
    /// `umount2` flags.
    UMOUNT: 32, "umount" [
        flag(1, "MNT_FORCE"), flag(2, "MNT_DETACH"), flag(4, "MNT_EXPIRE"), flag(8, "UMOUNT_NOFOLLOW"),
    ];
    /// `open_tree` flags.
    OPEN_TREE: 32, "open_tree" [
        flag(1, "OPEN_TREE_CLONE"), flag(0o2_000_000, "OPEN_TREE_CLOEXEC"), flag(0x100, "AT_SYMLINK_NOFOLLOW"),
        flag(0x800, "AT_NO_AUTOMOUNT"), flag(0x1000, "AT_EMPTY_PATH"), flag(0x8000, "AT_RECURSIVE"),
    ];
    /// `move_mount` flags.
    MOVE_MOUNT: 32, "move_mount" [
        flag(1, "MOVE_MOUNT_F_SYMLINKS"), flag(2, "MOVE_MOUNT_F_AUTOMOUNTS"), flag(4, "MOVE_MOUNT_F_EMPTY_PATH"),
        flag(0x10, "MOVE_MOUNT_T_SYMLINKS"), flag(0x20, "MOVE_MOUNT_T_AUTOMOUNTS"),
        flag(0x40, "MOVE_MOUNT_T_EMPTY_PATH"), flag(0x100, "MOVE_MOUNT_SET_GROUP"), flag(0x200, "MOVE_MOUNT_BENEATH"),
    ];
    /// `fsopen` flags.
    FSOPEN: 32, "fsopen" [flag(1, "FSOPEN_CLOEXEC"),];
    /// `fsmount` flags.
    FSMOUNT: 32, "fsmount" [flag(1, "FSMOUNT_CLOEXEC"),];
    /// `fspick` flags.
    FSPICK: 32, "fspick" [
        flag(1, "FSPICK_CLOEXEC"), flag(2, "FSPICK_SYMLINK_NOFOLLOW"), flag(4, "FSPICK_NO_AUTOMOUNT"),
        flag(8, "FSPICK_EMPTY_PATH"),
    ];
    /// `fsconfig` commands.
    FSCONFIG: 32, "fsconfig" [
        flag(0, "FSCONFIG_SET_FLAG"), flag(1, "FSCONFIG_SET_STRING"), flag(2, "FSCONFIG_SET_BINARY"),
        flag(3, "FSCONFIG_SET_PATH"), flag(4, "FSCONFIG_SET_PATH_EMPTY"), flag(5, "FSCONFIG_SET_FD"),
        flag(6, "FSCONFIG_CMD_CREATE"), flag(7, "FSCONFIG_CMD_RECONFIGURE"), flag(8, "FSCONFIG_CMD_CREATE_EXCL"),
    ];
    /// Mount attributes of `fsmount` and `mount_setattr`.
    MOUNT_ATTR: 32, "mount_attr" [
        flag(0x10, "MOUNT_ATTR_NOATIME"),
        flag(0x20, "MOUNT_ATTR_STRICTATIME"), flag(1, "MOUNT_ATTR_RDONLY"), flag(2, "MOUNT_ATTR_NOSUID"),
        flag(4, "MOUNT_ATTR_NODEV"), flag(8, "MOUNT_ATTR_NOEXEC"), flag(0x80, "MOUNT_ATTR_NODIRATIME"),
        flag(0x0010_0000, "MOUNT_ATTR_IDMAP"), flag(0x0020_0000, "MOUNT_ATTR_NOSYMFOLLOW"),
    ];
    /// `io_uring_enter` flags.
    URING_ENTER: 32, "uring_enter" [
        flag(1, "IORING_ENTER_GETEVENTS"), flag(2, "IORING_ENTER_SQ_WAKEUP"), flag(4, "IORING_ENTER_SQ_WAIT"),
        flag(8, "IORING_ENTER_EXT_ARG"), flag(16, "IORING_ENTER_REGISTERED_RING"), flag(32, "IORING_ENTER_ABS_TIMER"),
        flag(64, "IORING_ENTER_EXT_ARG_REG"), flag(128, "IORING_ENTER_NO_IOWAIT"),
    ];
    /// `io_uring_register` operations.
    URING_REGISTER: 32, "uring_register" [
        flag(0, "IORING_REGISTER_BUFFERS"), flag(1, "IORING_UNREGISTER_BUFFERS"), flag(2, "IORING_REGISTER_FILES"),
        flag(3, "IORING_UNREGISTER_FILES"), flag(4, "IORING_REGISTER_EVENTFD"), flag(5, "IORING_UNREGISTER_EVENTFD"),
        flag(6, "IORING_REGISTER_FILES_UPDATE"), flag(7, "IORING_REGISTER_EVENTFD_ASYNC"),
        flag(8, "IORING_REGISTER_PROBE"), flag(9, "IORING_REGISTER_PERSONALITY"),
        flag(10, "IORING_UNREGISTER_PERSONALITY"), flag(11, "IORING_REGISTER_RESTRICTIONS"),
        flag(12, "IORING_REGISTER_ENABLE_RINGS"), flag(13, "IORING_REGISTER_FILES2"),
        flag(14, "IORING_REGISTER_FILES_UPDATE2"), flag(15, "IORING_REGISTER_BUFFERS2"),
        flag(16, "IORING_REGISTER_BUFFERS_UPDATE"), flag(17, "IORING_REGISTER_IOWQ_AFF"),
        flag(18, "IORING_UNREGISTER_IOWQ_AFF"), flag(19, "IORING_REGISTER_IOWQ_MAX_WORKERS"),
        flag(20, "IORING_REGISTER_RING_FDS"), flag(21, "IORING_UNREGISTER_RING_FDS"),
        flag(22, "IORING_REGISTER_PBUF_RING"), flag(23, "IORING_UNREGISTER_PBUF_RING"),
        flag(24, "IORING_REGISTER_SYNC_CANCEL"), flag(25, "IORING_REGISTER_FILE_ALLOC_RANGE"),
    ];
    /// io_uring request opcodes.
    URING_OP: 32, "uring_op" [
        flag(0, "IORING_OP_NOP"), flag(1, "IORING_OP_READV"), flag(2, "IORING_OP_WRITEV"), flag(3, "IORING_OP_FSYNC"),
        flag(4, "IORING_OP_READ_FIXED"), flag(5, "IORING_OP_WRITE_FIXED"), flag(6, "IORING_OP_POLL_ADD"),
        flag(7, "IORING_OP_POLL_REMOVE"), flag(8, "IORING_OP_SYNC_FILE_RANGE"), flag(9, "IORING_OP_SENDMSG"),
        flag(10, "IORING_OP_RECVMSG"), flag(11, "IORING_OP_TIMEOUT"), flag(12, "IORING_OP_TIMEOUT_REMOVE"),
        flag(13, "IORING_OP_ACCEPT"), flag(14, "IORING_OP_ASYNC_CANCEL"), flag(15, "IORING_OP_LINK_TIMEOUT"),
        flag(16, "IORING_OP_CONNECT"), flag(17, "IORING_OP_FALLOCATE"), flag(18, "IORING_OP_OPENAT"),
        flag(19, "IORING_OP_CLOSE"), flag(20, "IORING_OP_FILES_UPDATE"), flag(21, "IORING_OP_STATX"),
        flag(22, "IORING_OP_READ"), flag(23, "IORING_OP_WRITE"), flag(24, "IORING_OP_FADVISE"),
        flag(25, "IORING_OP_MADVISE"), flag(26, "IORING_OP_SEND"), flag(27, "IORING_OP_RECV"),
        flag(28, "IORING_OP_OPENAT2"), flag(29, "IORING_OP_EPOLL_CTL"), flag(30, "IORING_OP_SPLICE"),
        flag(31, "IORING_OP_PROVIDE_BUFFERS"), flag(32, "IORING_OP_REMOVE_BUFFERS"), flag(33, "IORING_OP_TEE"),
        flag(34, "IORING_OP_SHUTDOWN"), flag(35, "IORING_OP_RENAMEAT"), flag(36, "IORING_OP_UNLINKAT"),
        flag(37, "IORING_OP_MKDIRAT"), flag(38, "IORING_OP_SYMLINKAT"), flag(39, "IORING_OP_LINKAT"),
        flag(40, "IORING_OP_MSG_RING"), flag(41, "IORING_OP_FSETXATTR"), flag(42, "IORING_OP_SETXATTR"),
        flag(43, "IORING_OP_FGETXATTR"), flag(44, "IORING_OP_GETXATTR"), flag(45, "IORING_OP_SOCKET"),
        flag(46, "IORING_OP_URING_CMD"), flag(47, "IORING_OP_SEND_ZC"), flag(48, "IORING_OP_SENDMSG_ZC"),
        flag(49, "IORING_OP_READ_MULTISHOT"), flag(50, "IORING_OP_WAITID"), flag(51, "IORING_OP_FUTEX_WAIT"),
        flag(52, "IORING_OP_FUTEX_WAKE"), flag(53, "IORING_OP_FUTEX_WAITV"), flag(54, "IORING_OP_FIXED_FD_INSTALL"),
        flag(55, "IORING_OP_FTRUNCATE"), flag(56, "IORING_OP_BIND"), flag(57, "IORING_OP_LISTEN"),
        flag(58, "IORING_OP_RECV_ZC"), flag(59, "IORING_OP_EPOLL_WAIT"), flag(60, "IORING_OP_READV_FIXED"),
        flag(61, "IORING_OP_WRITEV_FIXED"), flag(62, "IORING_OP_PIPE"),
    ];
}
