//! Event codes: which system call of which ABI, or which other kind of event.

/// What an event is: a system call by number and ABI, or one of the constants of this type.
///
/// | range | meaning |
/// | --- | --- |
/// | `0x0000..0x1000` | x86-64 system call number |
/// | `0x1000..0x2000` | i386 system call number + `0x1000` |
/// | `0x2000..0x3000` | x32 system call number without its ABI bit + `0x2000` |
/// | `0x8000..` | not a system call: the constants below |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCode(pub u16);

/// The system-call ABI of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abi {
    /// 64-bit native calls.
    X86_64,
    /// 32-bit calls (`int 0x80`, compat `sysenter`).
    I386,
    /// The x32 ABI.
    X32,
}

impl EventCode {
    /// A task was created. Numbers: [`crate::layout::fork`].
    pub const FORK: Self = Self(0x8001);
    /// A program was executed: what the kernel itself executed. Numbers: [`crate::layout::exec`].
    pub const EXEC: Self = Self(0x8002);
    /// A task ended. Numbers: [`crate::layout::exit`].
    pub const EXIT: Self = Self(0x8003);
    /// A cgroup was made. Numbers: [`crate::layout::cgroup`]; field `CGROUP`.
    pub const CGROUP_MKDIR: Self = Self(0x8010);
    /// A cgroup was removed. Numbers: [`crate::layout::cgroup`]; field `CGROUP`.
    pub const CGROUP_RMDIR: Self = Self(0x8011);
    /// A task was moved to a cgroup.
    pub const CGROUP_ATTACH: Self = Self(0x8012);
    /// A process that was already there when recording began; read from `/proc`. Numbers as EXEC
    /// ([`crate::layout::exec`]) as far as `/proc` tells, the rest [`crate::layout::UNKNOWN`].
    pub const PROCESS: Self = Self(0x8020);
    /// A file descriptor that was already open when recording began. Numbers: [`crate::layout::open_fd`].
    pub const OPEN_FD: Self = Self(0x8021);
    /// An io_uring request was submitted.
    pub const URING_SUBMIT: Self = Self(0x8030);
    /// An io_uring request completed.
    pub const URING_COMPLETE: Self = Self(0x8031);

    /// A system call that had not returned when it was looked at: at a trigger, or when recording ended. Numbers:
    /// [`crate::layout::in_call`].
    pub const IN_CALL: Self = Self(0x8022);
    /// An executed image that is not of the container's image (upper layer, memfd): its hash and its bytes, or why
    /// they are missing. Numbers: [`crate::layout::artifact`]; fields `KPATH`, `HASH`, `CONTENT`.
    pub const ARTIFACT: Self = Self(0x8040);

    /// Width of one ABI's number range.
    const ABI_SPAN: u16 = 0x1000;

    /// The code of system call `nr` of `abi`; `None` when the number does not fit.
    pub const fn syscall(abi: Abi, nr: u32) -> Option<Self> {
        if nr >= Self::ABI_SPAN as u32 {
            return None;
        }
        let base = match abi {
            Abi::X86_64 => 0,
            Abi::I386 => 0x1000,
            Abi::X32 => 0x2000,
        };
        Some(Self(base | nr as u16))
    }

    /// The ABI and number, when this is a system call.
    pub const fn as_syscall(self) -> Option<(Abi, u16)> {
        match self.0 >> 12 {
            0 => Some((Abi::X86_64, self.0)),
            1 => Some((Abi::I386, self.0 & 0xfff)),
            2 => Some((Abi::X32, self.0 & 0xfff)),
            _ => None,
        }
    }
}
