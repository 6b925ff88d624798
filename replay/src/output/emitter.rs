//! Writes rows in the format that was asked for, as they come.

use std::io::{self, Write};

use afterimage_model::text::Safe;
use serde_json::{Map, Value};

use super::{
    Cell, Column, Format, OutputArgs, Record, csv, ecs,
    json::{self, SCHEMA},
    markdown, ocsf,
    table::Table,
    terminal::{self, Style},
    timesketch,
};
use crate::failure::Failure;

/// What a verb's result is called and which columns it has.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Name of the document's kind and of its list of rows, as in `"kind": "containers"`.
    pub rows: &'static str,
    /// `"kind"` of one row in JSON lines.
    pub row: &'static str,
    /// The columns.
    pub columns: &'static [Column],
}

/// Writes rows.
pub struct Emitter<'a> {
    out: &'a mut dyn Write,
    format: Format,
    shape: Shape,
    columns: Vec<&'static Column>,
    table: Table,
    rows: u64,
}

impl<'a> Emitter<'a> {
    /// Begins the result. `head` goes into a JSON document before the rows.
    ///
    /// # Errors
    /// An unknown name in `--fields`; output that cannot be written.
    pub fn begin(
        out: &'a mut dyn Write,
        shape: Shape,
        args: &OutputArgs,
        style: Style,
        head: &Map<String, Value>,
    ) -> Result<Self, Failure> {
        let columns = choose(shape, args)?;
        if args.is_schema() && !args.fields.is_empty() {
            return Err(Failure::Usage(
                "--fields chooses columns, and a schema has its own members".to_owned(),
            ));
        }
        if let Some(who) = args.output.asks_for_time().filter(|_| !timesketch::has_time(&columns)) {
            return Err(Failure::Usage(format!(
                "a row of `{}` has no column `time`, which {who} asks for",
                shape.rows
            )));
        }
        let limit = if args.no_trunc { None } else { terminal::columns() };
        let mut this = Self {
            table: Table::new(columns.clone(), style, limit),
            out,
            format: args.output,
            shape,
            columns,
            rows: 0,
        };
        this.head(head)?;
        Ok(this)
    }

    fn head(&mut self, head: &Map<String, Value>) -> io::Result<()> {
        match self.format {
            Format::Table | Format::Jsonl | Format::Timesketch | Format::Ecs | Format::Ocsf => Ok(()),
            Format::Json => {
                write!(self.out, "{{\"schema\":{SCHEMA},\"kind\":\"{}\",", self.shape.rows)?;
                json::members(self.out, head)?;
                write!(self.out, "\"{}\":[", self.shape.rows)
            }
            Format::Csv => {
                let keys: Vec<&str> = self.columns.iter().map(|c| c.key).collect();
                writeln!(self.out, "{}", keys.join(","))
            }
            Format::Md => {
                let titles: Vec<&str> = self.columns.iter().map(|c| c.title).collect();
                let rules: Vec<&str> =
                    self.columns.iter().map(|c| if c.right { "---:" } else { "---" }).collect();
                writeln!(self.out, "| {} |\n| {} |", titles.join(" | "), rules.join(" | "))
            }
        }
    }

    /// Writes one row.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub fn row(&mut self, record: &dyn Record) -> io::Result<()> {
        self.row_as(self.shape.row, record)
    }

    /// Writes one row whose kind in JSON lines differs from the others', as a gap among events.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub fn row_as(&mut self, kind: &'static str, record: &dyn Record) -> io::Result<()> {
        let cells: Vec<Cell> = self.columns.iter().map(|c| record.cell(c.key)).collect();
        let first = self.rows == 0;
        self.rows += 1;
        match self.format {
            Format::Table => self.table.row(self.out, &cells, record.tone()),
            Format::Json => {
                self.out.write_all(if first { b"\n" } else { b",\n" })?;
                json::write(self.out, &members(&self.columns, cells, None))
            }
            Format::Jsonl => {
                json::write(self.out, &members(&self.columns, cells, Some(kind)))?;
                self.out.write_all(b"\n")
            }
            Format::Timesketch => self.dated(timesketch::row(&self.columns, &cells, kind)),
            Format::Ecs | Format::Ocsf => {
                let message = told(&self.columns, &cells);
                let row = record.facts().and_then(|facts| match self.format {
                    Format::Ecs => ecs::row(&facts, message, self.rows, kind),
                    _ => ocsf::row(&facts, message, self.rows),
                });
                self.dated(row)
            }
            Format::Csv => {
                let fields: Vec<String> = cells.iter().map(csv::field).collect();
                writeln!(self.out, "{}", fields.join(","))
            }
            Format::Md => {
                let fields: Vec<String> = cells.iter().map(|c| markdown::field(c.text())).collect();
                writeln!(self.out, "| {} |", fields.join(" | "))
            }
        }
    }

    /// Writes a row that has the time of the day, if there is one.
    fn dated(&mut self, row: Option<Value>) -> io::Result<()> {
        let who = self.format.asks_for_time().unwrap_or_default();
        let without = || {
            let why = format!("the recording has no clock reading, and {who} asks for the time of the day");
            io::Error::other(why)
        };
        json::write(self.out, &row.ok_or_else(without)?)?;
        self.out.write_all(b"\n")
    }

    /// How many rows were written.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the result. `tail` goes into a JSON document after the rows, and into the last of the JSON lines.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub fn finish(mut self, tail: &Map<String, Value>) -> io::Result<u64> {
        match self.format {
            Format::Table => self.table.finish(self.out)?,
            Format::Json => {
                self.out.write_all(if self.rows == 0 { b"]" } else { b"\n]" })?;
                for (key, value) in tail {
                    self.out.write_all(b",")?;
                    json::write(self.out, &Value::String(key.clone()))?;
                    self.out.write_all(b":")?;
                    json::write(self.out, value)?;
                }
                self.out.write_all(b"}\n")?;
            }
            Format::Jsonl => {
                let mut last = Map::new();
                last.insert("kind".to_owned(), "summary".into());
                last.insert("schema".to_owned(), SCHEMA.into());
                last.extend(tail.iter().map(|(k, v)| (k.clone(), v.clone())));
                json::write(self.out, &Value::Object(last))?;
                self.out.write_all(b"\n")?;
            }
            Format::Csv | Format::Md | Format::Timesketch | Format::Ecs | Format::Ocsf => {}
        }
        self.out.flush()?;
        Ok(self.rows)
    }
}

/// A row in words: what a table shows of it but the time, which tools show themselves.
pub(super) fn told(columns: &[&'static Column], cells: &[Cell]) -> Safe {
    const CLOCKS: [&str; 3] = ["time", "offset", "boot_ns"];
    let told = columns.iter().zip(cells).filter(|(c, _)| c.shown && !CLOCKS.contains(&c.key));
    let words: Vec<&str> = told.map(|(_, cell)| cell.text()).filter(|text| !text.is_empty()).collect();
    Safe::format(format_args!("{}", words.join(" ")))
}

fn members(columns: &[&'static Column], cells: Vec<Cell>, kind: Option<&'static str>) -> Value {
    let mut map = Map::new();
    if let Some(kind) = kind {
        map.insert("kind".to_owned(), kind.into());
    }
    map.extend(columns.iter().zip(cells).map(|(c, cell)| (c.key.to_owned(), cell.into_value())));
    Value::Object(map)
}

/// All members of a row, for documents that hold rows of several shapes.
pub fn object(shape: Shape, record: &dyn Record) -> Map<String, Value> {
    shape.columns.iter().map(|c| (c.key.to_owned(), record.cell(c.key).into_value())).collect()
}

/// The columns by `--fields`, else all for programs and the shown ones for people.
fn choose(shape: Shape, args: &OutputArgs) -> Result<Vec<&'static Column>, Failure> {
    if args.fields.is_empty() {
        return Ok(shape.columns.iter().filter(|c| c.shown || args.is_machine()).collect());
    }
    args.fields
        .iter()
        .map(|name| shape.columns.iter().find(|c| c.key == name.as_str()).ok_or_else(|| unknown(shape, name)))
        .collect()
}

fn unknown(shape: Shape, name: &str) -> Failure {
    let known: Vec<&str> = shape.columns.iter().map(|c| c.key).collect();
    let name = terminal::defused(name);
    Failure::Usage(format!("no field `{name}` in {}; there are: {}", shape.rows, known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static [u8], i64);

    impl Record for Pair {
        fn cell(&self, key: &str) -> Cell {
            match key {
                "name" => Cell::safe(afterimage_model::text::escape(self.0)),
                "value" => Cell::number(self.1),
                _ => Cell::absent(),
            }
        }
    }

    const SHAPE: Shape = Shape {
        rows: "pairs",
        row: "pair",
        columns: &[
            Column::new("name", "NAME", "").flexible(),
            Column::new("value", "VALUE", "").right(),
            Column::new("more", "MORE", "").hidden(),
        ],
    };

    fn emit(output: Format, fields: &[&str]) -> Result<String, Failure> {
        let args =
            OutputArgs { output, fields: fields.iter().map(|&f| f.to_owned()).collect(), no_trunc: true };
        let mut out = Vec::new();
        let mut head = Map::new();
        head.insert("from".to_owned(), "test".into());
        let mut emitter = Emitter::begin(&mut out, SHAPE, &args, Style::PLAIN, &head)?;
        emitter.row(&Pair(b"a\x1b|", -2))?;
        emitter.row(&Pair("=日本".as_bytes(), 10))?;
        let mut tail = Map::new();
        tail.insert("lost".to_owned(), 3.into());
        emitter.finish(&tail)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn each_format_holds_the_same_rows() {
        let check = |format, expected: &str| assert_eq!(emit(format, &[]).expect("written"), expected);
        check(Format::Table, "NAME    VALUE\na\\x1b|     -2\n=日本      10\n");
        check(Format::Csv, "name,value,more\na\\x1b|,-2,\n'=日本,10,\n");
        check(Format::Md, "| NAME | VALUE |\n| --- | ---: |\n| a\\\\x1b&#124; | -2 |\n| =日本 | 10 |\n");
        check(
            Format::Json,
            "{\"schema\":1,\"kind\":\"pairs\",\"from\":\"test\",\"pairs\":[\n\
             {\"name\":\"a\\\\x1b|\",\"value\":-2,\"more\":null},\n\
             {\"name\":\"=日本\",\"value\":10,\"more\":null}\n],\"lost\":3}\n",
        );
        check(
            Format::Jsonl,
            "{\"kind\":\"pair\",\"name\":\"a\\\\x1b|\",\"value\":-2,\"more\":null}\n\
             {\"kind\":\"pair\",\"name\":\"=日本\",\"value\":10,\"more\":null}\n\
             {\"kind\":\"summary\",\"schema\":1,\"lost\":3}\n",
        );
    }

    #[test]
    fn fields_choose_and_order_columns_and_unknown_ones_are_named() {
        assert_eq!(
            emit(Format::Csv, &["value", "name"]).expect("written").lines().next(),
            Some("value,name")
        );
        let error = emit(Format::Csv, &["nme"]).expect_err("unknown field");
        assert_eq!(error.to_string(), "no field `nme` in pairs; there are: name, value, more");
    }
}
