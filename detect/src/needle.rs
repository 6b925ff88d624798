//! A search for bytes, ASCII case ignored or not, without a regular expression.

use memchr::{memchr2_iter, memmem};

/// What is searched for.
#[derive(Debug)]
pub(crate) enum Needle {
    /// These bytes.
    Exact(Box<memmem::Finder<'static>>),
    /// These bytes in any case.
    Folded(Vec<u8>),
}

impl Needle {
    pub(crate) fn new(bytes: &[u8], fold: bool) -> Self {
        if fold && bytes.iter().any(u8::is_ascii_alphabetic) {
            Self::Folded(bytes.to_vec())
        } else {
            Self::Exact(Box::new(memmem::Finder::new(bytes).into_owned()))
        }
    }

    /// Whether the text has it.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(finder) => finder.find(text).is_some(),
            Self::Folded(bytes) => {
                let Some(first) = bytes.first() else { return true };
                let starts = memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text);
                starts
                    .map_while(|at| text.get(at..at + bytes.len()))
                    .any(|part| part.eq_ignore_ascii_case(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_only_when_asked() {
        for (needle, fold, text, found) in [
            ("secret", true, "my SeCrEt", true),
            ("secret", false, "my SeCrEt", false),
            ("", true, "x", true),
            ("abc", true, "ab", false),
            ("aab", true, "AAAB", true),
            ("1.2", true, "x1.2", true),
        ] {
            assert_eq!(Needle::new(needle.as_bytes(), fold).is_in(text.as_bytes()), found, "{needle} {text}");
        }
    }
}
