//! Which events are looked at: what the state needs, what rules can match, and for subscribers everything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use afterimage_format::EventCode;

/// Words of a set of codes.
const WORDS: usize = (u16::MAX as usize + 1) / 64;

/// Set by the watching thread, asked by the recording thread for each event.
#[derive(Debug)]
pub struct Wanted {
    codes: Box<[AtomicU64]>,
    everything: AtomicBool,
    anything: AtomicBool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            codes: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
            everything: AtomicBool::new(false),
            anything: AtomicBool::new(false),
        }
    }
}

impl Wanted {
    /// Wants `codes`, besides what begins and ends processes and containers, which is always wanted.
    pub fn set(&self, codes: impl Fn(EventCode) -> bool, everything: bool) {
        let mut any = false;
        for (index, word) in self.codes.iter().enumerate() {
            let bits = (0..64u16).filter(|bit| codes(EventCode((index * 64) as u16 + bit)));
            let bits = bits.fold(0, |bits, bit| bits | 1 << bit);
            any |= bits != 0;
            word.store(bits, Ordering::Relaxed);
        }
        self.everything.store(everything, Ordering::Relaxed);
        self.anything.store(any || everything, Ordering::Relaxed);
    }

    /// Whether anything but the life of processes is wanted.
    pub fn anything(&self) -> bool {
        self.anything.load(Ordering::Relaxed)
    }

    /// Whether all events are.
    pub fn everything(&self) -> bool {
        self.everything.load(Ordering::Relaxed)
    }

    /// Whether this call is.
    pub fn has(&self, code: EventCode) -> bool {
        let word = self.codes.get(usize::from(code.0) / 64).map_or(0, |word| word.load(Ordering::Relaxed));
        word >> (code.0 % 64) & 1 == 1 || self.everything()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_codes_are_kept_exactly() {
        let wanted = Wanted::default();
        assert!(!wanted.anything() && !wanted.has(EventCode(0)));
        let chosen = [0u16, 1, 63, 64, 257, 0x1005, 0xffff];
        wanted.set(|code| chosen.contains(&code.0), false);
        for code in 0..=u16::MAX {
            assert_eq!(wanted.has(EventCode(code)), chosen.contains(&code), "{code}");
        }
        assert!(wanted.anything());
        wanted.set(|_| false, true);
        assert!(wanted.has(EventCode(7)) && wanted.anything());
    }
}
