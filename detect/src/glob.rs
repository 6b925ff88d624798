//! Shell patterns as `fnmatch(3)` without flags reads them: `*` and `?` match any byte, the slash too; `[...]` with
//! ranges, negation by `!` or `^`, and classes such as `[:digit:]`; a backslash takes the next byte as it is.
//!
//! Matching takes at most the product of both lengths, whatever the pattern: it goes back to the last `*` only.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
    fold: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Byte(u8),
    Any,
    Star,
    Set(Box<[bool; 256]>),
}

impl Glob {
    /// Reads a pattern. Any bytes are one: an unclosed bracket stands for itself.
    pub fn new(pattern: &[u8], ignore_case: bool) -> Self {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(&byte) = pattern.get(at) {
            at += 1;
            match byte {
                b'*' if parts.last() == Some(&Part::Star) => {}
                b'*' => parts.push(Part::Star),
                b'?' => parts.push(Part::Any),
                b'\\' if at < pattern.len() => {
                    parts.push(Part::Byte(pattern[at]));
                    at += 1;
                }
                b'[' => match set(&pattern[at..]) {
                    Some((set, len)) => {
                        parts.push(Part::Set(set));
                        at += len;
                    }
                    None => parts.push(Part::Byte(b'[')),
                },
                byte => parts.push(Part::Byte(byte)),
            }
        }
        Self { parts, fold: ignore_case }
    }

    /// The longest run of bytes that every match has in it.
    pub(crate) fn longest(&self) -> Vec<u8> {
        let byte = |part: &Part| if let Part::Byte(byte) = part { Some(*byte) } else { None };
        let runs = self.parts.split(|part| byte(part).is_none());
        runs.max_by_key(|run| run.len()).unwrap_or(&[]).iter().filter_map(byte).collect()
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(part) {
                Some(Part::Star) => {
                    back = Some((part + 1, at));
                    part += 1;
                    continue;
                }
                Some(step) if at < text.len() && self.takes(step, text[at]) => {
                    part += 1;
                    at += 1;
                    continue;
                }
                None if at == text.len() => return true,
                _ => {}
            }
            match back {
                Some((star, from)) if from < text.len() => {
                    back = Some((star, from + 1));
                    part = star;
                    at = from + 1;
                }
                _ => return false,
            }
        }
    }

    fn takes(&self, part: &Part, byte: u8) -> bool {
        match part {
            Part::Byte(own) if self.fold => own.eq_ignore_ascii_case(&byte),
            Part::Byte(own) => *own == byte,
            Part::Any => true,
            Part::Set(set) if self.fold => {
                set[usize::from(byte.to_ascii_lowercase())] || set[usize::from(byte.to_ascii_uppercase())]
            }
            Part::Set(set) => set[usize::from(byte)],
            Part::Star => false,
        }
    }
}

/// The bytes that a bracket expression takes, and its length with the closing bracket.
fn set(pattern: &[u8]) -> Option<(Box<[bool; 256]>, usize)> {
    let mut taken = Box::new([false; 256]);
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let mut at = first;
    loop {
        let byte = *pattern.get(at)?;
        if byte == b']' && at > first {
            break;
        }
        if let Some((class, len)) = class(&pattern[at..]) {
            (0..=255u8).filter(class).for_each(|b| taken[usize::from(b)] = true);
            at += len;
            continue;
        }
        let low = if byte == b'\\' { *pattern.get(at + 1)? } else { byte };
        at += if byte == b'\\' { 2 } else { 1 };
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|b| *b != b']') {
            let escaped = pattern[at + 1] == b'\\';
            high = *pattern.get(at + if escaped { 2 } else { 1 })?;
            at += if escaped { 3 } else { 2 };
        }
        (low..=high).for_each(|b| taken[usize::from(b)] = true);
    }
    if negated {
        taken.iter_mut().for_each(|b| *b = !*b);
    }
    Some((taken, at + 1))
}

/// Whether a byte belongs to a class.
type Class = fn(&u8) -> bool;

/// A class such as `[:alpha:]` at the beginning, and its length.
fn class(pattern: &[u8]) -> Option<(Class, usize)> {
    let rest = pattern.strip_prefix(b"[:")?;
    let end = rest.windows(2).position(|pair| pair == b":]")?;
    let class: Class = match &rest[..end] {
        b"alpha" => u8::is_ascii_alphabetic,
        b"digit" => u8::is_ascii_digit,
        b"alnum" => u8::is_ascii_alphanumeric,
        b"upper" => u8::is_ascii_uppercase,
        b"lower" => u8::is_ascii_lowercase,
        b"space" => u8::is_ascii_whitespace,
        b"punct" => u8::is_ascii_punctuation,
        b"xdigit" => u8::is_ascii_hexdigit,
        b"cntrl" => u8::is_ascii_control,
        b"graph" => u8::is_ascii_graphic,
        _ => return None,
    };
    Some((class, end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, text, matches) in [
            ("*../*../*", "/a/../../etc", true),
            ("/home/*/.ssh/*", "/home/a/b/.ssh/id", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[[:digit:]]*", "7up", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("**a", "bba", true),
            ("a*b*c", "aXbYbZc", true),
        ] {
            assert_eq!(
                Glob::new(pattern.as_bytes(), false).matches(text.as_bytes()),
                matches,
                "{pattern} {text}"
            );
        }
        assert!(Glob::new(b"A[b]C", true).matches(b"aBc"));
    }

    #[test]
    fn hostile_patterns_take_bounded_steps() {
        let pattern = b"a*".repeat(2000);
        let text = vec![b'a'; 20_000];
        assert!(!Glob::new(&[pattern, b"b".to_vec()].concat(), false).matches(&text));
    }
}
