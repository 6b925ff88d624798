//! Capabilities of a thread: those that are kept, of those that it has.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(CapabilitySet);

impl Default for Set {
    fn default() -> Self {
        Self::NONE
    }
}

impl Set {
    /// None.
    pub const NONE: Self = Self(CapabilitySet::empty());
    /// To make and read eBPF maps, programs and links.
    pub const EBPF: Self = Self(CapabilitySet::BPF.union(CapabilitySet::PERFMON));
    /// To see the files that processes of others see.
    pub const LOOK: Self = Self(CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH));
    /// To write to a directory of another user.
    pub const DAC_OVERRIDE: Self = Self(CapabilitySet::DAC_OVERRIDE);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    /// The bits as `/proc/PID/status` prints them.
    pub const fn bits(self) -> u64 {
        self.0.bits()
    }
}

/// Keeps of this thread's capabilities those in `kept`, in force or only permitted, and no way to others.
///
/// # Errors
/// What the kernel refused, in words.
pub fn keep(kept: Set, in_force: bool) -> Result<(), String> {
    let words = |error: rustix::io::Errno| format!("capabilities are not given up: {error}");
    let has = capabilities(None).map_err(words)?;
    let mut kept = kept.0;
    // Before Linux 5.8 it stands in for the two of eBPF.
    if kept.contains(CapabilitySet::BPF) && !has.permitted.contains(CapabilitySet::BPF) {
        kept |= CapabilitySet::SYS_ADMIN;
    }
    let kept = kept & has.permitted;
    // Nothing is executed later, so the bounding set only says it once more; not everybody may change it.
    if has.effective.contains(CapabilitySet::SETPCAP) {
        for one in CapabilitySet::all().difference(kept).iter() {
            let _ = rustix::thread::remove_capability_from_bounding_set(one);
        }
    }
    let effective = if in_force { kept } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(words)
}
