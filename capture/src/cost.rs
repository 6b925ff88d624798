//! What the recorder's processes cost: CPU time and memory, for the status and the metrics. What the kernel's side costs is
//! in the time of whoever made the call.

use std::{fs::File, mem::MaybeUninit, os::unix::fs::FileExt as _, time::Duration};

/// CPU time of all threads of a process since it began, ended ones included; `None` where there is no such process.
pub fn cpu_time(pid: i32) -> Option<Duration> {
    // Process 0 would be this one.
    if pid <= 0 {
        return None;
    }
    let time = process_clock(pid)?;
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    Some(Duration::new(seconds, nanos))
}

#[expect(unsafe_code, reason = "calls that no crate here offers")]
fn process_clock(pid: i32) -> Option<libc::timespec> {
    let mut clock = MaybeUninit::uninit();
    // SAFETY: there is room for what it writes.
    let found = unsafe { libc::clock_getcpuclockid(pid, clock.as_mut_ptr()) };
    if found != 0 {
        return None;
    }
    // SAFETY: written, because it did not fail.
    let clock = unsafe { clock.assume_init() };
    let mut time = MaybeUninit::uninit();
    // SAFETY: there is room for what it writes.
    let told = unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
    // SAFETY: written, because it did not fail.
    (told == 0).then(|| unsafe { time.assume_init() })
}

/// The memory of this process. Opened while `/proc` can still be.
#[derive(Debug, Default)]
pub struct Memory(Option<File>);

impl Memory {
    /// Of this process.
    pub fn open() -> Self {
        Self(File::open("/proc/self/statm").ok())
    }

    /// Bytes that are resident, pages of files and rings included; `None` where that cannot be read.
    pub fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_of_this_process_grow_with_what_it_does() {
        let own = i32::try_from(std::process::id()).unwrap();
        let (before, memory) = (cpu_time(own).unwrap(), Memory::open());
        let resident = memory.resident().unwrap();
        let mut numbers = vec![1_u64; 8 << 20];
        while cpu_time(own).unwrap() == before {
            numbers.iter_mut().for_each(|number| *number = number.wrapping_mul(3));
        }
        assert!(memory.resident().unwrap() > resident + (32 << 20), "from {resident}");
        assert_eq!(numbers.iter().max(), numbers.iter().min());
    }

    #[test]
    fn of_nobody_nothing_is_told() {
        // The most that Linux gives is one less.
        const PID_MAX: i32 = 1 << 22;
        assert_eq!((cpu_time(0), cpu_time(-1), cpu_time(PID_MAX + 1)), (None, None, None));
        assert_eq!(Memory::default().resident(), None);
    }
}
