//! Exceptions as conditions: `fields`, `comps` and `values` become checks, as Falco makes them.

use super::{
    draft::{Entry, Exception},
    error::{RuleError, RuleErrorKind},
};
use crate::syntax::{
    self, Mode,
    ast::{Expr, Op},
};

/// The condition under which a rule is silent; `None` when the exception has no values.
pub(super) fn condition(exception: &Exception, rule: &str) -> Result<Option<Expr>, RuleError> {
    let refuse = |problem: String| {
        let item = rule.to_owned();
        let problem = format!("`{}` {problem}", exception.name);
        RuleError::new(&exception.place, RuleErrorKind::Exception { item, problem })
    };
    let fields = exception.fields.as_ref().ok_or_else(|| refuse("has no `fields`".to_owned()))?;
    let texts = match fields {
        Entry::One(field) => single(field, exception, &refuse)?.into_iter().collect(),
        Entry::Many(fields) => several(fields, exception, &refuse)?,
    };
    let mut parts = Vec::with_capacity(texts.len());
    for text in texts {
        parts.push(
            syntax::parse(&text, Mode::Strict).map_err(|error| refuse(format!("gives `{text}`: {error}")))?,
        );
    }
    Ok(match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Expr::Or(parts)),
    })
}

/// One field compared with a list of all values.
fn single(
    field: &str,
    exception: &Exception,
    refuse: &dyn Fn(String) -> RuleError,
) -> Result<Option<String>, RuleError> {
    let operator = match &exception.comps {
        None => "in",
        Some(Entry::One(operator)) => operator.trim(),
        Some(Entry::Many(_)) => return Err(refuse("has one field and several `comps`".to_owned())),
    };
    if !takes_list(operator) {
        return Err(refuse(format!("has one field and `{operator}`, which takes no list")));
    }
    let mut values = Vec::new();
    for value in &exception.values {
        match value {
            Entry::One(value) => values.push(quoted(value)),
            Entry::Many(_) => return Err(refuse("has one field and lists of values".to_owned())),
        }
    }
    Ok((!values.is_empty()).then(|| format!("{field} {operator} ({})", values.join(", "))))
}

/// Each tuple of values compared with the tuple of fields.
fn several(
    fields: &[Entry],
    exception: &Exception,
    refuse: &dyn Fn(String) -> RuleError,
) -> Result<Vec<String>, RuleError> {
    let text = |entry: &Entry| match entry {
        Entry::One(text) => Ok(text.trim().to_owned()),
        Entry::Many(_) => Err(refuse("has a list where a field or operator is needed".to_owned())),
    };
    let fields: Vec<String> = fields.iter().map(text).collect::<Result<_, _>>()?;
    let operators: Vec<String> = match &exception.comps {
        None => vec!["=".to_owned(); fields.len()],
        Some(Entry::Many(operators)) => operators.iter().map(text).collect::<Result<_, _>>()?,
        Some(Entry::One(_)) => return Err(refuse("has several fields and one of `comps`".to_owned())),
    };
    if operators.len() != fields.len() {
        return Err(refuse("has `fields` and `comps` of different length".to_owned()));
    }
    let mut out = Vec::new();
    for values in &exception.values {
        let Entry::Many(values) = values else {
            return Err(refuse("has several fields and a single value".to_owned()));
        };
        if values.len() != fields.len() {
            return Err(refuse("has `fields` and values of different length".to_owned()));
        }
        let checks = fields.iter().zip(&operators).zip(values).map(|((field, operator), value)| {
            let value = match value {
                Entry::Many(items) => {
                    let items: Result<Vec<String>, _> =
                        items.iter().map(|item| text(item).map(|t| quoted(&t))).collect();
                    format!("({})", items?.join(", "))
                }
                Entry::One(value) if takes_list(operator) && !value.starts_with('(') => {
                    format!("({})", quoted(value))
                }
                Entry::One(value) if takes_list(operator) => value.clone(),
                Entry::One(value) => quoted(value),
            };
            Ok(format!("{field} {operator} {value}"))
        });
        out.push(checks.collect::<Result<Vec<_>, RuleError>>()?.join(" and "));
    }
    Ok(out)
}

fn takes_list(operator: &str) -> bool {
    let list = Op::ALL.iter().any(|op| op.takes_list() && op.as_str() == operator);
    list || operator.split_whitespace().nth(1).is_some()
}

/// A value with quotes around it where it has blanks and none yet.
fn quoted(value: &str) -> String {
    if value.contains(' ') && !value.starts_with(['"', '\'']) {
        format!("\"{value}\"")
    } else {
        value.to_owned()
    }
}
