//! Identities as container runtimes make them: random, never reused.

use std::fmt;

use crate::LaunchError;

/// A container id: 32 random bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId([u8; 32]);

impl ContainerId {
    /// Draws a fresh id.
    pub fn random() -> Result<Self, LaunchError> {
        random_bytes().map(Self)
    }

    /// The first 12 digits, which Docker shows and gives the container as its host name.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A Kubernetes pod uid: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodUid([u8; 16]);

impl PodUid {
    /// Draws a fresh uid.
    pub fn random() -> Result<Self, LaunchError> {
        random_bytes().map(Self)
    }

    /// The uid with `separator` between its groups: the systemd cgroup driver writes `_` where the API has `-`.
    pub fn text(&self, separator: char) -> String {
        let digits = hex(&self.0);
        let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        groups.join(separator.to_string().as_str())
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], LaunchError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| LaunchError::Random { reason: error.to_string() })?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_64_lower_case_digits_and_differ() {
        let ids = [ContainerId::random().unwrap(), ContainerId::random().unwrap()];
        for id in ids {
            let text = id.to_string();
            assert_eq!(text.len(), 64);
            assert!(text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
            assert!(text.starts_with(&id.short()));
        }
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn pod_uid_has_the_groups_of_a_uuid() {
        let uid = PodUid([0xab; 16]);
        assert_eq!(uid.text('-'), "abababab-abab-abab-abab-abababababab");
        assert_eq!(uid.text('_'), "abababab_abab_abab_abab_abababababab");
    }
}
