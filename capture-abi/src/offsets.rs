//! Where the kernel's structures keep what the programs read: member offsets from the running kernel's BTF.

/// A member this kernel does not have: the program leaves its source out.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$meta:meta])* $field:ident: $type:literal $member:literal,)*) => {
        /// One offset in bytes for each member, [`ABSENT`] where the kernel has none.
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Offsets {
            $($(#[$meta])* #[doc = concat!("`", $type, "::", $member, "`.")] pub $field: u32,)*
        }

        impl Offsets {
            /// Nothing is there.
            pub const ABSENT: Self = Self { $($field: ABSENT,)* };

            /// Field name, structure and member path (dots descend into members) of each, in order.
            pub const NAMES: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($field), $type, $member),)*];

            /// As an array, in the order of [`Self::NAMES`].
            pub fn from_array(values: [u32; Self::NAMES.len()]) -> Self {
                let mut values = values.into_iter();
                Self { $($field: values.next().unwrap_or(ABSENT),)* }
            }
        }
    };
}

offsets! {
    regs_di: "pt_regs" "di",
    regs_si: "pt_regs" "si",
    regs_dx: "pt_regs" "dx",
    regs_r10: "pt_regs" "r10",
    regs_r8: "pt_regs" "r8",
    regs_r9: "pt_regs" "r9",
    regs_bx: "pt_regs" "bx",
    regs_cx: "pt_regs" "cx",
    regs_bp: "pt_regs" "bp",
    regs_orig_ax: "pt_regs" "orig_ax",
    task_start: "task_struct" "start_boottime",
    task_status: "task_struct" "thread_info.status",
    task_tgid: "task_struct" "tgid",
    task_pid: "task_struct" "pid",
    task_state: "task_struct" "__state",
    task_cgroups: "task_struct" "cgroups",
    task_files: "task_struct" "files",
    task_fs: "task_struct" "fs",
    task_mm: "task_struct" "mm",
    task_cred: "task_struct" "cred",
    task_nsproxy: "task_struct" "nsproxy",
    task_signal: "task_struct" "signal",
    task_comm: "task_struct" "comm",
    task_real_parent: "task_struct" "real_parent",
    task_group_leader: "task_struct" "group_leader",
    task_thread_pid: "task_struct" "thread_pid",
    task_exit_code: "task_struct" "exit_code",
    task_loginuid: "task_struct" "loginuid",
    task_seccomp: "task_struct" "seccomp.mode",
    css_set_dfl: "css_set" "dfl_cgrp",
    css_set_subsys: "css_set" "subsys",
    css_cgroup: "cgroup_subsys_state" "cgroup",
    cgroup_kn: "cgroup" "kn",
    cgroup_level: "cgroup" "level",
    cgroup_root: "cgroup" "root",
    cgroup_root_id: "cgroup_root" "hierarchy_id",
    kernfs_id: "kernfs_node" "id",
    files_fdt: "files_struct" "fdt",
    fdt_max: "fdtable" "max_fds",
    fdt_fd: "fdtable" "fd",
    file_inode: "file" "f_inode",
    file_path: "file" "f_path",
    file_private: "file" "private_data",
    path_mnt: "path" "mnt",
    path_dentry: "path" "dentry",
    dentry_parent: "dentry" "d_parent",
    dentry_name: "dentry" "d_name",
    dentry_inode: "dentry" "d_inode",
    qstr_name: "qstr" "name",
    vfsmount_root: "vfsmount" "mnt_root",
    mount_mnt: "mount" "mnt",
    mount_parent: "mount" "mnt_parent",
    mount_mountpoint: "mount" "mnt_mountpoint",
    fs_root: "fs_struct" "root",
    fs_pwd: "fs_struct" "pwd",
    inode_mode: "inode" "i_mode",
    inode_ino: "inode" "i_ino",
    inode_sb: "inode" "i_sb",
    inode_rdev: "inode" "i_rdev",
    inode_size: "inode" "i_size",
    inode_nlink: "inode" "i_nlink",
    inode_ctime: "inode" "i_ctime_sec",
    inode_ctime_nsec: "inode" "i_ctime_nsec",
    inode_mtime: "inode" "i_mtime_sec",
    inode_mtime_nsec: "inode" "i_mtime_nsec",
    sb_dev: "super_block" "s_dev",
    sb_magic: "super_block" "s_magic",
    ovl_inode_vfs: "ovl_inode" "vfs_inode",
    ovl_inode_upper: "ovl_inode" "__upperdentry",
    mm_arg_start: "mm_struct" "arg_start",
    mm_arg_end: "mm_struct" "arg_end",
    mm_env_start: "mm_struct" "env_start",
    mm_env_end: "mm_struct" "env_end",
    mm_exe_file: "mm_struct" "exe_file",
    bprm_filename: "linux_binprm" "filename",
    bprm_interp: "linux_binprm" "interp",
    bprm_argc: "linux_binprm" "argc",
    bprm_envc: "linux_binprm" "envc",
    bprm_fdpath: "linux_binprm" "fdpath",
    cred_uid: "cred" "uid",
    cred_gid: "cred" "gid",
    cred_euid: "cred" "euid",
    cred_egid: "cred" "egid",
    cred_cap_inheritable: "cred" "cap_inheritable",
    cred_cap_permitted: "cred" "cap_permitted",
    cred_cap_effective: "cred" "cap_effective",
    cred_user_ns: "cred" "user_ns",
    ns_uts: "nsproxy" "uts_ns",
    ns_ipc: "nsproxy" "ipc_ns",
    ns_mnt: "nsproxy" "mnt_ns",
    ns_net: "nsproxy" "net_ns",
    ns_cgroup: "nsproxy" "cgroup_ns",
    uts_inum: "uts_namespace" "ns.inum",
    ipc_inum: "ipc_namespace" "ns.inum",
    mnt_inum: "mnt_namespace" "ns.inum",
    net_inum: "net" "ns.inum",
    cgroup_inum: "cgroup_namespace" "ns.inum",
    user_inum: "user_namespace" "ns.inum",
    pid_inum: "pid_namespace" "ns.inum",
    pid_level: "pid" "level",
    pid_numbers: "pid" "numbers",
    upid_nr: "upid" "nr",
    upid_ns: "upid" "ns",
    signal_pids: "signal_struct" "pids",
    signal_tty: "signal_struct" "tty",
    signal_live: "signal_struct" "live",
    tty_index: "tty_struct" "index",
    tty_driver: "tty_struct" "driver",
    tty_major: "tty_driver" "major",
    tty_minor: "tty_driver" "minor_start",
    socket_sk: "socket" "sk",
    socket_type: "socket" "type",
    sock_family: "sock" "__sk_common.skc_family",
    sock_state: "sock" "__sk_common.skc_state",
    sock_daddr: "sock" "__sk_common.skc_daddr",
    sock_rcv_saddr: "sock" "__sk_common.skc_rcv_saddr",
    sock_dport: "sock" "__sk_common.skc_dport",
    sock_num: "sock" "__sk_common.skc_num",
    sock_v6_daddr: "sock" "__sk_common.skc_v6_daddr",
    sock_v6_rcv_saddr: "sock" "__sk_common.skc_v6_rcv_saddr",
    kiocb_opcode: "io_kiocb" "opcode",
    kiocb_user_data: "io_kiocb" "cqe.user_data",
    kiocb_fd: "io_kiocb" "cqe.fd",
    cqe_user_data: "io_uring_cqe" "user_data",
    cqe_res: "io_uring_cqe" "res",
    io_open_name: "io_open" "filename",
    io_unlink_name: "io_unlink" "filename",
    io_mkdir_name: "io_mkdir" "filename",
    io_rename_old: "io_rename" "oldpath",
    io_rename_new: "io_rename" "newpath",
    filename_name: "filename" "name",
    unix_addr: "unix_sock" "addr",
    unix_peer: "unix_sock" "peer",
    unix_address_len: "unix_address" "len",
    unix_address_name: "unix_address" "name",
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, `u32` only, no padding.
unsafe impl aya::Pod for Offsets {}
