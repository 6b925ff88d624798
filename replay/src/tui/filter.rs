//! The filter as the screens know it: text, and which events it keeps.

use afterimage_format::{Event, FieldTag};
use afterimage_model::text::Safe;

use crate::tui::text::safe;

/// A filter that was understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Pid(u32),
    Failed(bool),
    /// Part of a recorded byte string.
    Text(Vec<u8>),
}

/// Why a filter is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    /// Character at which it goes wrong.
    pub(crate) column: usize,
    pub(crate) message: Safe,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is not understood, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut terms = Vec::new();
        let mut column = 0;
        for word in text.split(' ') {
            if !word.is_empty() {
                terms.push(term(word).map_err(|message| FilterError { column, message })?);
            }
            column += word.chars().count() + 1;
        }
        Ok(Self { text: text.trim().to_owned(), terms })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(crate) fn keeps(&self, event: &Event<'_>) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Pid(pid) => event.task.tgid == *pid,
            Term::Failed(failed) => (event.code.as_syscall().is_some() && event.ret < 0) == *failed,
            Term::Text(text) => has_text(event, text),
        })
    }
}

fn term(word: &str) -> Result<Term, Safe> {
    let Some((field, value)) = word.split_once('=') else {
        return Ok(Term::Text(word.as_bytes().to_vec()));
    };
    match field {
        "proc.pid" => value.parse().map(Term::Pid).map_err(|_| safe!("`proc.pid` wants a number")),
        "evt.failed" => match value {
            "true" => Ok(Term::Failed(true)),
            "false" => Ok(Term::Failed(false)),
            _ => Err(safe!("`evt.failed` is `true` or `false`")),
        },
        _ => Err(safe!("no field `{field}`; there are proc.pid, evt.failed and plain text")),
    }
}

fn has_text(event: &Event<'_>, text: &[u8]) -> bool {
    const SHOWN: [FieldTag; 7] = [
        FieldTag::PATH,
        FieldTag::PATH2,
        FieldTag::KPATH,
        FieldTag::FILENAME,
        FieldTag::ARGV,
        FieldTag::COMM,
        FieldTag::PAYLOAD,
    ];
    let fields = event.fields.iter().filter(|f| SHOWN.contains(&f.tag));
    fields.into_iter().any(|f| f.bytes.windows(text.len().max(1)).any(|part| part == text))
}
