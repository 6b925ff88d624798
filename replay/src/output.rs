//! Results as table, JSON, JSON lines, CSV, Markdown, for Timesketch or in the schemas ECS and OCSF: one description of the rows,
//! eight ways to write them.
//!
//! Rules: stdout carries data only, stderr words for people. What comes from a recording reaches any of them
//! only as [`Safe`](afterimage_model::text::Safe) text, so that no output ever holds a control character other
//! than the newline that ends a line. JSON strings hold the same escaped text as the table.

mod cell;
mod csv;
mod document;
mod ecs;
mod emitter;
pub mod facts;
mod json;
mod markdown;
mod ocsf;
mod sink;
mod table;
mod taxonomy;
pub mod terminal;
mod timesketch;
mod width;

pub use cell::{Cell, Column, Kind, Machine, Record, Tone};
pub use emitter::{Emitter, Shape, object};
pub use json::{SCHEMA, guarded};
pub use markdown::field as markdown_text;
pub use sink::Sink;
pub(crate) use table::filled;
pub use terminal::Style;
pub use width::{cut, display_width};

use clap::{Args, ValueEnum};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values (RFC 4180), cells that a spreadsheet would compute prefixed with `'`.
    Csv,
    /// A Markdown table.
    Md,
    /// JSON lines that Timesketch imports; rows with a time only.
    Timesketch,
    /// JSON lines in the Elastic Common Schema; rows with a time only.
    Ecs,
    /// JSON lines in the Open Cybersecurity Schema Framework; rows with a time only.
    Ocsf,
}

impl Format {
    /// The tool or schema whose rows have a time each, and what it is called.
    const fn asks_for_time(self) -> Option<&'static str> {
        match self {
            Self::Timesketch => Some("Timesketch"),
            Self::Ecs => Some("ECS"),
            Self::Ocsf => Some("OCSF"),
            Self::Table | Self::Json | Self::Jsonl | Self::Csv | Self::Md => None,
        }
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Also into pipes and files.
    Always,
    /// Never.
    Never,
}

/// Options that every verb with rows has.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// How to write the result
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Only these columns, in this order (comma-separated); `help` lists them
    #[arg(long, value_delimiter = ',', value_name = "FIELD,...")]
    pub fields: Vec<String>,
    /// Never shorten ids and cells to fit the terminal
    #[arg(long)]
    pub no_trunc: bool,
}

impl OutputArgs {
    /// Whether the output is for a program.
    pub fn is_machine(&self) -> bool {
        !matches!(self.output, Format::Table | Format::Md)
    }

    /// Whether rows are told by their meaning, in another tool's schema: they need [`facts::Facts`].
    pub fn is_schema(&self) -> bool {
        matches!(self.output, Format::Ecs | Format::Ocsf)
    }
}
