//! The kinds of values: how each is written, read and bounded.

use std::collections::BTreeMap;

use toml::{Spanned, de::DeValue};

use super::{error::Origin, keys::Key};

/// What a key's value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Number(u64, u64),
    /// Bytes within bounds: `64MiB`, or a plain number.
    Size(u64, u64),
    /// Bytes, a power of two, within bounds.
    PowerOfTwo(u64, u64),
    /// Nanoseconds within bounds, written `500ms`, `30s`, `10m`, `2h`, `1d`.
    Duration(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text; empty for none.
    Text,
    /// An IP address and port; empty for none.
    Address,
    /// Texts.
    List,
    /// Tables with these keys.
    Tables(&'static [Key]),
}

/// A value that its kind allows. Sizes are bytes, durations nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Truth.
    Bool(bool),
    /// A number, size or duration.
    Number(u64),
    /// Text, a word, an address.
    Text(String),
    /// Texts.
    List(Vec<String>),
    /// Tables: what they have, by key.
    Tables(Vec<BTreeMap<&'static str, (Value, Origin)>>),
}

const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const DURATIONS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// With any of these between its commas a text is hardly a list of plain words.
const NOT_PLAIN: [char; 10] = ['[', ']', '{', '}', '(', ')', '"', '\'', '\\', '*'];

impl Kind {
    /// Reads a value of a variable or a flag: as TOML writes it, or bare, where that means one thing only.
    pub(super) fn read_written(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let written = DeValue::parse(text);
        match (written.as_ref().map(Spanned::get_ref), self) {
            (_, Self::Tables(_)) => Err(format!("{}, which only a file can set", self.expected())),
            (Ok(DeValue::Array(items)), Self::List) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Value::List).ok_or_else(|| self.expected())
            }
            (Ok(DeValue::String(text)), Self::List) => Ok(Value::List(vec![text.clone().into_owned()])),
            (Ok(DeValue::String(text)), _) => self.read(text),
            (Ok(DeValue::Integer(number)), Self::Number(..) | Self::Size(..) | Self::PowerOfTwo(..)) => {
                let parsed = u64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
                parsed.map_err(|_| self.expected()).and_then(|number| self.number(number))
            }
            (_, Self::List) if text.starts_with('[') || text.contains(',') && text.contains(NOT_PLAIN) => {
                Err(format!("{} as TOML writes it: '[\"a\", \"b\"]'", self.expected()))
            }
            // What begins as a text and is none was cut off somewhere.
            (Err(_), _) if text.starts_with(['"', '\'']) => Err(self.expected()),
            _ => self.read(text),
        }
    }

    /// Reads a value written as text: bare in a variable or a flag, or a TOML string.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self {
            Self::Bool => match text {
                "true" | "yes" | "1" => Ok(Value::Bool(true)),
                "false" | "no" | "0" => Ok(Value::Bool(false)),
                _ => Err(self.expected()),
            },
            Self::Number(..) => text.parse().map_err(|_| self.expected()).and_then(|n| self.number(n)),
            Self::Size(..) | Self::PowerOfTwo(..) => {
                let bytes = with_unit(text, &SIZES).or_else(|| text.parse().ok());
                bytes.ok_or_else(|| self.expected()).and_then(|n| self.number(n))
            }
            Self::Duration(..) => {
                let nanos = with_unit(text, &DURATIONS).or_else(|| (text == "0").then_some(0));
                nanos.ok_or_else(|| self.expected()).and_then(|n| self.number(n))
            }
            Self::Word(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::Address if text.is_empty() || text.parse::<std::net::SocketAddr>().is_ok() => {
                Ok(Value::Text(text.to_owned()))
            }
            Self::List => Ok(Value::List(
                text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect(),
            )),
            Self::Word(_) | Self::Address | Self::Tables(_) => Err(self.expected()),
        }
    }

    /// A plain number as a value of this kind.
    pub(super) fn number(self, number: u64) -> Result<Value, String> {
        let allowed = match self {
            Self::Number(least, most) | Self::Size(least, most) | Self::Duration(least, most) => {
                (least..=most).contains(&number)
            }
            Self::PowerOfTwo(least, most) => (least..=most).contains(&number) && number.is_power_of_two(),
            _ => false,
        };
        if allowed { Ok(Value::Number(number)) } else { Err(self.expected()) }
    }

    /// In words, what a value should be.
    pub(super) fn expected(self) -> String {
        let size = |bytes| self.write(&Value::Number(bytes));
        match self {
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Number(least, u64::MAX) => format!("a number from {least}"),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Size(least, u64::MAX) => format!("a size such as \"64MiB\" from {}", size(least)),
            Self::Size(least, most) => {
                format!("a size such as \"64MiB\" from {} to {}", size(least), size(most))
            }
            Self::PowerOfTwo(least, most) => {
                format!("a power of two such as \"32MiB\" from {} to {}", size(least), size(most))
            }
            Self::Duration(least, most) => {
                format!("a duration such as \"30s\" or \"10m\" from {} to {}", size(least), size(most))
            }
            Self::Word(words) => format!("one of `{}`", words.join("`, `")),
            Self::Text => "text".to_owned(),
            Self::Address => "an address such as \"127.0.0.1:7744\"".to_owned(),
            Self::List => "a list of texts".to_owned(),
            Self::Tables(_) => "an array of tables".to_owned(),
        }
    }

    /// A value as TOML writes it.
    pub(super) fn write(self, value: &Value) -> String {
        match (self, value) {
            (Self::Size(..) | Self::PowerOfTwo(..), Value::Number(n)) => quoted(&in_unit(*n, &SIZES, "B")),
            (Self::Duration(..), Value::Number(n)) => quoted(&in_unit(*n, &DURATIONS, "s")),
            (_, Value::Number(n)) => n.to_string(),
            (_, Value::Bool(yes)) => yes.to_string(),
            (_, Value::Text(text)) => quoted(text),
            (_, Value::List(texts)) => {
                format!("[{}]", texts.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "))
            }
            (_, Value::Tables(_)) => String::new(),
        }
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves a whole number.
fn in_unit(number: u64, units: &[(&str, u64)], of_zero: &str) -> String {
    if number == 0 {
        return format!("0{of_zero}");
    }
    let largest = units.iter().find(|(_, factor)| number.is_multiple_of(*factor));
    largest.map_or_else(|| number.to_string(), |(unit, factor)| format!("{}{unit}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let cases = [
            (Kind::Size(0, u64::MAX), "64MiB", Value::Number(64 << 20)),
            (Kind::Size(0, u64::MAX), "1000", Value::Number(1000)),
            (Kind::Duration(0, u64::MAX), "90s", Value::Number(90_000_000_000)),
            (Kind::Duration(0, u64::MAX), "500ms", Value::Number(500_000_000)),
            (Kind::Duration(0, u64::MAX), "0", Value::Number(0)),
            (Kind::Bool, "yes", Value::Bool(true)),
            (Kind::Address, "[::1]:80", Value::Text("[::1]:80".into())),
            (Kind::Text, "a \"b\" \\ \u{7}", Value::Text("a \"b\" \\ \u{7}".into())),
        ];
        for (kind, text, value) in cases {
            assert_eq!(kind.read(text).as_ref(), Ok(&value), "{text}");
            let written = kind.write(&value);
            let toml: toml::Table = toml::from_str(&format!("k = {written}")).unwrap();
            let again = match &toml["k"] {
                toml::Value::String(text) => kind.read(text),
                other => kind.read(&other.to_string()),
            };
            assert_eq!(again.as_ref(), Ok(&value), "{written}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_bounds() {
        let ring = Kind::PowerOfTwo(1 << 20, 1 << 30);
        assert_eq!(
            ring.read("3MiB").unwrap_err(),
            "a power of two such as \"32MiB\" from \"1MiB\" to \"1GiB\""
        );
        assert!(Kind::Number(1, 5).read("6").is_err());
        assert!(Kind::Duration(0, u64::MAX).read("10").is_err(), "a duration has a unit");
        assert!(Kind::Size(0, u64::MAX).read("99999999TiB").is_err(), "more than 64 bits");
        assert!(Kind::Address.read("localhost:80").is_err(), "names are not resolved");
    }
}
