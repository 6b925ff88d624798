//! From a descriptor to its open file, and what kind of file that is.

use crate::{
    maps::offset,
    read::{kernel, member, pointer},
    task::Task,
};

/// `S_IFMT` and its values.
pub const S_IFMT: u16 = 0o170000;
pub const S_IFSOCK: u16 = 0o140000;
pub const S_IFREG: u16 = 0o100000;
pub const S_IFIFO: u16 = 0o010000;
/// The file system of pipes that have no name.
const PIPEFS: u64 = 0x5049_5045;

/// Address of the `struct file` behind a descriptor of the task; 0 for none.
#[inline(always)]
pub fn of_descriptor(task: Task, fd: i64) -> u64 {
    let files = pointer(task.0, offset!(task_files));
    if files.is_null() || fd < 0 {
        return 0;
    }
    let table = pointer(files, offset!(files_fdt));
    if table.is_null() {
        return 0;
    }
    let max: u32 = member(table, offset!(fdt_max));
    if fd as u64 >= u64::from(max) {
        return 0;
    }
    let array = pointer(table, offset!(fdt_fd)) as u64;
    kernel(array + (fd as u64 & 0xff_ffff) * 8, 0)
}

/// Address of a file's inode.
#[inline(always)]
pub fn inode(file: u64) -> u64 {
    kernel(file, offset!(file_inode))
}

/// Mode bits of an inode.
#[inline(always)]
pub fn mode(inode: u64) -> u16 {
    kernel(inode, offset!(inode_mode))
}

/// Whether an inode is a socket or a pipe without a name.
#[inline(always)]
pub fn is_stream(inode: u64, mode: u16) -> bool {
    match mode & S_IFMT {
        S_IFSOCK => true,
        S_IFIFO => {
            let sb: u64 = kernel(inode, offset!(inode_sb));
            let magic: u64 = kernel(sb, offset!(sb_magic));
            magic == PIPEFS
        }
        _ => false,
    }
}

/// Number of an inode.
#[inline(always)]
pub fn number(inode: u64) -> u64 {
    kernel(inode, offset!(inode_ino))
}
