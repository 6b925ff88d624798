//! Reading the kernel's and the program's memory.

use afterimage_capture_abi::offsets::ABSENT;
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};

/// Member of a typed (BTF) pointer: a plain load, which the verifier checks.
///
/// Returns the default where the kernel has no such member.
#[inline(always)]
pub fn member<T: Copy + Default>(base: *const u8, offset: u32) -> T {
    if offset == ABSENT {
        return T::default();
    }
    // SAFETY: `base` is a BTF pointer and `offset` a member's: the verifier admits exactly these loads, and the kernel
    // handles faults.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<T>()) }
}

/// Pointer member of a typed pointer.
#[inline(always)]
pub fn pointer(base: *const u8, offset: u32) -> *const u8 {
    if offset == ABSENT {
        return core::ptr::null();
    }
    // SAFETY: as in `member`.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<*const u8>()) }
}

/// Member behind an address the verifier knows nothing of; zero where it cannot be read.
#[inline(always)]
pub fn kernel<T: Copy + Default>(address: u64, offset: u32) -> T {
    let mut value = T::default();
    if offset == ABSENT {
        return value;
    }
    // SAFETY: the helper writes at most the size given to it and zeroes it on failure.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address.wrapping_add(u64::from(offset)) as *const core::ffi::c_void,
        );
    }
    value
}

/// Two words behind such an address: in one reading where they are neighbours, because most of what a reading costs is the call.
#[inline(always)]
pub fn two_words(address: u64, first: u32, second: u32) -> [u64; 2] {
    if second == first.wrapping_add(8) {
        return kernel(address, first);
    }
    [kernel(address, first), kernel(address, second)]
}

/// A value of user memory; `None` where it cannot be read.
#[inline(always)]
pub fn user<T: Copy + Default>(address: u64) -> Option<T> {
    let mut value = T::default();
    // SAFETY: as in `kernel`.
    let failed = unsafe {
        bpf_probe_read_user(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address as *const core::ffi::c_void,
        )
    };
    (failed == 0).then_some(value)
}
