//! What aya does not offer of `bpf(2)`: maps that nobody changes any more, and the whole of a table at once.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

const MAP_FREEZE: libc::c_long = 22;
const MAP_LOOKUP_BATCH: libc::c_long = 24;

/// `union bpf_attr` of a command on one map.
#[repr(C)]
#[derive(Default)]
struct OneMap {
    map_fd: u32,
}

/// `union bpf_attr` of a command on many entries.
#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Nobody changes the map by a system call from now on, whatever rights they have. What the programs may write, they still may.
///
/// # Errors
/// Of the kernel: `EBUSY` where it is frozen already, or mapped to be written to.
pub(super) fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = OneMap { map_fd: map.as_raw_fd() as u32 };
    command(MAP_FREEZE, &mut attributes)
}

/// Every entry of a hash table with keys of 64 bits and values of 32. Others who change it meanwhile cannot make it endless.
///
/// # Errors
/// Of the kernel.
pub(super) fn entries(map: impl AsFd) -> io::Result<Vec<(u64, u32)>> {
    /// As many entries as a bucket never has.
    const AT_ONCE: usize = 1024;
    let map_fd = map.as_fd().as_raw_fd() as u32;
    let (mut keys, mut values) = (vec![0_u64; AT_ONCE], vec![0_u32; AT_ONCE]);
    let (mut place, mut next) = (0_u32, 0_u32);
    let mut all = Vec::new();
    for round in 0.. {
        let mut batch = Batch {
            in_batch: if round == 0 { 0 } else { (&raw const place) as u64 },
            out_batch: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: AT_ONCE as u32,
            map_fd,
            ..Batch::default()
        };
        let done = command(MAP_LOOKUP_BATCH, &mut batch);
        let is_last = match done {
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        let count = (batch.count as usize).min(AT_ONCE);
        all.extend(keys[..count].iter().copied().zip(values[..count].iter().copied()));
        if is_last {
            break;
        }
        place = next;
    }
    Ok(all)
}

#[expect(unsafe_code, reason = "a system call that no crate here offers")]
fn command<T>(command: libc::c_long, attributes: &mut T) -> io::Result<()> {
    // SAFETY: the attributes are those of the command and as long as is said; what they point to is there and as large as the
    // command's counts say.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
