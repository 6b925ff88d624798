//! Comparisons of one value, made ready once.

use std::net::IpAddr;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use crate::{
    glob::Glob,
    needle::Needle,
    network::Network,
    path_set::PathSet,
    syntax::{
        FilterError, FilterErrorKind,
        ast::{Item, Literal, Modifier, Op},
        instant::parse_quantity,
    },
    value::{Kind, Multi, Value},
};

mod required;

pub(crate) use required::Required;

/// How much memory a compiled regular expression may take. Bytes.
const REGEX_LIMIT: usize = 1 << 20;
/// How deep a regular expression may nest.
const REGEX_NESTING: u32 = 50;

/// A comparison with constants.
#[derive(Debug)]
pub(crate) struct Comparison {
    test: Test,
    /// `!=`: of several sides, all must differ.
    differs: bool,
}

#[derive(Debug)]
enum Test {
    Text(TextTest),
    Number(Op, i128),
    Numbers(Vec<(i128, i128)>),
    Bool(bool),
    Networks(Vec<Network>),
    Modified(Modifier, Vec<Test>),
    Not(Box<Test>),
}

#[derive(Debug)]
enum TextTest {
    Equal(Vec<u8>),
    Order(Op, Vec<u8>),
    Contains(Needle),
    Starts(Vec<u8>),
    Ends(Vec<u8>),
    Glob(Glob),
    Regex(Box<Regex>),
    /// Sorted by length, then bytes.
    Set(Vec<Vec<u8>>),
    Paths(PathSet),
}

/// The right side's constants.
pub(crate) enum Constants<'c> {
    One(&'c Literal),
    List(&'c [Item], Option<Modifier>),
}

impl Comparison {
    /// Makes a comparison of values of `kind` with constants.
    pub(crate) fn new(op: Op, kind: Kind, constants: &Constants<'_>) -> Result<Self, FilterError> {
        let test = match constants {
            Constants::One(literal) => Test::one(op, kind, literal)?,
            Constants::List(items, Some(modifier)) => {
                let tests = items.iter().map(|item| match item {
                    Item::One(literal) => Test::one(op, kind, literal),
                    Item::Range(low, _) => Err(wrong(low, "one value")),
                });
                Test::Modified(*modifier, tests.collect::<Result<_, _>>()?)
            }
            Constants::List(items, None) => Test::list(op, kind, items)?,
        };
        Ok(Self { test, differs: op == Op::Ne })
    }

    /// Whether the field's values pass.
    pub(crate) fn holds(&self, values: &Value<'_>, multi: Multi, op: Op) -> bool {
        let all = match multi {
            Multi::One | Multi::Ancestors => false,
            Multi::Sides => self.differs,
            Multi::List => op == Op::In,
        };
        let mut each = values.each().iter();
        if all { each.all(|v| self.test.passes(v)) } else { each.any(|v| self.test.passes(v)) }
    }
}

fn wrong(literal: &Literal, what: &'static str) -> FilterError {
    FilterError::new(literal.span, FilterErrorKind::value(&literal.bytes, what))
}

impl Test {
    fn one(op: Op, kind: Kind, literal: &Literal) -> Result<Self, FilterError> {
        if op == Op::Ne {
            return Self::one(Op::Eq, kind, literal).map(|test| Self::Not(Box::new(test)));
        }
        Ok(match kind {
            Kind::Text | Kind::Bytes => Self::Text(TextTest::one(op, literal)?),
            Kind::Bool => Self::Bool(boolean(literal)?),
            Kind::Address | Kind::Network => Self::Networks(vec![network(literal)?]),
            Kind::Number | Kind::Duration | Kind::Time | Kind::Port => {
                Self::Number(op, number(kind, literal)?)
            }
        })
    }

    fn list(op: Op, kind: Kind, items: &[Item]) -> Result<Self, FilterError> {
        let ones = || {
            items.iter().map(|item| match item {
                Item::One(literal) => Ok(literal),
                Item::Range(low, _) => Err(wrong(low, "one value: ranges are for numbers")),
            })
        };
        Ok(match kind {
            Kind::Text | Kind::Bytes => {
                let values: Vec<&Literal> = ones().collect::<Result<_, _>>()?;
                let bytes = values.iter().map(|literal| literal.bytes.as_slice());
                Self::Text(if op == Op::Pmatch {
                    TextTest::Paths(PathSet::new(bytes))
                } else {
                    TextTest::set(bytes)
                })
            }
            Kind::Bool => {
                let values: Vec<bool> = ones().map(|l| boolean(l?)).collect::<Result<_, _>>()?;
                Self::Modified(Modifier::Anyof, values.into_iter().map(Self::Bool).collect())
            }
            Kind::Address | Kind::Network => {
                Self::Networks(ones().map(|l| network(l?)).collect::<Result<_, _>>()?)
            }
            Kind::Number | Kind::Duration | Kind::Time | Kind::Port => {
                let range = |item: &Item| match item {
                    Item::One(literal) => number(kind, literal).map(|n| (n, n)),
                    Item::Range(low, high) => Ok((number(kind, low)?, number(kind, high)?)),
                };
                Self::Numbers(items.iter().map(range).collect::<Result<_, _>>()?)
            }
        })
    }

    fn passes(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Not(test), value) => !test.passes(value),
            (Self::Modified(modifier, tests), value) => {
                let mut passed = tests.iter().filter(|test| test.passes(value));
                match modifier {
                    Modifier::Anyof => passed.next().is_some(),
                    Modifier::Oneof => passed.next().is_some() && passed.next().is_none(),
                    Modifier::Allof => !tests.is_empty() && passed.count() == tests.len(),
                }
            }
            (Self::Text(test), Value::Text(text)) => test.passes(text),
            (Self::Text(test), other) => test.passes(&other.to_bytes()),
            (Self::Number(op, own), Value::Number(value)) => ordered(*op, value.cmp(own)),
            (Self::Numbers(ranges), Value::Number(value)) => {
                ranges.iter().any(|(low, high)| low <= value && value <= high)
            }
            (Self::Bool(own), Value::Bool(value)) => own == value,
            (Self::Networks(networks), Value::Address(address)) => {
                networks.iter().any(|n| n.contains(*address))
            }
            _ => false,
        }
    }
}

/// Whether an order is what the operator asks for.
pub(crate) fn ordered(op: Op, order: std::cmp::Ordering) -> bool {
    match op {
        Op::Lt => order.is_lt(),
        Op::Le => order.is_le(),
        Op::Gt => order.is_gt(),
        Op::Ge => order.is_ge(),
        Op::Ne => order.is_ne(),
        _ => order.is_eq(),
    }
}

impl TextTest {
    fn one(op: Op, literal: &Literal) -> Result<Self, FilterError> {
        let bytes = literal.bytes.clone();
        Ok(match op {
            Op::Lt | Op::Le | Op::Gt | Op::Ge => Self::Order(op, bytes),
            Op::Contains => Self::Contains(Needle::new(&bytes, false)),
            Op::Bcontains => Self::Contains(Needle::new(&hexadecimal(literal)?, false)),
            Op::Icontains => Self::Contains(Needle::new(&bytes, true)),
            Op::Startswith => Self::Starts(bytes),
            Op::Bstartswith => Self::Starts(hexadecimal(literal)?),
            Op::Endswith => Self::Ends(bytes),
            Op::Glob => Self::Glob(Glob::new(&bytes, false)),
            Op::Iglob => Self::Glob(Glob::new(&bytes, true)),
            Op::Regex => Self::Regex(Box::new(regex(literal, true)?)),
            Op::Search => Self::Regex(Box::new(regex(literal, false)?)),
            Op::Pmatch => Self::Paths(PathSet::new([bytes.as_slice()])),
            Op::Eq | Op::Ne | Op::In | Op::Intersects => Self::Equal(bytes),
        })
    }

    fn set<'b>(values: impl Iterator<Item = &'b [u8]>) -> Self {
        let mut values: Vec<Vec<u8>> = values.map(<[u8]>::to_vec).collect();
        values.sort_unstable_by(|a, b| by_length(a, b));
        values.dedup();
        Self::Set(values)
    }

    fn passes(&self, text: &[u8]) -> bool {
        match self {
            Self::Equal(own) => own == text,
            Self::Order(op, own) => ordered(*op, text.cmp(own)),
            Self::Contains(needle) => needle.is_in(text),
            Self::Starts(own) => text.starts_with(own),
            Self::Ends(own) => text.ends_with(own),
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Set(values) => values.binary_search_by(|own| by_length(own, text)).is_ok(),
            Self::Paths(paths) => paths.matches(text),
        }
    }
}

/// Lengths first: most members of a list are told apart without a look at their bytes.
fn by_length(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn boolean(literal: &Literal) -> Result<bool, FilterError> {
    match literal.bytes.as_slice() {
        b"true" | b"1" => Ok(true),
        b"false" | b"0" => Ok(false),
        _ => Err(wrong(literal, "`true` or `false`")),
    }
}

fn network(literal: &Literal) -> Result<Network, FilterError> {
    let text = std::str::from_utf8(&literal.bytes).ok();
    text.and_then(Network::parse).ok_or_else(|| {
        wrong(literal, "an IP address or network").suggest("write `10.1.2.3`, `10.0.0.0/8` or `fd00::/8`")
    })
}

/// Names of ports that people write.
const PORTS: &[(&str, u16)] = &[
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("dns", 53),
    ("http", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("ldap", 389),
    ("https", 443),
    ("ldaps", 636),
    ("mysql", 3306),
    ("postgresql", 5432),
];

/// Reads a number of a kind: decimal or hexadecimal, lengths and sizes with their units, ports by name.
pub(crate) fn number(kind: Kind, literal: &Literal) -> Result<i128, FilterError> {
    let text = std::str::from_utf8(&literal.bytes).unwrap_or("");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let plain = match hex {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse::<u64>().ok(),
    };
    let named = || (kind == Kind::Port).then(|| PORTS.iter().find(|(name, _)| *name == digits)).flatten();
    let value = plain
        .or_else(|| if kind == Kind::Port { None } else { parse_quantity(digits) })
        .or_else(|| named().map(|(_, port)| (*port).into()))
        .map(i128::from)
        .ok_or_else(|| match kind {
            Kind::Duration => {
                wrong(literal, "a length of time").suggest("write `5s`, `250ms`, or nanoseconds")
            }
            Kind::Port => wrong(literal, "a port"),
            _ => wrong(literal, "a number"),
        })?;
    Ok(if negative { -value } else { value })
}

fn hexadecimal(literal: &Literal) -> Result<Vec<u8>, FilterError> {
    let digits = &literal.bytes;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes
        .filter(|_| digits.len().is_multiple_of(2) && !digits.is_empty())
        .ok_or_else(|| wrong(literal, "an even number of hex digits"))
}

/// A regular expression over bytes; `whole` when it must match all of the text, as Falco's does.
fn regex(literal: &Literal, whole: bool) -> Result<Regex, FilterError> {
    let pattern = String::from_utf8(literal.bytes.clone()).map_err(|_| wrong(literal, "UTF-8"))?;
    let pattern = if whole { format!(r"\A(?:{pattern})\z") } else { pattern };
    build(&pattern, literal)
}

fn build(pattern: &str, literal: &Literal) -> Result<Regex, FilterError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(REGEX_LIMIT)
        .dfa_size_limit(REGEX_LIMIT)
        .nest_limit(REGEX_NESTING)
        .build()
        .map_err(|error| {
            let message = error.to_string();
            let message =
                message.lines().last().unwrap_or("").trim().trim_start_matches("error: ").to_owned();
            FilterError::new(literal.span, FilterErrorKind::Regex { message })
        })
}

/// Compares the values of two fields.
pub(crate) fn compare_values(op: Op, left: &Value<'_>, right: &Value<'_>) -> bool {
    let text = |value: &Value<'_>| value.to_bytes().into_owned();
    match op {
        Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => match (left, right) {
            (Value::Number(a), Value::Number(b)) => ordered(op, a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => ordered(op, a.cmp(b)),
            (Value::Address(a), Value::Address(b)) => ordered(op, IpAddr::cmp(a, b)),
            _ => ordered(op, left.to_bytes().cmp(&right.to_bytes())),
        },
        Op::In | Op::Intersects => left == right,
        Op::Contains | Op::Bcontains => memmem::find(&left.to_bytes(), &right.to_bytes()).is_some(),
        Op::Icontains => {
            memmem::find(&text(left).to_ascii_lowercase(), &text(right).to_ascii_lowercase()).is_some()
        }
        Op::Startswith | Op::Bstartswith => left.to_bytes().starts_with(&right.to_bytes()),
        Op::Endswith => left.to_bytes().ends_with(&right.to_bytes()),
        Op::Glob => Glob::new(&right.to_bytes(), false).matches(&left.to_bytes()),
        Op::Iglob => Glob::new(&right.to_bytes(), true).matches(&left.to_bytes()),
        Op::Regex | Op::Search | Op::Pmatch => false,
    }
}
