//! Nonces that were used, as long as their signatures could still be right.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// Most nonces remembered.
const MOST: usize = 1 << 18;

/// What is known of a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing; it is used now.
    First,
    /// It was used before.
    Before,
    /// There is no room to remember it: it must not count.
    Full,
}

/// Used nonces by the second of their signature.
#[derive(Debug, Default)]
pub struct Nonces {
    used: BTreeMap<i64, HashSet<String>>,
    count: usize,
}

impl Nonces {
    /// Uses a nonce of a signature of `seconds` up, at `now`, both in seconds since 1970.
    pub fn use_up(&mut self, nonce: &str, seconds: i64, now: i64, window: Duration) -> Seen {
        let horizon = now.saturating_sub_unsigned(window.as_secs());
        while let Some(entry) = self.used.first_entry()
            && *entry.key() < horizon
        {
            self.count -= entry.remove().len();
        }
        let of_second = self.used.get(&seconds);
        if of_second.is_some_and(|used| used.contains(nonce)) {
            return Seen::Before;
        }
        // The same nonce at another second is another signature, and still the same nonce.
        if self.used.values().any(|used| used.contains(nonce)) {
            return Seen::Before;
        }
        if self.count >= MOST {
            return Seen::Full;
        }
        self.used.entry(seconds).or_default().insert(nonce.to_owned());
        self.count += 1;
        Seen::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);

    #[test]
    fn a_nonce_is_remembered_as_long_as_its_signature_counts() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.use_up("a", 1000, 1000, WINDOW), Seen::First);
        assert_eq!(nonces.use_up("a", 1000, 1300, WINDOW), Seen::Before);
        assert_eq!(nonces.use_up("a", 1200, 1300, WINDOW), Seen::Before, "another second, the same nonce");
        assert_eq!(nonces.use_up("b", 1301, 1301, WINDOW), Seen::First);
        assert_eq!(nonces.use_up("a", 1301, 1301, WINDOW), Seen::First, "the first can be used no more");
        assert_eq!(nonces.count, 2);
    }

    #[test]
    fn what_cannot_be_remembered_does_not_count() {
        let mut nonces = Nonces { count: MOST, ..Nonces::default() };
        assert_eq!(nonces.use_up("a", 1000, 1000, WINDOW), Seen::Full);
    }
}
