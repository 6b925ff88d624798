//! Memory of an eBPF map in this process: the one place that knows that others write to it.

use std::{
    io,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Mapped memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: shared memory of the process; who holds it decides who reads it.
#[expect(unsafe_code, reason = "raw memory")]
unsafe impl Send for Mapping {}
// SAFETY: as above; words that others write are read atomically.
#[expect(unsafe_code, reason = "raw memory")]
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `len` bytes from `offset` on, which is a multiple of a page.
    ///
    /// # Errors
    /// What the operating system says.
    #[expect(unsafe_code, reason = "raw memory")]
    pub(crate) fn new(fd: impl AsFd, len: usize, protection: ProtFlags, offset: u64) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, fd, offset) }?;
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { at, len })
    }

    fn place(&self, at: usize, len: usize) -> NonNull<u8> {
        assert!(at <= self.len && len <= self.len - at, "{len} bytes at {at} of {} are asked for", self.len);
        // SAFETY: inside the mapping.
        #[expect(unsafe_code, reason = "raw memory")]
        unsafe {
            self.at.add(at)
        }
    }

    /// A word that others change. Panics where it is not inside, or not aligned.
    #[expect(unsafe_code, reason = "raw memory")]
    pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
        let place = self.place(at, size_of::<u64>());
        assert!(at.is_multiple_of(align_of::<AtomicU64>()));
        // SAFETY: inside, aligned as the mapping begins at a page, and there as long as `self`.
        unsafe { place.cast().as_ref() }
    }

    /// Half of one.
    #[expect(unsafe_code, reason = "raw memory")]
    pub(crate) fn half_word(&self, at: usize) -> &AtomicU32 {
        let place = self.place(at, size_of::<u32>());
        assert!(at.is_multiple_of(align_of::<AtomicU32>()));
        // SAFETY: as in `word`.
        unsafe { place.cast().as_ref() }
    }

    /// Bytes that are complete: whoever wrote them has said so by a word since, and writes nothing over them until they are given
    /// back. Panics where they are not inside.
    #[expect(unsafe_code, reason = "raw memory")]
    pub(crate) fn bytes(&self, at: usize, len: usize) -> &[u8] {
        let place = self.place(at, len);
        // SAFETY: inside; see above.
        unsafe { std::slice::from_raw_parts(place.as_ptr(), len) }
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "raw memory")]
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nobody has a reference any more.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}
