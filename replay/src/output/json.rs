//! JSON objects and documents. The schemas are written down in `docs/json.md`.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use afterimage_model::text::Safe;
use serde_json::{Map, Value};

/// The version of every schema; it grows when a member changes its meaning or goes away.
pub const SCHEMA: u64 = 1;

/// Writes `value` on one line, without the newline.
pub(super) fn write(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}

/// Writes the members of `map` as `"key":value,` each.
pub(super) fn members(out: &mut dyn Write, map: &Map<String, Value>) -> io::Result<()> {
    for (key, value) in map {
        write(out, &Value::String(key.clone()))?;
        out.write_all(b":")?;
        write(out, value)?;
        out.write_all(b",")?;
    }
    Ok(())
}

/// Serialised JSON in which every character that does not show as itself is a JSON escape: a last guard for
/// documents that were made elsewhere. Such characters occur in strings only, so the document stays the same.
pub fn guarded(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        let shown = Safe::format(format_args!("{c}"));
        if shown.as_str().chars().eq([c]) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_changes_the_bytes_and_not_the_document() {
        let value = Value::String("a\u{202e}\u{e0041}\\ \u{1b} é".to_owned());
        let text = guarded(&value.to_string());
        assert_eq!(text, "\"a\\u202e\\udb40\\udc41\\\\ \\u001b é\"");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
