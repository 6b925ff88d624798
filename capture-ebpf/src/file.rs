//! From a descriptor to its open file, and what kind of file that is.

use crate::{
    maps::offset,
    read::{kernel, member, pointer},
    task::Task,
};

/// `S_IFMT` and its values.
pub const S_IFMT: u16 = 0o170000;
pub const S_IFSOCK: u16 = 0o140000;
const S_IFIFO: u16 = 0o010000;
const S_IFCHR: u16 = 0o020000;
/// What a terminal may keep of its bytes in a minute, in budgets of a socket or a pipe: what somebody saw on it is worth more, and
/// whoever floods one must not flush what was recorded before.
const TERMINAL_BUDGETS: u64 = 8;

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

/// How many budgets of a stream an inode has: none where as much is kept of each call as of one on a regular file. So it is with
/// `/dev/zero` and its like: what is read of them and written to them says nothing.
#[inline(always)]
pub fn budgets(inode: u64, mode: u16) -> u64 {
    /// The devices of memory: null, zero, full, random, kmsg.
    const MEMORY: u32 = 1;
    match mode & S_IFMT {
        S_IFSOCK | S_IFIFO => 1,
        S_IFCHR => {
            // Of a `dev_t` in the kernel the lower 20 bits are the minor number.
            let device: u32 = kernel(inode, offset!(inode_rdev));
            if device >> 20 == MEMORY { 0 } else { TERMINAL_BUDGETS }
        }
        _ => 0,
    }
}

/// Number of an inode.
#[inline(always)]
pub fn number(inode: u64) -> u64 {
    kernel(inode, offset!(inode_ino))
}
