//! One cell of a result: text for people and a JSON value for programs, both safe.

use std::borrow::Cow;

use afterimage_model::text::Safe;
use serde_json::{Number, Value};

use super::facts::Facts;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    text: String,
    value: Value,
}

impl Cell {
    /// Nothing: unknown or not applicable.
    pub fn absent() -> Self {
        Self { text: String::new(), value: Value::Null }
    }

    /// Escaped text, the same for both.
    pub fn safe(text: Safe) -> Self {
        let text = text.into_string();
        Self { value: Value::String(text.clone()), text }
    }

    /// Our own words.
    pub fn word(text: &'static str) -> Self {
        Self { text: text.to_owned(), value: Value::String(text.to_owned()) }
    }

    /// A count or an id.
    pub fn number(n: impl Into<Number>) -> Self {
        let n = n.into();
        Self { text: n.to_string(), value: Value::Number(n) }
    }

    /// Yes or no; "no" is an empty cell in a table.
    pub fn flag(yes: bool) -> Self {
        Self { text: if yes { "yes".to_owned() } else { String::new() }, value: Value::Bool(yes) }
    }

    /// Text for people beside another value for programs.
    pub fn both(text: Safe, value: impl Into<Machine>) -> Self {
        Self { text: text.into_string(), value: value.into().0 }
    }

    /// A list of texts.
    pub fn list(items: impl IntoIterator<Item = Safe>) -> Self {
        let items: Vec<String> = items.into_iter().map(Safe::into_string).collect();
        Self { text: items.join(", "), value: items.into() }
    }

    /// Nothing where there is nothing.
    pub fn option<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or_else(Self::absent, cell)
    }

    /// For people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// For programs.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// For programs, by value.
    pub fn into_value(self) -> Value {
        self.value
    }
}

/// A JSON value made of safe parts only.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine(Value);

impl Machine {
    /// Nothing.
    pub const NULL: Self = Self(Value::Null);

    /// An object of named parts.
    pub fn object(parts: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self(Value::Object(parts.into_iter().map(|(k, v)| (k.to_owned(), v.0)).collect()))
    }

    /// An object whose names are not fixed: both names and values pass the last guard.
    pub fn values(parts: impl IntoIterator<Item = (String, Value)>) -> Self {
        let own = |text: String| Safe::format(format_args!("{text}")).into_string();
        let guarded = |value| match value {
            Value::String(text) => Value::String(own(text)),
            other => other,
        };
        Self(Value::Object(parts.into_iter().map(|(k, v)| (own(k), guarded(v))).collect()))
    }

    /// An object that was put together of safe parts.
    pub(super) fn object_of(parts: serde_json::Map<String, Value>) -> Self {
        Self(Value::Object(parts))
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self(Value::Array(items.into_iter().map(|m| m.0).collect()))
    }

    /// The JSON value.
    pub fn into_value(self) -> Value {
        self.0
    }
}

impl From<Safe> for Machine {
    fn from(text: Safe) -> Self {
        Self(Value::String(text.into_string()))
    }
}

impl From<&'static str> for Machine {
    fn from(text: &'static str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

macro_rules! machine_from {
    ($($ty:ty),*) => { $(impl From<$ty> for Machine {
        fn from(value: $ty) -> Self { Self(value.into()) }
    })* };
}
machine_from!(u64, i64, u32, i32, u16, bool);

impl<T: Into<Self>> From<Option<T>> for Machine {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NULL, Into::into)
    }
}

/// What kind of JSON value a column holds. `null` stands in any of them for unknown or not applicable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string, escaped.
    Text,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A string: RFC 3339, UTC, nanoseconds.
    Time,
    /// A list of strings.
    Texts,
    /// An object.
    Object,
    /// A list of objects.
    Objects,
}

impl Kind {
    /// The words for it in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Time => "time",
            Self::Texts => "list of strings",
            Self::Object => "object",
            Self::Objects => "list of objects",
        }
    }
}

/// A column of a verb's rows.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in `--fields`, JSON and CSV.
    pub key: &'static str,
    /// Its heading in a table.
    pub title: &'static str,
    /// Shown in tables without `--fields`.
    pub shown: bool,
    /// Numbers: aligned to the right.
    pub right: bool,
    /// May be shortened to fit the terminal.
    pub flexible: bool,
    /// Left out of a table in which it has nothing to show.
    pub optional: bool,
    /// Left out of a table that is too wide for the terminal.
    pub spare: bool,
    /// What its JSON values are.
    pub kind: Kind,
    /// What it says, for `--fields help` and the documentation.
    pub about: &'static str,
}

impl Column {
    /// A column that tables show.
    pub const fn new(key: &'static str, title: &'static str, about: &'static str) -> Self {
        Self {
            key,
            title,
            shown: true,
            right: false,
            flexible: false,
            optional: false,
            spare: false,
            kind: Kind::Text,
            about,
        }
    }

    /// Only in JSON, CSV and `--fields`.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.shown = false;
        self
    }

    /// These columns with the last of them shown in tables, as that of the recording is where there are several.
    #[must_use]
    pub const fn with_last<const N: usize>(columns: &[Self]) -> [Self; N] {
        let mut all = [columns[0]; N];
        let mut i = 0;
        while i < N {
            all[i] = columns[i];
            i += 1;
        }
        all[N - 1].shown = true;
        all
    }

    /// Integers, aligned to the right.
    #[must_use]
    pub const fn integer(self) -> Self {
        self.kind(Kind::Integer).right()
    }

    /// Values of this kind.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Aligned to the right.
    #[must_use]
    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Left out of a table in which it has nothing to show.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Left out of a table that is too wide for the terminal, the last of such columns first.
    #[must_use]
    pub const fn spare(mut self) -> Self {
        self.spare = true;
        self
    }

    /// May be shortened.
    #[must_use]
    pub const fn flexible(mut self) -> Self {
        self.flexible = true;
        self
    }
}

/// How a row stands out in a table on a colour terminal. Never the only sign of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// A program was executed.
    Exec,
    /// A gap.
    Lost,
    /// Worth a look.
    Finding,
    /// A heading.
    Head,
}

/// A row of a verb's result.
pub trait Record {
    /// The cell of column `key`; [`Cell::absent`] for a key the row does not have.
    fn cell(&self, key: &str) -> Cell;

    /// What it says by its meaning, for outputs in another tool's schema; rows with a time have it where it is asked for.
    fn facts(&self) -> Option<Cow<'_, Facts>> {
        None
    }

    /// How it stands out.
    fn tone(&self) -> Tone {
        Tone::Plain
    }
}
