//! What is wrong with a filter: where, in one sentence, and what was probably meant.

use super::ast::Span;

/// A filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {}: {kind}{}", span.start + 1, suggestion.as_ref().map(|s| format!("; {s}")).unwrap_or_default())]
pub struct FilterError {
    /// The bytes concerned. Displayed as a column counted in bytes from 1.
    pub span: Span,
    /// What is wrong.
    pub kind: FilterErrorKind,
    /// What to write instead, as a sentence's end.
    pub suggestion: Option<String>,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// No condition at all.
    #[error("the filter is empty")]
    Empty,
    /// Something else was needed here.
    #[error("expected {what}, found {}", found.as_deref().map_or_else(|| "the end".to_owned(), |f| format!("`{f}`")))]
    Expected {
        /// What was needed.
        what: &'static str,
        /// What is there, escaped; `None` at the end.
        found: Option<String>,
    },
    /// A quote without its end.
    #[error("string without its closing {quote}")]
    OpenString {
        /// The quote.
        quote: char,
    },
    /// A backslash and something that is no escape.
    #[error("unknown escape `{found}` in a string")]
    Escape {
        /// The escape as written, escaped for display.
        found: String,
    },
    /// A part of the language that rule files do not have.
    #[error("{what} belongs to the filter bar, not to rule files")]
    NotInRules {
        /// Which part.
        what: &'static str,
    },
    /// Parentheses, negations or functions too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// How deep is allowed.
        limit: usize,
    },
    /// Too long a text.
    #[error("filter of {length} bytes is longer than {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Too many checks once macros and lists are put in.
    #[error("filter of more than {limit} parts")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// No such field.
    #[error("unknown field `{name}`")]
    UnknownField {
        /// Its name, escaped.
        name: String,
    },
    /// No such macro.
    #[error("unknown macro `{name}`")]
    UnknownMacro {
        /// Its name.
        name: String,
    },
    /// A macro that uses itself.
    #[error("macro `{name}` refers to itself")]
    MacroLoop {
        /// Its name.
        name: String,
    },
    /// No such saved filter.
    #[error("no saved filter `${name}`")]
    UnknownSaved {
        /// Its name.
        name: String,
    },
    /// No alert or mark of this name in the recording.
    #[error("nothing has the name `{name}`")]
    UnknownMoment {
        /// Its name.
        name: String,
    },
    /// A list where one value is needed.
    #[error("list `{name}` has {count} values where one is needed")]
    ListAsValue {
        /// Its name.
        name: String,
        /// How many values it has.
        count: usize,
    },
    /// A field that needs `[...]`, or cannot have it.
    #[error("field `{field}` {problem}")]
    Argument {
        /// The field.
        field: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// An operator that the type does not have.
    #[error("operator `{op}` does not apply to `{subject}`, which is {kind}")]
    Operator {
        /// The operator.
        op: &'static str,
        /// The field or function.
        subject: String,
        /// Its type in words.
        kind: &'static str,
    },
    /// A value that the type cannot have.
    #[error("`{value}` is not {what}")]
    Value {
        /// The value, escaped.
        value: String,
        /// What it should be.
        what: &'static str,
    },
    /// A wrong call of a function.
    #[error("function `{function}` {problem}")]
    Call {
        /// The function.
        function: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A regular expression that cannot be used.
    #[error("regular expression refused: {message}")]
    Regex {
        /// Why, in the words of the regex library.
        message: String,
    },
    /// Too many regular expressions.
    #[error("filter of more than {limit} regular expressions")]
    TooManyRegexes {
        /// What is allowed.
        limit: usize,
    },
    /// A scope around something it cannot hold.
    #[error("`{scope}` {problem}")]
    Scope {
        /// The scope's word.
        scope: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
}

impl FilterError {
    /// An error without a suggestion.
    pub(crate) fn new(span: Span, kind: FilterErrorKind) -> Self {
        Self { span, kind, suggestion: None }
    }

    /// The same with a suggestion.
    #[must_use]
    pub(crate) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// The same with `did you mean`, where one of `known` is near `word`.
    #[must_use]
    pub(crate) fn suggest_near<'k>(self, word: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        match nearest(word, known) {
            Some(near) => self.suggest(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// The known word that differs least from `word`, when it differs by no more than a third of its letters.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() {
        return None;
    }
    let limit = (word.len() / 3).clamp(1, 4);
    let word = &word[..word.floor_char_boundary(64)];
    known
        .into_iter()
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(difference, _)| *difference <= limit)
        .min_by_key(|(difference, _)| *difference)
        .map(|(_, candidate)| candidate)
}

/// Edit distance: insertions, deletions, replacements, two letters exchanged.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = [vec![0; b.len() + 1], vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<usize>>()];
    for (i, left) in a.iter().enumerate() {
        rows.rotate_left(1);
        let [before, last, row] = &mut rows;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(!left.eq_ignore_ascii_case(right));
            row[j + 1] = replaced.min(row[j] + 1).min(last[j + 1] + 1);
            if i > 0 && j > 0 && left.eq_ignore_ascii_case(&b[j - 1]) && a[i - 1].eq_ignore_ascii_case(right)
            {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["proc.name", "proc.pname", "fd.name", "evt.type"];
        assert_eq!(nearest("proc.nmae", known), Some("proc.name"));
        assert_eq!(nearest("evt.tyep", known), Some("evt.type"));
        assert_eq!(nearest("opne", ["open", "one"]), Some("open"));
        assert_eq!(nearest("zzzzzz", known), None);
        assert_eq!(nearest("", ["=", "~"]), None);
    }
}
