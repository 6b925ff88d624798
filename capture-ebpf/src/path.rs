//! Paths from the kernel's objects: a walk over dentries and mounts up to the task's root.
//!
//! Components are written from the leaf upwards, each with its NUL; the recorder turns them round. `bpf_d_path` is
//! not available in these programs.

use afterimage_capture_abi::{
    offsets::ABSENT,
    record::{FieldHeader, tag::REVERSED},
};
use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;

use crate::{
    emit::{Record, within},
    maps::offset,
    read::{kernel, member, pointer, two_words},
    task::Task,
};

/// Most steps, a component or a mount each.
const STEPS: usize = 40;
/// Longest component with its NUL.
const NAME: usize = 256;
/// Most bytes of a path before its last component is added; longer ones are cut at the root's side and flagged. With that
/// component it is below 4096, so that its length fits a mask.
const PATH: usize = 4095 - NAME;

/// A place in the mount tree: addresses of `struct vfsmount` and `struct dentry`.
#[derive(Clone, Copy, PartialEq)]
pub struct Place {
    pub mount: u64,
    pub dentry: u64,
}

impl Place {
    /// Reads the `struct path` at an address.
    #[inline(always)]
    fn read(path: u64) -> Self {
        let [mount, dentry] = two_words(path, offset!(path_mnt), offset!(path_dentry));
        Self { mount, dentry }
    }

    /// The root directory of a task: typed pointers, to compare with and no more.
    #[inline(always)]
    pub fn root_of(task: Task) -> Self {
        let fs = pointer(task.0, offset!(task_fs));
        let (path, mount, dentry) = (offset!(fs_root), offset!(path_mnt), offset!(path_dentry));
        if fs.is_null() || path == ABSENT || mount == ABSENT || dentry == ABSENT {
            return Self { mount: 0, dentry: 0 };
        }
        Self { mount: member(fs, path + mount), dentry: member(fs, path + dentry) }
    }

    /// The working directory of a task: numbers, because a walk calculates with them, which not every kernel allows of typed
    /// pointers.
    #[inline(always)]
    pub fn cwd_of(task: Task) -> Self {
        let fs: u64 = kernel(task.0 as u64, offset!(task_fs));
        Self::read(fs + u64::from(offset!(fs_pwd)))
    }

    /// The place of an open file.
    #[inline(always)]
    pub fn of_file(file: u64) -> Self {
        Self::read(file + u64::from(offset!(file_path)))
    }
}

/// The topmost dentry of the mount at an address.
#[inline(always)]
fn top_of(mount: u64) -> u64 {
    kernel(mount, offset!(vfsmount_root))
}

/// Addresses of a dentry's parent and of its name.
#[inline(always)]
fn parent_and_name(dentry: u64) -> (u64, u64) {
    let (first, last) = (offset!(dentry_parent), offset!(dentry_name) + offset!(qstr_name));
    // One word between them, as it has been for long: the name's hash and length.
    if last == first.wrapping_add(16) {
        let [parent, _, name] = kernel::<[u64; 3]>(dentry, first);
        return (parent, name);
    }
    (kernel(dentry, first), kernel(dentry, last))
}

/// Adds the path of `place` as seen from `root`.
#[inline(always)]
pub fn add(record: &mut Record, tag: u8, place: Place, root: Place) {
    const TRUNCATED: u8 = 1;
    const FAULT: u8 = 2;
    const UNROOTED: u8 = 0x80;
    if offset!(dentry_parent) == ABSENT || offset!(mount_mountpoint) == ABSENT || place.dentry == 0 {
        return;
    }
    let Some((field, at)) = record.room() else { return };
    let (mut here, mut top) = (place, top_of(place.mount));
    record.set_part(0);
    let mut flags = TRUNCATED;
    for _ in 0..STEPS {
        if here == root {
            flags = 0;
            break;
        }
        if here.dentry == top {
            let mount = here.mount - u64::from(offset!(mount_mnt));
            let [parent, mountpoint] = two_words(mount, offset!(mount_parent), offset!(mount_mountpoint));
            if parent == mount || parent == 0 {
                // The root of the mount namespace: the walk missed the task's own root.
                flags = 0;
                break;
            }
            here = Place { mount: parent + u64::from(offset!(mount_mnt)), dentry: mountpoint };
            top = top_of(here.mount);
            continue;
        }
        let (parent, name) = parent_and_name(here.dentry);
        let len = record.part();
        let Some(place) = within::<PATH>(field, len) else { break };
        // SAFETY: `room` leaves 4096 bytes behind the field's header, and `len` is at most that less a name.
        let got = unsafe {
            bpf_probe_read_kernel_str(place.add(8).cast(), NAME as u32, name as *const core::ffi::c_void)
        };
        if got < 0 {
            flags |= FAULT;
            break;
        }
        record.set_part(len + (got as usize & 0x1ff));
        if parent == here.dentry {
            // A pipe, socket, memfd: not below any root.
            flags = UNROOTED;
            break;
        }
        here.dentry = parent;
    }
    let len = record.part() & 0xfff;
    let head = FieldHeader { tag: REVERSED | tag, flags, len: len as u16, full_len: len as u32 };
    record.end(field, at, head);
}
