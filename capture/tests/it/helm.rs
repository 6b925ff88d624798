//! The part of Helm's templates that the chart in `packaging/` uses: values, `if`, `quote`, `toYaml`, `nindent`. What it
//! does not know is an error, so that the chart stays within it.

use std::fmt::Write as _;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Number, Value};

/// YAML as JSON. Documents of a stream, those that are empty left out.
pub(crate) fn yaml(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.iter().map(json).filter(|value| !value.is_null()).collect()
}

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => Number::from_f64(number.0).unwrap().into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(members) => {
            let key = |key: &Yaml<'_>| match json(key) {
                Value::String(key) => key,
                other => other.to_string(),
            };
            Value::Object(members.iter().map(|(name, value)| (key(name), json(value))).collect::<Map<_, _>>())
        }
        other => panic!("{other:?} has no place in a manifest"),
    }
}

/// Renders a template with `Values`, `Release` and `Chart`.
pub(crate) fn render(template: &str, scope: &Value) -> String {
    let mut out = String::new();
    let mut rest = template;
    // Whether each enclosing `if` holds.
    let mut open: Vec<bool> = Vec::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, behind) = after.split_once("}}").expect("an action that ends");
        let (action, trims) = match action.strip_prefix('-') {
            Some(action) => (action, true),
            None => (action, false),
        };
        if open.iter().all(|holds| *holds) {
            out.push_str(if trims { before.trim_end() } else { before });
        }
        rest = behind;
        let action = action.trim();
        if let Some(condition) = action.strip_prefix("if ") {
            open.push(!matches!(value(condition, scope), Value::Null | Value::Bool(false)));
        } else if action == "end" {
            open.pop().expect("an `end` of an `if`");
        } else if open.iter().all(|holds| *holds) {
            out.push_str(&pipeline(action, scope));
        }
    }
    assert!(open.is_empty(), "an `if` without its end");
    out.push_str(rest);
    out
}

fn value(path: &str, scope: &Value) -> Value {
    let mut at = scope;
    for part in path.trim().strip_prefix('.').unwrap_or_else(|| panic!("`{path}` is no path")).split('.') {
        at = at.get(part).unwrap_or_else(|| panic!("`{path}` is not in the chart's values"));
    }
    at.clone()
}

fn pipeline(action: &str, scope: &Value) -> String {
    let mut steps = action.split('|').map(str::trim);
    let first = steps.next().unwrap();
    let mut text = match first.strip_prefix("toYaml ") {
        Some(path) => to_yaml(&value(path, scope), 0),
        None => match value(first, scope) {
            Value::String(text) => text,
            other => other.to_string(),
        },
    };
    for step in steps {
        text = match step.split_once(' ') {
            None if step == "quote" => Value::from(text).to_string(),
            Some(("nindent", columns)) => {
                let pad = " ".repeat(columns.parse().unwrap());
                text.lines().fold(String::new(), |all, line| format!("{all}\n{pad}{line}"))
            }
            _ => panic!("`{step}` is not known here"),
        };
    }
    text
}

fn to_yaml(value: &Value, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    let Value::Object(members) = value else { return format!("{pad}{value}\n") };
    members.iter().fold(String::new(), |mut out, (key, value)| {
        let _ = match value {
            Value::Object(_) => write!(out, "{pad}{key}:\n{}", to_yaml(value, depth + 1)),
            Value::String(text) => writeln!(out, "{pad}{key}: {text}"),
            other => writeln!(out, "{pad}{key}: {other}"),
        };
        out
    })
}
