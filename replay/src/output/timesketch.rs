//! Rows as Timesketch imports them: one JSON object in a line, each with `message`, `datetime`, `timestamp` in microseconds and
//! `timestamp_desc`. See <https://timesketch.org/guides/user/import-from-json-csv/>.
//!
//! Its index takes no lists of objects and no strings beyond [`LONGEST`] bytes: the first are told in words, the second
//! are cut.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Cell, Column, Kind, emitter::told};

/// Most bytes of a string that the index keeps whole.
const LONGEST: usize = 32_766;

/// Whether rows of these columns have a place in time.
pub(super) fn has_time(columns: &[&Column]) -> bool {
    columns.iter().any(|column| column.key == "time" && column.kind == Kind::Time)
}

/// A row; nothing where no clock reading tells its time of the day.
pub(super) fn row(columns: &[&'static Column], cells: &[Cell], kind: &str) -> Option<Value> {
    let all = || columns.iter().zip(cells);
    let (_, time) = all().find(|(column, _)| column.key == "time")?;
    let datetime = time.value().as_str()?;
    let micros = datetime.parse::<Timestamp>().ok()?.as_microsecond();
    let mut map = Map::new();
    map.insert("message".to_owned(), cut(told(columns, cells).as_str()).into());
    map.insert("datetime".to_owned(), datetime.into());
    map.insert("timestamp".to_owned(), micros.into());
    map.insert("timestamp_desc".to_owned(), format!("{kind} time").into());
    let tags =
        all().filter(|(column, _)| column.key == "attack").filter_map(|(_, cell)| cell.value().as_str());
    let tags: Vec<&str> = tags.filter(|tag| !tag.is_empty()).collect();
    if !tags.is_empty() {
        map.insert("tag".to_owned(), tags.into());
    }
    for (column, cell) in all().filter(|(column, _)| column.key != "time") {
        let value = match (column.kind, cell.value()) {
            (_, Value::Null) => continue,
            (Kind::Object | Kind::Objects, _) => cut(cell.text()).into(),
            (_, Value::String(text)) => cut(text).into(),
            (_, value) => value.clone(),
        };
        map.insert(column.key.to_owned(), value);
    }
    Some(Value::Object(map))
}

/// As much of a text as the index keeps.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use afterimage_model::text::{Safe, escape};

    use super::*;
    use crate::output::Machine;

    static COLUMNS: [Column; 5] = [
        Column::new("time", "TIME", "").kind(Kind::Time),
        Column::new("event", "EVENT", ""),
        Column::new("detail", "DETAIL", "").flexible(),
        Column::new("attack", "ATT&CK", "").hidden(),
        Column::new("args", "ARGS", "").hidden().kind(Kind::Objects),
    ];

    fn of(time: Option<&'static str>, detail: &[u8]) -> Option<Value> {
        let cells = [
            Cell::both(Safe::literal("11:58:02"), Machine::from(time.map(Safe::literal))),
            Cell::word("execve"),
            Cell::safe(escape(detail)),
            Cell::word("T1105"),
            Cell::both(Safe::literal("a=1"), Machine::list([Machine::object([("name", "a".into())])])),
        ];
        row(&COLUMNS.each_ref(), &cells, "event")
    }

    #[test]
    fn a_row_has_what_timesketch_asks_for() {
        let row = of(Some("2026-11-21T11:58:21.410331999Z"), b"/tmp/\x1bx").expect("a row");
        assert_eq!(
            row.to_string(),
            concat!(
                r#"{"message":"execve /tmp/\\x1bx","datetime":"2026-11-21T11:58:21.410331999Z","#,
                r#""timestamp":1795262301410331,"timestamp_desc":"event time","tag":["T1105"],"#,
                r#""event":"execve","detail":"/tmp/\\x1bx","attack":"T1105","args":"a=1"}"#,
            )
        );
        assert!(of(None, b"x").is_none());
        let long = of(Some("2026-11-21T11:58:21Z"), "é".repeat(40_000).as_bytes()).expect("a row");
        assert_eq!(long["detail"].as_str().map(str::len), Some(32_766));
        let all = COLUMNS.each_ref();
        assert!(has_time(&all) && !has_time(&all[1..]));
    }
}
