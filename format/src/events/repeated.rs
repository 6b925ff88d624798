//! What a footer repeats of each block, so that nothing of the block itself has to be read for it. On the way from
//! the encoder to the footer both lie behind each other: length of the counters, the counters, the filter.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::bytes::{Input, Malformed, Output};

/// The columns COUNTS and FILTER of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Repeated<'a> {
    pub(crate) counts: &'a [u8],
    pub(crate) filter: &'a [u8],
}

impl<'a> Repeated<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        if self.counts.is_empty() && self.filter.is_empty() {
            return;
        }
        out.put_varint(self.counts.len() as u64);
        out.extend_from_slice(self.counts);
        out.extend_from_slice(self.filter);
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let length = input.count(bytes.len())?;
        Ok(Self { counts: input.take(length)?, filter: input.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_come_back_and_nothing_is_nothing() {
        let mut out = Vec::new();
        Repeated::default().encode(&mut out);
        assert!(out.is_empty());
        let both = Repeated { counts: b"counts", filter: b"filter" };
        both.encode(&mut out);
        assert_eq!(Repeated::decode(&out), Ok(both));
        assert!(Repeated::decode(&[200, 1, 0]).is_err());
    }
}
