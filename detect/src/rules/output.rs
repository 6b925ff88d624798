//! Output formats: text with `%field` in it.

use afterimage_model::text::escape;

use crate::{
    context::EventContext,
    fields::FieldRef,
    syntax::{self, FilterError, ast::Span},
    term::Source,
    value::{Multi, Value},
};

/// A format made ready.
#[derive(Debug)]
pub(super) struct Output {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    /// A field, and at which byte of the format it stands.
    Field {
        name: String,
        at: usize,
        source: Source,
        width: usize,
    },
}

/// What a field had at a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Nothing: shown as `<NA>`.
    Absent,
    /// A number.
    Number(i128),
    /// Yes or no.
    Bool(bool),
    /// Text, escaped for display.
    Text(String),
}

/// Widest padding that a format may ask for.
const MAX_WIDTH: usize = 256;

impl Output {
    /// Reads a format.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('%') {
                plain.push('%');
                rest = tail;
                continue;
            }
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let width = rest[..digits].parse::<usize>().unwrap_or(0).min(MAX_WIDTH);
            rest = &rest[digits..];
            let start = text.len() - rest.len();
            let moved = |mut error: FilterError| {
                error.span = Span { start: error.span.start + start, end: error.span.end + start };
                error
            };
            let (len, term) = syntax::parse_term_prefix(rest).map_err(moved)?;
            let (source, len) = match Source::new(&term) {
                Ok(source) => (source, len),
                // A full stop after a field ends a sentence; `%fd.name.` is read as far as a field goes.
                Err(error) => longest(rest, len).ok_or_else(|| moved(error))?,
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Field { name: rest[..len].to_owned(), at: start, source, width });
            rest = &rest[len..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// Whether it shows a field of such a name.
    pub(super) fn asks(&self, is: impl Fn(&str) -> bool) -> bool {
        let mut any = false;
        self.each_field(&mut |_, field| any |= is(field.def().name));
        any
    }

    /// Calls `visit` with every field in it, and with the byte of the format at which it stands.
    pub(super) fn each_field(&self, visit: &mut dyn FnMut(usize, &FieldRef)) {
        for part in &self.parts {
            if let Part::Field { source, at, .. } = part {
                source.each_field(&mut |field| visit(*at, field));
            }
        }
    }

    /// The format's text at an event, safe to show, and its fields in order.
    pub(super) fn render(&self, cx: &EventContext<'_>) -> (String, Vec<(String, FieldValue)>) {
        let mut text = String::new();
        let mut fields: Vec<(String, FieldValue)> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(escape(plain.as_bytes()).as_str()),
                Part::Field { name, source, width, .. } => {
                    let value = FieldValue::new(source.shown(cx), source.multi());
                    let shown = value.to_string();
                    text.push_str(&shown);
                    let missing = width.saturating_sub(shown.chars().count());
                    text.extend(std::iter::repeat_n(' ', missing));
                    if !fields.iter().any(|(own, _)| own == name) {
                        fields.push((name.clone(), value));
                    }
                }
            }
        }
        (text, fields)
    }
}

/// The longest beginning of a name with dots that is a field.
fn longest(rest: &str, len: usize) -> Option<(Source, usize)> {
    let dots = rest[..len].rmatch_indices('.').map(|(at, _)| at);
    dots.into_iter().find_map(|at| {
        let (len, term) = syntax::parse_term_prefix(&rest[..at]).ok()?;
        Some((Source::new(&term).ok()?, len))
    })
}

impl FieldValue {
    fn new(value: Option<Value<'_>>, multi: Multi) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Number(number)) => Self::Number(number),
            Some(Value::Bool(yes)) => Self::Bool(yes),
            Some(Value::Many(values)) if values.is_empty() => Self::Absent,
            // Of two views of one thing the first is shown: the kernel's, one's own.
            Some(Value::Many(values)) if multi == Multi::Sides => {
                Self::new(values.into_iter().next(), Multi::One)
            }
            Some(value) => Self::Text(escape(&value.to_bytes()).into_string()),
        }
    }
}

impl std::fmt::Display for FieldValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("<NA>"),
            Self::Number(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
