//! Executed images that were kept: what became of each, in words.

use afterimage_format::layout::artifact;

/// What an `ARTIFACT`'s outcome says.
pub fn outcome(code: u64) -> &'static str {
    match code {
        artifact::KEPT => "kept",
        artifact::KNOWN => "kept before",
        artifact::TOO_LARGE => "too large to be kept",
        artifact::OVER_BUDGET => "not kept: the budget was used up",
        artifact::GONE => "not seen: its process was gone",
        artifact::UNREADABLE => "not kept: it changed or could not be read",
        _ => "of a later version",
    }
}

/// A hash as it is written.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_words() {
        let mut words: Vec<_> = (artifact::KEPT..=artifact::UNREADABLE + 1).map(outcome).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len() as u64, artifact::UNREADABLE + 2);
        assert_eq!(hex(&[0, 0xfa]), "00fa");
    }
}
