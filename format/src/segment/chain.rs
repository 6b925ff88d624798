//! The chain of segments: each names the one before, has a key of its own, and is endorsed by the key before.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::{
    bytes::{Input, Malformed, Output},
    payload::Hash,
};

/// Bytes of a link.
pub(crate) const LINK_LEN: usize = 160;
/// Begins what an endorsement signs, so that no signature can be taken for another.
const ENDORSEMENT: &[u8] = b"afterimage segment key v1\n";

/// A segment's place in its store's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The segment's number in its store.
    pub(crate) sequence: u64,
    /// The segment before it, as its writer found it.
    pub(crate) previous: Option<Previous>,
    /// Verifies this segment's checkpoints; zero where nothing is signed.
    pub(crate) public_key: [u8; 32],
    /// Signature by the key of the segment before; zero where there is none.
    pub(crate) endorsement: [u8; 64],
}

/// What a segment says of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Previous {
    pub(crate) sequence: u64,
    /// Blocks it has, checkpoints included, the footer not.
    pub(crate) size: u64,
    /// Root over their leaves.
    pub(crate) root: Hash,
}

/// Stands for no segment before.
const NONE: Previous = Previous { sequence: u64::MAX, size: 0, root: [0; 32] };

impl Link {
    /// A link of a file that is in no chain.
    pub(crate) const fn unsigned(sequence: u64) -> Self {
        Self { sequence, previous: None, public_key: [0; 32], endorsement: [0; 64] }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let previous = self.previous.unwrap_or(NONE);
        out.put_u64(self.sequence);
        out.put_u64(previous.sequence);
        out.put_u64(previous.size);
        out.extend_from_slice(&previous.root);
        out.extend_from_slice(&self.public_key);
        out.extend_from_slice(&self.endorsement);
        out.put_u64(0);
    }

    pub(crate) fn parse(input: &mut Input<'_>) -> Result<Self, Malformed> {
        let sequence = input.u64()?;
        let previous = Previous { sequence: input.u64()?, size: input.u64()?, root: input.bytes()? };
        let link = Self {
            sequence,
            previous: (previous != NONE).then_some(previous),
            public_key: input.bytes()?,
            endorsement: input.bytes()?,
        };
        input.u64()?;
        Ok(link)
    }

    /// What the key of the segment before signs: that this segment follows, with this key, on what it found there.
    fn endorsed(&self, store_uuid: &[u8; 16]) -> Vec<u8> {
        let previous = self.previous.unwrap_or(NONE);
        let mut out = ENDORSEMENT.to_vec();
        out.extend_from_slice(store_uuid);
        out.put_u64(self.sequence);
        out.put_u64(previous.sequence);
        out.put_u64(previous.size);
        out.extend_from_slice(&previous.root);
        out.extend_from_slice(&self.public_key);
        out
    }

    /// Signs, with the key of the segment before, that this one follows.
    pub(crate) fn endorse(&mut self, store_uuid: &[u8; 16], key: &SigningKey) {
        self.endorsement = key.sign(&self.endorsed(store_uuid)).to_bytes();
    }

    /// Whether the key of the segment before endorsed this one.
    pub(crate) fn is_endorsed(&self, store_uuid: &[u8; 16], by: &[u8; 32]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(by) else { return false };
        let signature = Signature::from_bytes(&self.endorsement);
        key.verify_strict(&self.endorsed(store_uuid), &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_comes_back_and_is_endorsed_for_one_store_and_place_only() {
        let key = SigningKey::from_bytes(&[5; 32]);
        let by = key.verifying_key().to_bytes();
        let previous = Previous { sequence: 6, size: 9, root: [8; 32] };
        let mut link = Link { previous: Some(previous), public_key: [4; 32], ..Link::unsigned(7) };
        link.endorse(&[1; 16], &key);
        let mut out = Vec::new();
        link.encode(&mut out);
        assert_eq!(out.len(), LINK_LEN);
        assert_eq!(Link::parse(&mut Input::new(&out)), Ok(link));
        assert!(link.is_endorsed(&[1; 16], &by));
        assert!(!link.is_endorsed(&[2; 16], &by));
        assert!(!Link { sequence: 8, ..link }.is_endorsed(&[1; 16], &by));
        assert!(!Link { public_key: [3; 32], ..link }.is_endorsed(&[1; 16], &by));
        let longer = Previous { size: 10, ..previous };
        assert!(!Link { previous: Some(longer), ..link }.is_endorsed(&[1; 16], &by));
        assert!(!link.is_endorsed(&[1; 16], &[4; 32]));
    }
}
