//! Values: numbers, strings, list members, bare text.

use super::{
    Mode,
    ast::{Expr, Item, Literal, Span},
    cursor::{Cursor, bare_prefix, shows_as_is},
    error::{FilterError, FilterErrorKind},
};

/// A quoted string or a bare value.
pub(super) fn value(c: &mut Cursor<'_>) -> Result<Literal, FilterError> {
    c.blanks();
    if let Some(quoted) = c.quoted()? {
        return Ok(quoted);
    }
    c.bare().ok_or_else(|| c.expected("a value"))
}

/// Takes a number: hexadecimal, or decimal with sign, fraction and exponent, as Falco reads them.
pub(super) fn number(c: &mut Cursor<'_>) -> Option<Literal> {
    let len = number_len(c.rest().as_bytes());
    if len == 0 {
        return None;
    }
    let start = c.at;
    c.at += len;
    Some(Literal { bytes: c.text[start..c.at].into(), quoted: false, span: c.span(start) })
}

fn number_len(text: &[u8]) -> usize {
    let digits = |from: usize| text[from.min(text.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    if text.len() > 2 && text[0] == b'0' && matches!(text[1], b'x' | b'X') {
        let hex = text[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if hex > 0 {
            return 2 + hex;
        }
    }
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    if whole == 0 {
        return 0;
    }
    let mut len = sign + whole;
    if text.get(len) == Some(&b'.') {
        len += 1 + digits(len + 1);
    }
    if matches!(text.get(len), Some(b'e' | b'E')) && matches!(text.get(len + 1), Some(b'+' | b'-')) {
        let exponent = digits(len + 2);
        len += if exponent > 0 { 2 + exponent } else { 0 };
    }
    len
}

/// One member of a list; in the filter bar also a range of numbers, `8000..8100`.
pub(super) fn item(c: &mut Cursor<'_>) -> Result<Item, FilterError> {
    let literal = value(c)?;
    if c.lenient()
        && let Some(text) = literal.bare_word()
        && let Some((low, high)) = text.split_once("..")
        && [low, high].iter().all(|end| end.starts_with(|c: char| c.is_ascii_digit()))
    {
        let part = |text: &str, start: usize| {
            let span = Span { start, end: start + text.len() };
            Literal { bytes: text.into(), quoted: false, span }
        };
        let start = literal.span.start;
        return Ok(Item::Range(part(low, start), part(high, start + low.len() + 2)));
    }
    Ok(Item::One(literal))
}

/// Bare or quoted text to search for.
pub(super) fn text(c: &mut Cursor<'_>) -> Result<Expr, FilterError> {
    if let Some(quoted) = c.quoted()? {
        return Ok(Expr::Text(quoted));
    }
    if ["and", "or", "not"].iter().any(|word| c.at_word(word)) || c.peek() == Some(b'=') {
        return Err(c.expected("a field, some text or `(`"));
    }
    let start = c.at;
    match c.bare() {
        // As in `or|| c`: printed, it would be the word of the language.
        Some(literal) if ["and", "or", "not"].iter().any(|word| literal.bytes == word.as_bytes()) => {
            c.at = start;
            Err(c.expected("a field, some text or `(`"))
        }
        Some(literal) => Ok(Expr::Text(literal)),
        None => Err(c.expected("a field, some text or `(`")),
    }
}

/// Reads an item of a rule file's `list`: a value as it stands in a condition, or, when it has blanks and no
/// quotes, the text itself (Falco quotes it then).
///
/// # Errors
/// [`FilterError`] when it is no single value.
pub fn parse_list_item(text: &str) -> Result<Literal, FilterError> {
    let mut c = Cursor::new(text, Mode::Strict);
    c.blanks();
    let literal = if matches!(c.peek(), Some(b'"' | b'\'')) {
        value(&mut c)?
    } else if text.contains(' ') || text.is_empty() {
        c.at = text.len();
        Literal { bytes: text.into(), quoted: true, span: c.span(0) }
    } else {
        value(&mut c)?
    };
    c.blanks();
    if c.peek().is_some() {
        return Err(c.expected("the end of the value"));
    }
    Ok(literal)
}

impl Literal {
    /// Whether it can be printed without quotes and be read as the same again.
    pub(super) fn prints_bare(&self) -> bool {
        self.bare_word().is_some_and(|text| {
            !text.is_empty() && bare_prefix(text, Mode::Strict) == text.len() && shows_as_is(text)
        })
    }
}

impl FilterErrorKind {
    /// The error for a value of the wrong kind.
    pub(crate) fn value(bytes: &[u8], what: &'static str) -> Self {
        Self::Value { value: afterimage_model::text::escape(bytes).into_string(), what }
    }
}
