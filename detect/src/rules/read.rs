//! Reads single values of items: texts, flags, numbers, tags, overrides, exceptions.

use std::collections::BTreeSet;

use super::{
    Priority,
    draft::{CaptureScope, Entry, Exception},
    error::{RuleError, RuleErrorKind},
    yaml::{Node, Place, Scalar, Value},
};

pub(super) type Read<T> = Result<T, RuleError>;

pub(super) fn form(place: &Place, what: &str, expected: &'static str) -> RuleError {
    RuleError::new(place, RuleErrorKind::Form { what: what.to_owned(), expected })
}

pub(super) fn missing(item: &Node, what: &str, key: &'static str) -> RuleError {
    RuleError::new(&item.place, RuleErrorKind::Missing { item: what.to_owned(), key })
}

pub(super) fn no_previous(item: &Node, what: String) -> RuleError {
    RuleError::new(&item.place, RuleErrorKind::NoPrevious { item: what })
}

pub(super) fn conflict(item: &Node, what: &str, problem: String) -> RuleError {
    RuleError::new(&item.place, RuleErrorKind::Conflict { item: what.to_owned(), problem })
}

/// A scalar that must be there and not empty.
pub(super) fn text<'n>(item: &'n Node, what: &str, key: &'static str) -> Read<&'n Scalar> {
    let node = item.get(key).ok_or_else(|| missing(item, what, key))?;
    match &node.value {
        Value::Scalar(scalar) if !scalar.text.trim().is_empty() => Ok(scalar),
        _ => Err(form(&node.place, &format!("`{key}` of {what}"), "a text")),
    }
}

pub(super) fn flag(item: &Node, what: &str, key: &'static str) -> Read<Option<bool>> {
    let Some(node) = item.get(key) else { return Ok(None) };
    match node.text().map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "yes" | "on") => Ok(Some(true)),
        Some("false" | "no" | "off") => Ok(Some(false)),
        _ => Err(form(&node.place, &format!("`{key}` of {what}"), "`true` or `false`")),
    }
}

pub(super) fn milliseconds(item: &Node, what: &str, key: &'static str) -> Read<Option<u64>> {
    number(item, what, key, "a number of milliseconds")
}

pub(super) fn number(item: &Node, what: &str, key: &str, wanted: &'static str) -> Read<Option<u64>> {
    let Some(node) = item.get(key) else { return Ok(None) };
    let number = node.text().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| form(&node.place, &format!("`{key}` of {what}"), wanted))
}

pub(super) fn capture_scope(item: &Node, what: &str) -> Read<Option<CaptureScope>> {
    let Some(node) = item.get("capture_scope") else { return Ok(None) };
    let scope = node.text().and_then(CaptureScope::parse);
    scope.map(Some).ok_or_else(|| {
        let wanted = "one of container, pod, process_tree, host";
        form(&node.place, &format!("`capture_scope` of {what}"), wanted)
    })
}

pub(super) fn read_priority(scalar: &Scalar) -> Read<Priority> {
    Priority::parse(&scalar.text).ok_or_else(|| {
        let what = format!("priority `{}`", scalar.text.trim());
        form(
            &scalar.place(0),
            &what,
            "one of EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG",
        )
    })
}

pub(super) fn tags(item: &Node, what: &str) -> Read<BTreeSet<String>> {
    let Some(node) = item.get("tags") else { return Ok(BTreeSet::new()) };
    match &node.value {
        Value::Null => Ok(BTreeSet::new()),
        Value::Sequence(items) => items
            .iter()
            .map(|tag| {
                tag.text()
                    .map(str::to_owned)
                    .ok_or_else(|| form(&tag.place, &format!("a tag of {what}"), "a text"))
            })
            .collect(),
        _ => Err(form(&node.place, &format!("`tags` of {what}"), "a sequence")),
    }
}

/// Entries of `override`: the key, whether it appends, and where it says so.
pub(super) fn overrides(item: &Node, what: &str) -> Read<Vec<(String, bool, Place)>> {
    let Some(node) = item.get("override") else { return Ok(Vec::new()) };
    let Value::Mapping(pairs) = &node.value else {
        return Err(form(&node.place, &format!("`override` of {what}"), "a mapping"));
    };
    pairs
        .iter()
        .map(|(key, value)| match value.text() {
            Some("append") => Ok((key.text().unwrap_or("").to_owned(), true, key.place.clone())),
            Some("replace") => Ok((key.text().unwrap_or("").to_owned(), false, key.place.clone())),
            _ => Err(form(&value.place, &format!("`override` of {what}"), "`append` or `replace`")),
        })
        .collect()
}

pub(super) fn exceptions(item: &Node, what: &str) -> Read<Vec<Exception>> {
    let Some(node) = item.get("exceptions") else { return Ok(Vec::new()) };
    let items = match &node.value {
        Value::Null => return Ok(Vec::new()),
        Value::Sequence(items) => items,
        _ => return Err(form(&node.place, &format!("`exceptions` of {what}"), "a sequence")),
    };
    let mut out = Vec::new();
    for exception in items {
        let name = text(exception, &format!("exception of {what}"), "name")?.text.clone();
        let values = match exception.get("values").map(entry) {
            None | Some(None) => Vec::new(),
            Some(Some(Entry::Many(values))) => values,
            Some(Some(one)) => vec![one],
        };
        out.push(Exception {
            name,
            place: exception.place.clone(),
            fields: exception.get("fields").and_then(entry),
            comps: exception.get("comps").and_then(entry),
            values,
        });
    }
    Ok(out)
}

pub(super) fn entry(node: &Node) -> Option<Entry> {
    match &node.value {
        Value::Null | Value::Mapping(_) => None,
        Value::Scalar(scalar) => Some(Entry::One(scalar.text.clone())),
        Value::Sequence(items) => Some(Entry::Many(items.iter().filter_map(entry).collect())),
    }
}
