//! What each sender sends, made into triggers.
//!
//! A body is one object, an array of them, one per line, or any of these inside CloudEvents. Only the members that are
//! needed are read; all others are skipped without being kept, whatever their type.

mod alertmanager;
mod cloudevents;
mod falco;
mod generic;
mod k8s_audit;
mod lax;
mod shape;
mod tetragon;
mod tracee;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Source, Trigger};
pub(crate) use lax::parse_span;
use shape::Shape;

/// Most triggers of one body.
pub const MAX_TRIGGERS: usize = 10_000;
/// Deepest nesting of a body.
const MAX_DEPTH: usize = 64;
/// Deepest CloudEvents in CloudEvents.
const MAX_WRAPPED: usize = 2;

/// A body that is not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Not JSON.
    #[error("not JSON: {message}{}", hint.map(|hint| format!("; {hint}")).unwrap_or_default())]
    Json {
        /// What the parser says.
        message: String,
        /// What may be the cause.
        hint: Option<&'static str>,
    },
    /// Too deep.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Deep,
    /// Too many.
    #[error("more than {MAX_TRIGGERS} alerts in one body")]
    Many,
    /// Nothing there.
    #[error("the body is empty")]
    Empty,
    /// No sender writes this.
    #[error(
        "no known sender writes such an object; see docs/triggers.md, or post `{{\"container\": \"ID\"}}`"
    )]
    Unknown,
    /// A member has a value it cannot have.
    #[error("`{member}` is {found}, not {expected}")]
    Member {
        /// The member.
        member: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A member that our own form does not have.
    #[error("{0}")]
    Stranger(String),
    /// A trigger that says nothing of a container.
    #[error("neither `container`, `name`, `pod`, `pid`, `cgroup` nor `image` is given")]
    NoContainer,
}

impl BodyError {
    fn json(error: &serde_json::Error) -> Self {
        Self::Json { message: error.to_string(), hint: None }
    }
}

/// What a body's members are, as far as we read them; `None` for what its sender is not.
pub(super) type Parsed = Result<Vec<Trigger>, BodyError>;

/// Makes triggers of a body. With a `declared` sender it must be that sender's.
///
/// # Errors
/// [`BodyError`]; then nothing of the body is used.
pub fn parse(body: &[u8], declared: Option<Source>) -> Parsed {
    parse_all(body, declared).map_err(|error| match error {
        BodyError::Json { message, hint: None } => BodyError::Json { message, hint: hint(body) },
        other => other,
    })
}

fn parse_all(body: &[u8], declared: Option<Source>) -> Parsed {
    check_depth(body)?;
    let mut triggers = Vec::new();
    let mut any = false;
    for value in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let value = value.map_err(|error| BodyError::json(&error))?;
        any = true;
        parse_value(value, declared, 0, &mut triggers)?;
    }
    if any { Ok(triggers) } else { Err(BodyError::Empty) }
}

/// What may be the cause when it is not JSON.
fn hint(body: &[u8]) -> Option<&'static str> {
    // Falco's text output begins with a time of day.
    let text = body.trim_ascii_start();
    let is_text = text.len() > 3 && text[..2].iter().all(u8::is_ascii_digit) && text[2] == b':';
    is_text.then_some("set `json_output: true` in falco.yaml")
}

fn parse_value(
    value: &RawValue,
    declared: Option<Source>,
    wrapped: usize,
    triggers: &mut Vec<Trigger>,
) -> Result<(), BodyError> {
    let text = value.get();
    if text.starts_with('[') {
        let lax::Bounded(items) = from_str::<lax::Bounded<&RawValue>>(text)?;
        return items.into_iter().try_for_each(|item| parse_value(item, declared, wrapped, triggers));
    }
    let shape: Shape = from_str(text)?;
    let parsed = match declared {
        _ if shape.is_cloudevent() && wrapped < MAX_WRAPPED => {
            return cloudevents::unwrap(text, wrapped, declared, triggers);
        }
        Some(source) => of(source, text, true)?,
        None => of(shape.sender().ok_or(BodyError::Unknown)?, text, false)?,
    };
    if triggers.len() + parsed.len() > MAX_TRIGGERS {
        return Err(BodyError::Many);
    }
    triggers.extend(parsed);
    Ok(())
}

/// Of what `source` wrote, where it `is_declared`; otherwise it only looks so.
fn of(source: Source, text: &str, is_declared: bool) -> Parsed {
    match source {
        Source::Falco => falco::parse(text),
        Source::Alertmanager => alertmanager::parse(text),
        Source::K8sAudit => k8s_audit::parse(text),
        Source::Tetragon => tetragon::parse(text),
        Source::Tracee => tracee::parse(text),
        Source::Generic | Source::Rules | Source::Person => generic::parse(text, source, is_declared),
    }
}

fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BodyError> {
    serde_json::from_str(text).map_err(|error| {
        match error.is_data() && error.to_string().contains("too many") {
            true => BodyError::Many,
            false => BodyError::json(&error),
        }
    })
}

/// Members that are skipped are not seen by the parser's own limit.
fn check_depth(body: &[u8]) -> Result<(), BodyError> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(BodyError::Deep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
