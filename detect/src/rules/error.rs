//! What is wrong or odd about rule files, with file, line and column.

use super::yaml::Place;
use crate::syntax::FilterError;

/// Rule files that cannot be used: everything that is wrong with them.
#[derive(Debug, thiserror::Error)]
#[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct LoadError {
    /// At least one.
    pub errors: Vec<RuleError>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {kind}", position(*line, *column))]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 where it is about the whole file.
    pub line: usize,
    /// Column in characters, from 1; 0 likewise.
    pub column: usize,
    /// What is wrong.
    pub kind: RuleErrorKind,
}

/// Where in a file, if anywhere.
fn position(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleErrorKind {
    /// The file cannot be read.
    #[error("cannot read: {message}")]
    Read {
        /// What the operating system says.
        message: String,
    },
    /// It is not YAML.
    #[error("not YAML: {message}")]
    Yaml {
        /// What the parser says.
        message: String,
    },
    /// An item or value has the wrong form.
    #[error("{what} is not {expected}")]
    Form {
        /// What.
        what: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A key that must be there is not.
    #[error("{item} without `{key}`")]
    Missing {
        /// In which item.
        item: String,
        /// The key.
        key: &'static str,
    },
    /// An append or override of something that is not there.
    #[error("{item} changes one that is not defined before it")]
    NoPrevious {
        /// Which item.
        item: String,
    },
    /// Keys that contradict each other.
    #[error("{item}: {problem}")]
    Conflict {
        /// Which item.
        item: String,
        /// What contradicts what.
        problem: String,
    },
    /// The file wants a newer engine.
    #[error("the rules need engine version {wanted}, this is {own}")]
    Engine {
        /// What they want.
        wanted: String,
        /// What this is.
        own: String,
    },
    /// A condition that cannot be used.
    #[error("{item}: {}{}", error.kind, error.suggestion.as_ref().map(|s| format!("; {s}")).unwrap_or_default())]
    Condition {
        /// Of which item.
        item: String,
        /// What is wrong with it.
        error: Box<FilterError>,
    },
    /// An output that cannot be used.
    #[error("output of {item}: {}{}", error.kind, error.suggestion.as_ref().map(|s| format!("; {s}")).unwrap_or_default())]
    Output {
        /// Of which item.
        item: String,
        /// What is wrong with it.
        error: Box<FilterError>,
    },
    /// An exception that cannot be used.
    #[error("exception of {item}: {problem}")]
    Exception {
        /// Of which rule.
        item: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Something accepted that has no effect, or may not mean what its writer thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleWarning {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What about it.
    pub message: String,
}

impl std::fmt::Display for RuleWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl RuleError {
    pub(super) fn new(place: &Place, kind: RuleErrorKind) -> Self {
        Self { file: place.file.name.clone(), line: place.line, column: place.column, kind }
    }
}

impl RuleWarning {
    pub(super) fn new(place: &Place, message: impl Into<String>) -> Self {
        Self {
            file: place.file.name.clone(),
            line: place.line,
            column: place.column,
            message: message.into(),
        }
    }
}
