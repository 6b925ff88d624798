//! CSV by RFC 4180, with a guard against formulas: a text cell that begins with `=`, `+`, `-` or `@` is prefixed
//! with `'`, because spreadsheets compute such cells. Numbers are written as they are. Lines end with `\n`.

use serde_json::Value;

use super::Cell;

/// One cell.
pub(super) fn field(cell: &Cell) -> String {
    match cell.value() {
        Value::Null => String::new(),
        Value::String(text) => quoted(&guarded(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let joined: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            quoted(&guarded(&joined.join(" ")))
        }
        other @ (Value::Array(_) | Value::Object(_)) => quoted(&guarded(&other.to_string())),
        other => other.to_string(),
    }
}

/// Text that no spreadsheet computes.
fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\'']) { format!("'{text}") } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', ' ', ';']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use afterimage_model::text::escape;

    use super::*;

    #[test]
    fn formulas_are_guarded_and_numbers_are_not() {
        assert_eq!(field(&Cell::safe(escape(b"=cmd()"))), "'=cmd()");
        assert_eq!(field(&Cell::safe(escape(b"-1+1"))), "'-1+1");
        assert_eq!(field(&Cell::safe(escape(b"'=1"))), "''=1");
        assert_eq!(field(&Cell::number(-2)), "-2");
    }

    #[test]
    fn separators_and_quotes_are_quoted() {
        assert_eq!(field(&Cell::safe(escape(b"a,\"b\""))), "\"a,\"\"b\"\"\"");
        assert_eq!(field(&Cell::safe(escape(b"a\nb"))), "a\\nb");
    }
}
