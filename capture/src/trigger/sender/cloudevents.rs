//! CloudEvents in structured mode: what is inside is taken as if it had come alone. In binary mode the body is bare.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{Source, Trigger},
    BodyError, from_str,
    lax::{Lax, Moment},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    id: Lax,
    source: Lax,
    time: Moment,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Lax,
}

pub(super) fn unwrap(
    text: &str,
    wrapped: usize,
    declared: Option<Source>,
    triggers: &mut Vec<Trigger>,
) -> Result<(), BodyError> {
    let envelope: Envelope<'_> = from_str(text)?;
    let from = triggers.len();
    if let Some(data) = envelope.data {
        // Data that is itself JSON in a string is written so by senders that do not set a content type.
        match from_str::<Inner>(data.get()) {
            Ok(Inner(inner)) => inside(&inner, wrapped, declared, triggers)?,
            Err(_) => super::parse_value(data, declared, wrapped + 1, triggers)?,
        }
    } else if let Some(encoded) = envelope.data_base64.take() {
        let bytes = STANDARD.decode(encoded).map_err(|_| BodyError::Member {
            member: "data_base64",
            found: "not decodable".to_owned(),
            expected: "base64",
        })?;
        inside(&String::from_utf8_lossy(&bytes), wrapped, declared, triggers)?;
    } else {
        return Err(BodyError::Empty);
    }
    let (id, source) = (envelope.id.take(), envelope.source.take().unwrap_or_default());
    let only = triggers.len() == from + 1;
    for trigger in &mut triggers[from..] {
        if trigger.time.is_none() {
            trigger.time = envelope.time.0;
            trigger.notes.extend(envelope.time.note("time"));
        }
        // The envelope's id is that of what is inside when there is one thing inside.
        if let (None, Some(id), true) = (&trigger.fingerprint, &id, only) {
            trigger.fingerprint = Some(format!("{source}#{id}"));
        }
    }
    Ok(())
}

/// A string, and nothing but a string.
#[derive(Deserialize)]
struct Inner(String);

fn inside(
    text: &str,
    wrapped: usize,
    declared: Option<Source>,
    triggers: &mut Vec<Trigger>,
) -> Result<(), BodyError> {
    super::check_depth(text.as_bytes())?;
    let value: &RawValue = from_str(text)?;
    super::parse_value(value, declared, wrapped + 1, triggers)
}
