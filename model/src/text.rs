//! Bytes from a trace made safe to show: one escape for terminal, files and reports.
//!
//! Rule: backslash doubled; `\n`, `\t`, `\r`; other C0 controls and DEL as `\xNN`; C1 controls, zero-width,
//! bidirectional, tag, variation-selector, private-use and odd-space characters as `\u{hex}`; bytes that are not
//! UTF-8 as `\xNN`. [`unescape`] gives the exact bytes back.

use std::fmt::{self, Write as _};

use unicode_width::UnicodeWidthChar;

/// Text that contains only characters that are safe on a terminal. Made by [`escape`] alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Safe(String);

impl Safe {
    /// Our own words: literals of the program.
    pub fn literal(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Our own words around values that are safe already, as `format_args!` gives them: backslashes stay as they
    /// are; a character that [`escape`] would not show as itself is still escaped, so that no mistake of a caller
    /// reaches the terminal.
    pub fn format(args: fmt::Arguments<'_>) -> Self {
        let mut out = Plain(String::new());
        let _ = out.write_fmt(args);
        Self(out.0)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Takes text in, escaping all but plain characters and backslashes.
struct Plain(String);

impl fmt::Write for Plain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\\' {
                self.0.push(c);
            } else {
                push_char(&mut self.0, c);
            }
        }
        Ok(())
    }
}

/// Escapes bytes for display. Never fails, never loses anything.
pub fn escape(bytes: &[u8]) -> Safe {
    if shows_as_it_is(bytes) {
        return Safe(String::from_utf8_lossy(bytes).into_owned());
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Safe(out)
}

/// Whether [`escape`] gives these very bytes, as it does of nearly every path: printable ASCII, and no backslash.
pub(crate) fn shows_as_it_is(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| (b' '..=b'~').contains(&byte) && byte != b'\\')
}

/// Bytes as a quoted string: escaped, `"` too, with `...` behind it when more was there than was kept.
pub fn quote(bytes: &[u8], truncated: bool) -> Safe {
    let inner = escape(bytes).0.replace('"', "\\\"");
    Safe(format!("\"{inner}\"{}", if truncated { "..." } else { "" }))
}

fn push_char(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\0'..='\x1f' | '\x7f' => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if is_plain(c) => out.push(c),
        c => {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
}

/// Whether a character shows as itself: it has a width and is no invisible, spoofing or private character.
fn is_plain(c: char) -> bool {
    if c == ' ' || c.is_ascii_graphic() {
        return true;
    }
    let code = c as u32;
    let odd = c.is_control()
        || c.is_whitespace()
        || c.width().unwrap_or(0) == 0
        || matches!(code,
            0x00ad | 0x034f | 0x061c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xfe00..=0xfe0f | 0xfeff
            | 0xffa0 | 0xfff0..=0xfffb | 0xe000..=0xf8ff | 0xe0000..=0x10ffff);
    !odd
}

/// The bytes that [`escape`] made this text of; `None` where an escape is malformed.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match rest.next()? {
            '\\' => out.push(b'\\'),
            '"' => out.push(b'"'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            'r' => out.push(b'\r'),
            'x' => {
                let hex: String = rest.by_ref().take(2).collect();
                out.push(u8::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 2)?);
            }
            'u' => {
                rest.next().filter(|&c| c == '{')?;
                let hex: String = rest.by_ref().take_while(|&c| c != '}').collect();
                let c = char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod format_tests {
    use super::*;

    #[test]
    fn format_keeps_escapes_and_lets_no_control_character_through() {
        let name = escape(b"a\x1b[2J\\");
        assert_eq!(Safe::format(format_args!("{name} x {}", 3)).as_str(), "a\\x1b[2J\\\\ x 3");
        assert_eq!(Safe::format(format_args!("{}", "\u{202e}\x07 └─")).as_str(), "\\u{202e}\\x07 └─");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What must never reach a terminal as itself.
    fn is_dangerous(c: char) -> bool {
        c.is_control()
            || matches!(c as u32, 0x00ad | 0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
                | 0xfe00..=0xfe0f | 0xfeff | 0xe000..=0xf8ff | 0xe0000..=0x10ffff)
    }

    #[test]
    fn what_shows_as_it_is_is_what_escaping_leaves_alone() {
        for byte in 0..=u8::MAX {
            let mut slow = String::new();
            match std::str::from_utf8(&[byte]) {
                Ok(text) => text.chars().for_each(|c| push_char(&mut slow, c)),
                Err(_) => slow.push_str("escaped"),
            }
            assert_eq!(shows_as_it_is(&[byte]), slow.as_bytes() == [byte], "byte {byte}");
            assert_eq!(
                shows_as_it_is(&[b'/', byte]),
                escape(&[b'/', byte]).as_str().as_bytes() == [b'/', byte]
            );
        }
    }

    #[test]
    fn known_attacks_are_shown_and_not_sent() {
        for (bytes, shown) in [
            (&b"a\x1b[2Jb"[..], r"a\x1b[2Jb"),
            (b"\x1b]52;c;cm0=\x07", r"\x1b]52;c;cm0=\x07"),
            (b"two\nlines\r", r"two\nlines\r"),
            (b"\xc2\x9b2J", r"\u{9b}2J"),
            (b"\x9b2J", r"\x9b2J"),
            ("\u{202e}fdp.exe".as_bytes(), r"\u{202e}fdp.exe"),
            ("a\u{200b}b".as_bytes(), r"a\u{200b}b"),
            ("\u{e0041}".as_bytes(), r"\u{e0041}"),
            (br"C:\x", r"C:\\x"),
            (b"\xff\xfe", r"\xff\xfe"),
            ("é漢".as_bytes(), "é漢"),
        ] {
            assert_eq!(escape(bytes).as_str(), shown);
            assert_eq!(unescape(shown).as_deref(), Some(bytes));
        }
        assert_eq!(quote(b"a\"b", false).as_str(), r#""a\"b""#);
        assert_eq!(quote(b"a", true).as_str(), r#""a"..."#);
        for malformed in [r"\", r"\x1", r"\q", r"\u{110000}", r"\u12", r"\xg0"] {
            assert_eq!(unescape(malformed), None, "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn escaped_bytes_come_back_and_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let safe = escape(&bytes);
            prop_assert!(!safe.as_str().chars().any(is_dangerous));
            prop_assert_eq!(unescape(safe.as_str()), Some(bytes));
        }

        #[test]
        fn escaped_text_comes_back_and_is_harmless(text in any::<String>()) {
            let safe = escape(text.as_bytes());
            prop_assert!(!safe.as_str().chars().any(is_dangerous));
            prop_assert_eq!(unescape(safe.as_str()), Some(text.clone().into_bytes()));
            let quoted = quote(text.as_bytes(), false);
            let inner = quoted.as_str().strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or_default();
            prop_assert_eq!(unescape(inner), Some(text.into_bytes()));
        }

        #[test]
        fn own_words_cannot_carry_what_escaping_keeps_out(text in any::<String>()) {
            let shown = Safe::format(format_args!("{text}"));
            prop_assert!(!shown.as_str().chars().any(is_dangerous));
        }
    }
}
