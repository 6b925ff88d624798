//! JSON objects and documents. The schemas are written down in `docs/json.md`.

use std::io::{self, Write};

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
