//! A hit as Falco's own JSON output has it, one object per line.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{FieldValue, Hit};

impl Hit {
    /// Falco's JSON output (`json_output: true`), in one line without its end. Text is escaped for display; what has
    /// no value is `null`. Where the wall clock is not known, `time` is `null`.
    pub fn to_falco_json(&self) -> String {
        let stamp = self.wall.and_then(|nanos| Timestamp::from_nanosecond(nanos.into()).ok());
        let utc = stamp.map(|stamp| stamp.to_zoned(TimeZone::UTC));
        let format = |format: &str| utc.as_ref().map(|utc| utc.strftime(format).to_string());
        let mut fields: Map<String, Value> =
            self.fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
        fields.insert("evt.time".to_owned(), self.wall.map_or(Value::Null, Value::from));
        let mut output = format("%H:%M:%S.%9f").unwrap_or_else(|| "<NA>".to_owned());
        let _ = write!(output, ": {} {}", self.priority.as_str(), self.message);
        json!({
            "hostname": self.hostname,
            "output": output,
            "output_fields": fields,
            "priority": self.priority.as_str(),
            "rule": self.name,
            "source": "syscall",
            "tags": self.tags,
            "time": format("%Y-%m-%dT%H:%M:%S.%9fZ"),
        })
        .to_string()
    }
}

impl FieldValue {
    /// As JSON: numbers that do not fit are text.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Absent => Value::Null,
            Self::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => number.to_string().into(),
            },
            Self::Bool(yes) => (*yes).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}
