//! Reads a filter's text piece by piece: blanks, words, names, strings, bare values.
//!
//! There is no token list: what a byte means depends on where it stands (a bare value may hold `!`, `<` or `[`, a
//! field's name may not), as in Falco's own grammar.

use afterimage_model::text::escape;

use super::{
    Mode,
    ast::{Literal, Span},
    error::{FilterError, FilterErrorKind},
};

/// How deep a filter may nest.
pub(super) const MAX_DEPTH: usize = 64;

/// A place in the text.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) mode: Mode,
    depth: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, mode: Mode) -> Self {
        Self { text, at: 0, mode, depth: 0 }
    }

    pub(super) fn lenient(&self) -> bool {
        self.mode == Mode::Lenient
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn span(&self, start: usize) -> Span {
        Span { start, end: self.at }
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        if self.depth >= MAX_DEPTH {
            return Err(FilterError::new(self.span(self.at), FilterErrorKind::TooDeep { limit: MAX_DEPTH }));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Skips blanks; whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        self.at > start
    }

    /// Takes `symbol` when it is next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    /// Whether the word is next and ends there.
    pub(super) fn at_word(&self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|tail| tail.bytes().next().is_none_or(ends_word))
    }

    /// Takes `word` when it is next and ends there.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes `symbol`, or says that `what` was expected.
    pub(super) fn need(&mut self, symbol: &str, what: &'static str) -> Result<(), FilterError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// The error for something else standing here.
    pub(super) fn expected(&self, what: &'static str) -> FilterError {
        let found = self.glimpse();
        let span = Span { start: self.at, end: self.at + found.len() };
        let found = (!found.is_empty()).then(|| escape(found.as_bytes()).into_string());
        FilterError::new(span, FilterErrorKind::Expected { what, found })
    }

    /// The word or character that stands here.
    fn glimpse(&self) -> &'t str {
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| !is_blank(*b) && !b"()\"',;".contains(b)).count().min(40);
        let len = if len == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { len };
        &rest[..rest.floor_char_boundary(len.max(rest.chars().next().map_or(0, char::len_utf8)))]
    }

    /// Length of `letters { letters, digits, "_" }` from `from`.
    fn identifier_len(&self, from: usize) -> usize {
        let bytes = &self.text.as_bytes()[from..];
        if !bytes.first().is_some_and(u8::is_ascii_alphabetic) {
            return 0;
        }
        bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
    }

    /// The identifier that stands here, not taken.
    pub(super) fn peek_identifier(&self) -> &'t str {
        &self.rest()[..self.identifier_len(self.at)]
    }

    /// The dotted name that stands here, not taken; `""` when there is no dot.
    pub(super) fn peek_field(&self) -> &'t str {
        let first = self.identifier_len(self.at);
        let mut end = self.at + first;
        let mut dots = 0;
        while first > 0 && self.text.as_bytes().get(end) == Some(&b'.') {
            let len = self.identifier_len(end + 1);
            if len == 0 {
                break;
            }
            end += 1 + len;
            dots += 1;
        }
        if dots == 0 { "" } else { &self.text[self.at..end] }
    }

    /// Takes a quoted string when one begins here.
    pub(super) fn quoted(&mut self) -> Result<Option<Literal>, FilterError> {
        let start = self.at;
        let Some(quote @ (b'"' | b'\'')) = self.peek() else { return Ok(None) };
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => {
                    let kind = FilterErrorKind::OpenString { quote: quote.into() };
                    return Err(FilterError::new(Span { start, end: start + 1 }, kind));
                }
                Some(b) if b == quote => break,
                Some(b'\\') => self.escape_sequence(quote, &mut bytes)?,
                Some(b) => {
                    bytes.push(b);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(Some(Literal { bytes, quoted: true, span: self.span(start) }))
    }

    /// Takes one escape: Falco's (`\b \f \n \r \t \\ \/ \" \' \xNN`, and a backslash before a space for itself)
    /// and those of the display (`\u{hex}`).
    fn escape_sequence(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), FilterError> {
        let start = self.at;
        self.at += 1;
        let next = self.peek();
        self.at += next.map_or(0, |_| self.rest().chars().next().map_or(0, char::len_utf8));
        match next {
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'\\' | b' ') => out.push(b'\\'),
            Some(b'/') => out.push(b'/'),
            Some(b) if b == quote => out.push(quote),
            Some(b'x') => {
                let digits = self.rest().get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
                out.push(byte.ok_or_else(|| self.bad_escape(start))?);
                self.at += 2;
            }
            Some(b'u') => {
                let hex = self.rest().strip_prefix('{').and_then(|r| r.split_once('}')).map(|(hex, _)| hex);
                let hex = hex.filter(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_hexdigit()));
                let c = hex.and_then(|h| u32::from_str_radix(h, 16).ok()).and_then(char::from_u32);
                let (hex, c) = hex.zip(c).ok_or_else(|| self.bad_escape(start))?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += hex.len() + 2;
            }
            _ => return Err(self.bad_escape(start)),
        }
        Ok(())
    }

    fn bad_escape(&self, start: usize) -> FilterError {
        let end = self.text.ceil_char_boundary((start + 2).min(self.text.len()));
        let found = self.text[start..end].to_owned();
        FilterError::new(Span { start, end }, FilterErrorKind::Escape { found })
            .suggest("a backslash itself is written `\\\\`, a byte `\\x1b`, a character `\\u{202e}`")
    }

    /// Length of the bare value that stands here.
    pub(super) fn bare_len(&self) -> usize {
        bare_prefix(self.rest(), self.mode)
    }

    /// Takes a bare value when one stands here.
    pub(super) fn bare(&mut self) -> Option<Literal> {
        let start = self.at;
        let len = self.bare_len();
        if len == 0 {
            return None;
        }
        self.at += len;
        let text = &self.text[start..self.at];
        Some(Literal { bytes: text.into(), quoted: !shows_as_is(text), span: self.span(start) })
    }

    /// Takes what stands between `[` and `]` after a field or function, when `[` is next.
    pub(super) fn index(&mut self) -> Result<Option<Literal>, FilterError> {
        if !self.symbol("[") {
            return Ok(None);
        }
        let start = self.at;
        let arg = if let Some(quoted) = self.quoted()? {
            quoted
        } else {
            let len = index_prefix(self.rest());
            if len == 0 {
                return Err(self.expected("an argument in brackets"));
            }
            self.at += len;
            let text = &self.text[start..self.at];
            Literal { bytes: text.into(), quoted: !shows_as_is(text), span: self.span(start) }
        };
        self.need("]", "`]`")?;
        Ok(Some(arg))
    }
}

/// How many bytes of `text` can stand in brackets without quotes.
pub(super) fn index_prefix(text: &str) -> usize {
    text.bytes().take_while(|b| !is_blank(*b) && !b"[]\"'".contains(b)).count()
}

/// How many bytes of `text` are one bare value.
pub(super) fn bare_prefix(text: &str, mode: Mode) -> usize {
    let end = text.bytes().take_while(|b| !is_blank(*b) && !b"()\"'=,".contains(b)).count();
    if mode == Mode::Strict {
        return end;
    }
    let word = &text[..end];
    [";", "&&", "||"].iter().filter_map(|stop| word.find(stop)).min().unwrap_or(end)
}

/// Whether the text shows as itself: a bare word that does not is taken as quoted, so that it is never printed raw.
pub(super) fn shows_as_is(text: &str) -> bool {
    text.chars()
        .all(|c| c == '\\' || escape(c.encode_utf8(&mut [0; 4]).as_bytes()).as_str().len() == c.len_utf8())
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 8 | b'\r' | b'\n')
}

/// Whether a word cannot go on with this byte.
fn ends_word(byte: u8) -> bool {
    is_blank(byte) || b"()\"',;".contains(&byte)
}
