//! Where rule files use fields that only a recording answers.

use super::error::RuleWarning;

/// Where a file uses such a field.
#[derive(Debug)]
pub(super) struct Use {
    /// The rule that uses it itself; none where a macro does.
    pub(super) rule: Option<String>,
    pub(super) field: &'static str,
    /// The place, and what is said of it there where nothing answers the field.
    pub(super) warning: RuleWarning,
}

/// What is said of a field where a recorder asks it.
pub(super) fn message(item: &str, field: &str) -> String {
    format!("{item}: `{field}` needs a recording and never has a value here")
}
