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
